"""PySlowFast's DEMO keys as the command line of ``slowfast predict``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from slowfast.config import CfgNode, ConfigError, get_cfg
from slowfast.datasets.build import build_protocol
from slowfast.datasets.lists.path_labels import read_class_names
from slowfast.datasets.sample_kinds import BOXES, sample_kind

# Keys whose other values nothing here does: what to type instead.
REFUSED = {
    "GT_BOXES": "ground-truth boxes are not drawn; draw a list of boxes with `slowfast predict VIDEO --boxes FILE`",
    "OUTPUT_FPS": "videos keep their frame rate; change it with ffmpeg",
    "SLOWMO": "videos keep their speed; slow down the file that `slowfast predict VIDEO --save-video FILE` writes",
}


def predict_arguments(cfg: CfgNode, name: str, overrides: Sequence[Any] = ()) -> list[str]:
    """The arguments of ``slowfast predict`` that do what the DEMO keys of a config say.

    A window is a clip that shares DEMO.BUFFER_SIZE frames with the next; DEMO.NUM_CLIPS_SKIP clips are skipped.

    Args:
        name: of the config, as --cfg takes it.
        overrides: ``KEY value`` pairs that belong to it.

    Raises:
        ConfigError: a key asks for something that does not exist here; the message has the command to use.
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
    words += _drawn_classes(cfg) if _is_drawn(cfg) else []
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


def _is_drawn(cfg: CfgNode) -> bool:
    """Whether the DEMO keys ask for a picture."""
    return bool(cfg.DEMO.OUTPUT_FILE) or cfg.DEMO.WEBCAM >= 0


def _drawn_classes(cfg: CfgNode) -> list[str]:
    """Which classes are drawn. Without DEMO.LABEL_FILE_PATH all are common ones, as in PySlowFast."""
    demo = cfg.DEMO
    if demo.VIS_MODE == "top-k":
        return ["--draw-top", str(cfg.TENSORBOARD.MODEL_VIS.TOPK_PREDS)]
    if demo.VIS_MODE != "thres":
        raise ConfigError(f"DEMO.VIS_MODE={demo.VIS_MODE!r}: must be 'thres' or 'top-k'.")
    if not demo.LABEL_FILE_PATH:
        return ["--draw-from", f"{demo.COMMON_CLASS_THRES:g}"]
    words = ["--draw-from", f"{demo.UNCOMMON_CLASS_THRES:g}"]
    names, usual = set(read_class_names(demo.LABEL_FILE_PATH)), get_cfg().DEMO.COMMON_CLASS_NAMES
    for name in demo.COMMON_CLASS_NAMES:
        if name in names or name not in usual:  # AVA's are the default, whatever the classes are
            words += ["--draw-class", name, f"{demo.COMMON_CLASS_THRES:g}"]
    return words


def _drawn_frames(cfg: CfgNode) -> list[str]:
    """On which frames labels are drawn; a camera's stay until the next window's."""
    size = cfg.DEMO.CLIP_VIS_SIZE
    if size < 0:
        raise ConfigError(f"DEMO.CLIP_VIS_SIZE={size}: must be at least 0.")
    return ["--draw-frames", str(size)] if cfg.DEMO.OUTPUT_FILE and cfg.DEMO.WEBCAM < 0 else []


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
    return ["--window", f"{span:.6g}", "--stride", f"{stride:.6g}", *_drawn_frames(cfg)]


def _boxes(cfg: CfgNode, name: str) -> list[str]:
    if not cfg.DEMO.PREDS_BOXES:
        raise ConfigError(
            f"{name}: DEMO with a detection model: set DEMO.PREDS_BOXES to a list of boxes, or find them with "
            f"torchvision's detector (Detectron2 is not supported): slowfast predict {cfg.DEMO.INPUT_VIDEO or 'VIDEO'} "
            f"--cfg {name} --detector fasterrcnn_resnet50_fpn_v2 --detector-weights FILE"
        )
    start = ["--movie-start-seconds", f"{cfg.DEMO.STARTING_SECOND:g}"]
    least = ["--least-detection", f"{cfg.DEMO.DETECTRON2_THRESH:g}"]
    return ["--boxes", cfg.DEMO.PREDS_BOXES, *start, *least, *_drawn_frames(cfg)]
