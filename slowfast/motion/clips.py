"""Motion, the built-in data set: small H.264 videos of one moving shape, in the Kinetics layout.

A class is a shape and a motion ("arrow-spin-cw"). Motions come in pairs of opposite direction, and a few sparse frames
show the shape but not the direction; scene.py states why that holds exactly.

    <root>/train/arrow-spin-cw/00000.mp4 ...   and val/, test/
    <root>/train.csv, val.csv, test.csv        "path label" rows, paths relative to <root>
    <root>/classids.json                       {"arrow-orbit-ccw": 0, ...}, in sorted order like Kinetics
    <root>/manifest.json                       the arguments: writing the same set again does nothing

detection.py and multilabel.py write the same shapes in the layouts of AVA and Charades.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from slowfast.datasets.contract import SPLITS
from slowfast.motion.classes import (
    DEFAULT_MOTIONS,
    DEFAULT_SHAPES,
    MOTIONS,
    check_looks,
    check_spec,
    color_of,
    motion_of,
    opposite_of,
    shape_of,
)
from slowfast.motion.distractors import Part, draw_pair
from slowfast.motion.files import MotionSet, SetSpec, write_set, write_video
from slowfast.motion.scene import SHAPES, Scene, draw_scene, paint_frames, render


@dataclass(frozen=True)
class MotionSpec(SetSpec):
    """Everything that determines the files of a Motion set.

    Classes take turns among the ``num_train``, ``num_val`` and ``num_test`` videos. ``height`` and ``width`` are
    pixels, even (H.264 in yuv420p); ``shapes`` and ``motions`` names of SHAPES and MOTIONS, both directions of each
    pair.

    ``slow_interval`` is the number of source frames between two Slow frames of the model the set is made for: 5 for 16
    consecutive frames at alpha 4, whose Slow frames are 0, 5, 10, 15. ``turns_per_interval`` is the range of turns in
    this interval: a whole number of turns wide, or centered on a multiple of half a turn (scene.py says why). A
    narrower range is learned faster.

    With ``colors``, a class is a color, a shape and a motion; without, shapes have any hue.

    ``distractors`` are shapes and colors that belong to no class. If there are any, a video shows two shapes, one above
    the other: the shape of its class, and a distractor with one of these shapes or colors, which makes the opposite
    motion (distractors.py). Every video then contains both motions, and the class depends on which shape makes which:
    appearance and motion must be recognized together.
    """

    form: ClassVar[str] = "clips"
    version: ClassVar[int] = 1
    splits: ClassVar[tuple[str, ...]] = SPLITS

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
    colors: tuple[str, ...] = ()
    distractors: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        limits = {"num_train": 0, "num_val": 0, "num_test": 0, "height": 32, "width": 32, "num_frames": 1, "fps": 1}
        check_spec(self, limits | {"slow_interval": 1, "seed": 0})
        check_looks(self)

    @property
    def class_names(self) -> list[str]:
        """Names in label order, which is sorted order as in Kinetics."""
        prefixes = [f"{color}-" for color in self.colors] or [""]
        return sorted(f"{p}{shape}-{motion}" for p in prefixes for shape in self.shapes for motion in self.motions)

    def label(self, split: str, index: int) -> int:
        """Class of a video: round robin, so classes differ by one video at most."""
        return index % (max(1, len(self.colors)) * len(self.shapes) * len(self.motions))

    def relative_path(self, split: str, index: int) -> str:
        """Path of a video below the root."""
        return f"{split}/{self.class_names[self.label(split, index)]}/{index:05d}.mp4"

    def paths(self) -> list[str]:
        """Every video file below the root."""
        return [self.relative_path(split, i) for split in SPLITS for i in range(self.num_videos(split))]

    def pair(self, split: str, index: int) -> list[Scene]:
        """What a video with a distractor shows, the upper shape first: a function of the same as ``scene``."""
        rng = self.rng(split, index)
        name = self.class_names[self.label(split, index)]
        target = Part(shape_of(name), color_of(name), motion_of(name))
        distractor = Part(*self._draw_distractor(rng), opposite_of(target.motion))
        parts = [target, distractor] if rng.random() < 0.5 else [distractor, target]
        return draw_pair(rng, parts, **self.drawing)

    def _draw_distractor(self, rng: np.random.Generator) -> tuple[str, str | None]:
        """(shape, color or None): one of them from ``distractors``, the other from any class."""
        look, shape = str(rng.choice(self.distractors)), str(rng.choice(self.shapes))
        color = str(rng.choice(self.colors)) if self.colors else None
        return (look, color) if look in SHAPES else (shape, look)

    def scene(self, split: str, index: int) -> Scene:
        """What a video without distractors shows: a function of (seed, split, index) and the set's other arguments."""
        name = self.class_names[self.label(split, index)]
        family, direction = MOTIONS[motion_of(name)]
        return draw_scene(
            self.rng(split, index),
            shape=shape_of(name),
            color=color_of(name),
            family=family,
            direction=direction,
            **self.drawing,
        )

    def write_video(self, draft: Path, split: str, index: int) -> None:
        """Writes one video file below ``draft``."""
        path = draft / self.relative_path(split, index)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_video(path, self.frames(split, index), fps=self.fps)

    def frames(self, split: str, index: int) -> np.ndarray:
        """All frames of a video before encoding: uint8 (F, H, W, 3), RGB."""
        if not self.distractors:
            return render(self.scene(split, index), self.num_frames)
        pair = self.pair(split, index)
        return paint_frames(pair[0], [(scene, scene.poses(self.num_frames)) for scene in pair])

    def write_lists(self, draft: Path) -> None:
        """Writes the CSV lists and the class names."""
        for split in SPLITS:
            for name in self.class_names:  # also those without a video
                (draft / split / name).mkdir(parents=True, exist_ok=True)
            rows = [f"{self.relative_path(split, i)} {self.label(split, i)}\n" for i in range(self.num_videos(split))]
            (draft / f"{split}.csv").write_text("".join(rows), encoding="utf-8")
        class_ids = {name: label for label, name in enumerate(self.class_names)}
        (draft / "classids.json").write_text(json.dumps(class_ids, indent=1) + "\n", encoding="utf-8")


def write_motion(
    root: str | Path,
    *,
    num_workers: int | None = None,
    overwrite: bool = False,
    on_progress: Callable[[int, int], None] | None = None,
    **arguments: Any,
) -> MotionSet:
    """The Motion set in ``root``: written there, or found there with the same arguments.

    Args:
        num_workers, overwrite, on_progress: see ``write_set``.
        arguments: those of ``MotionSpec``; the same ones give the same frames.

    Raises:
        ValueError: an argument does not fit, or ``root`` holds something else than this set.
        TypeError: ``MotionSpec`` has no such argument.
    """
    spec = MotionSpec(**arguments)
    return write_set(root, spec, num_workers=num_workers, overwrite=overwrite, on_progress=on_progress)
