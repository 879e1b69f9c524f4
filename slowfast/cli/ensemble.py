"""``slowfast ensemble``: late fusion of tests."""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from slowfast.cli.arguments import Parser, command, command_parser
from slowfast.engine.results import write_results
from slowfast.engine.tester import TestResult
from slowfast.evaluation import EVALUATOR_REGISTRY
from slowfast.evaluation.late_fusion import METHODS, FusionError, Predictions, fuse, read_predictions
from slowfast.evaluation.metrics import labeled_figures
from slowfast.utils.environment import versions
from slowfast.utils.logging import setup_logging
from slowfast.utils.untrusted import read_json

DESCRIPTION = (
    "Average the scores of several tests on the same videos (matched by path), and evaluate each test and the fusion."
)
EXAMPLE = """
slowfast ensemble outputs/rgb/predictions.npz outputs/flow/predictions.npz --weights 1 1.5
slowfast ensemble outputs/slowfast outputs/swin outputs/x3d --method geometric --output outputs/fused
"""


def build_parser() -> Parser:
    """The command line."""
    parser = command_parser("ensemble", description=DESCRIPTION, example=EXAMPLE)
    parser.add_argument("tests", nargs="+", metavar="TEST", help="predictions.npz of a test, or its folder")
    parser.option("--weights W", "one per test (default: equal)", type=float, nargs="+")
    parser.option(
        "--method", "arithmetic (default) or geometric mean of the scores", default=METHODS[0], choices=METHODS
    )
    parser.option(
        "--evaluator NAME",
        "evaluator (default: the one named in the tests' results.json, or else topk or multilabel_map, depending on "
        "the labels)",
    )
    parser.add_output("folder for results.json and predictions")
    return parser


@command(build_parser)
def main(args: argparse.Namespace) -> int:
    """Print a table of each test and the fusion; with --output, write the fusion like a test."""
    setup_logging()
    start = time.perf_counter()
    members = [read_predictions(path) for path in args.tests]
    evaluator = args.evaluator or find_evaluator(members)
    fused = fuse(members, weights=args.weights, method=args.method)
    figures = [evaluate(member, evaluator) for member in (*members, fused)]
    weights = args.weights or [1.0] * len(members)
    print(format_table(members, weights, fused, figures))
    if args.output:
        result = TestResult(
            figures=figures[-1],
            scores=fused.scores.astype(np.float32),
            labels=fused.labels,
            failures={int(i): "no test has scores for it" for i in np.flatnonzero(~fused.has_scores)},
            seconds=time.perf_counter() - start,
        )
        inputs = [describe(*row) for row in zip(members, weights, figures[:-1], strict=True)]
        protocol = f"late fusion of {len(members)} tests, {args.method} of the scores, {evaluator}"
        details = {"protocol": protocol, "evaluator": evaluator, "inputs": inputs, "versions": versions()}
        write_results(args.output, result, paths=fused.paths.tolist(), class_names=None, details=details)
    return 0


def find_evaluator(members: Sequence[Predictions]) -> str:
    """Name of the evaluator that the members were tested with.

    If no member's results.json names one: topk if a video has one label, else multilabel_map.

    Raises:
        FusionError: two members were tested with different ones, so their figures cannot be compared.
    """
    named = {name: member.name for member in members if (name := read_results(member).get("evaluator"))}
    if len(named) > 1:
        tested = ", ".join(f"{file} used {name}" for name, file in named.items())
        raise FusionError(f"{tested}: choose a common one with --evaluator {' or --evaluator '.join(named)}.")
    default = "topk" if members[0].labels.ndim == 1 else "multilabel_map"
    return next(iter(named), default)


def evaluate(predictions: Predictions, evaluator: str) -> dict[str, float]:
    """The figures that the evaluator of that name gives.

    Raises:
        FusionError: it is for a different kind of labels: one per video instead of several, or vice versa.
    """
    evaluate_scores = EVALUATOR_REGISTRY.get(evaluator)()
    try:
        return labeled_figures(evaluate_scores, predictions.scores, predictions.labels)
    except (IndexError, ValueError) as error:
        kind = "one label per video" if predictions.labels.ndim == 1 else "several labels per video"
        raise FusionError(f"{predictions.name} has {kind}, which {evaluator} cannot evaluate ({error}).") from error


def read_results(member: Predictions) -> dict:
    """The content of results.json next to the predictions; empty if there is none."""
    path = Path(member.name).with_name("results.json")
    content = read_json(path, error=FusionError) if path.is_file() else {}
    if not isinstance(content, dict):
        raise FusionError(f"{path} is not a test's results.json: expected an object.")
    return content


def describe(member: Predictions, weight: float, figures: dict[str, float]) -> dict:
    """The entry of one input in results.json: its figures here, and its provenance from its own results.json."""
    content = read_results(member)
    told = {key: content[key] for key in ("protocol", "evaluator", "weights") if key in content}
    finite = {name: None if math.isnan(value) else value for name, value in figures.items()}  # NaN is no JSON
    return {"file": member.name, "weight": weight, "figures": finite, **told}


def format_table(
    members: Sequence[Predictions],
    weights: Sequence[float],
    fused: Predictions,
    figures: Sequence[dict[str, float]],
) -> str:
    """One line for each test and one for the fusion; videos without scores count as wrong."""
    names = [*(member.name for member in members), "fusion"]
    width = max(map(len, names))
    columns = {name: max(8, len(name) + 2) for name in figures[-1]}
    header = "".join(f"{name:>{size}}" for name, size in columns.items())
    lines = [f"{'test':<{width}}  weight{header}  videos  without scores"]
    for name, weight, member, row in zip(names, [*weights, None], [*members, fused], figures, strict=True):
        cells = "".join(f"{_shown(row[column]):>{size}}" for column, size in columns.items())
        shown = "" if weight is None else f"{weight:g}"
        missing = int((~member.has_scores).sum())
        lines.append(f"{name:<{width}}  {shown:>6}{cells}  {len(member.paths):>6,}  {missing:>14,}")
    return "\n".join(lines)


def _shown(figure: float) -> str:
    return str(figure) if isinstance(figure, int) else f"{figure:.2f}"
