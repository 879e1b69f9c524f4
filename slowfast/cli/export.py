"""``slowfast export``: a config's model as files that run elsewhere."""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from torch import nn

from slowfast.cli.arguments import Parser, command, command_parser, config_overrides, whole
from slowfast.cli.configs import load_config
from slowfast.cli.pipelines import pipeline_of
from slowfast.config import CfgNode, config_as_data
from slowfast.engine.export import (
    CHECKED_BATCHES,
    ExportError,
    check_against,
    export_program,
    write_onnx,
    write_program,
)
from slowfast.engine.pipeline import Pipeline, takes_boxes
from slowfast.utils.environment import installed_version, versions
from slowfast.utils.logging import setup_logging

logger = logging.getLogger(__name__)

_PACKAGES = ("onnx", "onnxscript", "onnxruntime")  # that shape the files, where they are installed

# --format: (file, what writes it and gives it back to be run)
FORMATS: dict[str, tuple[str, Callable]] = {
    "torch": ("model.pt2", write_program),
    "onnx": ("model.onnx", write_onnx),
}
DESCRIPTION = (
    "Write a model as a torch.export program (model.pt2) and as ONNX (model.onnx), check that both reproduce the "
    "model's scores, and describe the required input in preprocessing.json. The batch size may vary, but not the size "
    "of a clip."
)
EXAMPLE = """
slowfast export --cfg Kinetics/SLOWFAST_8x8_R50 --checkpoint weights.pyth --output exported
slowfast export --cfg Kinetics/X3D_S --checkpoint X3D_S --output exported --fold-bn --format onnx \\
    DATA.TEST_CROP_SIZE 160
"""


def build_parser() -> Parser:
    """The command line."""
    parser = command_parser("export", description=DESCRIPTION, example=EXAMPLE, takes_overrides=True)
    parser.add_cfg()
    parser.add_checkpoint(
        "weights: a file, a URL or a name that `slowfast zoo` lists (default: those that a test would use)"
    )
    parser.add_output("folder for the files", required=True)
    parser.option(
        "--format",
        "what to write (default: all); onnx needs the extra [export]",
        default=list(FORMATS),
        nargs="+",
        choices=FORMATS,
    )
    parser.option("--fold-bn", "fold batch norms into convolutions")
    parser.option("--size H W", "size of a clip in pixels (default: DATA.TEST_CROP_SIZE squared)", type=whole(1))
    return parser


def load_pipeline(cfg: CfgNode) -> Pipeline:
    """The pipeline of a config on the CPU in full precision.

    Raises:
        ExportError: its clips hold optical flow, which is computed from videos and not in the model.
    """
    if cfg.SLOWFAST.FAST_INPUT == "flow":
        raise ExportError(
            f"SLOWFAST.FAST_INPUT={cfg.SLOWFAST.FAST_INPUT!r}: the model's clips have 5 channels. "
            "Optical flow is computed while videos are loaded, which no exported file can do. Export an RGB model."
        )
    return pipeline_of(cfg, device="cpu")


def export(pipeline: Pipeline, clip_shape: Sequence[int], folder: Path, formats: Sequence[str]) -> dict[Path, float]:
    """Write ``formats`` into ``folder`` and run each file against the pipeline.

    Returns each file's largest difference to the model's scores, as a share of the largest one.

    Raises:
        ExportError: the model cannot be exported, or a file gives other scores; such a file is removed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    logger.info("tracing %s for clips of %s", type(pipeline.model).__name__, " x ".join(map(str, clip_shape)))
    program = export_program(pipeline.model, clip_shape)
    differences = {}
    for name in formats:
        file_name, write = FORMATS[name]
        path = folder / file_name
        logger.info("writing %s and running it with batches of %s", path, " and ".join(map(str, CHECKED_BATCHES)))
        run = write(program, path)
        differences[path] = check_against(pipeline, run, clip_shape, path)
    return differences


def preprocessing(pipeline: Pipeline, clip_shape: Sequence[int], num_classes: int) -> dict:
    """Everything that a program needs to know to feed the files and read their scores."""
    protocol, has_boxes = pipeline.protocol, takes_boxes(pipeline.model)
    height, width = clip_shape[2:]
    inputs = [
        {
            "name": "clip",
            "dtype": "float32",
            "shape": ["batch", *clip_shape],
            "layout": ["batch", "channel", "frame", "row", "column"],
            "channel_order": protocol.channel_order,
        }
    ]
    if has_boxes:
        meaning = "index of the clip in the batch, then x1 y1 x2 y2 in pixels of the clip"
        inputs.append({"name": "boxes", "dtype": "float32", "shape": ["boxes", 5], "meaning": meaning})
    return {
        "inputs": inputs,
        "pixels": {
            "formula": "(pixel / 255 - mean) / std, with mean and std of R, G, B",
            "mean": list(protocol.mean),
            "std": list(protocol.std),
        },
        "protocol": protocol.as_dict(),
        "protocol_text": protocol.describe(),
        "clip": {"rule": protocol.sampling.rule, "span_seconds": protocol.sampling.span_seconds},
        "resize": {
            "short_side": min(height, width),
            "crop": [height, width],
            "interpolation": "bilinear, half-pixel centers, no antialiasing",
        },
        "output": {
            "name": "scores",
            "dtype": "float32",
            "shape": ["boxes" if has_boxes else "batch", num_classes],
            "activation": protocol.activation,
        },
        "class_names": None if pipeline.class_names is None else list(pipeline.class_names),
    }


@command(build_parser)
def main(args: argparse.Namespace) -> int:
    """Export one model; one line for each file written."""
    setup_logging()
    given = config_overrides(args, checkpoint="TEST.CHECKPOINT_FILE_PATH")
    # Statistics of parts of a batch, or of several processes, are for training alone.
    fixed = ["TEST.FOLD_BN", args.fold_bn, "TEST.MIXED_PRECISION", False, "MODEL.CHANNELS_LAST", False]
    cfg = load_config(args.cfg, ["BN.NORM_TYPE", "batchnorm", *given, *fixed])
    pipeline = load_pipeline(cfg)
    size = args.size or (cfg.DATA.TEST_CROP_SIZE, cfg.DATA.TEST_CROP_SIZE)
    clip_shape = (3, cfg.DATA.NUM_FRAMES, *size)
    written = export(pipeline, clip_shape, args.output, args.format)
    has_norms = any(isinstance(module, nn.BatchNorm3d) for module in pipeline.model.modules())
    facts = {
        "model": cfg.MODEL.MODEL_NAME,
        "weights": pipeline.origin["weights"],
        "batch_norms_folded": args.fold_bn and not has_norms,
        **preprocessing(pipeline, clip_shape, cfg.MODEL.NUM_CLASSES),
        "files": {path.name: {"largest_difference": difference} for path, difference in written.items()},
        "versions": versions() | {name: found for name in _PACKAGES if (found := installed_version(name))},
        "config": config_as_data(cfg),
    }
    facts_path = args.output / "preprocessing.json"
    facts_path.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    for path, difference in written.items():
        size_mib = path.stat().st_size / 2**20
        print(f"{path}: {size_mib:.1f} MiB, differs from the model by {difference:.1e} of its largest score")
    print(f"{facts_path}: the required input, the classes, the config")
    return 0
