"""Published weights by name: ``load_pretrained("SLOWFAST_8x8_R50")``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fvcore.common.config import CfgNode
from torch import nn

from slowfast.config import load_cfg
from slowfast.models.build import build_model
from slowfast.models.weights.load import CheckpointError, load_exactly, read_checkpoint
from slowfast.models.weights.zoo_table import ZooEntry, fetch_entry, find_entry
from slowfast.utils.download import DownloadError


def load_pretrained(name: str, *, num_classes: int | None = None, device=None) -> nn.Module:
    """The model of a published recipe with its published weights, in eval mode.

    Names are the recipes' ("Kinetics/c2/SLOWFAST_8x8_R50"); the last part is enough if it is unique
    ("SLOWFAST_8x8_R50"). ``slowfast zoo`` and docs/MODEL_ZOO.md list them with the accuracy that their authors
    published, which this project has not measured. The first call downloads, into iopath's cache ($FVCORE_CACHE,
    default ~/.torch/iopath_cache); a file put there by hand also works.

    Args:
        num_classes: a count that differs from the published one gives a classifier with fresh random weights.
        device: where the model goes (default: torch's default device).

    Raises:
        ValueError: no such name, a download that failed (the message says where to put the file), or a file with
            unexpected content.
    """
    entry = find_entry(name)
    overrides = [] if num_classes is None else ["MODEL.NUM_CLASSES", num_classes]
    model = build_model(published_config(entry, overrides))
    try:
        path = fetch_entry(entry)
    except DownloadError as error:
        raise CheckpointError(str(error)) from error
    load_exactly(model, read_checkpoint(path), path, but_for_head=num_classes is not None)
    return model.eval().to(device) if device is not None else model.eval()


def published_config(entry: ZooEntry, overrides: Sequence[Any] = ()) -> CfgNode:
    """The config of a published network: its recipe, what differs from it, and ``overrides`` as ``[KEY, value, ...]``.

    Raises:
        ValueError: the entry is an image network, which has none.
    """
    if entry.config is None:
        raise ValueError(
            f"{entry.name} is an image network ({entry.model}, {entry.dataset}), not a video model. To start training "
            f"from it, set TRAIN.CHECKPOINT_FILE_PATH {entry.name} and TRAIN.CHECKPOINT_INFLATE True."
        )
    # How training divided its batches is of no use here.
    return load_cfg(entry.config, ["BN.NORM_TYPE", "batchnorm", *entry.settings, *overrides])
