"""torchvision's published weights by an address: "torchvision://r3d_18", or "torchvision://swin3d_b/KINETICS400_V1".

They are kept in torchvision's own cache ($TORCH_HOME/hub/checkpoints), so files that another program downloaded are
found.
"""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import urlsplit

import torch

from slowfast.models.torchvision_models import FAMILIES
from slowfast.utils.download import DownloadError, fetch, sha256_of
from slowfast.utils.suggest import did_you_mean

_SCHEME = "torchvision://"


def is_torchvision_address(path: str | os.PathLike) -> bool:
    """Whether ``path`` names weights of torchvision rather than a file."""
    return str(path).startswith(_SCHEME)


def torchvision_weights(address: str) -> Path:
    """The file of ``address``, downloaded if it is not in the cache.

    Raises:
        DownloadError: no network or entry of that name, a download that failed (the message says where to put the
            file), or a file with a SHA-256 that does not match its name.
    """
    url = _entry(address).url
    file_name = Path(urlsplit(url).path).name
    path = fetch(url, Path(torch.hub.get_dir()) / "checkpoints" / file_name)
    expected = Path(file_name).stem.rpartition("-")[2]  # r3d_18-b3b3357e.pth
    found = sha256_of(path)[: len(expected)]
    if found != expected:
        raise DownloadError(
            f"{path} is truncated or a different file: its SHA-256 begins with {found}, not {expected}. "
            f"Delete it to download {url} again."
        )
    return path


def _entry(address: str):
    """torchvision's record of published weights: its ``url`` and ``meta``."""
    from torchvision.models import get_model_weights  # late, as in torchvision_models

    name, _, entry = address.removeprefix(_SCHEME).partition("/")
    if name not in FAMILIES:
        hint = did_you_mean(name, FAMILIES)
        raise DownloadError(f"{address}: there is no network {name!r}.{hint} Known: {', '.join(FAMILIES)}.")
    entries = get_model_weights(name)
    known = list(entries.__members__)
    if entry and entry not in known:
        hint = did_you_mean(entry, known)
        raise DownloadError(f"{address}: {name} has no weights {entry!r}.{hint} Known: {', '.join(known)}.")
    return entries[entry or "DEFAULT"]
