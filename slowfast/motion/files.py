"""The files of a Motion set of any form: written atomically, in parallel, and not twice."""

from __future__ import annotations

import json
import logging
import os
import tempfile
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, fields
from fractions import Fraction
from pathlib import Path
from typing import Any, ClassVar

import av
import numpy as np

from slowfast.utils.untrusted import read_json
from slowfast.video.container import create_video

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SetSpec:
    """The content of one Motion set: a frozen dataclass of its arguments, and how they become files.

    Attributes:
        form: name of the layout; the manifest of "clips", the oldest form, does not contain it.
        version: of the drawing; raised when the same arguments give different frames.
        splits: names; each has an argument ``num_<split>``.
        unit: what a split holds.
    """

    form: ClassVar[str]
    version: ClassVar[int]
    splits: ClassVar[tuple[str, ...]]
    unit: ClassVar[str] = "videos"

    @property
    def class_names(self) -> list[str]:
        """Names in label order."""
        raise NotImplementedError

    @property
    def drawing(self) -> dict[str, Any]:
        """The arguments of every form that its scenes are drawn with."""
        return {name: vars(self)[name] for name in ("height", "width", "slow_interval", "turns_per_interval")}

    def rng(self, split: str, *key: int) -> np.random.Generator:
        """A generator of its own for every seed, split and ``key``, such as the index of a video."""
        return np.random.default_rng([vars(self)["seed"], self.splits.index(split), *key])

    def num_videos(self, split: str) -> int:
        """Videos in one split."""
        return getattr(self, f"num_{split}")

    def paths(self) -> Iterable[str]:
        """Every picture and video file below the root."""
        raise NotImplementedError

    def write_video(self, draft: Path, split: str, index: int) -> None:
        """Writes the files of one video below ``draft``; called from several threads at once."""
        raise NotImplementedError

    def write_lists(self, draft: Path) -> None:
        """Writes what describes the videos below ``draft``."""
        raise NotImplementedError


@dataclass(frozen=True)
class MotionSet:
    """The result of writing: where the set is, and whether this call wrote it (False: it already existed)."""

    root: Path
    spec: SetSpec
    written: bool
    seconds: float

    @property
    def class_names(self) -> list[str]:
        """Names in label order."""
        return self.spec.class_names


def write_set(
    root: str | Path,
    spec: SetSpec,
    *,
    num_workers: int | None = None,
    overwrite: bool = False,
    on_progress: Callable[[int, int], None] | None = None,
) -> MotionSet:
    """The set that ``spec`` describes in ``root``: written there, or found there with the same arguments.

    Files are first written next to ``root`` and renamed at the end, so ``root`` never holds an incomplete set.

    Args:
        num_workers: threads that draw and encode (default: one per core). Does not change the result.
        overwrite: replace a Motion set made with other arguments.
        on_progress: called with (videos done, total videos) after each video.

    Raises:
        ValueError: ``root`` holds something else than this set.
    """
    start = time.perf_counter()
    root = Path(root)
    if _is_written(root, spec, overwrite=overwrite):
        log.info("%s already holds this Motion set: nothing to do", root)
        return MotionSet(root=root, spec=spec, written=False, seconds=time.perf_counter() - start)
    root.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{root.name}-", dir=root.parent, ignore_cleanup_errors=True) as workshop:
        draft = Path(workshop, "new")
        _write_videos(draft, spec, num_workers or os.cpu_count() or 1, on_progress)
        spec.write_lists(draft)
        (draft / "manifest.json").write_text(json.dumps(_manifest(spec), indent=1) + "\n", encoding="utf-8")
        _move_into_place(draft, root, old=Path(workshop, "old"))
    seconds = time.perf_counter() - start
    num_videos = sum(map(spec.num_videos, spec.splits))
    log.info("wrote %d %s of %d classes to %s in %.0f s", num_videos, spec.unit, len(spec.class_names), root, seconds)
    return MotionSet(root=root, spec=spec, written=True, seconds=seconds)


def write_video(path: str | Path, frames: np.ndarray, *, fps: int | Fraction = 30) -> None:
    """Writes frames, uint8 (F, H, W, 3) RGB, as an H.264 file in yuv420p; equal frames give equal bytes.

    This needs one encoder thread and a constant quantizer: x264's rate control (crf) sometimes differs from run to run.
    """
    with create_video(path) as container:
        stream = container.add_stream("libx264", rate=Fraction(fps))
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.thread_count = 1
        stream.options = {"preset": "veryfast", "qp": "24", "g": "24"}
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())


def _write_videos(draft: Path, spec: SetSpec, num_workers: int, on_progress: Callable[[int, int], None] | None) -> None:
    """Writes every video below ``draft``. Threads suffice: NumPy and the encoders release the interpreter lock."""
    draft.mkdir()
    jobs = [(split, index) for split in spec.splits for index in range(spec.num_videos(split))]
    with ThreadPoolExecutor(num_workers) as pool:
        try:
            for done, _ in enumerate(pool.map(lambda job: spec.write_video(draft, *job), jobs), start=1):
                if on_progress is not None:
                    on_progress(done, len(jobs))
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def _as_json(values: dict) -> dict:
    """``values`` as JSON reads them back: lists for tuples."""
    return json.loads(json.dumps(values))


def _manifest(spec: SetSpec) -> dict:
    form = {} if spec.form == "clips" else {"form": spec.form}
    return _as_json({"dataset": "motion", **form, "version": spec.version, "arguments": asdict(spec)})


def _is_written(root: Path, spec: SetSpec, *, overwrite: bool) -> bool:
    """Whether ``root`` holds exactly this set. False means that it may be written; raises an error if it must not."""
    if not root.exists():
        return False
    if not root.is_dir():
        raise ValueError(f"{root} is a file; the Motion set needs a folder. Name another folder.")
    if not any(root.iterdir()):
        return False
    found = read_manifest(root)
    if found is None:
        raise ValueError(f"{root} is not empty and holds no Motion set, so it was left unchanged. Name another folder.")
    different = _differences(found, spec)
    if not different:
        missing = next((path for path in spec.paths() if not (root / path).is_file()), None)
        if missing is None:
            return True
        different = [f"{missing} is missing"]
    if overwrite:
        return False
    raise ValueError(
        f"{root} holds a different Motion set ({'; '.join(different)}). "
        "Name another folder, or replace it with overwrite=True (--overwrite)."
    )


def read_manifest(root: Path) -> dict | None:
    """The manifest of a Motion set in ``root``, or None where there is none."""
    try:
        manifest = read_json(root / "manifest.json")
    except ValueError:
        return None
    is_motion = isinstance(manifest, dict) and manifest.get("dataset") == "motion"
    return manifest if is_motion and isinstance(manifest.get("arguments"), dict) else None


def _differences(found: dict, spec: SetSpec) -> list[str]:
    """How the set on disk, with the manifest ``found``, differs from the requested one, in words; empty if it does not.

    An argument that is newer than the set on disk, and thus missing in its manifest, counts as its default.
    """
    form, version = found.get("form", "clips"), found.get("version")
    if form != spec.form:
        return [f"its form is {form}, expected {spec.form}"]
    if version != spec.version:
        return [f"written by version {version} of the drawing, expected {spec.version}"]
    old = _as_json({field.name: field.default for field in fields(spec)}) | found["arguments"]
    new = _manifest(spec)["arguments"]
    names = sorted(name for name in {*old, *new} if old.get(name) != new.get(name))
    return [f"{name} is {old.get(name)}, expected {new.get(name)}" for name in names]


def _move_into_place(draft: Path, root: Path, *, old: Path) -> None:
    """Renames ``draft`` to ``root``; a set already there is moved to ``old`` first, and back if that fails."""
    if root.exists():
        os.replace(root, old)
    try:
        os.replace(draft, root)
    except OSError:
        if old.exists():
            os.replace(old, root)
        raise
