"""The paper's claim on a laptop: ``make demo``.

Writes the Motion data set, trains SlowFast and, with the same budget, the Slow-only network on it, tests both with
several views, and prints one table. Direction is invisible to a few sparse frames, so Slow-only cannot recognize it.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from slowfast.cli.arguments import Parser, command, command_parser, config_overrides, whole
from slowfast.cli.configs import load_config
from slowfast.cli.info import describe
from slowfast.cli.run import run_job
from slowfast.config import CfgNode
from slowfast.datasets.lists.path_labels import read_class_names
from slowfast.engine.launch import launch
from slowfast.motion.classes import direction_of, shape_of
from slowfast.motion.clips import MotionSpec, write_motion
from slowfast.motion.sheet import sample_sheet
from slowfast.visualization.comparison import plot_comparison

RUNS = {"SlowFast": "Motion/SLOWFAST_4x4_R18", "Slow-only": "Motion/SLOW_4x4_R18"}
# --quick: the same sign in seconds. Slides are learned much sooner than turns, and a Fast pathway as wide as Slow (of
# 8 channels) learns them from nearly every seed.
QUICK_SET: dict[str, Any] = {"num_train": 160, "num_val": 32, "num_test": 96, "height": 36, "width": 44}
QUICK_SET |= {"num_frames": 24, "shapes": ("arrow",), "motions": ("slide-right", "slide-left")}
QUICK_OPTS = [
    "DATA.TRAIN_JITTER_SCALES", "[32, 36]", "DATA.TRAIN_CROP_SIZE", "32", "DATA.TEST_CROP_SIZE", "32",
    "RESNET.WIDTH_PER_GROUP", "8", "RESNET.ZERO_INIT_FINAL_BN", "False", "SLOWFAST.BETA_INV", "1",
    "SOLVER.MAX_EPOCH", "8", "SOLVER.BASE_LR", "0.003", "TRAIN.EVAL_PERIOD", "4", "TRAIN.MIXED_PRECISION", "False",
    "BN.NUM_BATCHES_PRECISE", "10", "TEST.NUM_ENSEMBLE_VIEWS", "1", "TEST.NUM_SPATIAL_CROPS", "1",
    "DATA_LOADER.NUM_WORKERS", "0",
]  # fmt: skip


def build_parser() -> Parser:
    """The command line."""
    parser = command_parser(
        "demo",
        description="Train SlowFast and Slow-only on the built-in Motion data set and compare them.",
        example="slowfast demo --output demo_output SOLVER.MAX_EPOCH 4",
        takes_overrides=True,
    )
    parser.add_output("folder for data, weights and pictures", default=Path("demo_output"))
    parser.option("--quick", "half a minute instead of five: fewer and smaller videos of one sliding shape")
    parser.option("--num-train N", f"training videos (default {MotionSpec.num_train})", type=whole(1))
    parser.option("--num-test N", f"test videos (default {MotionSpec.num_test})", type=whole(1))
    parser.add_gpus(default="0")
    return parser


def accuracy_by(names: Sequence[str], part: Callable[[str], str], labels: np.ndarray, predicted: np.ndarray) -> float:
    """Percent of videos whose predicted class shares the ``part`` (shape, direction) of the true one.

    Args:
        predicted: class numbers (N,), -1 for a video without scores.
    """
    parts = np.array([part(name) for name in names])
    return 100.0 * float(np.mean((predicted >= 0) & (parts[predicted] == parts[labels])))


def train_and_test(cfg: CfgNode, class_names: Sequence[str]) -> dict:
    """Run one network; returns its row of the table. A complete run is only tested again."""
    start, cpu_start = time.perf_counter(), _cpu_seconds()
    launch(run_job, cfg)
    saved = np.load(Path(cfg.OUTPUT_DIR) / "predictions.npz")
    scores, labels = saved["scores"], saved["labels"]
    predicted = np.where(np.isnan(scores).any(1), -1, np.nan_to_num(scores).argmax(1))
    info = describe(cfg, crop=cfg.DATA.TEST_CROP_SIZE)
    return {
        "top1": json.loads((Path(cfg.OUTPUT_DIR) / "results.json").read_text())["figures"]["top1"],
        "shape": accuracy_by(class_names, shape_of, labels, predicted),
        "direction": accuracy_by(class_names, direction_of, labels, predicted),
        "gflops": info["gflops_per_view"],
        "parameters": info["num_parameters"],
        "seconds": time.perf_counter() - start,
        "cpu_seconds": _cpu_seconds() - cpu_start,
    }


def _cpu_seconds() -> float:
    """CPU seconds of this process and of its finished workers."""
    return sum(os.times()[:4])


def format_table(rows: dict[str, dict]) -> str:
    """The table as text."""
    lines = [
        f"{'network':<11}{'top-1 %':>9}{'shape %':>9}{'direction %':>13}{'GFLOPs':>9}{'parameters':>12}"
        f"{'seconds':>9}{'CPU s':>8}"
    ]
    for name, row in rows.items():
        lines.append(
            f"{name:<11}{row['top1']:>9.1f}{row['shape']:>9.1f}{row['direction']:>13.1f}{row['gflops']:>9.3f}"
            f"{row['parameters']:>12,}{row['seconds']:>9.0f}{row['cpu_seconds']:>8.0f}"
        )
    return "\n".join(lines)


@command(build_parser)
def main(args: argparse.Namespace) -> int:
    """Run the demo."""
    start = time.perf_counter()
    data = args.output / "motion"
    sizes = {name: value for name in ("num_train", "num_test") if (value := getattr(args, name)) is not None}
    written = write_motion(data, **(QUICK_SET if args.quick else {}) | sizes)
    state = f"written in {written.seconds:.0f} s" if written.written else "there already"
    print(f"Motion data set: {data} ({state})", flush=True)
    sample_sheet(data, args.output / "samples.png")
    class_names = read_class_names(data / "classids.json")
    rows, runs = {}, {}
    for name, recipe in RUNS.items():
        folder = args.output / recipe.split("/")[1].lower()
        print(f"\n{name}: {recipe} into {folder}", flush=True)
        overrides = ["NUM_GPUS", 0, "OUTPUT_DIR", str(folder)]
        overrides += ["DATA.PATH_TO_DATA_DIR", str(data), "DATA.PATH_PREFIX", str(data)]
        overrides += QUICK_OPTS if args.quick else []
        cfg = load_config(recipe, [*overrides, *config_overrides(args, gpus="NUM_GPUS")])
        rows[name] = train_and_test(cfg, class_names)
        runs[name] = folder / "metrics.jsonl"
    bars = {name: {key: row[key] for key in ("top1", "shape", "direction")} for name, row in rows.items()}
    picture = args.output / "comparison.png"
    plot_comparison(picture, runs, bars, title="Motion: only the Fast pathway sees the direction of a turn")
    (args.output / "demo.json").write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    print(f"\n{format_table(rows)}\n")
    print(
        f"{torch.get_num_threads()} threads, {time.perf_counter() - start:.0f} s in all; chance is "
        f"{100 / len(class_names):.1f} % top-1 and 50 % direction. Pictures: {args.output / 'samples.png'}, {picture}"
    )
    return 0
