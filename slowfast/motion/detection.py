"""Motion in the layout of AVA: movies with several actors, and for each of them a box and its actions every second.

An action is a motion or a shape ("spin-cw", "arrow"), so a box has one action if the actor stands still and two if it
moves. Second t is frame 30 (t - 900) of a movie, and an action lasts for half a second in both directions: a clip of up
to 30 frames around a key frame shows one act. Clips must be sampled as in the clip form (motion.py), 16 consecutive
frames at alpha 4: their Slow frames then show no direction (actors.py says why).

    <root>/frames/<video>/<video>_000001.jpg ...    30 a second, the first at second 900
    <root>/movies/<video>.mp4                       the same frames
    <root>/frame_lists/train.csv, val.csv           one row per frame
    <root>/annotations/ava_{train,val}_v2.2.csv     video,second,x1,y1,x2,y2,action,person
    <root>/annotations/ava_{train,val}_excluded_timestamps_v2.2.csv, ava_file_names_trainval_v2.1.txt
    <root>/annotations/ava_action_list_v2.2.pbtxt, ava_action_list_v2.2_for_activitynet_2019.pbtxt
    <root>/annotations/person_box_67091280_iou90/   boxes of a detector, as the published recipes name them
    <root>/manifest.json                            the arguments: writing the same set again does nothing
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from slowfast.motion.actors import Actor, ActorSetSpec, Timeline
from slowfast.motion.classes import DEFAULT_MOTIONS, DEFAULT_SHAPES, check_spec
from slowfast.motion.detector import Detection, detect

LEAD_SECONDS, TAIL_SECONDS = 2, 2  # before the first and after the last key second
STANDS_STILL = 0.2  # probability of an act without motion
KEY_SECONDS_AN_EXCLUDED_ONE = 25
DETECTIONS_FOLDER = "person_box_67091280_iou90"
DETECTION_FILES = {
    "train": "ava_detection_train_boxes_and_labels_include_negative_v2.2.csv",
    "val": "ava_detection_val_boxes_and_labels.csv",
}


@dataclass(frozen=True)
class MotionAvaSpec(ActorSetSpec):
    """Everything that determines the files of a Motion set in AVA form.

    Every movie has ``num_seconds`` key seconds and 2 or 3 actors. ``slow_interval`` and ``turns_per_interval`` are as
    in ``MotionSpec``.
    """

    form: ClassVar[str] = "ava"
    version: ClassVar[int] = 1
    splits: ClassVar[tuple[str, ...]] = ("train", "val")
    unit: ClassVar[str] = "movies"
    fps: ClassVar[int] = 30  # the grid of AVA
    start_second: ClassVar[int] = 900  # that the first frame shows
    num_actors: ClassVar[tuple[int, int]] = (2, 4)
    size: ClassVar[float] = 0.75
    video_folder: ClassVar[str] = "movies"
    frame_folder: ClassVar[str] = "frames"
    frame_separator: ClassVar[str] = "_"
    first_frame_id: ClassVar[int] = 0

    num_train: int = 40
    num_val: int = 8
    num_seconds: int = 20
    height: int = 64
    width: int = 112
    seed: int = 0
    shapes: tuple[str, ...] = DEFAULT_SHAPES
    motions: tuple[str, ...] = DEFAULT_MOTIONS
    slow_interval: int = 5
    turns_per_interval: tuple[float, float] = (0.25, 0.75)

    def __post_init__(self) -> None:
        limits = {"num_train": 0, "num_val": 0, "num_seconds": 1, "height": 32, "width": 32, "seed": 0}
        check_spec(self, limits | {"slow_interval": 1})
        if self.num_seconds > 897:
            raise ValueError(f"num_seconds={self.num_seconds}: AVA's key seconds are 902 to 1798, at most 897.")

    @property
    def class_names(self) -> list[str]:
        """Names of the actions; the action id is the index in this list, from 1."""
        return sorted(self.motions) + sorted(self.shapes)

    @property
    def num_frames(self) -> int:
        """Frames of a movie."""
        return self.fps * (LEAD_SECONDS + self.num_seconds + TAIL_SECONDS)

    @property
    def key_frames(self) -> dict[int, int]:
        """Key second -> number of its frame, from 0."""
        return {self.start_second + k: self.fps * k for k in range(LEAD_SECONDS, LEAD_SECONDS + self.num_seconds)}

    def video_id(self, split: str, index: int) -> str:
        """Name of a movie, of 11 characters like AVA's."""
        return f"Mo-{split:_<5}{index:03d}"

    def actions(self, actor: Actor, second: int) -> list[int]:
        """Ids of an actor's motion and shape in a key second."""
        names = [actor.motion_at(self.key_frames[second]), actor.scene.shape]
        return [self.class_names.index(name) + 1 for name in names if name]

    def detections(self, split: str, index: int) -> list[Detection]:
        """What a person detector would have found in a movie, see detector.py."""
        rng = self.rng(split, index, 1)
        actors = self.actors(split, index)
        return [
            detection
            for second, frame in self.key_frames.items()
            for detection in detect(rng, second, [actor.box_at(frame) for actor in actors])
        ]

    def excluded(self, split: str) -> set[tuple[str, int]]:
        """Excluded key seconds, (video, second): they have no annotation, as if annotating had failed."""
        rng = self.rng(split)
        num_keys = self.num_videos(split) * self.num_seconds
        places = rng.choice(num_keys, num_keys // KEY_SECONDS_AN_EXCLUDED_ONE, replace=False)
        seconds = list(self.key_frames)
        return {(self.video_id(split, i // self.num_seconds), seconds[i % self.num_seconds]) for i in places.tolist()}

    def write_lists(self, draft: Path) -> None:
        """Writes frame lists, boxes and label maps."""
        for folder in ("frame_lists", f"annotations/{DETECTIONS_FOLDER}"):
            (draft / folder).mkdir(parents=True)
        annotations = draft / "annotations"
        for split in self.splits:
            _write_rows(draft / "frame_lists" / f"{split}.csv", self.frame_list(split))
            _write_rows(annotations / f"ava_{split}_v2.2.csv", self._groundtruth_rows(split))
            _write_rows(annotations / DETECTIONS_FOLDER / DETECTION_FILES[split], self._detection_rows(split))
            excluded = [f"{video_id},{second:04d}\n" for video_id, second in sorted(self.excluded(split))]
            _write_rows(annotations / f"ava_{split}_excluded_timestamps_v2.2.csv", excluded)
        videos = [(split, index) for split in self.splits for index in range(self.num_videos(split))]
        names = [f"{self.video_id(*video)}.mp4\n" for video in videos]
        _write_rows(annotations / "ava_file_names_trainval_v2.1.txt", names)
        _write_rows(annotations / "ava_action_list_v2.2.pbtxt", self._all_labels())
        _write_rows(annotations / "ava_action_list_v2.2_for_activitynet_2019.pbtxt", self._evaluated_labels())

    def draw_timeline(self, rng: np.random.Generator, index: int) -> Timeline:
        """One act for every key second, changing midway between two."""
        changes = [frame + self.fps // 2 for frame in self.key_frames.values()]
        starts, stops = [0, *changes[:-1]], [*changes[:-1], self.num_frames]
        is_still = rng.random(self.num_seconds) < STANDS_STILL
        motions = rng.choice(self.motions, self.num_seconds).tolist()
        acts = zip(starts, stops, is_still, motions, strict=True)
        return [(start, stop, None if still else motion) for start, stop, still, motion in acts]

    def _groundtruth_rows(self, split: str) -> Iterator[str]:
        excluded = self.excluded(split)
        for index in range(self.num_videos(split)):
            video_id = self.video_id(split, index)
            actors = self.actors(split, index)
            for second, frame in self.key_frames.items():
                if (video_id, second) in excluded:
                    continue
                for person_id, actor in enumerate(actors):
                    box = _box_text(actor.box_at(frame))
                    for action in self.actions(actor, second):
                        yield f"{video_id},{second:04d},{box},{action},{person_id}\n"

    def _detection_rows(self, split: str) -> Iterator[str]:
        """Boxes with scores; in the training list also the actions of the actor found, or none for a false alarm."""
        for index in range(self.num_videos(split)):
            video_id = self.video_id(split, index)
            actors = self.actors(split, index)
            for found in self.detections(split, index):
                actions: list = [""]
                if split == "train" and found.actor is not None:
                    actions = self.actions(actors[found.actor], found.second)
                for action in actions:
                    yield f"{video_id},{found.second:04d},{_box_text(found.box)},{action},{found.score:.6f}\n"

    def _all_labels(self) -> Iterator[str]:
        """The list of all actions, in its dialect."""
        for action, name in enumerate(self.class_names, start=1):
            kind = "PERSON_MOVEMENT" if name in self.motions else "OBJECT_MANIPULATION"
            yield f'label {{\n  name: "{name}"\n  label_id: {action}\n  label_type: {kind}\n}}\n'

    def _evaluated_labels(self) -> Iterator[str]:
        """The list of the evaluated actions, here all, in its dialect."""
        for action, name in enumerate(self.class_names, start=1):
            yield f'item {{\n  name: "{name}"\n  id: {action}\n}}\n'


def _box_text(box: np.ndarray) -> str:
    return ",".join(f"{value:.3f}" for value in box)


def _write_rows(path: Path, rows) -> None:
    path.write_text("".join(rows), encoding="utf-8")
