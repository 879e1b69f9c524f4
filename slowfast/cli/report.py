"""``slowfast report``: one HTML page about tests and trainings, side by side."""

from __future__ import annotations

import argparse
from pathlib import Path

from slowfast.cli.arguments import Parser, command, command_parser
from slowfast.visualization.report.page import write_report

DESCRIPTION = (
    "Write one HTML page about a run, or about several side by side: figures with their protocol, training curves, "
    "accuracy by views, calibration, classes, confusions, videos with frames of the misclassified ones, config and "
    "versions. The page needs no network."
)
EXAMPLE = """
slowfast report outputs/SLOWFAST_8x8_R50
slowfast report outputs/slowfast outputs/slow_only --output comparison.html
"""


def build_parser() -> Parser:
    """The command line."""
    parser = command_parser("report", description=DESCRIPTION, example=EXAMPLE)
    parser.add_argument("runs", nargs="+", metavar="OUTPUT_DIR", help="output folder of a run")
    parser.add_output("HTML file (default: report.html in the first folder)")
    return parser


@command(build_parser)
def main(args: argparse.Namespace) -> int:
    """Write the page and say where."""
    path = args.output or Path(args.runs[0]) / "report.html"
    names = write_report(args.runs, path)
    print(f"{path}: {', '.join(names)}")
    return 0
