"""Published weights by name: ``load_pretrained("SLOWFAST_8x8_R50")``.

model_zoo.json is the table: PySlowFast's published files with their recipe and the figures that their authors
published. Nothing in it was measured by this project. ``sha256`` is null where no checksum was published.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path, PurePosixPath

from torch import nn

from slowfast.config import load_cfg
from slowfast.models.build import build_model
from slowfast.models.weights.load import CheckpointError, load_exactly
from slowfast.utils.download import DownloadError, cache_path, fetch
from slowfast.utils.suggest import did_you_mean

_TABLE = Path(__file__).with_name("model_zoo.json")


@dataclass(frozen=True, kw_only=True)
class ZooEntry:
    """One published file.

    Args:
        config: recipe of the model that it fits; None for an image network, which is only to start from.
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
    frames: str = ""
    views: str = ""
    training: str = ""
    pretrained_on: str = ""
    pretrain_url: str = ""
    sha256: str | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        """The recipe's path below configs/; the file's own name for an entry without recipe."""
        return self.config or PurePosixPath(self.url).stem

    @property
    def short_name(self) -> str:
        """The last part of the name; several entries may share it."""
        return self.name.rpartition("/")[2]


@lru_cache
def zoo_entries() -> tuple[ZooEntry, ...]:
    """All published files, in the order of the table."""
    return tuple(ZooEntry(**row) for row in json.loads(_TABLE.read_text(encoding="utf-8")))


def find_entry(name: str) -> ZooEntry:
    """The entry called ``name``: in full, or by its last part where no other entry shares that.

    Raises:
        ValueError: no entry, or several, are called so; the message names the nearest, or all of them.
    """
    plain = name.removeprefix("configs/").removesuffix(".yaml")
    found = [entry for entry in zoo_entries() if plain == entry.name]
    found = found or [entry for entry in zoo_entries() if plain == entry.short_name]
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(entry.name for entry in found)
        raise ValueError(f"{name!r} is the name of {len(found)} published models. Say which: {names}.")
    known = [text for entry in zoo_entries() for text in (entry.name, entry.short_name)]
    raise ValueError(
        f"no published weights are called {name!r}.{did_you_mean(plain, known)} `slowfast zoo` lists them all."
    )


def load_pretrained(name: str, *, num_classes: int | None = None, device=None) -> nn.Module:
    """The model of a published recipe with its published weights, in eval mode.

    Names are the recipes' ("Kinetics/c2/SLOWFAST_8x8_R50"); the last part is enough where it is unique
    ("SLOWFAST_8x8_R50"). ``slowfast zoo`` and docs/MODEL_ZOO.md list them with the accuracy that their authors
    published, which this project has not measured. The first call downloads, into iopath's cache ($FVCORE_CACHE,
    default ~/.torch/iopath_cache); a file put there by hand does as well.

    Args:
        num_classes: another count than the published one gives a classifier with fresh random weights.
        device: where the model goes (default: torch's default device).

    Raises:
        ValueError: no such name, a download that failed (the message says where to put the file), or a file that is
            not what it should be.
    """
    entry = find_entry(name)
    if entry.config is None:
        raise ValueError(
            f"{entry.name} is an image network ({entry.model}, {entry.dataset}), no model of videos. To start training "
            f"from it, set TRAIN.CHECKPOINT_FILE_PATH {entry.url} and TRAIN.CHECKPOINT_INFLATE True."
        )
    overrides = ["BN.NORM_TYPE", "batchnorm"]  # how training divided its batches is of no use here
    if num_classes is not None:
        overrides += ["MODEL.NUM_CLASSES", num_classes]
    model = build_model(load_cfg(entry.config, overrides))
    try:
        path = fetch(entry.url, cache_path(entry.url), sha256=entry.sha256)
    except DownloadError as error:
        raise CheckpointError(str(error)) from error
    load_exactly(model, path, but_for_head=num_classes is not None)
    return model.eval().to(device) if device is not None else model.eval()


# Column of docs/MODEL_ZOO.md: what stands in it.
_COLUMNS = {
    "name": lambda entry: f"`{entry.name}`",
    "model": lambda entry: " ".join(filter(None, (entry.model, _lower_case(entry.training)))),
    "trained on": lambda entry: entry.dataset + (f", from {entry.pretrained_on}" if entry.pretrained_on else ""),
    "frames": lambda entry: entry.frames,
    "published": lambda entry: published_figures(entry),
    "weights": lambda entry: _links(entry),
}
_BEGIN, _END = "<!-- weights: written by slowfast zoo --write -->", "<!-- end of weights -->"


def _lower_case(training: str) -> str:
    return f"({training.lower()} training)" if training else ""


def _links(entry: ZooEntry) -> str:
    start = f", [its start]({entry.pretrain_url})" if entry.pretrain_url else ""
    return f"[file]({entry.url}){start}"


def published_figures(entry: ZooEntry) -> str:
    """The authors' accuracy in words: "77.0 top-1, 92.6 top-5 (3 x 10 views)"."""
    labels = {"top1": "top-1", "top5": "top-5", "map": "mAP"}
    labels |= {"top1_10_views": "top-1 (1 x 10 views)", "top1_30_views": "top-1 (3 x 10 views)"}
    labels |= {"gflops": "GFLOPs a view", "parameters_millions": "M parameters"}
    figures = ", ".join(f"{entry.published[key]} {label}" for key, label in labels.items() if key in entry.published)
    return f"{figures} ({entry.views} views)" if entry.views else figures


def weights_table() -> str:
    """All entries as a Markdown table."""
    rows = [[cell(entry) for cell in _COLUMNS.values()] for entry in zoo_entries()]
    lines = [list(_COLUMNS), ["---"] * len(_COLUMNS), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def write_weights_table(path: str | Path) -> bool:
    """Put the table between its two marks in the Markdown file ``path``; whether that changed it.

    Raises:
        ValueError: the marks are not there.
    """
    text = Path(path).read_text(encoding="utf-8")
    before, begin, rest = text.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not begin or not end:
        raise ValueError(f"{path} has no place for the table: expected the lines {_BEGIN!r} and {_END!r}.")
    new = f"{before}{_BEGIN}\n{weights_table()}{_END}{after}"
    if new != text:
        Path(path).write_text(new, encoding="utf-8")
    return new != text
