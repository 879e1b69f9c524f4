"""``slowfast zoo``: lists the published weights by name."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from slowfast.cli.arguments import Parser, command, command_parser, write_json
from slowfast.models.weights.zoo_table import published_figures, zoo_entries
from slowfast.utils.download import cache_path

EXAMPLE = """
slowfast zoo
slowfast run --cfg Kinetics/c2/SLOWFAST_8x8_R50 --checkpoint Kinetics/c2/SLOWFAST_8x8_R50 TRAIN.ENABLE False
python -c 'from slowfast.models import load_pretrained; load_pretrained("SLOWFAST_8x8_R50")'
"""


def _listing() -> str:
    """A line per entry."""
    lines = [
        "name, model, trained on, the figures its authors published (we have not measured them); * is on this disk"
    ]
    for entry in zoo_entries():
        mark = "*" if cache_path(entry.url).is_file() else " "
        trained_on = entry.dataset + (f" ({entry.training})" if entry.training else "")
        lines.append(f"{mark} {entry.name:<46} {entry.model:<15} {trained_on:<26} {published_figures(entry)}")
    return "\n".join(lines)


def build_parser() -> Parser:
    """The command line."""
    parser = command_parser(
        "zoo",
        description="List the published weights under the names that --checkpoint, TRAIN.CHECKPOINT_FILE_PATH, "
        "load_pretrained and torch.hub accept.",
        example=EXAMPLE,
    )
    parser.add_json("the list")
    return parser


@command(build_parser)
def main(args: argparse.Namespace) -> int:
    """Prints the list; returns the exit status."""
    entries = [{"name": entry.name, **asdict(entry)} for entry in zoo_entries()]
    write_json(args.json, entries, text=_listing())
    return 0
