"""The published weights by name: what they are, where to find them, and what their authors measured.

The tables are pyslowfast_zoo.json, pytorchvideo_zoo.json and mmaction2_zoo.json: files with the recipe of their
network, what differs from it, and the figures that their authors published. This project measured none of them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

from slowfast.utils.download import cache_path, fetch
from slowfast.utils.suggest import did_you_mean

_TABLES = tuple(Path(__file__).with_name(f"{name}_zoo.json") for name in ("pyslowfast", "pytorchvideo", "mmaction2"))


@dataclass(frozen=True, kw_only=True)
class ZooEntry:
    """One published file.

    Args:
        name: under which it is requested; default the recipe's path below configs/, or the file's own for an image
            network.
        config: recipe of the matching model; None for an image network, which is only a starting point.
        overrides: dotted config key -> value, over the recipe: the network's structure, colors, crops.
        protocol: fields of a test protocol that no config key gives, e.g. which frames make a clip.
        publisher: whose file it is.
        class_order: which class each column is, if that is not PySlowFast's list.
        note: anything else worth knowing.
        model, dataset, frames: what it is, what it was trained on, Slow frames x interval between them.
        published: its authors' figures: top1, top5, map in percent, gflops, parameters_millions.
        views: spatial x temporal views of those figures.
        training: "Standard" or "Multigrid", where both were published.
        pretrained_on, pretrain_url: what its training started from.
        sha256: of the file; None: not known.
    """

    model: str
    dataset: str
    url: str
    config: str | None
    published: dict[str, float]
    name: str = ""
    overrides: Mapping[str, Any] = field(default_factory=dict)
    protocol: Mapping[str, Any] = field(default_factory=dict)
    publisher: str = "PySlowFast"
    class_order: str = ""
    note: str = ""
    frames: str = ""
    views: str = ""
    training: str = ""
    pretrained_on: str = ""
    pretrain_url: str = ""
    sha256: str | None = field(default=None, repr=False)

    def __post_init__(self):
        if not self.name:
            object.__setattr__(self, "name", self.config or PurePosixPath(self.url).stem)

    @property
    def settings(self) -> list[Any]:
        """``overrides`` as ``[KEY, value, ...]``."""
        return [item for pair in self.overrides.items() for item in pair]

    @property
    def short_name(self) -> str:
        """The last part of the name; several entries may share it."""
        return self.name.rpartition("/")[2]


@lru_cache
def zoo_entries() -> tuple[ZooEntry, ...]:
    """All published files, in the order of the tables."""
    return tuple(ZooEntry(**row) for table in _TABLES for row in json.loads(table.read_text(encoding="utf-8")))


def find_entry(name: str) -> ZooEntry:
    """The entry named ``name``: in full, or by its last part if no other entry shares that.

    Raises:
        ValueError: no entry has this name, or several do; the message names the nearest, or all of them.
    """
    plain = name.removeprefix("configs/").removesuffix(".yaml")
    found = [entry for entry in zoo_entries() if plain == entry.name]
    found = found or [entry for entry in zoo_entries() if plain == entry.short_name]
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(entry.name for entry in found)
        raise ValueError(f"{name!r} matches {len(found)} published models. Say which: {names}.")
    # The last of equals is suggested: PySlowFast's.
    known = [text for entry in reversed(zoo_entries()) for text in (entry.name, entry.short_name)]
    raise ValueError(
        f"there are no published weights {name!r}.{did_you_mean(plain, known)} `slowfast zoo` lists them all."
    )


def published_figures(entry: ZooEntry) -> str:
    """The authors' accuracy in words: "77.0 top-1, 92.6 top-5 (3 x 10 views)"."""
    labels = {"top1": "top-1", "top5": "top-5", "map": "mAP"}
    labels |= {"top1_10_views": "top-1 (1 x 10 views)", "top1_30_views": "top-1 (3 x 10 views)"}
    labels |= {"gflops": "GFLOPs per view", "parameters_millions": "M parameters"}
    figures = ", ".join(f"{entry.published[key]} {label}" for key, label in labels.items() if key in entry.published)
    return f"{figures} ({entry.views} views)" if entry.views else figures


def fetch_entry(entry: ZooEntry) -> Path:
    """The file of an entry: downloaded into iopath's cache on the first call, and verified where a checksum is known.

    Raises:
        DownloadError: the download failed; the message says where to put the file.
    """
    return fetch(entry.url, cache_path(entry.url), sha256=entry.sha256)
