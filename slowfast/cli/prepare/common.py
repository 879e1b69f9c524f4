"""What the sub-commands share: arguments, progress, and the end of a run."""

from __future__ import annotations

import argparse
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

from tqdm import tqdm

from slowfast.cli.arguments import Parser, whole
from slowfast.datasets.lists.path_labels import read_path_label_list
from slowfast.preparation.files import write_table
from slowfast.utils.logging import format_seconds

LINE_SECONDS = 60.0  # a line of progress at least so often where no bar is shown


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


class WorkProgress:
    """How far the work is: a bar with the time left on a terminal, elsewhere a line every tenth or every minute."""

    def __init__(self, total: int, *, unit: str = "video"):
        self.total = total
        self.unit = unit
        self.num_done = self.num_failed = 0
        self._start = self._last_line = time.monotonic()
        hidden = not sys.stderr.isatty()
        self._bar = tqdm(total=total, unit=unit, leave=False, dynamic_ncols=True, disable=hidden)

    def step(self, *, failed: bool = False) -> None:
        """One more is done."""
        self.num_done += 1
        self.num_failed += failed
        if not self._bar.disable:
            self._bar.set_postfix({"failed": self.num_failed} if self.num_failed else {}, refresh=False)
            self._bar.update()
            return
        tenth = self.num_done * 10 // self.total > (self.num_done - 1) * 10 // self.total
        if tenth or time.monotonic() - self._last_line > LINE_SECONDS:
            self._last_line = time.monotonic()
            print(self._line(), file=sys.stderr, flush=True)

    def _line(self) -> str:
        rate = self.num_done / max(1e-9, self._last_line - self._start)
        left = format_seconds((self.total - self.num_done) / rate)
        failed = f", {self.num_failed:,} failed" if self.num_failed else ""
        return f"{self.num_done:,} of {self.total:,} {self.unit}s, {rate:.3g}/s, {left} left{failed}"

    @property
    def seconds(self) -> float:
        """Since the start."""
        return time.monotonic() - self._start

    def __enter__(self) -> WorkProgress:
        return self

    def __exit__(self, *_) -> None:
        self._bar.close()


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
