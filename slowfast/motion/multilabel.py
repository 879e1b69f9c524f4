"""Motion in the layout of Charades: videos in which one or two actors move, halt and move again, with any number of
labels.

A class is a shape and a motion, as in the clip form (motion.py). A video has 1 or 2 actors with 1 or 2 motions each,
between halts, so it has 1 to 4 labels, some of them simultaneous; in one of 25 videos nothing moves, so it has none.
Clips must be sampled as in the clip form, 16 consecutive frames at alpha 4: their Slow frames then show no direction
(actors.py says why).

    <root>/Charades_v1_rgb/<video>/<video>-000001.jpg ...   24 a second
    <root>/videos/<video>.mp4                               the same frames
    <root>/Charades_v1_train.csv, Charades_v1_test.csv      one row per video, with "c003 0.50 2.13;..." as its actions
    <root>/Charades_v1_classes.txt                          "c003 arrow-spin-cw"
    <root>/frame_lists/train.csv, val.csv                   one row per frame, with its labels; val is Charades' test
    <root>/manifest.json                                    the arguments: writing the same set again does nothing
"""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from slowfast.motion.actors import ActorSetSpec, Timeline
from slowfast.motion.classes import DEFAULT_MOTIONS, DEFAULT_SHAPES, check_spec

FPS = 24  # of Charades' frames
VIDEOS_A_STILL_ONE = 25
COLUMNS = (
    "id", "subject", "scene", "quality", "relevance", "verified", "script", "objects", "descriptions", "actions",
    "length",
)  # fmt: skip


@dataclass(frozen=True)
class MotionCharadesSpec(ActorSetSpec):
    """Everything that determines the files of a Motion set in Charades form.

    Every video lasts ``num_seconds``. ``slow_interval`` and ``turns_per_interval`` are as in ``MotionSpec``.
    """

    form: ClassVar[str] = "charades"
    version: ClassVar[int] = 1
    splits: ClassVar[tuple[str, ...]] = ("train", "test")
    fps: ClassVar[int] = FPS
    num_actors: ClassVar[tuple[int, int]] = (1, 3)
    size: ClassVar[float] = 0.8
    video_folder: ClassVar[str] = "videos"
    frame_folder: ClassVar[str] = "Charades_v1_rgb"
    frame_separator: ClassVar[str] = "-"
    first_frame_id: ClassVar[int] = 1

    num_train: int = 320
    num_test: int = 60
    num_seconds: int = 6
    height: int = 64
    width: int = 80
    seed: int = 0
    shapes: tuple[str, ...] = DEFAULT_SHAPES
    motions: tuple[str, ...] = DEFAULT_MOTIONS
    slow_interval: int = 5
    turns_per_interval: tuple[float, float] = (0.25, 0.75)

    def __post_init__(self) -> None:
        limits = {"num_train": 0, "num_test": 0, "num_seconds": 2, "height": 32, "width": 32, "seed": 0}
        check_spec(self, limits | {"slow_interval": 1})

    @property
    def class_names(self) -> list[str]:
        """Names in label order, which is sorted order."""
        return sorted(f"{shape}-{motion}" for shape in self.shapes for motion in self.motions)

    @property
    def num_frames(self) -> int:
        """Frames of a video."""
        return FPS * self.num_seconds

    def video_id(self, split: str, index: int) -> str:
        """Name of a video: capital letters and digits, like Charades'."""
        return f"{'AE'[self.splits.index(split)]}{index:04d}"

    def actions(self, split: str, index: int) -> list[tuple[int, float, float]]:
        """(label, first second, last second) of every motion in a video, in order of time.

        Seconds have two decimals, rounded so that they hold the times of the same frames, k / 24.
        """
        spans = [
            (self.class_names.index(f"{actor.scene.shape}-{act.motion}"), act.start, act.stop - 1)
            for actor in self.actors(split, index)
            for act in actor.acts
            if act.motion
        ]
        return [
            (label, math.floor(100 * first / FPS) / 100, math.ceil(100 * last / FPS) / 100)
            for label, first, last in sorted(spans, key=lambda span: (span[1], span[0]))
        ]

    def frame_labels(self, split: str, index: int) -> list[list[int]]:
        """Labels of every frame: of all motions whose first and last second enclose its time."""
        actions = self.actions(split, index)
        return [
            sorted({label for label, first, last in actions if first <= frame / FPS <= last})
            for frame in range(self.num_frames)
        ]

    def write_lists(self, draft: Path) -> None:
        """Writes annotations, class names and frame lists."""
        (draft / "frame_lists").mkdir()
        for split, name in (("train", "train"), ("test", "val")):
            rows = "".join(self.frame_list(split))
            (draft / "frame_lists" / f"{name}.csv").write_text(rows, encoding="utf-8")
            with open(draft / f"Charades_v1_{split}.csv", "w", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
                writer.writeheader()
                writer.writerows(self._annotation(split, index) for index in range(self.num_videos(split)))
        names = [f"c{label:03d} {name}\n" for label, name in enumerate(self.class_names)]
        (draft / "Charades_v1_classes.txt").write_text("".join(names), encoding="utf-8")

    def draw_timeline(self, rng: np.random.Generator, index: int) -> Timeline:
        """Halt, motion, halt and so on, ending with a halt; a single halt in a still video."""
        num_motions = rng.integers(1, 3)
        parts = rng.uniform(0.2, 0.6, 2 * num_motions + 1)
        parts[1::2] = rng.uniform(1.0, 2.0, num_motions)  # a motion lasts about four times as long as a halt
        ends = np.round(np.cumsum(parts) / parts.sum() * self.num_frames).astype(int).tolist()
        motions: list[str | None] = [None] * len(parts)
        motions[1::2] = rng.choice(self.motions, num_motions).tolist()
        if index % VIDEOS_A_STILL_ONE == VIDEOS_A_STILL_ONE - 1:
            return [(0, self.num_frames, None)]
        return list(zip([0, *ends[:-1]], ends, motions, strict=True))

    def _annotation(self, split: str, index: int) -> dict[str, object]:
        """The row of one video in Charades' own list."""
        actions = self.actions(split, index)
        actors = self.actors(split, index)
        told = [f"{self.class_names[label]} from {first:.2f} to {last:.2f}" for label, first, last in actions]
        return {
            "id": self.video_id(split, index),
            "subject": f"S{index:03d}",
            "scene": "Motion",
            "quality": 7,
            "relevance": 7,
            "verified": "Yes",
            "script": f"{', then '.join(told) or 'Nobody moves'}.",
            "objects": ";".join(sorted({actor.scene.shape for actor in actors})),
            "descriptions": f"{len(actors)} on stage.",
            "actions": ";".join(f"c{label:03d} {first:.2f} {last:.2f}" for label, first, last in actions),
            "length": f"{self.num_frames / FPS:.2f}",
        }
