"""What the subcommands share: arguments, and the end of a run."""

from __future__ import annotations

import argparse
import os
import re
import textwrap
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from slowfast.cli.arguments import Parser, whole
from slowfast.datasets.lists.path_labels import read_path_label_list
from slowfast.preparation.files import write_table

T = TypeVar("T")
K = TypeVar("K")


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


@dataclass(frozen=True)
class Shard:
    """Part ``index``, from 0, of ``count`` parts of the work, which several machines share."""

    index: int = 0
    count: int = 1

    def of(self, items: Sequence[T]) -> list[T]:
        """The items of this part: every ``count``-th, done or not."""
        return list(items[self.index :: self.count])

    def table(self, path: Path) -> Path:
        """``failed.csv``, or ``failed.3-of-16.csv`` for one of several parts."""
        return path if self.count == 1 else path.with_name(f"{path.stem}.{self.index}-of-{self.count}{path.suffix}")


def shard(text: str) -> Shard:
    """The value of ``--shard``: K/N.

    Raises:
        argparse.ArgumentTypeError: it has a different form.
    """
    found = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text)
    if found is None or not int(found[1]) < int(found[2]):
        raise argparse.ArgumentTypeError(f"expected K/N with K from 0 to N - 1, as 0/16, got {text!r}")
    return Shard(int(found[1]), int(found[2]))


def add_shard(parser: Parser, rest: str) -> None:
    """``--shard``; ``rest`` says what the run without it, after all parts, is for."""
    parser.option(
        "--shard K/N",
        f"do part K (from 0) of N, on machines that share OUT; then run it once without, {rest}",
        type=shard,
        default=Shard(),
    )


def add_list_format(parser: Parser) -> None:
    """The options by which lists of videos are read."""
    parser.option("--prefix DIR", "where relative paths of lists start; default the folder of the list", default="")
    parser.option("--separator SEPARATOR", "between the fields of lists (default one space)", default=" ")
    parser.option("--multi-label K", "lists give several labels per video, of K classes", type=whole(1))


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


def first_of_each(
    videos: Iterable[str], key: Callable[[str], K], why: str
) -> tuple[dict[K, str], list[tuple[str, str]]]:
    """{key: the first of ``videos`` that has it}, and (video, reason) of the others.

    Args:
        why: the reason, with ``{key}`` and ``{first}``, the video that has it already.
    """
    first: dict[K, str] = {}
    clashes = []
    for video in videos:
        name = key(video)
        if name in first:
            clashes.append((video, why.format(key=name, first=first[name])))
        else:
            first[name] = video
    return first, clashes


def video_id(path: str) -> str:
    """The name of a file without folders and ending."""
    return os.path.splitext(os.path.basename(path))[0]


def finish(summary: str, failures: list[tuple[str, str]], table: Path) -> int:
    """Print the last lines of a run and write the table of failures; the exit code.

    The table of an earlier run is deleted if nothing failed this time.
    """
    print(summary)
    if not failures:
        table.unlink(missing_ok=True)
        return 0
    write_table(table, ("path", "reason"), failures)
    print(f"{len(failures):,} failed: {table} says which and why")
    return 1
