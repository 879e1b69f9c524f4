"""PySlowFast's DEMO keys as the command line of ``slowfast predict``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from slowfast.config import CfgNode, ConfigError, get_cfg
from slowfast.datasets.build import build_protocol
from slowfast.datasets.sample_kinds import BOXES, sample_kind

# Keys whose other values nothing here does: what to type instead.
REFUSED = {
    "GT_BOXES": "ground-truth boxes are not drawn; draw a list of boxes with `slowfast predict VIDEO --boxes FILE`",
    "OUTPUT_FPS": "videos keep their frame rate; change it with ffmpeg",
    "SLOWMO": "videos keep their speed; slow down the file that `slowfast predict VIDEO --save-video FILE` writes",
}


def predict_arguments(cfg: CfgNode, name: str, overrides: Sequence[Any] = ()) -> list[str]:
    """The words behind ``slowfast predict`` that do what the DEMO keys of a config say.

    A window is a clip; DEMO.BUFFER_SIZE of its frames are shared with the next, DEMO.NUM_CLIPS_SKIP are passed over.

    Args:
        name: of the config, as --cfg takes it.
        overrides: ``KEY value`` pairs that belong to it.

    Raises:
        ConfigError: a key asks for what is not there; the message has the command to use.
    """
    demo, defaults = cfg.DEMO, get_cfg().DEMO
    refused = [f"DEMO.{key}={demo[key]!r}: {why}." for key, why in REFUSED.items() if demo[key] != defaults[key]]
    if refused:
        raise ConfigError(f"{name}: {' '.join(refused)}")
    words = [_source(cfg, name), "--cfg", str(name)]
    if demo.OUTPUT_FILE:
        words += ["--save-video", demo.OUTPUT_FILE]
    elif demo.WEBCAM >= 0:
        words.append("--show")  # PySlowFast's window
    words += _frame_size(cfg, name)
    words += _boxes(cfg, name) if sample_kind(cfg) is BOXES else _windows(cfg)
    words += ["DATA.CLASS_NAMES", demo.LABEL_FILE_PATH] if demo.LABEL_FILE_PATH else []
    return [*words, *map(str, overrides)]


def _source(cfg: CfgNode, name: str) -> str:
    if cfg.DEMO.WEBCAM >= 0:
        return str(cfg.DEMO.WEBCAM)
    if cfg.DEMO.INPUT_VIDEO:
        return str(cfg.DEMO.INPUT_VIDEO)
    raise ConfigError(
        f"{name}: DEMO.ENABLE needs a video, but neither DEMO.INPUT_VIDEO nor DEMO.WEBCAM names one. Set one of them, "
        f"or run: slowfast predict VIDEO --cfg {name}"
    )


def _frame_size(cfg: CfgNode, name: str) -> list[str]:
    size = (cfg.DEMO.DISPLAY_WIDTH, cfg.DEMO.DISPLAY_HEIGHT)
    if not any(size):
        return []
    if not all(size):
        raise ConfigError(
            f"{name}: DEMO.DISPLAY_WIDTH={size[0]} and DEMO.DISPLAY_HEIGHT={size[1]}: set both, or neither (0). "
            "The command's flag is --frame-size W H."
        )
    return ["--frame-size", *map(str, size)]


def _windows(cfg: CfgNode) -> list[str]:
    span = build_protocol(cfg).sampling.span_seconds
    if span is None:
        return []
    frames = cfg.DATA.NUM_FRAMES * cfg.DATA.SAMPLING_RATE
    if cfg.DEMO.BUFFER_SIZE >= frames:
        raise ConfigError(
            f"DEMO.BUFFER_SIZE={cfg.DEMO.BUFFER_SIZE}: clips of {frames} frames cannot share that many. Make it "
            f"smaller."
        )
    stride = span * (1 - cfg.DEMO.BUFFER_SIZE / frames) * (1 + cfg.DEMO.NUM_CLIPS_SKIP)
    return ["--window", f"{span:.6g}", "--stride", f"{stride:.6g}"]


def _boxes(cfg: CfgNode, name: str) -> list[str]:
    if not cfg.DEMO.PREDS_BOXES:
        raise ConfigError(
            f"{name}: DEMO with a detection model: set DEMO.PREDS_BOXES to a list of boxes, or find them with "
            f"torchvision's detector (Detectron2 is not supported): slowfast predict {cfg.DEMO.INPUT_VIDEO or 'VIDEO'} "
            f"--cfg {name} --detector fasterrcnn_resnet50_fpn_v2 --detector-weights FILE"
        )
    start = ["--movie-start-seconds", f"{cfg.DEMO.STARTING_SECOND:g}"]
    return ["--boxes", cfg.DEMO.PREDS_BOXES, *start, "--least-detection", f"{cfg.DEMO.DETECTRON2_THRESH:g}"]
