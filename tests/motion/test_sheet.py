"""What a sheet of the AVA or Charades form shows, read from the files alone."""

import numpy as np
import pytest
from PIL import Image

from slowfast.motion.detection import MotionAvaSpec
from slowfast.motion.files import write_set
from slowfast.motion.multilabel import MotionCharadesSpec
from slowfast.motion.sheet import BOX_COLORS, ava_rows, charades_rows, sample_sheet

SIZE = {"height": 32, "width": 56}


@pytest.fixture(scope="module")
def ava(tmp_path_factory):
    spec = MotionAvaSpec(num_train=2, num_val=0, num_seconds=2, **SIZE)
    return write_set(tmp_path_factory.mktemp("sheet") / "ava", spec)


@pytest.fixture(scope="module")
def charades(tmp_path_factory):
    spec = MotionCharadesSpec(num_train=2, num_test=0, num_seconds=2, **SIZE)
    return write_set(tmp_path_factory.mktemp("sheet") / "charades", spec)


def test_rows_of_the_ava_form(ava):
    rows = dict(ava_rows(ava.root, "train", num_columns=6))
    assert list(rows) == ["Mo-train000", "Mo-train001"]
    for index, tiles in enumerate(rows.values()):
        actors = ava.spec.actors("train", index)
        assert [tile.time for tile in tiles] == ["second 902", "second 903"]
        for tile, frame in zip(tiles, (60, 90), strict=True):
            assert tile.picture.name.endswith(f"_{frame + 1:06d}.jpg") and tile.picture.is_file()
            names = [" + ".join(filter(None, (a.motion_at(frame), a.scene.shape))) for a in actors]
            assert [text for text, _ in tile.notes] == names
            for actor, (_, box) in zip(actors, tile.notes, strict=True):
                assert np.allclose(actor.box_at(frame), box, atol=5e-4)


def test_rows_of_the_charades_form(charades):
    rows = dict(charades_rows(charades.root, "train", num_columns=4))
    assert list(rows) == ["A0000", "A0001"]
    for index, tiles in enumerate(rows.values()):
        labels = charades.spec.frame_labels("train", index)
        assert [tile.picture.name for tile in tiles] == [f"A000{index}-0000{n}.jpg" for n in ("07", "19", "31", "43")]
        for tile, frame in zip(tiles, (6, 18, 30, 42), strict=True):
            assert [text for text, _ in tile.notes] == [charades.spec.class_names[label] for label in labels[frame]]


def test_the_picture_has_the_boxes(ava, tmp_path):
    with Image.open(sample_sheet(ava.root, tmp_path / "sheet.png")) as image:
        pixels = np.asarray(image)
    assert image.size[0] > 2 * 2 * 56 and image.size[1] > 2 * 2 * 32
    for color in BOX_COLORS[:2]:
        assert (pixels == color).all(-1).sum() > 100


def test_a_split_without_videos_has_no_picture(charades, tmp_path):
    with pytest.raises(ValueError, match="in the layout of Charades, test: this split holds no videos"):
        sample_sheet(charades.root, tmp_path / "sheet.png", split="test")
