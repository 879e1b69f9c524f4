"""``slowfast prepare-data COMMAND``: from downloaded videos to a data set."""

from __future__ import annotations

import argparse

from slowfast.cli.arguments import Parser, command, command_parser
from slowfast.cli.prepare import ava_boxes, check, frames, lists, resize

COMMANDS = (lists, check, resize, frames, ava_boxes)


def build_parser() -> Parser:
    """The command line."""
    parser = command_parser(
        "prepare-data",
        description="Lists, checks, smaller copies, frames and person boxes of videos. Every command continues where "
        "an earlier run of it ended; what it writes is there whole or not at all.",
        example="slowfast prepare-data lists --help",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for module in COMMANDS:
        module.add_parser(commands)
    return parser


@command(build_parser)
def main(args: argparse.Namespace) -> int:
    """Run one command; 0 if all went well, 1 if a video failed, 2 if the command cannot run."""
    return args.run(args)
