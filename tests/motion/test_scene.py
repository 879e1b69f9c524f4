"""What Motion's frames show: the class and nothing but the class, and the direction to dense frames alone."""

from dataclasses import replace

import numpy as np
import pytest

from slowfast.models.pathways import slow_frame_indices
from slowfast.motion.classes import MOTIONS, direction_of, motion_of, shape_of
from slowfast.motion.clips import MotionSpec
from slowfast.motion.scene import FAMILIES, SHAPES, draw_scene, luma, render
from slowfast.video import sampling


def scene_of(name, *, seed=0, turns=(0.25, 0.75), **changes):
    """A scene of one class at 64x80, with so many turns in 5 frames."""
    family, direction = MOTIONS[motion_of(name)]
    scene = draw_scene(
        np.random.default_rng(seed),
        shape=shape_of(name),
        family=family,
        direction=direction,
        height=64,
        width=80,
        slow_interval=5,
        turns_per_interval=turns,
    )
    return replace(scene, **changes)


def every_class():
    return [f"{shape}-{motion}" for shape in ("arrow", "moon") for motion in MOTIONS]


@pytest.mark.parametrize("motion", MOTIONS)
def test_opposite_directions_negate_the_phase_and_nothing_else(motion):
    name = f"key-{motion}"
    forward = scene_of(name, phase=0.0)
    backward = replace(forward, direction=-forward.direction)
    np.testing.assert_allclose((forward.phases(20) + backward.phases(20)) % 1, 0, atol=1e-9)
    # In time, one is the other seen in reverse.
    late = replace(backward, phase=forward.phases(20)[-1])
    np.testing.assert_allclose(late.poses(20)[::-1], forward.poses(20), atol=1e-6)


@pytest.mark.parametrize("pair", [("spin-cw", "spin-ccw"), ("slide-right", "slide-left"), ("zoom-in", "zoom-out")])
def test_scenery_does_not_depend_on_the_direction(pair):
    one, other = (scene_of(f"pie-{motion}", seed=3) for motion in pair)
    assert np.array_equal(render(one, 1), render(other, 1))


def test_clockwise_is_clockwise_and_right_is_right():
    spin, orbit = scene_of("arrow-spin-cw"), scene_of("arrow-orbit-cw")
    angles = np.unwrap(spin.poses(3)[:, 2])
    assert (np.diff(angles) > 0).all()  # y points down, so growing angles turn clockwise
    x, y = (orbit.poses(2)[:, :2] - orbit.center).T
    assert x[0] * y[1] - y[0] * x[1] > 0
    assert np.diff(scene_of("arrow-slide-right", phase=0.1).poses(2)[:, 0]) > 0
    assert np.diff(scene_of("arrow-zoom-in", phase=0.1).poses(2)[:, 3]) > 0


RANGES = [(0.25, 0.75), (0.25, 1.25), (0.5, 1.5)]  # the default first; all within half a turn a frame at 5 frames


@pytest.mark.parametrize("low, high", RANGES)
@pytest.mark.parametrize("motion", ["spin-cw", "orbit-cw", "slide-right", "zoom-in"])
@pytest.mark.parametrize("seed", range(4))
def test_every_clip_has_a_twin_of_the_other_direction_with_the_same_slow_frames(low, high, motion, seed):
    """The proof of motion_scene.py, in pixels: theta' = -theta (mod 1) is as likely and shows the same Slow frames."""
    scene = scene_of(f"ell-{motion}", seed=seed, turns=(low, high))
    theta = 5 * scene.turns_per_frame
    twin_theta = low + (-theta - low) % 1
    assert low <= twin_theta < high
    twin = replace(scene, direction=-scene.direction, turns_per_frame=twin_theta / 5)
    frames, twin_frames = (render(s, 16).astype(int) for s in (scene, twin))
    assert np.abs(frames[::5] - twin_frames[::5]).max() <= 1
    assert np.abs(frames[1::5] - twin_frames[1::5]).max() > 50


@pytest.mark.parametrize("slow_interval, turns", [(5, (0.25, 0.75)), (5, (0.25, 1.25)), (15, (1.0, 3.0))])
def test_phase_steps_between_slow_frames_are_distributed_alike_in_both_directions(slow_interval, turns):
    spec = MotionSpec(height=32, width=32, shapes=("arrow",), slow_interval=slow_interval, turns_per_interval=turns)
    steps, fast_steps = {"cw": [], "ccw": []}, {"cw": [], "ccw": []}
    for index in range(1200):
        direction = direction_of(spec.class_names[spec.label("train", index)])
        phases = spec.scene("train", index).phases(slow_interval + 1)
        steps[direction].append((phases[-1] - phases[0]) % 1)
        fast_steps[direction].append((phases[1] - phases[0]) % 1)
    # Two-sample Kolmogorov-Smirnov distance; equal distributions exceed 1.63 sqrt(2 / 600) = 0.094 once in a hundred.
    grid = np.linspace(0, 1, 101)
    cw, ccw = (np.searchsorted(np.sort(steps[name]), grid) / 600 for name in ("cw", "ccw"))
    assert np.abs(cw - ccw).max() < 0.094
    assert max(fast_steps["cw"]) < 0.5 < min(fast_steps["ccw"])  # Fast frames separate them


@pytest.mark.parametrize("num_frames, sampling_rate, alpha", [(16, 1, 4), (4, 4, 1)])  # SlowFast 4x4, Slow 4x4
def test_slow_frames_of_test_views_are_one_slow_interval_apart(num_frames, sampling_rate, alpha):
    """Uneven steps would show the direction, as phases then advance by theta and a bit."""
    spec = MotionSpec()
    views = sampling.eval_clip_indices(spec.num_frames, spec.fps, num_frames, sampling_rate, 30, 10)
    slow = views[:, slow_frame_indices(num_frames, alpha)]
    assert (slow.diff(dim=1) == spec.slow_interval).all()


@pytest.mark.parametrize("shape", SHAPES)
def test_shapes_fit_their_circle_and_have_no_rotational_symmetry(shape):
    y, x = np.mgrid[-1.2:1.2:120j, -1.2:1.2:120j].astype(np.float32)

    def covered(angle):
        cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
        return SHAPES[shape](cos * x + sin * y, cos * y - sin * x) < 0

    still = covered(0.0)
    assert not still[np.hypot(x, y) > 1.02].any()
    assert 0.1 < still.sum() / (np.hypot(x, y) < 1).sum() < 0.9
    for angle in np.arange(30, 331, 10):
        turned = covered(np.deg2rad(angle))
        assert (turned & still).sum() < 0.86 * (turned | still).sum(), f"looks alike after {angle} degrees"


@pytest.mark.parametrize("name", every_class())
def test_the_shape_stays_inside_the_middle_of_the_frame(name):
    for seed in range(20):
        scene = scene_of(name, seed=seed)
        x, y, _, radius = scene.poses(30).T
        assert (y - radius).min() >= -1e-9 and (y + radius).max() <= 1 + 1e-9
        assert (x - radius).min() >= 0.05 and (x + radius).max() <= 80 / 64 - 0.05


@pytest.mark.parametrize("name", every_class()[:4])
def test_the_shape_stands_out(name):
    for seed in range(30):
        scene = scene_of(name, seed=seed, noise_level=0.0)
        bare = (255 * scene.background).astype(int)
        change = np.abs(luma(render(scene, 1)[0].astype(float)) - luma(bare.astype(float)))
        x, y, _, radius = scene.poses(1)[0] * 64
        assert np.sort(change.ravel())[-40:].min() > 0.25 * 255  # at least 40 pixels, clearly
        rows, columns = np.nonzero(change > 12)
        assert np.hypot(columns + 0.5 - x, rows + 0.5 - y).max() < radius + 2  # and nothing else moved


def test_drawing_is_anti_aliased():
    frames = render(scene_of("pie-slide-right", noise_level=0.0, turns_per_frame=0.001), 2)
    change = np.abs(frames[0].astype(int) - frames[1]).max(-1)  # after a step of 0.03 pixels
    assert 20 < (change > 0).sum() < 250 and change.max() < 20  # small ones along the edge, no pixel flips


def test_every_family_repeats_after_one_turn():
    for family in FAMILIES:
        scene = scene_of("arrow-spin-cw", turns_per_frame=0.25)
        poses = replace(scene, family=family, phase=0.1).poses(9)
        np.testing.assert_allclose(np.mod(poses[:5, 2], 2 * np.pi), np.mod(poses[4:, 2], 2 * np.pi), atol=1e-9)
        np.testing.assert_allclose(poses[:5, [0, 1, 3]], poses[4:, [0, 1, 3]], atol=1e-9)
