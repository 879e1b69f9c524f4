"""Several actors in one video, each performing one action after another: the content of the AVA and Charades forms.

An actor is a shape with its own colors, size and place. Its acts follow each other without a gap; in each it moves in
one way or stands still. Phase, place on the path and orientation are redrawn when an act begins, so a change is a jump.
If an actor continued from its current pose, a spin that ends in a halt d' < d frames after a Slow frame would freeze a
turn of s d' / d theta, less than half a turn, and Slow frames would show s, the direction. Since they are redrawn,
every act is a scene of its own, and scene.py's proof holds for all Slow frames of any clip.

Letters: F frames. Lengths in frame heights and angles in turns, as in scene.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from PIL import Image

from slowfast.datasets.lists.frame_lists import HEADER, frame_list_row
from slowfast.motion.classes import MOTIONS
from slowfast.motion.files import SetSpec, write_video
from slowfast.motion.scene import (
    Scene,
    bounding_box,
    draw_background,
    draw_base_color,
    draw_shape_colors,
    paint_frames,
)

Timeline = Sequence[tuple[int, int, str | None]]  # first frame, frame after the last, motion or None for a halt


@dataclass(frozen=True)
class Act:
    """What an actor does in the frames from ``start`` to before ``stop``; ``motion`` None: it stands still."""

    start: int
    stop: int
    motion: str | None
    scene: Scene


@dataclass(frozen=True)
class Actor:
    """A shape and its acts, which follow each other from frame 0 to the last."""

    acts: tuple[Act, ...]

    @property
    def scene(self) -> Scene:
        """A scene with the colors, the size and the place of the actor."""
        return self.acts[0].scene

    def poses(self) -> np.ndarray:
        """Where the shape is in every frame: float64 (F, 4), columns as in ``Scene.poses``."""
        return np.concatenate([act.scene.poses(act.stop - act.start) for act in self.acts])

    def motion_at(self, frame: int) -> str | None:
        """The motion in a frame, or None where the actor stands still."""
        return self._act_at(frame).motion

    def box_at(self, frame: int) -> np.ndarray:
        """The smallest box around the shape in a frame, float64 (4,): x1, y1, x2, y2 in fractions of the frame."""
        act = self._act_at(frame)
        height, width = act.scene.background.shape[:2]
        pose = act.scene.poses(frame - act.start + 1)[-1]
        return np.array(bounding_box(act.scene, pose)) / [width, height, width, height]

    def _act_at(self, frame: int) -> Act:
        return next(act for act in self.acts if act.start <= frame < act.stop)


def draw_actors(
    rng: np.random.Generator,
    *,
    shapes: Sequence[str],
    timelines: Sequence[Timeline],
    height: int,
    width: int,
    size: float,
    slow_interval: int,
    turns_per_interval: tuple[float, float],
) -> list[Actor]:
    """Actors side by side on one background, from left to right.

    Args:
        shapes: of each actor.
        timelines: of each actor; the number of draws does not depend on the motions.
        size: of shapes and paths, relative to the clip form. Places keep every path inside the frame; if that leaves
            too little room, the paths of neighbors overlap.
        slow_interval, turns_per_interval: as in ``draw_scene``.
    """
    base_luma, base = draw_base_color(rng)
    background = draw_background(rng, base, height, width)
    noise_level, noise_seed = rng.uniform(0.0, 0.02), int(rng.integers(2**31))
    actors = []
    for place, (shape, timeline) in enumerate(zip(shapes, timelines, strict=True)):
        radius, path_radius = size * rng.uniform(0.24, 0.3), size * rng.uniform(0.14, 0.18)
        fill, outline = draw_shape_colors(rng, base_luma, base)
        look = {
            "shape": shape,
            "center": _draw_center(rng, place, len(shapes), reach=radius + path_radius, width=width / height),
            "path_radius": path_radius,
            "radius": radius,
            "fill": fill,
            "outline": outline,
            "background": background,
            "noise_level": noise_level,
            "noise_seed": noise_seed,
        }
        acts = [
            Act(start, stop, motion, _draw_act(rng, look, motion, slow_interval, turns_per_interval))
            for start, stop, motion in timeline
        ]
        actors.append(Actor(tuple(acts)))
    return actors


def render_actors(actors: Sequence[Actor]) -> np.ndarray:
    """All frames with all actors: uint8 (F, H, W, 3), RGB, anti-aliased."""
    return paint_frames(actors[0].scene, [(actor.scene, actor.poses()) for actor in actors])


def _draw_center(
    rng: np.random.Generator, place: int, num_actors: int, *, reach: float, width: float
) -> tuple[float, float]:
    """Center of an actor's path: anywhere in its share of the width that keeps the path inside the share and the
    frame."""
    share = width / num_actors
    slack_x, slack_y = max(0.0, share / 2 - reach), max(0.0, 0.5 - reach)
    x = share * (place + 0.5) + slack_x * rng.uniform(-1.0, 1.0)
    return float(np.clip(x, reach, width - reach)), 0.5 + slack_y * rng.uniform(-1.0, 1.0)


def _draw_act(
    rng: np.random.Generator,
    look: dict[str, Any],
    motion: str | None,
    slow_interval: int,
    turns_per_interval: tuple[float, float],
) -> Scene:
    """A scene with a motion from a random pose at a random speed, or without one."""
    phase, path_angle, orientation = rng.uniform(0.0, 1.0, 3)
    turns = rng.uniform(*turns_per_interval)
    family, direction = MOTIONS[motion] if motion else ("spin", 1)
    return Scene(
        **look,
        family=family,
        direction=direction,
        phase=phase,
        path_angle=path_angle,
        orientation=orientation,
        turns_per_frame=turns / slow_interval if motion else 0.0,
    )


class ActorSetSpec(SetSpec):
    """A set of videos with actors, each as a file and as a folder of its frames.

    Attributes:
        fps: of both.
        num_actors: in a video, from the first number to below the second.
        size: of the actors, in those of the clip form.
        video_folder, frame_folder: below the root.
        frame_separator: in the name of a frame, between its video and its number.
        first_frame_id: of a video in a frame list.
    """

    fps: ClassVar[int]
    num_actors: ClassVar[tuple[int, int]]
    size: ClassVar[float]
    video_folder: ClassVar[str]
    frame_folder: ClassVar[str]
    frame_separator: ClassVar[str]
    first_frame_id: ClassVar[int]
    shapes: tuple[str, ...]

    @property
    def num_frames(self) -> int:
        """Frames of a video."""
        raise NotImplementedError

    def video_id(self, split: str, index: int) -> str:
        """Name of a video."""
        raise NotImplementedError

    def draw_timeline(self, rng: np.random.Generator, index: int) -> Timeline:
        """What one of the actors of video ``index`` does."""
        raise NotImplementedError

    def actors(self, split: str, index: int) -> list[Actor]:
        """The actors of a video: a function only of (seed, split, index) and the set's other arguments."""
        rng = self.rng(split, index)
        num_actors = rng.integers(*self.num_actors)
        return draw_actors(
            rng,
            shapes=rng.choice(self.shapes, num_actors).tolist(),
            timelines=[self.draw_timeline(rng, index) for _ in range(num_actors)],
            size=self.size,
            **self.drawing,
        )

    def frame_labels(self, split: str, index: int) -> Sequence[Sequence[int]]:
        """Labels of every frame of a video, as its frame list gives them."""
        return [()] * self.num_frames

    def frame_path(self, video_id: str, frame: int) -> str:
        """Path of a frame below ``frame_folder``; files count from 1."""
        return f"{video_id}/{video_id}{self.frame_separator}{frame + 1:06d}.jpg"

    def paths(self) -> Iterator[str]:
        """Every video and picture file below the root."""
        for split in self.splits:
            for video_id in (self.video_id(split, index) for index in range(self.num_videos(split))):
                yield f"{self.video_folder}/{video_id}.mp4"
                for frame in range(self.num_frames):
                    yield f"{self.frame_folder}/{self.frame_path(video_id, frame)}"

    def frame_list(self, split: str) -> Iterator[str]:
        """The lines of a split's frame list."""
        yield f"{HEADER}\n"
        for index in range(self.num_videos(split)):
            video_id = self.video_id(split, index)
            for frame, labels in enumerate(self.frame_labels(split, index)):
                path = self.frame_path(video_id, frame)
                yield frame_list_row(video_id, index, self.first_frame_id + frame, path, labels)

    def write_video(self, draft: Path, split: str, index: int) -> None:
        """Writes one video below ``draft``, as a file and as a folder of frames."""
        video_id = self.video_id(split, index)
        frames = render_actors(self.actors(split, index))
        (draft / self.video_folder).mkdir(exist_ok=True)
        write_video(draft / self.video_folder / f"{video_id}.mp4", frames, fps=self.fps)
        (draft / self.frame_folder / video_id).mkdir(parents=True)
        for number, frame in enumerate(frames):
            path = draft / self.frame_folder / self.frame_path(video_id, number)
            Image.fromarray(frame).save(path, format="JPEG", quality=90)
