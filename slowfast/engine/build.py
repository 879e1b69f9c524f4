"""What training, testing and pipelines all take from a config: device, dtype, weights, and the parts of a pipeline."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from slowfast.config import ConfigError, load_cfg_text
from slowfast.config.rules.common import clips_per_video
from slowfast.datasets.build import build_protocol
from slowfast.datasets.clips import class_names_from_config, decoder_threads, flow_store
from slowfast.datasets.protocol import Protocol
from slowfast.engine.checkpoint import averaged_weights, find_checkpoints, load_for_test
from slowfast.engine.loading import check_cores, check_shared_memory
from slowfast.engine.precision import autocast_dtype
from slowfast.models import build_model
from slowfast.models.weights.load import CheckpointError, load_exactly, read_checkpoint
from slowfast.models.weights.names import PUBLISHERS, in_our_names, naming_of
from slowfast.models.weights.zoo import published_config
from slowfast.models.weights.zoo_table import ZooEntry
from slowfast.utils import distributed

if TYPE_CHECKING:
    from fvcore.common.config import CfgNode

# How training divided its batches, or over how many processes it took statistics, is of no use to inference.
PLAIN_NORM = ("BN.NORM_TYPE", "batchnorm")


def build_device(cfg: CfgNode) -> torch.device:
    """The CPU for NUM_GPUS 0, else this process's GPU."""
    if cfg.NUM_GPUS == 0:
        return torch.device("cpu")
    device = torch.device("cuda", distributed.device_index())
    torch.cuda.set_device(device)
    return device


def train_dtype(cfg: CfgNode, device: torch.device) -> torch.dtype | None:
    """Autocast type of training and its validation; None for full precision."""
    return autocast_dtype(cfg.TRAIN.MIXED_PRECISION_DTYPE, device) if cfg.TRAIN.MIXED_PRECISION else None


def test_dtype(cfg: CfgNode, device: torch.device) -> torch.dtype | None:
    """Autocast type of tests; None for full precision."""
    return autocast_dtype(cfg.TRAIN.MIXED_PRECISION_DTYPE, device) if cfg.TEST.MIXED_PRECISION else None


def check_loading(cfg: CfgNode) -> None:
    """Check that loader processes of the training, or else of the test, have enough shared memory for their batches.

    Raises:
        ValueError: /dev/shm is too small.
    """
    num_processes = distributed.processes_per_machine(cfg.NUM_GPUS)
    channels = 5 if cfg.SLOWFAST.FAST_INPUT == "flow" else 3
    side = cfg.DATA.TRAIN_CROP_SIZE if cfg.TRAIN.ENABLE else cfg.DATA.TEST_CROP_SIZE
    clip_bytes = channels * cfg.DATA.NUM_FRAMES * side**2
    if cfg.TRAIN.ENABLE:
        least = most = clip_bytes * clips_per_video(cfg) * max(1, cfg.TRAIN.BATCH_SIZE // num_processes)
    else:  # a video, its frames whole: at least one clip's, at most those of all clips at 16:9
        num_clips = max(cfg.TEST.NUM_TEMPORAL_CLIPS or [cfg.TEST.NUM_ENSEMBLE_VIEWS])
        looks = max(1, len(cfg.TEST.SCALES)) * (2 if cfg.TEST.FLIP else 1)
        least, most = clip_bytes, clip_bytes * num_clips * looks * 16 // 9
    check_shared_memory(
        least_bytes=least,
        most_bytes=most,
        num_workers=cfg.DATA_LOADER.NUM_WORKERS,
        prefetch_factor=cfg.DATA_LOADER.PREFETCH_FACTOR,
        num_processes=num_processes,
    )
    check_cores(cfg.DATA_LOADER.NUM_WORKERS * num_processes)


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
        f"no weights to test: there are none in {Path(cfg.OUTPUT_DIR) / 'checkpoints'}. Name a file with "
        f"TEST.CHECKPOINT_FILE_PATH, or train first (TRAIN.ENABLE True)."
    )


def pipeline_parts(
    cfg: CfgNode,
    *,
    weights: str | os.PathLike | None = None,
    model: nn.Module | None = None,
    protocol: Protocol | None = None,
    class_names: Sequence[str] | None = None,
    device: torch.device | str | None = None,
    origin: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """The arguments of ``Pipeline`` that a config describes; see ``Pipeline.from_config``."""
    device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    if class_names is None and cfg.DATA.CLASS_NAMES:
        class_names = class_names_from_config(cfg)
    if model is None:
        model, weights = build_model(cfg).eval(), weights or weights_for_test(cfg)
        origin = _origin(load_for_test(model, weights, averaged=cfg.TEST.EMA), weights, averaged=cfg.TEST.EMA)
        class_names = class_names or origin.get("class_names")
    return {
        "model": model,
        "protocol": protocol or build_protocol(cfg),
        "class_names": class_names,
        "device": device,
        "dtype": test_dtype(cfg, device),
        "channels_last": cfg.MODEL.CHANNELS_LAST,
        "fold_bn": cfg.TEST.FOLD_BN,
        "compiled": cfg.MODEL.COMPILE,
        "views_per_forward": max(1, cfg.TEST.BATCH_SIZE // max(1, cfg.NUM_GPUS)),
        "flow": flow_store(cfg),
        "decoder_threads": decoder_threads(cfg),
        "origin": origin,
    }


def _origin(content: dict[str, Any], path: str | os.PathLike, *, averaged: bool = False) -> dict[str, Any]:
    """What a checkpoint contains in addition to its weights, as far as available."""
    names = ("lists", "class_names", "versions", "epoch", "batch_sizes")
    told = {name: content[name] for name in names if name in content}
    return {"weights": f"{path} (averaged)" if averaged else str(path), **told}


def parts_of_checkpoint(
    path: str | os.PathLike,
    *,
    overrides: Sequence[Any] = (),
    device: torch.device | str | None = None,
    allow_imports: bool = False,
) -> dict[str, Any]:
    """The arguments of ``Pipeline`` in one of our checkpoints; see ``Pipeline.from_checkpoint``."""
    content = read_checkpoint(path)
    cfg = _config_of(content, path, overrides)
    if cfg.IMPORTS and not allow_imports:
        raise CheckpointError(
            f"{path} was trained with IMPORTS {list(cfg.IMPORTS)}, whose code would run here. If you trust the file, "
            "pass allow_imports=True."
        )
    model = build_model(cfg).eval()
    content = averaged_weights(content, path) if cfg.TEST.EMA else content
    load_exactly(model, content, path)
    stored = content.get("protocol") if not overrides else None
    protocol = Protocol.from_dict(stored) if stored else build_protocol(cfg)
    origin = _origin(content, path, averaged=cfg.TEST.EMA)
    names = origin.get("class_names")
    return pipeline_parts(cfg, model=model, protocol=protocol, class_names=names, device=device, origin=origin)


def tells_its_model(content: dict[str, Any]) -> bool:
    """Whether a checkpoint contains one of our configs: PySlowFast's checkpoints have its own."""
    return bool(content.get("cfg")) and naming_of(content["model_state"]) not in PUBLISHERS


def published_parts(
    entry: ZooEntry,
    weights: str | os.PathLike,
    *,
    overrides: Sequence[Any] = (),
    device: torch.device | str | None = None,
) -> dict[str, Any]:
    """The arguments of ``Pipeline`` for the weights of a published network, used as by its authors.

    Args:
        weights: a file, or a name of the zoo. Its number of classes need not be the published one.
    """
    content = read_checkpoint(weights)
    classifier = in_our_names(content["model_state"]).get("head.classifier.weight")
    counted = [] if classifier is None else ["MODEL.NUM_CLASSES", len(classifier)]
    cfg = published_config(entry, [*counted, *overrides])
    model = build_model(cfg).eval()
    load_exactly(model, content, weights)
    protocol = Protocol.from_dict(build_protocol(cfg).as_dict() | dict(entry.protocol))
    return pipeline_parts(cfg, model=model, protocol=protocol, device=device, origin=_origin(content, weights))


def _config_of(content: dict[str, Any], path: str | os.PathLike, overrides: Sequence[Any]) -> CfgNode:
    """The config that a checkpoint holds."""
    text = content.get("cfg")
    remedy = f'Name the matching recipe: slowfast.load({str(path)!r}, config="Kinetics/SLOWFAST_8x8_R50").'
    if not isinstance(text, str) or not text.strip():
        raise CheckpointError(f"{path} holds weights but no config, so its model is unknown. {remedy}")
    try:
        return load_cfg_text(text, source=str(path), overrides=[*PLAIN_NORM, *overrides])
    except ConfigError as error:  # another framework's, or another version's
        raise CheckpointError(f"{path} holds a config that cannot be used here: {error}\n{remedy}") from error
