"""Names of shapes and motions."""

import pytest

from slowfast.motion.classes import MOTIONS, direction_of, motion_of, shape_of
from slowfast.motion.clips import MotionSpec
from slowfast.motion.scene import SHAPES


def test_names_come_apart():
    for name in MotionSpec(shapes=tuple(SHAPES), motions=tuple(MOTIONS)).class_names:
        assert f"{shape_of(name)}-{motion_of(name)}" == name
        assert name.endswith("-" + direction_of(name))
    assert (shape_of("arrow-spin-cw"), motion_of("arrow-spin-cw"), direction_of("arrow-spin-cw")) == (
        "arrow",
        "spin-cw",
        "cw",
    )


@pytest.mark.parametrize("name", ["arrow", "arrow-spin", "walrus-spin-cw", "arrow-spin-cw-2", "washing lizard"])
def test_other_names_are_refused(name):
    with pytest.raises(ValueError, match=f"'{name}' is not a Motion class"):
        direction_of(name)


def test_motions_come_in_pairs_of_opposite_direction():
    assert sorted(MOTIONS.values()) == sorted((family, -direction) for family, direction in MOTIONS.values())
