"""Drawing of the Motion data set: one random scene as a value, and the frames that show it.

A scene holds everything that is drawn at random: colors, background, size, place, start phase, speed. The class
decides two things only: the shape, and what the phase moves (``FAMILIES``: orientation, place, size). The direction is
the sign of the phase and nothing else, so reversing it does not change any other property or its probability.

Why Slow frames cannot show the direction. Let d source frames lie between two Slow frames and theta be the turns made
in between: uniform on [low, high), independent of the direction and of the start phase p. A pose repeats every turn, so
Slow frames show p, p + s theta, p + 2 s theta, ... modulo 1, with s = +1 or -1. Let the range be n whole turns wide, or
centered on a multiple m / 2 of half a turn. Then theta -> theta' with theta' = -theta (mod 1) maps it onto itself
(theta' = m - theta in the second case) and keeps the uniform distribution: the reversed scene with theta' shows the
very same Slow frames and is equally likely. Fast frames lie d times denser and turn by theta / d < 1/2 from one to the
next, which fits one direction only.

Letters: F frames, H W pixels. Coordinates: x to the right, y down, in frame heights; so growing angles turn clockwise.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

SUBPIXEL_MARGIN = 1.5  # pixels drawn around a shape's radius for its soft edge


@dataclass(frozen=True)
class Scene:
    """One drawn scene. Lengths are in frame heights, angles and phases in turns, colors in [0, 1].

    ``direction`` is +1 (the first motion of a pair) or -1 (the second); ``phase`` that of frame 0;
    ``turns_per_frame`` the absolute speed in turns per source frame; ``path_angle`` and ``orientation`` stay as
    they are unless the motion moves them; ``background`` is float32 (H, W, 3).
    """

    shape: str
    family: str
    direction: int
    phase: float
    turns_per_frame: float
    center: tuple[float, float]
    path_radius: float
    path_angle: float
    orientation: float
    radius: float
    fill: np.ndarray
    outline: np.ndarray
    background: np.ndarray
    noise_level: float
    noise_seed: int

    def phases(self, num_frames: int) -> np.ndarray:
        """Phase of every frame in turns, within [0, 1): float64 (F,)."""
        return np.mod(self.phase + self.direction * self.turns_per_frame * np.arange(num_frames), 1.0)

    def poses(self, num_frames: int) -> np.ndarray:
        """The poses of the shape: float64 (F, 4) with columns x, y, angle in radians (clockwise), radius."""
        x, y, orientation, radius = FAMILIES[self.family](self, self.phases(num_frames))
        columns = (x, y, 2 * np.pi * np.asarray(orientation), radius)
        return np.stack(np.broadcast_arrays(*columns), axis=1).astype(np.float64)


def _on_path(scene: Scene, angle: np.ndarray | float) -> tuple:
    turn = 2 * np.pi * np.asarray(angle)
    return scene.center[0] + scene.path_radius * np.cos(turn), scene.center[1] + scene.path_radius * np.sin(turn)


def _spin(scene: Scene, phase: np.ndarray) -> tuple:
    return (*_on_path(scene, scene.path_angle), phase, scene.radius)


def _orbit(scene: Scene, phase: np.ndarray) -> tuple:
    return (*_on_path(scene, phase), scene.orientation, scene.radius)


def _slide(scene: Scene, phase: np.ndarray) -> tuple:
    x = scene.center[0] + 2 * scene.path_radius * (phase - 0.5)
    return x, _on_path(scene, scene.path_angle)[1], scene.orientation, scene.radius


def _zoom(scene: Scene, phase: np.ndarray) -> tuple:
    # By the same factor each frame, so that the size says nothing of the speed.
    return (*_on_path(scene, scene.path_angle), scene.orientation, scene.radius * 0.4 * 2.5**phase)


# What the phase moves: (x, y, orientation, radius) of a scene at some phases. All repeat after one turn; slide and zoom
# jump back then. Spin and orbit look alike in one frame: there, place and orientation are both uniform on their circle.
FAMILIES: dict[str, Callable[[Scene, np.ndarray], tuple]] = {
    "spin": _spin,
    "orbit": _orbit,
    "slide": _slide,
    "zoom": _zoom,
}


def draw_scene(
    rng: np.random.Generator,
    *,
    shape: str,
    family: str,
    direction: int,
    height: int,
    width: int,
    slow_interval: int,
    turns_per_interval: tuple[float, float],
    color: str | None = None,
) -> Scene:
    """A random scene of one class. The draws do not depend on the class: equal generators give equal scenery.

    Args:
        shape, family: keys of SHAPES and FAMILIES.
        direction: +1 or -1.
        slow_interval: source frames between two Slow frames.
        turns_per_interval: (low, high), turns in one such interval, drawn uniformly.
        color: key of COLORS; None for any hue.
    """
    phase, path_angle, orientation = rng.uniform(0.0, 1.0, 3)
    turns = rng.uniform(*turns_per_interval)
    radius = rng.uniform(0.24, 0.3)
    path_radius = rng.uniform(0.14, 0.18)
    # The whole path stays inside the frame, and near its middle, so that any crop shows most of it.
    slack = max(0.0, 0.5 - path_radius - radius)
    center = (width / height / 2 + rng.uniform(-1.5, 1.5) * slack, 0.5 + rng.uniform(-1.0, 1.0) * slack)
    base_luma, base = draw_base_color(rng)
    fill, outline = draw_shape_colors(rng, base_luma, base, color=color)
    return Scene(
        shape=shape,
        family=family,
        direction=direction,
        phase=phase,
        turns_per_frame=turns / slow_interval,
        center=center,
        path_radius=path_radius,
        path_angle=path_angle,
        orientation=orientation,
        radius=radius,
        fill=fill,
        outline=outline,
        background=draw_background(rng, base, height, width),
        noise_level=rng.uniform(0.0, 0.02),
        noise_seed=int(rng.integers(2**31)),
    )


def render(scene: Scene, num_frames: int) -> np.ndarray:
    """The scene's first frames: uint8 (F, H, W, 3), RGB, anti-aliased."""
    return paint_frames(scene, [(scene, scene.poses(num_frames))])


def paint_frames(scenery: Scene, cast: Sequence[tuple[Scene, np.ndarray]]) -> np.ndarray:
    """Frames with any number of shapes: uint8 (F, H, W, 3), RGB, anti-aliased.

    Args:
        scenery: provides background and noise.
        cast: for each shape, from back to front, a scene that gives its kind and its colors, and poses (F, 4).
    """
    height, num_frames = len(scenery.background), len(cast[0][1])
    frames = np.repeat(scenery.background[None] * np.float32(255), num_frames, axis=0)
    for scene, poses in cast:
        for frame, pose in zip(frames, poses * [height, height, 1, height], strict=True):
            _paint(frame, pose, scene)
    _add_noise(frames, scenery)
    return np.clip(frames, 0, 255, out=frames).astype(np.uint8)


def bounding_box(scene: Scene, pose: np.ndarray) -> tuple[int, int, int, int]:
    """The smallest box around the shape at a pose (4,), even if something hides it: x1, y1, x2, y2 in pixels.

    It lies within the frame. Edges lie between pixels: a shape that covers columns 3 to 7 has x1 = 3 and x2 = 8.
    """
    rows, columns = np.nonzero(shape_mask(scene, pose))
    return columns.min(), rows.min(), columns.max() + 1, rows.max() + 1


def shape_mask(scene: Scene, pose: np.ndarray) -> np.ndarray:
    """Which pixels show the shape at a pose (4,): bool (H, W)."""
    height, width = scene.background.shape[:2]
    top, left, distance = _distances(scene.shape, pose * [height, height, 1, height], height, width)
    mask = np.zeros((height, width), dtype=bool)
    mask[top : top + distance.shape[0], left : left + distance.shape[1]] = distance < 0
    return mask


def luma(color: np.ndarray) -> np.ndarray:
    """Brightness (Rec. 601) of RGB colors (..., 3), in their own unit."""
    return color @ np.array([0.299, 0.587, 0.114], dtype=np.float32)


def _paint(frame: np.ndarray, pose: np.ndarray, scene: Scene) -> None:
    """Paints the shape into one float32 frame (H, W, 3) in [0, 255]. Pose in pixels and radians."""
    top, left, distance = _distances(scene.shape, pose, *frame.shape[:2])
    patch = frame[top : top + distance.shape[0], left : left + distance.shape[1]]
    for inset, color in ((0.0, scene.outline), (1.2, scene.fill)):  # an outline 1.2 pixels wide
        coverage = np.clip(0.5 - inset - distance, 0.0, 1.0)[..., None]
        patch += coverage * (np.float32(255) * color - patch)


def _distances(shape: str, pose: np.ndarray, height: int, width: int) -> tuple[int, int, np.ndarray]:
    """(top, left) of the part of a frame around a shape, and its pixels' signed distances to the edge, in pixels."""
    x, y, angle, radius = pose
    reach = radius + SUBPIXEL_MARGIN
    top, bottom = max(0, int(y - reach)), min(height, int(y + reach) + 2)
    left, right = max(0, int(x - reach)), min(width, int(x + reach) + 2)
    rows = (np.arange(top, bottom, dtype=np.float32) + np.float32(0.5 - y))[:, None] / np.float32(radius)
    columns = (np.arange(left, right, dtype=np.float32) + np.float32(0.5 - x))[None] / np.float32(radius)
    cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    return top, left, SHAPES[shape](cos * columns + sin * rows, cos * rows - sin * columns) * np.float32(radius)


def _add_noise(frames: np.ndarray, scene: Scene) -> None:
    """Adds sensor noise to float32 frames (F, H, W, 3) in place: one noise tile, shifted from frame to frame."""
    rng = np.random.default_rng(scene.noise_seed)
    height, width = frames.shape[1:3]
    tile = (255 * scene.noise_level * rng.standard_normal((height + 16, width + 16, 1))).astype(np.float32)
    for frame, (top, left) in zip(frames, rng.integers(0, 17, (len(frames), 2)), strict=True):
        frame += tile[top : top + height, left : left + width]


def draw_base_color(rng: np.random.Generator) -> tuple[float, np.ndarray]:
    """Luma and color, float32 (3,), of a background."""
    base_luma = rng.uniform(0.1, 0.4)  # light on dark throughout: either polarity would take about twice the training
    return base_luma, _tint(rng, base_luma, strength=0.2)


def draw_shape_colors(
    rng: np.random.Generator, base_luma: float, base: np.ndarray, *, color: str | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Fill and outline of a shape, float32 (3,): fill and background differ by at least 0.4 in luma.

    With a named ``color`` they differ by at least 0.3: a lighter fill would leave its hue no room.
    """
    target_luma = base_luma + rng.uniform(0.4, 0.55)
    if color is None:
        fill = _tint(rng, target_luma, strength=0.5)
    else:
        fill = _saturated(np.array(COLORS[color], np.float32), min(target_luma, 0.7), strength=0.5)
    return fill, 0.55 * fill + 0.45 * base


def _tint(rng: np.random.Generator, target_luma: float, *, strength: float) -> np.ndarray:
    """A random hue of the given luma."""
    return _saturated(rng.uniform(-1.0, 1.0, 3).astype(np.float32), target_luma, strength=strength)


def _saturated(hue: np.ndarray, target_luma: float, *, strength: float) -> np.ndarray:
    """A hue (3,) at the given luma; its saturation is as large as the RGB cube allows, at most ``strength``."""
    hue = hue - luma(hue)  # now without brightness
    hue *= strength / max(1e-3, np.abs(hue).max())
    room = np.where(hue > 0, 1 - target_luma, target_luma) / np.maximum(np.abs(hue), 1e-6)
    return (target_luma + min(1.0, float(room.min())) * hue).astype(np.float32)


def draw_background(rng: np.random.Generator, base: np.ndarray, height: int, width: int) -> np.ndarray:
    """A still background: gradient, clouds and faint distractors around one color. float32 (H, W, 3) in [0, 1]."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32) / np.float32(height)
    angle = rng.uniform(0, 2 * np.pi)
    ramp = (x - width / height / 2) * np.cos(angle) + (y - 0.5) * np.sin(angle)
    shade = rng.uniform(0.0, 0.16) * ramp + _clouds(rng, height, width)
    for _ in range(rng.integers(2, 6)):
        shade += rng.uniform(0.03, 0.1) * rng.choice([-1, 1]) * _distractor(rng, x, y, width / height)
    slope = _tint(rng, 0.5, strength=0.12) - 0.5
    return np.clip(base + shade[..., None] + ramp[..., None] * slope, 0.0, 1.0).astype(np.float32)


def _clouds(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Smooth texture, (H, W), a few hundredths strong: random values on a coarse grid, interpolated."""
    cells = 6
    grid = rng.normal(0.0, rng.uniform(0.0, 0.04), (cells, cells))
    rows, columns = (np.linspace(0, cells - 1, size) for size in (height, width))
    grid = np.stack([np.interp(rows, np.arange(cells), column) for column in grid.T], axis=1)
    return np.stack([np.interp(columns, np.arange(cells), row) for row in grid])


def _distractor(rng: np.random.Generator, x: np.ndarray, y: np.ndarray, aspect: float) -> np.ndarray:
    """Coverage in [0, 1] of a still disc, bar or ring somewhere in the frame, (H, W)."""
    center_x, center_y, angle = rng.uniform(0, aspect), rng.uniform(0, 1), rng.uniform(0, np.pi)
    size, kind = rng.uniform(0.06, 0.2), rng.integers(3)
    u = (x - center_x) * np.cos(angle) + (y - center_y) * np.sin(angle)
    v = (y - center_y) * np.cos(angle) - (x - center_x) * np.sin(angle)
    distance = (np.hypot(u, v) - size, _box(u, v, 0, 0, 2 * size, 0.03), np.abs(np.hypot(u, v) - size) - 0.02)[kind]
    return np.clip(0.5 - distance * len(x), 0.0, 1.0)


def _box(x: np.ndarray, y: np.ndarray, center_x: float, center_y: float, half_x: float, half_y: float) -> np.ndarray:
    """Signed distance to an axis-parallel box (negative inside; exact on the edges, a bound at outer corners)."""
    return np.maximum(np.abs(x - np.float32(center_x)) - half_x, np.abs(y - np.float32(center_y)) - half_y)


def _disc(x: np.ndarray, y: np.ndarray, center_x: float, radius: float) -> np.ndarray:
    return np.hypot(x - np.float32(center_x), y) - radius


def _arrow(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """A shaft and a triangular head that points to +x."""
    head = np.maximum(np.float32(0.8) * x + np.float32(0.6) * np.abs(y) - 0.57, -x)
    return np.minimum(head, _box(x, y, -0.4, 0, 0.5, 0.24))


def _ell(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The letter L: a long and a short arm."""
    return np.minimum(_box(x, y, -0.35, -0.06, 0.2, 0.78), _box(x, y, 0.07, 0.52, 0.62, 0.2))


def _key(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """A ring with a shaft and one bit."""
    ring = np.abs(_disc(x, y, -0.5, 0.33)) - 0.16
    shaft = _box(x, y, 0.38, 0, 0.58, 0.13)
    return np.minimum(np.minimum(ring, shaft), _box(x, y, 0.66, 0.26, 0.15, 0.26))


def _pie(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """A disc without a quarter, which opens to +x."""
    mouth = np.float32(0.7071) * (np.abs(y) - x)  # negative inside the quarter
    return np.maximum(_disc(x, y, 0.0, 0.92), -mouth)


def _flag(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """A pole along x with a square cloth at one end."""
    return np.minimum(_box(x, y, 0, -0.45, 0.8, 0.14), _box(x, y, -0.35, 0.1, 0.45, 0.45))


def _moon(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """A crescent that opens to +x."""
    return np.maximum(_disc(x, y, 0.0, 0.92), -_disc(x, y, 0.5, 0.72))


def _drop(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """A disc drawn out to a tip at +x."""
    tip = np.maximum(np.float32(0.42) * x + np.float32(0.91) * np.abs(y) - 0.4, -0.3 - x)
    return np.minimum(_disc(x, y, -0.4, 0.5), tip)


# Hues, as the corners of the RGB cube that they point to.
COLORS: dict[str, tuple[int, int, int]] = {
    "red": (1, 0, 0),
    "yellow": (1, 1, 0),
    "green": (0, 1, 0),
    "cyan": (0, 1, 1),
    "blue": (0, 0, 1),
    "magenta": (1, 0, 1),
}

# Signed distance in units of the radius, negative inside. All fit the unit circle, and none looks the same after any
# turn below a whole one: a shape with rotational symmetry would alias at Fast frames too.
SHAPES: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "arrow": _arrow,
    "ell": _ell,
    "key": _key,
    "pie": _pie,
    "flag": _flag,
    "moon": _moon,
    "drop": _drop,
}
