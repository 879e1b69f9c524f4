"""``slowfast benchmark``: how fast this machine runs a config.

Variants of a model step are timed in turn, round after round, so that their ratios hold on a machine whose speed
drifts; medians are printed.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from torch import nn

from slowfast.cli.arguments import Parser, command, command_parser, whole, write_json
from slowfast.cli.machine import one_device
from slowfast.config import CfgNode, Config, load_cfg, with_overrides
from slowfast.datasets import build_dataset
from slowfast.datasets.contract import SPLITS
from slowfast.engine.build_trainer import build_trainer
from slowfast.engine.inputs import place_model
from slowfast.engine.pipeline import takes_boxes
from slowfast.engine.precision import autocast_dtype, forward
from slowfast.losses import build_loss
from slowfast.models import build_model
from slowfast.models.complexity import clip_channels
from slowfast.models.folding import fold_batch_norms
from slowfast.solver import build_optimizer
from slowfast.utils.environment import versions
from slowfast.video.container import create_video
from slowfast.video.reader import VideoReader
from slowfast.visualization.comparison import read_metrics

PARTS = ("train", "eval", "loading", "throughput")


def build_parser() -> Parser:
    """The command line."""
    parser = command_parser(
        "benchmark",
        description="Time model steps, data loading and whole training on this machine.",
        example="slowfast benchmark --cfg Kinetics/SLOWFAST_8x8_R50 --batch 2",
        takes_overrides=True,
    )
    parser.add_cfg(default="Kinetics/SLOWFAST_8x8_R50")
    parser.option("--parts", "what to measure (default: everything)", default=list(PARTS), nargs="+", choices=PARTS)
    parser.option("--batch N", "clips per training step and views per test step", type=whole(1), default=2)
    parser.option("--repeats N", "timed rounds, after one warm-up round", type=whole(1), default=5)
    parser.option("--steps N", "training steps of the throughput part", type=whole(1), default=8)
    parser.option("--compile", "also time torch.compile (takes minutes to compile)")
    parser.add_gpus("GPUs for model steps and throughput, at most one", default="0")
    parser.option("--video FILE", "video to load (default: a generated one, 340x256, 300 frames)")
    parser.add_json()
    return parser


def measure_in_turn(
    variants: Mapping[str, Callable[[], object]], *, repeats: int, device: torch.device
) -> dict[str, float]:
    """Median seconds of every variant, run one after the other in each of ``repeats`` rounds after one of warm-up."""
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    for turn in range(repeats + 1):
        for name, run in variants.items():
            _synchronize(device)
            start = time.perf_counter()
            run()
            _synchronize(device)
            if turn:
                seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


def _synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


@dataclass(frozen=True)
class Variant:
    """A way to run a model; ``dtype`` None is full precision."""

    dtype: torch.dtype | None = None
    channels_last: bool = True
    folded: bool = False
    compiled: bool = False

    def __str__(self) -> str:
        words = [_SHORT_NAMES[self.dtype], "channels-last" if self.channels_last else "contiguous"]
        return " ".join([*words, *(name for name in ("folded", "compiled") if getattr(self, name))])

    def place(self, cfg: CfgNode, device: torch.device) -> nn.Module:
        """The model of a config."""
        model = build_model(cfg)
        model = place_model(fold_batch_norms(model) if self.folded else model, device, channels_last=self.channels_last)
        if self.compiled:
            model.compile()
        return model


_SHORT_NAMES = {None: "fp32", torch.bfloat16: "bf16", torch.float16: "fp16"}


def variants(device: torch.device, *, folds: bool, compiled: bool) -> list[Variant]:
    """What is compared: full precision first, what should be fastest last."""
    found = [Variant(channels_last=False)]
    for dtype in (None, autocast_dtype("auto", device)):
        found += [Variant(dtype, folded=folded) for folded in (False, True)[: 1 + folds]]
    return [*found, replace(found[-1], compiled=True)] if compiled else found


def train_step(cfg: CfgNode, device: torch.device, variant: Variant, *, batch: int) -> Callable[[], None]:
    """A whole training step (forward, backward, update) of the config's model, ready to run."""
    model = variant.place(cfg, device).train()
    optimizer, loss_fn = build_optimizer(cfg, model), build_loss(cfg)
    crop, channels_last = cfg.DATA.TRAIN_CROP_SIZE, variant.channels_last
    clip, *boxes = _inputs(cfg, model, device, batch=batch, crop=crop, channels_last=channels_last)
    labels = _labels(cfg, model, device, batch=batch)

    def step() -> None:
        logits = forward(model, clip, boxes, dtype=variant.dtype)
        optimizer.zero_grad(set_to_none=True)
        loss_fn(logits, labels).backward()
        optimizer.step()

    return step


def eval_step(cfg: CfgNode, device: torch.device, variant: Variant, *, batch: int) -> Callable[[], None]:
    """A forward pass in eval mode of the config's model, ready to run."""
    model = variant.place(cfg, device).eval()
    crop, channels_last = cfg.DATA.TEST_CROP_SIZE, variant.channels_last
    clip, *boxes = _inputs(cfg, model, device, batch=batch, crop=crop, channels_last=channels_last)

    def step() -> None:
        with torch.inference_mode():
            forward(model, clip, boxes, dtype=variant.dtype)

    return step


def _inputs(
    cfg: CfgNode, model: nn.Module, device: torch.device, *, batch: int, crop: int, channels_last: bool
) -> tuple[torch.Tensor, ...]:
    """The inputs of ``model``: clips, and one box per clip if it takes boxes."""
    clip = torch.randn(batch, clip_channels(model), cfg.DATA.NUM_FRAMES, crop, crop, device=device)
    if channels_last:
        clip = clip.contiguous(memory_format=torch.channels_last_3d)
    if not takes_boxes(model):
        return (clip,)
    boxes = torch.tensor([0.0, crop / 4, crop / 8, crop / 2, 7 * crop / 8], device=device).repeat(batch, 1)
    boxes[:, 0] = torch.arange(batch)  # the clip that a box is of
    return clip, boxes


def _labels(cfg: CfgNode, model: nn.Module, device: torch.device, *, batch: int) -> torch.Tensor:
    """One class per clip: int64 (B,), or float32 (B, K) of 0 and 1 if a clip or a box may have several."""
    labels = torch.arange(batch, device=device) % cfg.MODEL.NUM_CLASSES
    has_several = takes_boxes(model) or cfg.DATA.MULTI_LABEL
    return nn.functional.one_hot(labels, cfg.MODEL.NUM_CLASSES).float() if has_several else labels


def write_benchmark_video(path: Path) -> Path:
    """An H.264 file of 30 fps with a scrolling texture and noise, coded like Kinetics files; returns its path."""
    height, width, num_frames = 256, 340, 300
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (height // 8 + 1, 2 * width // 8 + 1, 3), dtype=np.uint8)
    texture = coarse.repeat(8, axis=0).repeat(8, axis=1)
    with create_video(path) as container:
        stream = container.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for i in range(num_frames):
            frame = texture[:height, i : i + width].astype(np.int16) + rng.integers(-6, 7, (height, width, 3))
            picture = av.VideoFrame.from_ndarray(frame.clip(0, 255).astype(np.uint8), format="rgb24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    return path


def check_data_config(cfg: Config) -> None:
    """Check that the data of ``cfg`` can be stood in for by lists of one video.

    Raises:
        ValueError: its samples are boxes, or have optical flow, which is computed once and then read.
    """
    for key, has_other_data in (
        ("DETECTION.ENABLE=True", cfg.DETECTION.ENABLE),
        ("SLOWFAST.FAST_INPUT='flow'", cfg.SLOWFAST.FAST_INPUT == "flow"),
    ):
        if has_other_data:
            raise ValueError(
                f"{key}: loading and throughput are measured only on clips of RGB video. Set --parts train eval."
            )


def _config_for(cfg: Config, folder: Path, video: Path, *overrides: Any, num_rows: int) -> Config:
    """``cfg`` with lists of one video, ``num_rows`` times, in ``folder``.

    Raises:
        ValueError: see ``check_data_config``.
    """
    check_data_config(cfg)
    for split in SPLITS:
        (folder / f"{split}.csv").write_text(f"{video} 0\n" * num_rows, encoding="utf-8")
    data = ["DATA.PATH_TO_DATA_DIR", str(folder), "DATA.PATH_PREFIX", ""]
    return with_overrides(cfg, [*data, "TRAIN.DATASET", "kinetics", "TEST.DATASET", "kinetics", *overrides])


def measure_loading(cfg: Config, folder: Path, video: Path, *, repeats: int) -> dict[str, float]:
    """Median milliseconds with one thread: decoding every frame, a training clip, all views of a test video."""
    cfg = _config_for(cfg, folder, video, num_rows=repeats + 1)
    train, test, numbers = build_dataset(cfg, "train"), build_dataset(cfg, "test"), itertools.count()
    runs = {
        "decoding every frame, ms": (lambda: _decode_all(video), max(3, repeats // 4)),
        "a training clip, ms": (lambda: train[(0, next(numbers))], repeats),
        f"all {test.num_views} views of a test video, ms": (lambda: test[0], max(3, repeats // 4)),
    }
    threads, cpu = torch.get_num_threads(), torch.device("cpu")
    torch.set_num_threads(1)  # as in a loader's worker
    try:
        return {
            name: 1000 * measure_in_turn({name: run}, repeats=times, device=cpu)[name]
            for name, (run, times) in runs.items()
        }
    finally:
        torch.set_num_threads(threads)


def _decode_all(video: Path) -> None:
    with VideoReader(str(video)) as reader:
        reader.frames_at(torch.arange(reader.num_frames))


def measure_training(cfg: Config, folder: Path, video: Path, *, batch: int, steps: int) -> dict[str, float]:
    """Clips per second of real training, and the percentage of its time spent waiting for data; without the first
    step."""
    processes = max(1, cfg.NUM_GPUS)
    workers = min(cfg.DATA_LOADER.NUM_WORKERS, 2 if cfg.NUM_GPUS == 0 else 8)
    overrides = ["TRAIN.BATCH_SIZE", batch * processes, "TRAIN.EVAL_PERIOD", 0, "TRAIN.AUTO_RESUME", False]
    overrides += ["OUTPUT_DIR", str(folder / "out"), "LOG_PERIOD", 1, "DATA_LOADER.NUM_WORKERS", workers]
    overrides += ["TRAIN.MIXED_PRECISION", True]
    build_trainer(_config_for(cfg, folder, video, *overrides, num_rows=batch * (steps + 1))).train_epoch()
    records = [record for record in read_metrics(folder / "out/metrics.jsonl") if "step_seconds" in record][1:]
    seconds = sum(record["step_seconds"] for record in records)
    return {
        "clips per second": batch * len(records) / seconds,
        "milliseconds a step": 1000 * seconds / len(records),
        "waiting for data, percent": 100 * sum(record["data_seconds"] for record in records) / seconds,
        "loader workers": float(workers),
    }


def format_steps(title: str, seconds: dict[str, float], batch: int) -> str:
    """A table of variants: milliseconds, clips per second, and times faster than the first."""
    first = next(iter(seconds.values()))
    lines = [title, f"  {'variant':<36}{'ms':>9}{'clips/s':>10}{'speed-up':>10}"]
    for name, value in seconds.items():
        lines.append(f"  {name:<36}{1000 * value:>9.0f}{batch / value:>10.2f}{first / value:>9.2f}x")
    return "\n".join(lines)


def format_figures(title: str, figures: dict[str, float]) -> str:
    """A table of named figures."""
    return "\n".join([title, *(f"  {name:<44}{value:>10.2f}" for name, value in figures.items())])


@command(build_parser)
def main(args: argparse.Namespace) -> int:
    """Measure and print."""
    device = one_device(args.gpus)
    cfg = load_cfg(args.cfg, [*args.opts, "NUM_GPUS", int(device.type == "cuda")])
    needs_data = "loading" in args.parts or "throughput" in args.parts
    if needs_data:
        check_data_config(cfg)
    figures: dict[str, dict] = {"versions": versions(), "config": {"cfg": args.cfg, "batch": args.batch}}
    print(f"{args.cfg}: {torch.get_num_threads()} threads, {figures['versions']}", flush=True)
    for part, make in (("train", train_step), ("eval", eval_step)):
        if part in args.parts:
            compared = variants(device, folds=part == "eval", compiled=args.compile)
            steps = {str(variant): make(cfg, device, variant, batch=args.batch) for variant in compared}
            figures[part] = measure_in_turn(steps, repeats=args.repeats, device=device)
            print(format_steps(f"{part} step of {args.batch} clips", figures[part], args.batch), flush=True)
            del steps
    if needs_data:
        with tempfile.TemporaryDirectory() as folder:
            video = args.video or write_benchmark_video(Path(folder) / "video.mp4")
            _measure_data(args, cfg, Path(folder), Path(video).resolve(), figures)
    if args.json:
        write_json(args.json, figures, text="")
    return 0


def _measure_data(args: argparse.Namespace, cfg: CfgNode, folder: Path, video: Path, figures: dict[str, dict]) -> None:
    if "loading" in args.parts:
        figures["loading"] = measure_loading(cfg, folder, video, repeats=4 * args.repeats)
        print(format_figures("loading, one thread (medians)", figures["loading"]), flush=True)
    if "throughput" in args.parts:
        figures["throughput"] = measure_training(cfg, folder, video, batch=args.batch, steps=args.steps)
        print(format_figures(f"training, batches of {args.batch}", figures["throughput"]), flush=True)
