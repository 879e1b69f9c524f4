"""What the sub-commands share: arguments, and the end of a run."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Callable
from pathlib import Path

from slowfast.cli.arguments import Parser, whole
from slowfast.datasets.lists.path_labels import read_path_label_list
from slowfast.preparation.files import write_table


def add_command(
    commands, name: str, run: Callable[[argparse.Namespace], int], *, summary: str, description: str, example: str
) -> Parser:
    """The parser of a sub-command, which sets ``run``."""
    parser = commands.add_parser(
        name,
        help=summary,
        description=textwrap.fill(description, 100),
        epilog=f"example:\n{example}",
    )
    parser.set_defaults(run=run)
    return parser


def add_list_format(parser: argparse.ArgumentParser) -> None:
    """The options by which lists of videos are read."""
    parser.add_argument(
        "--prefix",
        default="",
        metavar="DIR",
        help="where relative paths of lists start; default the folder of the list",
    )
    parser.add_argument("--separator", default=" ", help="between the fields of lists (default one space)")
    parser.add_argument(
        "--multi-label", type=whole(1), metavar="K", help="lists give several labels a video, of K classes"
    )


def read_list(path: str, args: argparse.Namespace):
    """The videos of a list file (a VideoList)."""
    return read_path_label_list(
        path,
        prefix=args.prefix or str(Path(path).absolute().parent),
        separator=args.separator,
        num_classes=args.multi_label,
        multi_label=args.multi_label is not None,
        labels_optional=True,
    )


def finish(summary: str, failures: list[tuple[str, str]], table: Path) -> int:
    """Print the last lines of a run and write the table of failures; the exit code.

    A table of an earlier run goes if nothing failed this time.
    """
    print(summary)
    if not failures:
        table.unlink(missing_ok=True)
        return 0
    write_table(table, ("path", "reason"), failures)
    print(f"{len(failures):,} failed: {table} says which and why")
    return 1
