"""What training and testing share of a config: device, preprocessing, placement and weights."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn

from slowfast.engine.checkpoint import find_checkpoints
from slowfast.engine.inputs import ClipPreprocessor
from slowfast.models.weights.load import CheckpointError
from slowfast.utils import distributed

if TYPE_CHECKING:
    from fvcore.common.config import CfgNode

logger = logging.getLogger(__name__)


def build_device(cfg: CfgNode) -> torch.device:
    """The CPU for NUM_GPUS 0, else this process's GPU."""
    if cfg.NUM_GPUS == 0:
        return torch.device("cpu")
    device = torch.device("cuda", distributed.local_rank())
    torch.cuda.set_device(device)
    return device


def build_preprocessor(cfg: CfgNode, device: torch.device, dataset) -> ClipPreprocessor:
    """From frames to clips by the config's DATA keys, in the channel order that PySlowFast feeds of this data set."""
    reads_bgr = cfg.AVA.BGR if cfg.DETECTION.ENABLE else getattr(dataset, "pyslowfast_reads_bgr", False)
    feeds_bgr = cfg.DATA.REVERSE_INPUT_CHANNEL != reads_bgr
    if feeds_bgr and not cfg.DATA.REVERSE_INPUT_CHANNEL and not cfg.DETECTION.ENABLE:
        logger.warning(
            "%s: clips are fed as BGR, as PySlowFast reads the images of this set. Weights of Kinetics want RGB: set "
            "DATA.REVERSE_INPUT_CHANNEL True.",
            getattr(dataset, "__name__", type(dataset).__name__),  # a class, or one of its objects
        )
    return ClipPreprocessor(
        device=device,
        mean=tuple(cfg.DATA.MEAN),
        std=tuple(cfg.DATA.STD),
        reverse_channels=feeds_bgr,
        channels_last=cfg.MODEL.CHANNELS_LAST,
    )


def place_model(cfg: CfgNode, model: nn.Module, device: torch.device) -> nn.Module:
    """``model`` on ``device``, in the memory format of the config, compiled if it says so."""
    memory_format = torch.channels_last_3d if cfg.MODEL.CHANNELS_LAST else torch.contiguous_format
    model = model.to(device, memory_format=memory_format)
    if cfg.MODEL.COMPILE:
        model.compile()  # in place: the names of the state dict stay
    return model


def weights_for_test(cfg: CfgNode) -> str:
    """The file to test: TEST.CHECKPOINT_FILE_PATH, else the newest of OUTPUT_DIR, else TRAIN.CHECKPOINT_FILE_PATH.

    Raises:
        CheckpointError: there is none.
    """
    if cfg.TEST.CHECKPOINT_FILE_PATH:
        return cfg.TEST.CHECKPOINT_FILE_PATH
    found = find_checkpoints(cfg.OUTPUT_DIR)
    if found:
        return str(found[0])
    if cfg.TRAIN.CHECKPOINT_FILE_PATH:
        return cfg.TRAIN.CHECKPOINT_FILE_PATH
    raise CheckpointError(
        f"no weights to test: {Path(cfg.OUTPUT_DIR) / 'checkpoints'} holds none. "
        "Name a file with TEST.CHECKPOINT_FILE_PATH, or train first (TRAIN.ENABLE True)."
    )
