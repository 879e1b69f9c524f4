"""Frame lists in PySlowFast's format for Charades, and the files they are made from."""

import pytest

from slowfast.datasets.lists.frame_lists import read_frame_lists
from slowfast.preparation.frame_list_files import (
    charades_labels,
    read_video_ids,
    write_frame_list,
)

CHARADES = """id,subject,scene,quality,relevance,verified,script,objects,descriptions,actions,length
Q7ZZ1,AB12,Kitchen,6,7,Yes,"A person pours, then sits.",cup;chair,Someone pours.,c015 0.00 7.30;c061 5.10 12.90,13.50
EMPTY,AB12,Kitchen,6,7,Yes,"x",,y,,3.0
"""


def test_a_list_of_charades(tmp_path):
    (tmp_path / "Charades_v1_train.csv").write_text(CHARADES)
    write_frame_list(
        tmp_path / "train.csv",
        {"Q7ZZ1": 324, "EMPTY": 2},
        name="{id}-{number:06d}.jpg",
        first_id=1,
        labels_of=charades_labels(tmp_path / "Charades_v1_train.csv", fps=24),
    )
    lines = (tmp_path / "train.csv").read_text().splitlines()
    assert lines[0] == "original_vido_id video_id frame_id path labels"
    assert lines[1] == 'Q7ZZ1 0 1 Q7ZZ1/Q7ZZ1-000001.jpg "15"'
    assert lines[150] == 'Q7ZZ1 0 150 Q7ZZ1/Q7ZZ1-000150.jpg "15,61"'
    assert lines[324] == 'Q7ZZ1 0 324 Q7ZZ1/Q7ZZ1-000324.jpg ""'
    assert lines[325] == 'EMPTY 1 1 EMPTY/EMPTY-000001.jpg ""'
    found = read_frame_lists([tmp_path / "train.csv"])
    assert found.video_ids == ["Q7ZZ1", "EMPTY"]
    assert found.labels(0)[149] == (15, 61)


def test_a_list_of_ava(tmp_path):
    write_frame_list(tmp_path / "val.csv", {"mvA_0-xyz12": 61}, name="{id}_{number:06d}.jpg", first_id=0)
    # the example of section 4.3
    assert (tmp_path / "val.csv").read_text().splitlines()[61] == (
        'mvA_0-xyz12 0 60 mvA_0-xyz12/mvA_0-xyz12_000061.jpg ""'
    )


@pytest.mark.parametrize(
    "frame, expected",
    [(1, [3]), (24, [3]), (25, [3, 7]), (49, [3, 7]), (50, [7]), (73, [7]), (74, [])],  # seconds 0, 1 - 1/24, 1, 2, ...
)
def test_both_ends_of_an_action_belong_to_it(tmp_path, frame, expected):
    (tmp_path / "c.csv").write_text("id,actions\nA,c007 1.0 3.0;c003 0.0 2.0;c003 0.0 1.0\n")
    assert charades_labels(tmp_path / "c.csv", fps=24)("A", frame) == expected
    late = charades_labels(tmp_path / "c.csv", fps=24, start_seconds=1.0)  # frames that were cut from second 1 on
    assert frame <= 24 or late("A", frame - 24) == expected


@pytest.mark.parametrize("video_id", ["two words", 'quo"te', "tab\tid", ""])
def test_ids_that_the_format_cannot_hold(tmp_path, video_id):
    with pytest.raises(ValueError, match="cannot contain spaces or quotes, which 1 video ids have"):
        write_frame_list(tmp_path / "train.csv", {video_id: 1}, name="{id}_{number}.jpg", first_id=0)
    assert not (tmp_path / "train.csv").exists()


@pytest.mark.parametrize(
    "text",
    [
        "b,0902,0.1,0.1,0.2,0.2,12,0\nb,0902,0.1,0.1,0.2,0.2,79,0\na,0902,0.1,0.1,0.2,0.2,12,0\n",
        "b\na\n",
        "b.mp4\r\na.webm\r\n",
        "id,subject\nb,1\na,2\n",
        "\ufeffb\n\na\n",
    ],
)
def test_video_ids(tmp_path, text):
    (tmp_path / "ids").write_text(text, newline="")
    assert read_video_ids(tmp_path / "ids") == ["b", "a"]


def test_files_without_ids(tmp_path):
    (tmp_path / "ids").write_text("id\n")
    with pytest.raises(ValueError, match="names no video"):
        read_video_ids(tmp_path / "ids")
    with pytest.raises(ValueError, match=r"cannot read the video ids .*nowhere"):
        read_video_ids(tmp_path / "nowhere")
