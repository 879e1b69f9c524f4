"""``slowfast zoo``: lists the published weights by name, and keeps the table of docs/MODEL_ZOO.md."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from slowfast.cli.errors import report_errors
from slowfast.models.weights.zoo import published_figures, write_weights_table, zoo_entries
from slowfast.utils.download import cache_path

EXAMPLE = """example:
  slowfast zoo
  slowfast zoo --write docs/MODEL_ZOO.md
  python -c 'from slowfast.models import load_pretrained; load_pretrained("SLOWFAST_8x8_R50")'
"""


@report_errors
def main(argv: Sequence[str] | None = None) -> int:
    """Prints the list, or writes the table; returns the exit status."""
    args = build_parser().parse_args(argv)
    if args.write:
        changed = write_weights_table(args.write)
        print(f"{args.write}: {'wrote the table' if changed else 'the table is up to date'}")
        return 0
    print(_listing())
    return 0


def _listing() -> str:
    """A line an entry."""
    lines = ["name, model, trained on, what its authors published (not measured by this project); * is on this disk"]
    for entry in zoo_entries():
        mark = "*" if cache_path(entry.url).is_file() else " "
        trained_on = entry.dataset + (f" ({entry.training})" if entry.training else "")
        lines.append(f"{mark} {entry.name:<46} {entry.model:<15} {trained_on:<26} {published_figures(entry)}")
    return "\n".join(lines)


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="slowfast zoo",
        description="List the published weights, as load_pretrained and torch.hub take them.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--write", type=Path, metavar="FILE", help="write the table into this Markdown file instead")
    return parser


if __name__ == "__main__":
    sys.exit(main())
