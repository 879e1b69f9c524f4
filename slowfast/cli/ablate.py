"""``slowfast ablate``: many configs, several seeds, one budget, one table.

Every (config, seed) is a run in its own folder; complete runs are not repeated, so the command can be stopped and
called again, also with more seeds.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import logging
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from torch.multiprocessing import ProcessRaisedException

from slowfast.cli.arguments import Parser, command, command_parser, config_overrides, typed_line, whole
from slowfast.cli.claims import format_statements, statements
from slowfast.cli.configs import load_config
from slowfast.cli.info import describe
from slowfast.cli.run import run_job
from slowfast.config import CfgNode, locate
from slowfast.config.files import recipe_names
from slowfast.engine.launch import launch
from slowfast.engine.parts import check_parts
from slowfast.engine.step import NonFiniteLossError
from slowfast.engine.tasks import task_of
from slowfast.motion.clips import MotionSpec, write_motion
from slowfast.utils.progress import time_left
from slowfast.utils.untrusted import read_json
from slowfast.visualization.comparison import plot_ablation

logger = logging.getLogger(__name__)

FOLDER = "Motion/ablations/"
# The order of the table, and the rows of each of its parts; what is not named here comes last.
GROUPS = {
    "pathways": ("slow_only", "fast_only", "t_conv"),
    "lateral connection": ("no_fusion", "ttoc_sum", "ttoc_concat", "t_sample"),
    "beta": ("beta_2", "beta_8"),
    "alpha": ("alpha_1", "alpha_2"),
    "Fast input": ("half_resolution", "gray", "time_difference", "flow"),
}
EXAMPLE = """
slowfast ablate --output ablation                         (all of configs/Motion/ablations)
slowfast ablate --output ablation --seeds 5 --cfg t_conv no_fusion
slowfast ablate --output mine --data /data/k400 --cfg a.yaml b.yaml SOLVER.MAX_EPOCH 30
"""


@dataclass
class Row:
    """One config over all its seeds.

    Attributes:
        figures: per seed, the figure that the evaluator calls primary, in percent.
        gflops: of one test view, convolutions.
        seconds: of all its runs made by this call.
        num_made: number of these runs; the others already existed.
    """

    name: str
    figure: str
    figures: dict[int, float]
    gflops: float
    parameters: int
    seconds: float = 0.0
    num_made: int = 0

    @property
    def mean(self) -> float:
        return float(np.mean(list(self.figures.values())))

    @property
    def spread(self) -> float:
        """Standard deviation over the seeds (n - 1); NaN for one seed."""
        values = list(self.figures.values())
        return float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")


def build_parser() -> Parser:
    """The command line."""
    parser = command_parser(
        "ablate",
        description="Train and test configs with several seeds and one budget; write one table and one plot.",
        example=EXAMPLE,
        takes_overrides=True,
    )
    parser.add_output("folder for the runs, ablation.md, .json and .png", required=True)
    parser.add_cfg(several="or a name in configs/Motion/ablations (default: all of them)", required=False)
    parser.option("--seeds N", "seeds 0 to N - 1", type=whole(1), default=3)
    parser.option("--data DIR", "folder of the lists (default: a Motion set written into --output)", type=Path)
    parser.option("--num-train N", "training videos of the Motion set", type=whole(1), default=MotionSpec.num_train)
    parser.add_gpus("GPUs per run", default="0")
    return parser


def default_names() -> list[str]:
    """The leaves of configs/Motion/ablations in the order of GROUPS."""
    found = [name.removeprefix(FOLDER) for name in recipe_names() if name.startswith(FOLDER)]
    order = [name for names in GROUPS.values() for name in names]
    return sorted(found, key=lambda name: (order.index(name) if name in order else len(order), name))


def config_of(name: str) -> Path:
    """The file of a row: a file, a name in configs/Motion/ablations, or another recipe."""
    inside = FOLDER + name.removesuffix(".yaml")
    return locate(name if Path(name).is_file() or inside not in recipe_names() else inside)


def run_one(row: Row | None, name: str, seed: int, folder: Path, overrides: Sequence) -> Row:
    """The row of a config with one more seed; ``row`` has the results of earlier seeds.

    A run's folder is named after its whole config, so that another budget, or another config of the same name, is
    another run.
    """
    cfg = load_config(config_of(name), [*overrides, "OUTPUT_DIR", ".", "RNG_SEED", seed])
    digest = hashlib.sha1(cfg.dump().encode()).hexdigest()[:8]
    output = folder / Path(name).stem / f"seed{seed}-{digest}"
    cfg = load_config(config_of(name), [*overrides, "OUTPUT_DIR", str(output), "RNG_SEED", seed])
    row = row or _new_row(name, cfg)
    start = time.perf_counter()
    if not (output / "results.json").is_file():
        launch(run_job, cfg)
        row.num_made += 1
    row.seconds += time.perf_counter() - start
    row.figures[seed] = read_json(output / "results.json")["figures"][row.figure]
    return row


def _new_row(name: str, cfg: CfgNode) -> Row:
    cost = describe(cfg, crop=cfg.DATA.TEST_CROP_SIZE)
    return Row(Path(name).stem, task_of(cfg).primary_figure(cfg), {}, cost["gflops_per_view"], cost["num_parameters"])


def format_table(rows: Sequence[Row]) -> str:
    """The table as Markdown."""
    figure = rows[0].figure
    lines = [f"| config | {figure} mean | spread | each seed | GFLOPs | parameters |", "| --- " * 6 + "|"]
    for row in rows:
        each = ", ".join(f"{value:.1f}" for value in row.figures.values())
        spread = "" if np.isnan(row.spread) else f"{row.spread:.1f}"
        lines.append(f"| {row.name} | {row.mean:.1f} | {spread} | {each} | {row.gflops:.3f} | {row.parameters:,} |")
    return "\n".join(lines)


def _figures(rows: Sequence[Row]) -> dict[str, dict[int, float]]:
    """Figures by name, for the claims; none if two rows have the same name, because they come from different
    folders."""
    figures = {row.name: row.figures for row in rows}
    return figures if len(figures) == len(rows) else {}


def write_report(folder: Path, rows: Sequence[Row], *, command: str) -> None:
    """Write ablation.md, ablation.json and ablation.png; called after every run."""
    found = statements(_figures(rows))
    parts = [f"`{command}`", format_table(rows), "spread: standard deviation over the seeds."]
    if found:
        parts += [format_statements(found), "CI: Student's t interval for the mean of the per-seed differences."]
    text = "\n\n".join(parts) + "\n"
    (folder / "ablation.md").write_text(text, encoding="utf-8")
    content = [
        {**asdict(row), "mean": row.mean, "spread": None if np.isnan(row.spread) else row.spread} for row in rows
    ]
    (folder / "ablation.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    groups = {row.name: next((g for g, names in GROUPS.items() if row.name in names), "configs") for row in rows}
    plot_ablation(folder / "ablation.png", [(row.name, groups[row.name], list(row.figures.values())) for row in rows])


def _eta(rows: dict[str, Row], start: float, done: int, total: int) -> str:
    """The estimated time of the missing runs, from those made here, such as "eta 12:30"."""
    made = sum(row.num_made for row in rows.values())
    return f"eta {time_left(start, made, total - done + made)}" if made else "there already"


@command(build_parser)
def main(args: argparse.Namespace) -> int:
    """Run what is missing and write the report."""
    names = args.cfg or default_names()
    args.output.mkdir(parents=True, exist_ok=True)
    data = args.data or args.output / "motion"
    if args.data is None:
        write_motion(data, num_train=args.num_train)
    overrides = ["NUM_GPUS", 0, "DATA.PATH_TO_DATA_DIR", str(data), "DATA.PATH_PREFIX", str(data)]
    overrides += ["FLOW.CACHE_DIR", str(args.output / "flow_cache"), *config_overrides(args, gpus="NUM_GPUS")]
    for name in names:
        cfg = load_config(config_of(name), overrides)  # all of them before the first run starts
        if len(cfg.TEST.NUM_TEMPORAL_CLIPS) > 1:
            raise ValueError(
                f"{name}: TEST.NUM_TEMPORAL_CLIPS={cfg.TEST.NUM_TEMPORAL_CLIPS}: an ablation runs one test per config."
            )
        check_parts(cfg)
    rows: dict[str, Row] = {}
    failures: list[str] = []
    start, total = time.perf_counter(), len(names) * args.seeds
    # Seed by seed, so that a run that is stopped leaves a table of all configs.
    for done, (seed, name) in enumerate(itertools.product(range(args.seeds), names), 1):
        try:
            row = rows[name] = run_one(rows.get(name), name, seed, args.output / "runs", overrides)
        except (NonFiniteLossError, ProcessRaisedException) as error:
            if "NonFiniteLossError" not in f"{type(error).__name__} {error}":
                raise
            failures.append(f"{name} seed {seed}: {error}")
            print(f"[{done}/{total}] {failures[-1]}", file=sys.stderr, flush=True)
            continue
        write_report(args.output, list(rows.values()), command=typed_line("ablate", args.argv))
        figure = f"{row.figure} {row.figures[seed]:.2f}"
        print(f"[{done}/{total}] {row.name} seed {seed}: {figure}, {_eta(rows, start, done, total)}", flush=True)
    if rows:
        found = format_statements(statements(_figures(list(rows.values()))))
        print("\n\n".join(["", format_table(list(rows.values())), found]).rstrip())
        print(f"\ntable and plot: ablation.md and ablation.png in {args.output}")
    for failure in failures:
        print(f"failed: {failure}", file=sys.stderr)
    return 1 if failures else 0
