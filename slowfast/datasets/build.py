"""Data sets by name, and loaders over them; here the config is read.

A registered data set is a ``torch.utils.data.Dataset`` class. A classmethod ``from_config(cfg, split)`` gives its
keyword arguments; a class without one gets ``split``, when it takes it. Entries of ``DATA.ARGS`` are added to either.

``contract.py`` lists its attributes and items; with DETECTION.ENABLE it is a ``KeyFrameDataset``.

A classmethod ``protocol_from_config(cfg, split)`` returns its ``Protocol``, so that a ``Pipeline`` reads a video as the
data set does; its objects have it as ``protocol``. Without one, tests work, but pipelines take only frames, not files.
A classmethod ``class_list(cfg)`` may return (file, class names) or None: MODEL.NUM_CLASSES follows it unless it is set.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from fvcore.common.config import CfgNode

from slowfast.config import get_cfg
from slowfast.config.rules.common import clips_per_video, value_of
from slowfast.datasets.clip_sampling import OwnSampling
from slowfast.datasets.clips import ClipDataset, build_clip_augment
from slowfast.datasets.contract import VideoDataset, check_split
from slowfast.datasets.loader import VideoLoader
from slowfast.datasets.protocol import Protocol, input_options
from slowfast.datasets.sample_kinds import sample_kind
from slowfast.datasets.samplers import EvalBatches, TrainSampler
from slowfast.datasets.samples import ClipShape
from slowfast.datasets.train_crop import TrainCrop
from slowfast.utils import distributed
from slowfast.utils.imports import import_extensions
from slowfast.utils.registry import Registry
from slowfast.utils.signature import check_kwargs, filter_kwargs
from slowfast.video.augment import BatchAugment, Mixup, RandomErasing

logger = logging.getLogger(__name__)

DATASET_REGISTRY = Registry("data set", key="TRAIN.DATASET or TEST.DATASET")


def build_dataset(cfg: CfgNode, split: str, *, num_clips: int | None = None, is_silent: bool = False) -> Any:
    """The data set of TRAIN.DATASET ("train", "val") or TEST.DATASET ("test"): a ``contract.VideoDataset``.

    Args:
        num_clips: test clips per video; default TEST.NUM_ENSEMBLE_VIEWS.
        is_silent: do not log how much it holds: it is built once more for its work.

    Raises:
        ValueError: unknown name or split, or arguments in DATA.ARGS that the class does not take.
    """
    check_split(split)
    dataset_class = _dataset_class(cfg, split)
    if hasattr(dataset_class, "from_config"):
        kwargs = dataset_class.from_config(cfg, split)
    else:
        kwargs = filter_kwargs(dataset_class, split=split)
    extra = _checked_args(cfg, dataset_class, kwargs)
    if num_clips is not None:
        num_clips = extra.get("num_clips", num_clips)
        if "protocol" in kwargs:
            kwargs["protocol"] = replace(kwargs["protocol"], num_clips=num_clips)
        else:
            kwargs |= filter_kwargs(dataset_class, num_clips=num_clips)
    dataset = dataset_class(**{**kwargs, **filter_kwargs(dataset_class, **extra)})
    if not is_silent:
        unit = sample_kind(cfg).unit
        logger.info("%s: %s %s to %s on", type(dataset).__name__, f"{dataset.num_videos:,}", unit, _VERBS[split])
    return dataset


def _dataset_class(cfg: CfgNode, split: str) -> type:
    import_extensions(cfg.IMPORTS)
    return DATASET_REGISTRY.get(cfg.TEST.DATASET if split == "test" else cfg.TRAIN.DATASET)


def _checked_args(cfg: CfgNode, dataset_class: type, kwargs: dict[str, Any]) -> dict[str, Any]:
    """DATA.ARGS, whose names are arguments of the class or fields of its protocol or training crop.

    For our classes, ``from_config`` has already set the fields.
    """
    names: list[str] = []
    for value in kwargs.values():
        if isinstance(value, Protocol):
            names += Protocol.option_names(value.sampling)
        elif isinstance(value, TrainCrop):
            names += [field.name for field in fields(TrainCrop)]
    extra = dict(cfg.DATA.ARGS)
    check_kwargs(dataset_class, extra, "DATA.ARGS", also=dict.fromkeys(names))
    return extra


def build_protocol(cfg: CfgNode, split: str = "test") -> Protocol:
    """The protocol of a split of the config; reads no list, so the data need not exist.

    It comes from the data set's classmethod ``protocol_from_config(cfg, split)``. For a class without one, it is
    unknown which frames make a clip; see ``OwnSampling``.
    """
    dataset_class = _dataset_class(cfg, split)
    if hasattr(dataset_class, "protocol_from_config"):
        return dataset_class.protocol_from_config(cfg, split)
    name = cfg.TEST.DATASET if split == "test" else cfg.TRAIN.DATASET
    crop_size = cfg.DATA.TEST_CROP_SIZE if split == "test" else cfg.DATA.TRAIN_CROP_SIZE
    return Protocol(
        sampling=OwnSampling(cfg.DATA.NUM_FRAMES, name),
        short_sides=tuple(cfg.AVA.TEST_SCALES) or (crop_size,),
        crop_size=crop_size,
        flips=(False, True) if cfg.AVA.TEST_FLIP else (False,),
        **input_options(cfg, reads_bgr=cfg.AVA.BGR),
        fusion=cfg.DATA.ENSEMBLE_METHOD,
    )


def protocol_of(cfg: CfgNode, dataset: VideoDataset, split: str) -> Protocol:
    """The protocol of ``dataset``: its own, or that of the config with its number of views."""
    if hasattr(dataset, "protocol"):
        return dataset.protocol
    return replace(build_protocol(cfg, split), num_clips=getattr(dataset, "num_views", 1))


@dataclass(frozen=True)
class ListedClasses:
    """How many classes a class list names, and its file."""

    count: int
    source: str


def count_classes(cfg: CfgNode) -> ListedClasses | None:
    """The classes named in the class list of the config's data; None if there is no list, or none that can be read.

    Building the data set reports what is wrong with an unreadable list.
    """
    dataset_class = _dataset_class(cfg, "train" if cfg.TRAIN.ENABLE else "test")
    if not hasattr(dataset_class, "class_list"):
        return None
    try:
        found = dataset_class.class_list(cfg)
    except ValueError:  # an AnnotationError, or a bad label map
        return None
    return ListedClasses(len(found[1]), str(found[0])) if found else None


def warn_of_unused(cfg: CfgNode, keys: Iterable[str], what: str) -> None:
    """Log one warning that names those of ``keys`` that differ from their defaults: ``what`` does not use them."""
    defaults = get_cfg()
    changed = [f"{key}={value_of(cfg, key)!r}" for key in keys if value_of(cfg, key) != value_of(defaults, key)]
    if changed:
        logger.warning("No effect on %s: %s.", what, ", ".join(changed))


_VERBS = {"train": "train", "val": "validate", "test": "test"}


def build_loader(
    cfg: CfgNode,
    split: str,
    *,
    dataset: VideoDataset | None = None,
    rank: int | None = None,
    world_size: int | None = None,
    shapes: Callable[[int], Sequence[tuple[int, ClipShape | None]]] | None = None,
) -> VideoLoader:
    """A loader of this process's share of a split.

    The train split gives ``ClipBatch`` in the order of ``loader.batch_sampler`` (a ``TrainSampler``: call its
    ``set_epoch``), the val split ``ClipBatch`` with a smaller one at the end, the test split single ``VideoViews``.
    A batch holds TRAIN.BATCH_SIZE clips divided by the processes of a machine.

    Args:
        dataset: default ``build_dataset(cfg, split)``.
        rank, world_size: default those of this process.
        shapes: of training batches in multigrid training; see ``TrainSampler``.
    """
    dataset = build_dataset(cfg, split) if dataset is None else dataset
    kind = sample_kind(cfg)
    rank = distributed.rank() if rank is None else rank
    world_size = distributed.world_size() if world_size is None else world_size
    batch_size = max(1, cfg.TRAIN.BATCH_SIZE // distributed.processes_per_machine(cfg.NUM_GPUS))
    if split == "train":
        _check_clip_options(cfg, dataset)
        share = {"batch_size": batch_size, "rank": rank, "world_size": world_size}
        labels = np.asarray(dataset.labels) if cfg.TRAIN.BALANCE_CLASSES else None
        sampler = TrainSampler(len(dataset), seed=cfg.RNG_SEED, shapes=shapes, labels=labels, **share)
        order: dict[str, Any] = {"batch_sampler": sampler}
    elif split == "val":
        order = {"batch_sampler": EvalBatches(len(dataset), batch_size, rank, world_size)}
    else:
        per_forward = max(1, cfg.TEST.BATCH_SIZE // distributed.processes_per_machine(cfg.NUM_GPUS))
        order = kind.test_order(dataset, per_forward, rank, world_size)
    num_workers = cfg.DATA_LOADER.NUM_WORKERS
    return VideoLoader(
        dataset,
        **order,
        num_workers=num_workers,
        read_timeout=cfg.DATA.DECODE_TIMEOUT,
        collate_fn=None if "sampler" in order else getattr(dataset, "collate", kind.collate),
        pin_memory=cfg.DATA_LOADER.PIN_MEMORY and cfg.NUM_GPUS > 0 and torch.cuda.is_available(),
        prefetch_factor=cfg.DATA_LOADER.PREFETCH_FACTOR if num_workers else None,
        persistent_workers=cfg.DATA_LOADER.PERSISTENT_WORKERS and num_workers > 0,
        # Its own generator: loading must not move the global one, from which dropout draws.
        generator=torch.Generator().manual_seed(cfg.RNG_SEED),
    )


def _check_clip_options(cfg: CfgNode, dataset: VideoDataset) -> None:
    """Check that ``dataset`` gives as many training clips as the config says; warn if augmentation has no effect on it.

    Raises:
        ValueError: the config asks for several clips per video, but the data set gives one.
    """
    if isinstance(dataset, ClipDataset) or sample_kind(cfg).name == "boxes":
        return
    if clips_per_video(cfg) > 1:
        raise ValueError(
            f"AUG.NUM_SAMPLE and DATA.TRAIN_CROP_NUM_* ask for {clips_per_video(cfg)} clips per video, but "
            f"{type(dataset).__name__} is not a ClipDataset and gives one. Set them to 1."
        )
    if build_clip_augment(cfg) is not None:
        logger.warning(
            "No effect on %s, which is not a ClipDataset: AUG.AA_TYPE=%r, AUG.COLOR_JITTER=%s.",
            *(type(dataset).__name__, cfg.AUG.AA_TYPE, cfg.AUG.COLOR_JITTER),
        )


def build_augment(cfg: CfgNode) -> BatchAugment | None:
    """Random erasing (AUG.ENABLE) and then mixup (MIXUP.ENABLE) of training batches; None when both are off."""
    steps: list[Callable] = []
    if cfg.AUG.ENABLE and cfg.AUG.RE_PROB > 0:
        steps.append(
            RandomErasing(
                probability=cfg.AUG.RE_PROB,
                fill=cfg.AUG.RE_MODE,
                max_count=cfg.AUG.RE_COUNT,
                skip_first_half=cfg.AUG.RE_SPLIT,
            )
        )
    if cfg.MIXUP.ENABLE:
        steps.append(
            Mixup(
                num_classes=cfg.MODEL.NUM_CLASSES,
                mixup_alpha=cfg.MIXUP.ALPHA,
                cutmix_alpha=cfg.MIXUP.CUTMIX_ALPHA,
                probability=cfg.MIXUP.PROB,
                switch_probability=cfg.MIXUP.SWITCH_PROB,
                label_smoothing=cfg.MIXUP.LABEL_SMOOTH_VALUE,
            )
        )
    return BatchAugment(steps) if steps else None
