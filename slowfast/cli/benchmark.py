"""``slowfast benchmark``: how fast this machine runs a config.

Variants of a model step are timed in turn, round after round, so that their ratios hold on a machine whose speed
drifts; medians are printed.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from slowfast.cli.arguments import Parser, add_cfg, add_gpus, add_json, command, command_parser, whole, write_json
from slowfast.cli.benchmark_data import check_data_config, measure_loading, measure_training, write_benchmark_video
from slowfast.cli.machine import one_device
from slowfast.config import CfgNode, load_cfg
from slowfast.engine.pipeline import takes_boxes
from slowfast.engine.placement import place_model
from slowfast.engine.precision import autocast_dtype, forward
from slowfast.losses import build_loss
from slowfast.models import build_model
from slowfast.models.complexity import clip_channels
from slowfast.models.folding import fold_batch_norms
from slowfast.solver import build_optimizer
from slowfast.utils.environment import versions

PARTS = ("train", "eval", "loading", "throughput")


def build_parser() -> Parser:
    """The command line."""
    parser = command_parser(
        "benchmark",
        description="Time model steps, data loading and whole training on this machine.",
        example="slowfast benchmark --cfg Kinetics/SLOWFAST_8x8_R50 --batch 2",
        takes_overrides=True,
    )
    add_cfg(parser, default="Kinetics/SLOWFAST_8x8_R50")
    parser.option("--parts", "what to measure (default: everything)", default=list(PARTS), nargs="+", choices=PARTS)
    for flag, number, what in (
        ("--batch", 2, "clips per training step and views per test step"),
        ("--repeats", 5, "timed rounds, after one warm-up round"),
        ("--steps", 8, "training steps of the throughput part"),
    ):
        parser.add_argument(flag, type=whole(1), default=number, metavar="N", help=f"{what} (default %(default)s)")
    parser.option("--compile", "also time torch.compile (takes minutes to compile)")
    add_gpus(parser, "GPUs for model steps and throughput, at most one", default="0")
    parser.option("--video FILE", "video to load (default: a generated one, 340x256, 300 frames)")
    add_json(parser)
    return parser


def measure_in_turn(
    variants: dict[str, Callable[[], object]], *, repeats: int, device: torch.device
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


def _model(cfg: CfgNode, device: torch.device, *, channels_last: bool, folded: bool = False, compiled: bool = False):
    model = build_model(cfg)
    if folded:
        model = fold_batch_norms(model)
    model = place_model(model, device, channels_last=channels_last)
    if compiled:
        model.compile()
    return model


def train_variants(
    cfg: CfgNode, device: torch.device, *, batch: int, compiled: bool
) -> dict[str, Callable[[], object]]:
    """Whole training steps (forward, backward, update) of the config's model, ready to run."""
    amp = autocast_dtype("auto", device)
    kinds: dict[str, dict[str, Any]] = {
        "fp32 contiguous": {"channels_last": False},
        "fp32 channels-last": {"channels_last": True},
        f"{_name(amp)} channels-last": {"channels_last": True, "dtype": amp},
    }
    if compiled:
        kinds[f"{_name(amp)} channels-last compiled"] = {"channels_last": True, "dtype": amp, "compiled": True}
    return {name: _train_step(cfg, device, batch=batch, **kind) for name, kind in kinds.items()}


def _train_step(cfg, device, *, batch, channels_last, dtype=None, compiled=False) -> Callable[[], object]:
    model = _model(cfg, device, channels_last=channels_last, compiled=compiled).train()
    optimizer, loss_fn = build_optimizer(cfg, model), build_loss(cfg)
    clip, *boxes = _inputs(cfg, model, device, batch=batch, crop=cfg.DATA.TRAIN_CROP_SIZE, channels_last=channels_last)
    labels = _labels(cfg, model, device, batch=batch)

    def step() -> None:
        logits = forward(model, clip, boxes, dtype=dtype)
        optimizer.zero_grad(set_to_none=True)
        loss_fn(logits, labels).backward()
        optimizer.step()

    return step


def eval_variants(cfg: CfgNode, device: torch.device, *, batch: int, compiled: bool) -> dict[str, Callable[[], object]]:
    """Forward passes in eval mode of the config's model, ready to run."""
    amp = autocast_dtype("auto", device)
    kinds: dict[str, dict[str, Any]] = {
        "fp32 contiguous": {"channels_last": False},
        "fp32 channels-last": {"channels_last": True},
        "fp32 channels-last folded": {"channels_last": True, "folded": True},
        f"{_name(amp)} channels-last": {"channels_last": True, "dtype": amp},
        f"{_name(amp)} channels-last folded": {"channels_last": True, "dtype": amp, "folded": True},
    }
    if compiled:
        name = f"{_name(amp)} channels-last folded compiled"
        kinds[name] = {"channels_last": True, "dtype": amp, "folded": True, "compiled": True}
    return {name: _eval_step(cfg, device, batch=batch, **kind) for name, kind in kinds.items()}


def _eval_step(cfg, device, *, batch, channels_last, dtype=None, folded=False, compiled=False) -> Callable[[], object]:
    model: nn.Module = _model(cfg, device, channels_last=channels_last, folded=folded, compiled=compiled).eval()
    clip, *boxes = _inputs(cfg, model, device, batch=batch, crop=cfg.DATA.TEST_CROP_SIZE, channels_last=channels_last)

    def step() -> None:
        with torch.inference_mode():
            forward(model, clip, boxes, dtype=dtype)

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


def _name(dtype: torch.dtype) -> str:
    return {torch.bfloat16: "bf16", torch.float16: "fp16"}[dtype]


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
    for part, make in (("train", train_variants), ("eval", eval_variants)):
        if part in args.parts:
            variants = make(cfg, device, batch=args.batch, compiled=args.compile)
            figures[part] = measure_in_turn(variants, repeats=args.repeats, device=device)
            print(format_steps(f"{part} step of {args.batch} clips", figures[part], args.batch), flush=True)
            del variants
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
