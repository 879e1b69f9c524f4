"""A shape and its distractor: one above the other, with opposite motions, so that the class depends on which shape
makes which.

Each shape has one half of the frame's height and, if it slides, the frame's whole width. Either may be above. The two
are drawn independently from the same distribution, except for the direction: so scene.py's proof holds for each of
them, and Slow frames show neither direction. Nor does the sum of all motion in the frame, because every video contains
both directions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from slowfast.motion.classes import MOTIONS
from slowfast.motion.scene import Scene, draw_background, draw_base_color, draw_scene, draw_shape_colors


class Part(NamedTuple):
    """What one of the two is drawn from: names of SHAPES, COLORS (None: any hue) and MOTIONS."""

    shape: str
    color: str | None
    motion: str


def draw_pair(
    rng: np.random.Generator,
    parts: Sequence[Part],
    *,
    height: int,
    width: int,
    **speed,
) -> list[Scene]:
    """The scenes of two shapes, the upper one first, with the same background and noise.

    Args:
        parts: upper and lower shape.
        height, width, speed: as in ``draw_scene``.
    """
    base_luma, base = draw_base_color(rng)
    scenery: dict[str, Any] = {
        "background": draw_background(rng, base, height, width),
        "noise_level": rng.uniform(0.0, 0.02),
        "noise_seed": int(rng.integers(2**31)),
    }
    scenes = []
    for lane, part in enumerate(parts):
        family, direction = MOTIONS[part.motion]
        window: dict[str, Any] = {"height": height, "width": width}
        scene = draw_scene(rng, shape=part.shape, family=family, direction=direction, **window, **speed)
        # Colors are drawn against the background that the shape is seen on, which is not the scene's own.
        fill, outline = draw_shape_colors(rng, base_luma, base, color=part.color)
        scenes.append(replace(_in_lane(rng, scene, lane, width / height), fill=fill, outline=outline, **scenery))
    return scenes


def _in_lane(rng: np.random.Generator, scene: Scene, lane: int, width: float) -> Scene:
    """The scene with a size and a path that fit the upper (lane 0) or lower half of a frame of a height of 1."""
    radius = rng.uniform(0.15, 0.19)
    room = 0.25 - radius
    middle = 0.25 + 0.5 * lane
    if scene.family == "slide":
        center, path_radius, path_angle = (width / 2, middle + rng.uniform(-room, room)), width / 2 - radius, 0.0
    else:
        x = rng.uniform(0.25, width - 0.25)
        center, path_radius, path_angle = (x, middle), room, scene.path_angle
    return replace(scene, radius=radius, center=center, path_radius=path_radius, path_angle=path_angle)
