"""``slowfast folds``: mean figures over the splits of UCF101 and HMDB51."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from slowfast.cli.arguments import Parser, command, command_parser, write_json
from slowfast.config.files import parse_yaml
from slowfast.utils.untrusted import cut, read_json

EXAMPLE = """
for fold in 1 2 3; do
  slowfast run --cfg UCF101/SLOWFAST_8x8_R50 --output outputs/ucf101_$fold DATA.FOLD $fold
done
slowfast folds outputs/ucf101_1 outputs/ucf101_2 outputs/ucf101_3
"""


@dataclass(frozen=True)
class FoldResult:
    """The test on one split, from its results.json.

    Attributes:
        path: the file.
        fold: DATA.FOLD.
        setting: what must be equal in all splits: set, protocol and model.
        figures: name -> value.
        num_videos, num_failed: tested videos, and those of them that could not be decoded.
    """

    path: Path
    fold: int
    setting: dict[str, str]
    figures: dict[str, float]
    num_videos: int
    num_failed: int


def read_result(path: str | Path) -> FoldResult:
    """The result in a results.json, or in that of an OUTPUT_DIR.

    Raises:
        ValueError: there is none, or the file is not a test's results.json.
    """
    path = Path(path) / "results.json" if Path(path).is_dir() else Path(path)
    content = read_json(path)
    try:
        cfg = content["config"]
        if isinstance(cfg, str):  # YAML text in older files
            cfg = parse_yaml(cfg, source=f"{path}: config")
        protocol = content.get("protocol_text") or content["protocol"]
        setting = {"TEST.DATASET": cfg["TEST"]["DATASET"], "protocol": protocol}
        setting |= {f"MODEL.{key}": cfg["MODEL"][key] for key in ("MODEL_NAME", "ARCH", "NUM_CLASSES")}
        figures = {name: math.nan if value is None else value for name, value in content["figures"].items()}
        return FoldResult(path, cfg["DATA"]["FOLD"], setting, figures, content["num_videos"], content["num_failed"])
    except (LookupError, TypeError, AttributeError) as error:
        problem = f"{type(error).__name__}: {cut(str(error))}"
        raise ValueError(f"{path} is not a test's results.json ({problem}).") from error


def mean_over_folds(results: Sequence[FoldResult]) -> dict[str, float]:
    """The plain mean of every figure that all results have: each split counts the same, whatever its size.

    Raises:
        ValueError: a split appears twice, or the results come from different sets, protocols or models.
    """
    seen: dict[int, FoldResult] = {}
    for result in results:
        if result.fold in seen:
            raise ValueError(f"{seen[result.fold].path} and {result.path} are both of split {result.fold} (DATA.FOLD).")
        seen[result.fold] = result
        for name, value in result.setting.items():
            expected = results[0].setting[name]
            if value != expected:
                raise ValueError(f"{result.path} has {name} {value}, but {results[0].path} has {expected}.")
    names = [name for name in results[0].figures if all(name in result.figures for result in results)]
    return {name: sum(result.figures[name] for result in results) / len(results) for name in names}


def build_parser() -> Parser:
    """The command line."""
    parser = command_parser(
        "folds", description="Average the figures of the tests on the splits of UCF101 or HMDB51.", example=EXAMPLE
    )
    parser.add_argument("results", nargs="+", metavar="RESULT", help="results.json of a split, or its folder")
    parser.add_json("the means and the figures of each split")
    return parser


@command(build_parser)
def main(args: argparse.Namespace) -> int:
    """Print a table of the splits and their mean; the exit status."""
    results = sorted((read_result(path) for path in args.results), key=lambda result: result.fold)
    means = mean_over_folds(results)
    splits = [{"file": str(result.path), "fold": result.fold, "figures": result.figures} for result in results]
    write_json(args.json, {"mean": means, "splits": splits}, text=format_table(results, means))
    return 0


def format_table(results: Sequence[FoldResult], means: dict[str, float]) -> str:
    """One line per split and one for the mean, below what was tested."""
    first = results[0].setting
    lines = [f"{first['TEST.DATASET']}, {first['protocol']}"]
    lines.append(f"{'split':<6}{'videos':>8}{'failed':>8}" + "".join(f"{name:>10}" for name in means))
    for result in results:
        figures = "".join(f"{result.figures[name]:>10.2f}" for name in means)
        lines.append(f"{result.fold:<6}{result.num_videos:>8,}{result.num_failed:>8,}{figures}")
    lines.append(f"{'mean':<22}" + "".join(f"{value:>10.2f}" for value in means.values()))
    if len(results) != 3:
        lines.append(f"These are {len(results)} of 3 splits: published figures are means over all three.")
    return "\n".join(lines)
