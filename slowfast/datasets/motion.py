"""Motion, the built-in data set: small H.264 videos of one moving shape, in the Kinetics layout.

A class is a shape and a motion ("arrow-spin-cw"). Motions come in pairs of opposite direction, and a few sparse frames
show the shape but not the direction; motion_scene.py states why that holds exactly.

    <root>/train/arrow-spin-cw/00000.mp4 ...   and val/, test/
    <root>/train.csv, val.csv, test.csv        "path label" rows, paths relative to <root>
    <root>/classids.json                       {"arrow-orbit-ccw": 0, ...}, in sorted order like Kinetics
    <root>/manifest.json                       the arguments: writing the same set again does nothing
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from slowfast.datasets.motion_scene import SHAPES, Scene, draw_scene, render
from slowfast.utils.suggest import did_you_mean

log = logging.getLogger(__name__)

VERSION = 1  # of the drawing: raise it when the same arguments give other frames
SPLITS = ("train", "val", "test")
MOTIONS = {  # name -> (family, direction); in pairs, the first of each is the forward phase
    "spin-cw": ("spin", 1),
    "spin-ccw": ("spin", -1),
    "orbit-cw": ("orbit", 1),
    "orbit-ccw": ("orbit", -1),
    "slide-right": ("slide", 1),
    "slide-left": ("slide", -1),
    "zoom-in": ("zoom", 1),
    "zoom-out": ("zoom", -1),
}
DEFAULT_SHAPES = ("arrow", "key")
DEFAULT_MOTIONS = ("spin-cw", "spin-ccw", "orbit-cw", "orbit-ccw")


@dataclass(frozen=True)
class MotionSpec:
    """All that decides what the files of a Motion set show.

    ``slow_interval`` is the number of source frames between two Slow frames of the model the set is made for: 5 for
    16 consecutive frames at alpha 4, whose Slow frames are 0, 5, 10, 15. ``turns_per_interval`` is the range of turns
    made meanwhile: a whole number of turns wide, or centred on a multiple of half a turn (motion_scene.py says why).
    A narrower range is learned sooner.
    """

    num_train: int = 1280
    num_val: int = 160
    num_test: int = 320
    height: int = 64
    width: int = 80
    num_frames: int = 48
    fps: int = 30
    seed: int = 0
    shapes: tuple[str, ...] = DEFAULT_SHAPES
    motions: tuple[str, ...] = DEFAULT_MOTIONS
    slow_interval: int = 5
    turns_per_interval: tuple[float, float] = (0.25, 0.75)

    def __post_init__(self) -> None:
        for name in ("shapes", "motions", "turns_per_interval"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        _check_sizes(self)
        _check_names("shapes", self.shapes, SHAPES)
        _check_names("motions", self.motions, MOTIONS)
        _check_pairs(self.motions)
        _check_turns(self)

    @property
    def class_names(self) -> list[str]:
        """Names in label order, which is sorted order as in Kinetics."""
        return sorted(f"{shape}-{motion}" for shape in self.shapes for motion in self.motions)

    def num_videos(self, split: str) -> int:
        """Videos in one split."""
        return {"train": self.num_train, "val": self.num_val, "test": self.num_test}[split]

    def label(self, split: str, index: int) -> int:
        """Class of a video: round robin, so classes differ by one video at most."""
        return index % (len(self.shapes) * len(self.motions))

    def relative_path(self, split: str, index: int) -> str:
        """Where a video lies below the root."""
        return f"{split}/{self.class_names[self.label(split, index)]}/{index:05d}.mp4"

    def scene(self, split: str, index: int) -> Scene:
        """What a video shows: a function of (seed, split, index) and of the set's other arguments alone."""
        name = self.class_names[self.label(split, index)]
        family, direction = MOTIONS[motion_of(name)]
        return draw_scene(
            np.random.default_rng([self.seed, SPLITS.index(split), index]),
            shape=shape_of(name),
            family=family,
            direction=direction,
            height=self.height,
            width=self.width,
            slow_interval=self.slow_interval,
            turns_per_interval=self.turns_per_interval,
        )


@dataclass(frozen=True)
class MotionSet:
    """What write_motion reports: where the set lies, and whether this call wrote it (False: it was there already)."""

    root: Path
    spec: MotionSpec
    written: bool
    seconds: float

    @property
    def class_names(self) -> list[str]:
        """Names in label order."""
        return self.spec.class_names


def shape_of(class_name: str) -> str:
    """The shape in a class name: "arrow" of "arrow-spin-cw"."""
    return _parse(class_name)[0]


def motion_of(class_name: str) -> str:
    """The motion in a class name: "spin-cw" of "arrow-spin-cw"."""
    return "-".join(_parse(class_name)[1:])


def direction_of(class_name: str) -> str:
    """The direction in a class name: "cw" of "arrow-spin-cw"."""
    return _parse(class_name)[2]


def write_motion(
    root: str | Path,
    *,
    num_train: int = MotionSpec.num_train,
    num_val: int = MotionSpec.num_val,
    num_test: int = MotionSpec.num_test,
    height: int = MotionSpec.height,
    width: int = MotionSpec.width,
    num_frames: int = MotionSpec.num_frames,
    fps: int = MotionSpec.fps,
    seed: int = MotionSpec.seed,
    shapes: Sequence[str] = DEFAULT_SHAPES,
    motions: Sequence[str] = DEFAULT_MOTIONS,
    slow_interval: int = MotionSpec.slow_interval,
    turns_per_interval: tuple[float, float] = MotionSpec.turns_per_interval,
    num_workers: int | None = None,
    overwrite: bool = False,
    on_progress: Callable[[int, int], None] | None = None,
) -> MotionSet:
    """The Motion set in ``root``: written there, or found there with the same arguments.

    Files are written beside ``root`` first and renamed at the end, so ``root`` never holds half a set.

    Args:
        num_train, num_val, num_test: videos per split; classes take turns.
        height, width: pixels, even (H.264 in yuv420p).
        num_frames, fps: length and rate of each video.
        seed: the same seed and arguments give the same frames; other ones give another set.
        shapes, motions: names from SHAPES and MOTIONS; motions with both directions of each pair.
        slow_interval, turns_per_interval: see MotionSpec.
        num_workers: threads that draw and encode (default: one per core). Does not change the result.
        overwrite: replace a Motion set made with other arguments.
        on_progress: called with (videos done, videos in all) after each video.

    Raises:
        ValueError: an argument does not fit, or ``root`` holds something else than this set.
    """
    start = time.perf_counter()
    root = Path(root)
    spec = MotionSpec(
        num_train=num_train,
        num_val=num_val,
        num_test=num_test,
        height=height,
        width=width,
        num_frames=num_frames,
        fps=fps,
        seed=seed,
        shapes=tuple(shapes),
        motions=tuple(motions),
        slow_interval=slow_interval,
        turns_per_interval=tuple(turns_per_interval),
    )
    if _is_written(root, spec, overwrite=overwrite):
        log.info("%s holds this Motion set already: nothing to do", root)
        return MotionSet(root=root, spec=spec, written=False, seconds=time.perf_counter() - start)
    root.parent.mkdir(parents=True, exist_ok=True)
    workshop = Path(tempfile.mkdtemp(prefix=f".{root.name}-", dir=root.parent))
    try:
        _write_videos(workshop / "new", spec, num_workers or os.cpu_count() or 1, on_progress)
        _write_lists(workshop / "new", spec)
        _move_into_place(workshop / "new", root, old=workshop / "old")
    finally:
        shutil.rmtree(workshop, ignore_errors=True)
    seconds = time.perf_counter() - start
    log.info("wrote %d videos of %d classes to %s in %.0f s", _total(spec), len(spec.class_names), root, seconds)
    return MotionSet(root=root, spec=spec, written=True, seconds=seconds)


def write_video(path: str | Path, frames: np.ndarray, *, fps: int = 30) -> None:
    """Writes frames, uint8 (F, H, W, 3) RGB, as an H.264 file in yuv420p; equal frames give equal bytes.

    That takes one encoder thread and a constant quantizer: x264's rate control (crf) differs from run to run at times.
    """
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(fps))
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.thread_count = 1
        stream.options = {"preset": "veryfast", "qp": "24", "g": "24"}
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())


def _write_videos(
    draft: Path, spec: MotionSpec, num_workers: int, on_progress: Callable[[int, int], None] | None
) -> None:
    """Writes every video below ``draft``. Threads suffice: NumPy and the encoder release the interpreter lock."""

    def write(job: tuple[str, int]) -> None:
        write_video(draft / spec.relative_path(*job), render(spec.scene(*job), spec.num_frames), fps=spec.fps)

    for split in SPLITS:
        for name in spec.class_names:
            (draft / split / name).mkdir(parents=True)
    jobs = [(split, index) for split in SPLITS for index in range(spec.num_videos(split))]
    with ThreadPoolExecutor(num_workers) as pool:
        try:
            for done, _ in enumerate(pool.map(write, jobs), start=1):
                if on_progress is not None:
                    on_progress(done, len(jobs))
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def _write_lists(draft: Path, spec: MotionSpec) -> None:
    """Writes the CSV lists, the class names and, last, the manifest."""
    for split in SPLITS:
        rows = [f"{spec.relative_path(split, i)} {spec.label(split, i)}\n" for i in range(spec.num_videos(split))]
        (draft / f"{split}.csv").write_text("".join(rows), encoding="utf-8")
    class_ids = {name: label for label, name in enumerate(spec.class_names)}
    (draft / "classids.json").write_text(json.dumps(class_ids, indent=1) + "\n", encoding="utf-8")
    (draft / "manifest.json").write_text(json.dumps(_manifest(spec), indent=1) + "\n", encoding="utf-8")


def _manifest(spec: MotionSpec) -> dict:
    """What manifest.json holds, as JSON reads it back (lists for tuples)."""
    return {"dataset": "motion", "version": VERSION, "arguments": json.loads(json.dumps(asdict(spec)))}


def _is_written(root: Path, spec: MotionSpec, *, overwrite: bool) -> bool:
    """Whether ``root`` holds exactly this set. False means that it may be written; raises where it must not."""
    if not root.exists():
        return False
    if not root.is_dir():
        raise ValueError(f"{root} is a file; the Motion set needs a folder. Name another place.")
    if not any(root.iterdir()):
        return False
    found = _read_manifest(root)
    if found is None:
        raise ValueError(f"{root} is not empty and holds no Motion set: nothing in it is touched. Name another folder.")
    different = _differences(found, _manifest(spec))
    if not different:
        missing = next((path for path in _all_paths(spec) if not (root / path).is_file()), None)
        if missing is None:
            return True
        different = [f"{missing} is missing"]
    if overwrite:
        return False
    raise ValueError(
        f"{root} holds another Motion set ({'; '.join(different)}). "
        "Name another folder, or replace it with overwrite=True (--overwrite)."
    )


def _read_manifest(root: Path) -> dict | None:
    """The manifest of a Motion set in ``root``, or None where there is none."""
    try:
        manifest = json.loads((root / "manifest.json").read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    is_motion = isinstance(manifest, dict) and manifest.get("dataset") == "motion"
    return manifest if is_motion and isinstance(manifest.get("arguments"), dict) else None


def _differences(found: dict, wanted: dict) -> list[str]:
    """How the set on disk differs from the one wanted, in words; empty when it does not."""
    if found.get("version") != wanted["version"]:
        return [f"written by version {found.get('version')} of the drawing, wanted {wanted['version']}"]
    names = sorted(found["arguments"].keys() | wanted["arguments"].keys())
    pairs = [(name, found["arguments"].get(name), wanted["arguments"].get(name)) for name in names]
    return [f"{name} is {old}, wanted {new}" for name, old, new in pairs if old != new]


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


def _all_paths(spec: MotionSpec) -> list[str]:
    return [spec.relative_path(split, i) for split in SPLITS for i in range(spec.num_videos(split))]


def _total(spec: MotionSpec) -> int:
    return sum(spec.num_videos(split) for split in SPLITS)


def _parse(class_name: str) -> tuple[str, str, str]:
    """(shape, family, direction) of a class name."""
    shape, _, motion = class_name.partition("-")
    if shape not in SHAPES or motion not in MOTIONS:
        raise ValueError(f"{class_name!r} is not a Motion class; they read shape-motion, as in 'arrow-spin-cw'.")
    family, direction = motion.split("-")
    return shape, family, direction


def _check_sizes(spec: MotionSpec) -> None:
    limits = {"num_train": 0, "num_val": 0, "num_test": 0, "height": 32, "width": 32, "num_frames": 1, "fps": 1}
    limits |= {"slow_interval": 1, "seed": 0}
    for name, least in limits.items():
        value = getattr(spec, name)
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise ValueError(f"{name}={value!r}: give a whole number of at least {least}.")
    for name in ("height", "width"):
        if getattr(spec, name) % 2:
            raise ValueError(f"{name}={getattr(spec, name)} is odd, which yuv420p cannot hold: give an even number.")
    if spec.width < spec.height:
        raise ValueError(f"width={spec.width} is below height={spec.height}: a shape's path needs the height across.")


def _check_names(argument: str, names: Sequence[str], known: dict) -> None:
    if not names:
        raise ValueError(f"{argument} is empty: name at least one of {', '.join(known)}.")
    for name in names:
        if name not in known:
            hint = did_you_mean(name, known)
            raise ValueError(f"{argument}: {name!r} is not known.{hint} Known: {', '.join(known)}.")
    if len(set(names)) < len(names):
        raise ValueError(f"{argument} names something twice: {', '.join(names)}.")


def _check_pairs(motions: Sequence[str]) -> None:
    """Both directions of each family must be there: one alone would be told by its appearance."""
    for name in motions:
        family, direction = MOTIONS[name]
        opposite = next(other for other, value in MOTIONS.items() if value == (family, -direction))
        if opposite not in motions:
            raise ValueError(f"motions holds {name!r} without {opposite!r}: appearance would tell it. Add that one.")


def _check_turns(spec: MotionSpec) -> None:
    """Slow frames must not show the direction, and Fast frames must."""
    low, high = spec.turns_per_interval
    turns = f"turns_per_interval=({low:g}, {high:g})"
    if not 0 <= low < high or not (_is_whole(high - low) or _is_whole(low + high)):
        raise ValueError(
            f"{turns}: Slow frames would show the direction. It takes 0 <= low < high and a range that is a whole "
            "number of turns wide, as (0.25, 1.25), or centred on a multiple of half a turn, as (0.25, 0.75)."
        )
    if high / spec.slow_interval >= 0.5:
        raise ValueError(
            f"{turns} within slow_interval={spec.slow_interval} frames is up to {high / spec.slow_interval:.2f} turns "
            "a frame; from half a turn on, Fast frames cannot show the direction either. Raise slow_interval."
        )


def _is_whole(number: float) -> bool:
    return abs(number - round(number)) < 1e-9
