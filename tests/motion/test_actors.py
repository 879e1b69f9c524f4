"""Several actors in one video: what they do when, where their boxes are, and that sparse frames show no direction."""

from dataclasses import replace

import numpy as np
import pytest

from slowfast.models.pathways import slow_frame_indices
from slowfast.motion.actors import Actor, draw_actors, render_actors
from slowfast.motion.scene import luma

TIMELINE = [(0, 10, "spin-cw"), (10, 24, None), (24, 40, "orbit-ccw")]


def draw(seed=0, *, shapes=("arrow", "key"), timelines=None, height=64, width=112, **options):
    options = {"size": 0.75, "slow_interval": 5, "turns_per_interval": (0.25, 0.75), **options}
    timelines = timelines or [TIMELINE] * len(shapes)
    return draw_actors(
        np.random.default_rng(seed), shapes=shapes, timelines=timelines, height=height, width=width, **options
    )


def still(actors):
    """The actors without the noise of the camera."""
    quiet = [replace(act, scene=replace(act.scene, noise_level=0.0)) for actor in actors for act in actor.acts]
    return [replace(actor, acts=tuple(quiet[3 * i : 3 * i + 3])) for i, actor in enumerate(actors)]


def test_an_actor_does_what_its_timeline_says():
    actor = draw()[0]
    assert [actor.motion_at(frame) for frame in (0, 9, 10, 23, 24, 39)] == [
        "spin-cw", "spin-cw", None, None, "orbit-ccw", "orbit-ccw"
    ]  # fmt: skip
    steps = np.diff(actor.poses(), axis=0)
    assert actor.poses().shape == (40, 4)
    spin, halt, orbit = steps[:9], steps[10:23], steps[24:]
    assert (np.abs(spin[:, :2]) < 1e-9).all() and (np.mod(spin[:, 2], 2 * np.pi) < np.pi).all()  # clockwise
    assert (halt == 0).all()
    assert (np.abs(orbit[:, :2]).max(1) > 0.01).all() and (orbit[:, 2:] == 0).all()


def test_actors_share_the_scenery_and_differ_in_all_else():
    one, other = (actor.scene for actor in draw(shapes=("arrow", "arrow")))
    assert one.background is other.background
    assert (one.noise_level, one.noise_seed) == (other.noise_level, other.noise_seed)
    assert one.center[0] < other.center[0]
    assert not np.allclose(one.fill, other.fill) and one.radius != other.radius


def test_the_scenery_does_not_depend_on_the_motions():
    """Else appearance would tell them: only what moves, and which way, may differ."""
    mirrored = [(0, 10, "spin-ccw"), (10, 24, "orbit-cw"), (24, 40, None)]
    one, other = draw(5), draw(5, timelines=[mirrored] * 2)
    for actor, twin in zip(one, other, strict=True):
        assert actor.scene.center == twin.scene.center
        for act, twin_act in zip(actor.acts, twin.acts, strict=True):
            assert act.scene.phase == twin_act.scene.phase
    assert np.array_equal(render_actors(one)[0], render_actors(other)[0])


@pytest.mark.parametrize("num_actors", [1, 2, 3])
@pytest.mark.parametrize("seed", range(8))
def test_boxes_hold_their_actor_and_touch_it_on_all_sides(seed, num_actors):
    """Against the pixels: what changes when one actor is painted alone."""
    actors = still(draw(seed, shapes=("arrow", "key", "pie")[:num_actors]))
    for actor in actors:
        bare = luma(255 * actor.scene.background)
        outline = luma(255 * actor.scene.outline)
        for frame in (0, 15, 30):
            shown = luma(render_actors([actor])[frame].astype(float))
            rows, columns = np.nonzero((shown - bare) / (outline - bare) > 0.5)  # more than half covered
            seen = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
            box = actor.box_at(frame) * [112, 64, 112, 64]
            assert np.allclose(box, box.round()) and np.abs(box - seen).max() <= 1
            assert 0 <= box[0] < box[2] <= 112 and 0 <= box[1] < box[3] <= 64


@pytest.mark.parametrize("width", [64, 80, 112, 160])
@pytest.mark.parametrize("seed", range(5))
def test_every_path_stays_inside_the_frame(seed, width):
    for actor in draw(seed, shapes=("arrow", "key", "pie"), width=width):
        x, y, _, radius = actor.poses().T
        assert (x - radius).min() > -1e-9 and (x + radius).max() < width / 64 + 1e-9
        assert (y - radius).min() > -1e-9 and (y + radius).max() < 1 + 1e-9


def test_actors_with_room_keep_apart():
    for seed in range(10):
        left, right = draw(seed, width=128)
        reach = left.scene.radius + left.scene.path_radius + right.scene.radius + right.scene.path_radius
        assert right.scene.center[0] - left.scene.center[0] > reach


def test_the_later_actor_is_in_front():
    in_the_middle = {"center": (0.5, 0.5), "path_radius": 0.0}
    behind, front = (
        Actor((replace(actor.acts[1], start=0, stop=1, scene=replace(actor.acts[1].scene, **in_the_middle)),))
        for actor in still(draw(0, shapes=("pie", "pie"), width=64))
    )
    both, alone = (render_actors(actors)[0].astype(int) for actors in ([behind, front], [front]))
    inside = np.abs(alone - 255 * front.scene.fill).max(-1) < 2
    assert inside.sum() > 100
    assert (both[inside] == alone[inside]).all()
    assert (both != alone).any()  # the one behind shows where the other is not


def test_slow_frames_of_a_clip_over_a_change_show_no_direction():
    """Mean turn from one Slow frame to the next, within and across acts, is alike in both directions.

    A clip of 16 frames whose Slow frames are 0, 5, 10, 15 and whose actor spins up to frame 7 and then halts: would
    the halt keep the pose of frame 7, the turn from frame 5 to 10 would be 2/5 of a whole step, always that way.
    """
    slow = slow_frame_indices(16, 4).tolist()
    assert slow == [0, 5, 10, 15]
    turns = {"spin-cw": [], "spin-ccw": []}
    small = {"height": 8, "width": 14}  # the pixels do not matter here
    for motion, found in turns.items():
        for seed in range(600):
            timeline = [(0, 8, motion), (8, 16, None)]
            (actor,) = draw(10_000 * (motion == "spin-cw") + seed, shapes=("arrow",), timelines=[timeline], **small)
            angle = actor.poses()[slow, 2] / (2 * np.pi)
            found.append(np.mod(np.diff(angle)[:2], 1))
    # Kolmogorov-Smirnov: equal distributions of 600 values exceed 1.63 sqrt(2 / 600) = 0.094 once in a hundred.
    grid = np.linspace(0, 1, 101)
    for step in (0, 1):
        cw, ccw = (np.searchsorted(np.sort(np.array(turns[name])[:, step]), grid) / 600 for name in turns)
        assert np.abs(cw - ccw).max() < 0.094
