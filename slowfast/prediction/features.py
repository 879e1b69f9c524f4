"""The features that a layer computes from videos, as pooled vectors or maps, and the file that holds those of many
videos.

Letters: N videos, V views (clips times crops), C channels, t h w of a map.
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from slowfast.datasets.views import read_views
from slowfast.engine.pipeline import Pipeline, VideoPath, takes_boxes
from slowfast.preparation.files import check_or_write_settings
from slowfast.utils.files import atomic_write
from slowfast.utils.suggest import did_you_mean
from slowfast.video.watch import VideoReadError

PATHWAYS = ("slow", "fast", "both")
UNITS = ("video", "clip", "view")


@dataclass(frozen=True)
class FeatureChoice:
    """Which features of a video.

    Attributes:
        layer: "slow", "fast" or "both" pathways' last stage, or the name of any module of the model ("slow.res4").
        per: "video": the mean over all views; "clip": (num_clips, ...), the mean over a clip's crops; "view": (V, ...).
        as_map: keep (C, t, h, w) instead of the mean over t, h and w.

    Raises:
        ValueError: a value that is not allowed.
    """

    layer: str
    per: str = "video"
    as_map: bool = False

    def __post_init__(self):
        if self.per not in UNITS:
            raise ValueError(f"per={self.per!r}: features are per {', '.join(UNITS)}.")
        if self.as_map and self.per == "video":
            raise ValueError("a map per video would average different positions: choose per clip or per view.")


def feature_modules(model: nn.Module, layer: str) -> dict[str, nn.Module]:
    """Name of the array -> the module whose output it is.

    Raises:
        ValueError: the model has no such pathway or module; names those near.
    """
    modules = dict(model.named_modules())
    if layer in PATHWAYS:
        wanted = ["slow", "fast"] if layer == "both" else [layer]
        if all(f"{name}.res5" in modules for name in wanted):
            return {name: modules[f"{name}.res5"] for name in wanted}
        if "pathway.res5" in modules:
            raise ValueError(f"layer {layer!r}: the model has one pathway; its last stage is layer pathway.res5.")
        raise ValueError(f"layer {layer!r}: {type(model).__name__} has no pathways; name a module.{_stages(modules)}")
    if not layer or layer not in modules:
        raise ValueError(f"the model has no layer {layer!r}.{did_you_mean(layer, modules)}{_stages(modules)}")
    return {layer: modules[layer]}


def _stages(modules: Iterable[str]) -> str:
    names = [name for name in modules if name and name.count(".") < 2]
    return f" It has {', '.join(names[:12])}, ..."


def video_features(pipeline: Pipeline, video: VideoPath, choice: FeatureChoice) -> dict[str, np.ndarray]:
    """The arrays of one video, by name, float32: (C,) per video, (num_clips, C), (V, C), or maps (..., C, t, h, w).

    Raises:
        VideoReadError: the video cannot be read.
        ValueError: no such layer, or one whose output is not an array over clips.
    """
    if takes_boxes(pipeline.model):
        raise ValueError("this is a detection model: features are computed only with models of clips.")
    modules = feature_modules(pipeline.model, choice.layer)
    with pipeline.open(video) as reader:
        views = read_views(reader, pipeline.protocol)
    parts: dict[str, list[Tensor]] = {name: [] for name in modules}
    for first in range(0, views.num_views, pipeline.views_per_forward):
        ids = range(first, min(first + pipeline.views_per_forward, views.num_views))
        for name, values in _outputs(pipeline, views.views(ids), modules).items():
            parts[name].append(values if choice.as_map else _pooled(values, name))
    num_clips = len(views.clip_indices)
    return {name: _reduced(torch.cat(values), num_clips, choice).numpy() for name, values in parts.items()}


def _outputs(pipeline: Pipeline, frames: Tensor, modules: dict[str, nn.Module]) -> dict[str, Tensor]:
    """float32 (V, ...) of every module, in one forward pass of the model (or several, if memory is short)."""
    found: dict[str, list[Tensor]] = {name: [] for name in modules}
    shapes: dict[str, torch.Size] = {}

    def keep(name: str, output: object) -> None:
        if not isinstance(output, Tensor):
            raise ValueError(f"layer {name!r} gives {type(output).__name__}, not an array: name a module inside it.")
        found[name].append(output)

    def run(clip: Tensor) -> Tensor:
        for values in found.values():
            values.clear()
        pipeline.model(clip)
        for name, values in found.items():
            if len(values) != 1 or len(values[0]) != len(clip):
                raise ValueError(f"layer {name!r} does not give one array for each clip: name another module.")
            shapes[name] = values[0].shape[1:]
        return torch.cat([values[0].flatten(1).float() for values in found.values()], dim=1)

    hooks = [
        module.register_forward_hook(lambda _module, _inputs, output, name=name: keep(name, output))
        for name, module in modules.items()
    ]
    try:
        rows = pipeline.infer(frames, None, run)
    finally:
        for hook in hooks:
            hook.remove()
    split = rows.split([shape.numel() for shape in shapes.values()], dim=1)
    return {name: part.reshape(len(part), *shapes[name]) for name, part in zip(shapes, split, strict=True)}


def _pooled(values: Tensor, name: str) -> Tensor:
    """The mean over time and space: (V, C)."""
    if values.ndim == 2:
        return values
    if values.ndim != 5:
        raise ValueError(f"layer {name!r} gives {tuple(values.shape[1:])} per clip, which is not a map (C, t, h, w).")
    return values.mean((2, 3, 4))


def _reduced(values: Tensor, num_clips: int, choice: FeatureChoice) -> Tensor:
    if choice.per == "view":
        return values
    per_clip = values.reshape(num_clips, -1, *values.shape[1:])
    if choice.per == "video":
        return per_clip.mean((0, 1))
    if choice.as_map and per_clip.shape[1] > 1:
        raise ValueError("maps per clip need one crop: set TEST.NUM_SPATIAL_CROPS 1, or choose per view.")
    return per_clip.mean(1)


class FeatureStore:
    """Features of many videos: first one part per video in a folder next to the file, then the file. Resumable.

    The file is an .npz: for each layer an array (N, ...), and "paths" (N,). If maps differ in size between videos,
    there is one array per video, "<layer>/<number>".

    Args:
        path: of the .npz file.
        settings: how features are computed; a store that was started with others is refused.

    Raises:
        ValueError: there is a store with different settings.
    """

    def __init__(self, path: str | os.PathLike, settings: dict):
        self.path = Path(path)
        self.folder = self.path.with_name(self.path.name + ".parts")
        self.folder.mkdir(parents=True, exist_ok=True)
        check_or_write_settings(self.folder / "settings.json", settings)

    def part(self, path: str) -> Path:
        """The file for the features of a video; a changed video file counts as another video.

        Raises:
            VideoReadError: it does not exist.
        """
        try:
            status = os.stat(path)
        except OSError as error:
            raise VideoReadError(f"cannot open {path}: {error.strerror}.") from error
        key = f"{os.path.abspath(path)}\n{status.st_size}\n{status.st_mtime_ns}"
        return self.folder / f"{hashlib.sha256(os.fsencode(key)).hexdigest()[:32]}.npz"

    def holds(self, path: str) -> bool:
        """Whether a video is done."""
        return self.part(path).is_file()

    def add(self, path: str, arrays: dict[str, np.ndarray]) -> None:
        """Save the features of a video atomically."""
        with atomic_write(self.part(path)) as draft, zipfile.ZipFile(draft, "w") as archive:
            for name, array in arrays.items():
                _write_array(archive, name, array)

    def finish(self, paths: Sequence[str]) -> dict[str, tuple[int, ...]]:
        """Write the file of these videos and remove the parts; returns the shapes of its arrays by name.

        One part is in memory at a time.
        """
        parts = [self.part(path) for path in paths]
        shapes: dict[str, tuple[int, ...]] = {}
        with atomic_write(self.path) as draft, zipfile.ZipFile(draft, "w", zipfile.ZIP_STORED, allowZip64=True) as file:
            _write_array(file, "paths", np.asarray(paths, dtype=np.str_))
            with np.load(parts[0]) as first:
                names = list(first.files)
            for name in names:
                shapes |= _write_stacked(file, name, parts)
        shutil.rmtree(self.folder)
        return shapes


def _write_array(file: zipfile.ZipFile, name: str, array: np.ndarray) -> None:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.ascontiguousarray(array), allow_pickle=False)
    file.writestr(f"{name}.npy", buffer.getvalue())


def _write_stacked(file: zipfile.ZipFile, name: str, parts: Sequence[Path]) -> dict[str, tuple[int, ...]]:
    """One array (N, ...) of equal shapes, else one for each part."""
    shapes = [_array_in(part, name).shape for part in parts]
    if len(set(shapes)) > 1:
        for index, part in enumerate(parts):
            _write_array(file, f"{name}/{index}", _array_in(part, name))
        return {f"{name}/{index}": shape for index, shape in enumerate(shapes)}
    whole = (len(parts), *shapes[0])
    with file.open(f"{name}.npy", "w", force_zip64=True) as target:
        header = {"descr": "<f4", "fortran_order": False, "shape": whole}
        np.lib.format.write_array_header_2_0(target, header)
        for part in parts:
            target.write(np.ascontiguousarray(_array_in(part, name), dtype="<f4").tobytes())
    return {name: whole}


def _array_in(part: Path, name: str) -> np.ndarray:
    with np.load(part) as arrays:
        return arrays[name]
