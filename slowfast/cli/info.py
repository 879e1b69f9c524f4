"""``slowfast info``: what a config's model costs."""

from __future__ import annotations

import argparse

import torch

from slowfast.cli.arguments import Parser, command, command_parser, whole, write_json
from slowfast.config import CfgNode, load_cfg
from slowfast.models import build_model
from slowfast.models.complexity import clip_channels, measure


def build_parser() -> Parser:
    """The command line."""
    parser = command_parser(
        "info",
        description="Show parameters, GFLOPs (multiply-adds), activation memory and shapes of a config's model.",
        example="slowfast info --cfg Kinetics/SLOWFAST_8x8_R50 SLOWFAST.BETA_INV 16",
        takes_overrides=True,
    )
    parser.add_cfg()
    parser.option("--crop N", "side of the clip in pixels (default: DATA.TEST_CROP_SIZE)", type=whole(1))
    parser.add_json()
    return parser


def describe(cfg: CfgNode, *, crop: int | None = None) -> dict:
    """All figures of the config's model, numbers as numbers."""
    with torch.device("meta"):
        model = build_model(cfg)
    channels = clip_channels(model)
    crop = crop or cfg.DATA.TEST_CROP_SIZE
    test_view = measure(model, (cfg.DATA.NUM_FRAMES, crop, crop))
    training = measure(model, (cfg.DATA.NUM_FRAMES, cfg.DATA.TRAIN_CROP_SIZE, cfg.DATA.TRAIN_CROP_SIZE))
    num_views = cfg.TEST.NUM_ENSEMBLE_VIEWS * cfg.TEST.NUM_SPATIAL_CROPS
    return {
        "model": cfg.MODEL.MODEL_NAME,
        "arch": cfg.MODEL.ARCH,
        "num_parameters": test_view.num_parameters,
        "clip": [channels, cfg.DATA.NUM_FRAMES, crop, crop],
        "gflops_per_view": test_view.conv_macs / 1e9,
        "gflops_per_view_all_operators": test_view.all_macs / 1e9,
        "num_views": num_views,
        "gflops_per_video": num_views * test_view.conv_macs / 1e9,
        "train_crop": cfg.DATA.TRAIN_CROP_SIZE,
        "activation_gib_per_training_clip": training.activation_bytes / 2**30,
        "stages": [{"name": n, "input": i, "output": o} for n, i, o in test_view.stages],
    }


def format_tables(info: dict) -> str:
    """The figures as a person reads them, with a table of shapes like the paper's table 1."""
    lines = [
        f"{_name(info)}: {info['num_parameters']:,} parameters",
        f"{info['gflops_per_view']:.2f} GFLOPs per view (multiply-adds of the convolutions; "
        f"{info['gflops_per_view_all_operators']:.2f} of all operators) for a clip of {_shape(info['clip'])}",
        f"{info['gflops_per_video']:,.0f} GFLOPs per video of {info['num_views']} views",
        f"{info['activation_gib_per_training_clip']:.2f} GiB of activations a training clip "
        f"(float32, {info['train_crop']} x {info['train_crop']})",
        "",
        f"{'stage':<14} {'output channels x frames x height x width'}",
    ]
    for stage in info["stages"]:
        lines.append(f"{stage['name']:<14} {_shape(stage['output'])}")
    return "\n".join(lines)


def _name(info: dict) -> str:
    """The model, and its kind of temporal kernels if MODEL.ARCH decides on them."""
    return info["model"] if info["model"].startswith("torchvision/") else f"{info['model']} ({info['arch']})"


def _shape(shape) -> str:
    return " x ".join(map(str, shape))


@command(build_parser)
def main(args: argparse.Namespace) -> int:
    """Print the figures of one config."""
    info = describe(load_cfg(args.cfg, args.opts), crop=args.crop)
    write_json(args.json, info, text=format_tables(info))
    return 0
