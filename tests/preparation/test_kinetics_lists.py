"""Annotations of Kinetics meet the files that are there, in the layouts that downloaders leave."""

import json
import os

import pytest

from slowfast.preparation.kinetics_lists import kinetics_lists, read_annotations
from tests.preparation.conftest import put

TRAIN = """label,youtube_id,time_start,time_end,split,is_cc
washing lizard,aB3-_xYz01Q,17,27,train,0
washing lizard,-_-_-_-_-_-,0,10,train,0
abseiling,abc_123_456,5.0,15.0,train,0
abseiling,gone0000000,1,11,train,0
"""
VAL = "label,youtube_id,time_start,time_end,split\nzumba,two_parts_0,1,11,validate\nzumba,two_parts_0,20,30,validate\n"
TEST = "youtube_id,time_start,time_end,split\nhidden00000,3,13,test\n"


def annotate(folder, **texts):
    paths = []
    for name, text in texts.items():
        (folder / f"{name}.csv").write_text(text)
        paths.append(folder / f"{name}.csv")
    return paths


def names_of(lists, split, root):
    return [(os.path.relpath(path, root), label) for path, label in lists.rows[split]]


LAYOUTS = {
    "crawler": ["washing lizard/aB3-_xYz01Q_000017_000027.mp4", "washing lizard/-_-_-_-_-_-_000000_000010.webm",
                "abseiling/abc_123_456_000005_000015.mkv"],
    "underscores": ["washing_lizard/aB3-_xYz01Q_000017_000027.mp4", "washing_lizard/-_-_-_-_-_-_000000_000010.webm",
                    "abseiling/abc_123_456_000005_000015.mkv"],
    "without times": ["washing lizard/aB3-_xYz01Q.mp4", "washing_lizard/-_-_-_-_-_-.webm", "abseiling/abc_123_456.mkv"],
    "flat": ["aB3-_xYz01Q_000017_000027.mp4", "-_-_-_-_-_-_000000_000010.webm", "abc_123_456_000005_000015.mkv"],
    "split folders": ["train/aB3-_xYz01Q_000017_000027.mp4", "train/-_-_-_-_-_-_000000_000010.webm",
                      "train/abc_123_456_000005_000015.mkv"],
    "split and class": ["train/washing_lizard/aB3-_xYz01Q_000017_000027.mp4",
                        "train/washing_lizard/-_-_-_-_-_-_000000_000010.webm", "train/abseiling/abc_123_456.mkv"],
}  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS)
def test_videos_are_found_in_any_layout(layout, tmp_path):
    root = put(tmp_path / "videos", *LAYOUTS[layout])
    lists = kinetics_lists(annotate(tmp_path, train=TRAIN), root)
    assert lists.class_names == ["abseiling", "washing lizard"]
    assert names_of(lists, "train", root) == list(zip(LAYOUTS[layout], (1, 1, 0), strict=True))
    assert lists.missing == [("train", "gone0000000", 1, 11, "abseiling", "no such file")]
    assert lists.unlisted == []


def test_an_id_with_two_segments_needs_times(tmp_path):
    root = put(tmp_path / "videos", "zumba/two_parts_0_000020_000030.mp4", "zumba/two_parts_0.mp4")
    lists = kinetics_lists(annotate(tmp_path, val=VAL), root)
    assert names_of(lists, "val", root) == [("zumba/two_parts_0_000020_000030.mp4", 0)]
    assert lists.missing == [("val", "two_parts_0", 1, 11, "zumba", "no such file")]
    assert [why for _, why in lists.unlisted] == ["the id has several segments, but the file name has no times"]


def test_folders_tell_segments_of_one_id_apart(tmp_path):
    train = "label,youtube_id,time_start,time_end,split\na,same_id_000,1,11,train\nb,same_id_000,20,30,train\n"
    root = put(tmp_path / "videos", "a/same_id_000.mp4", "b/same_id_000.mp4")
    lists = kinetics_lists(annotate(tmp_path, train=train), root)
    assert names_of(lists, "train", root) == [("a/same_id_000.mp4", 0), ("b/same_id_000.mp4", 1)]


def test_classes_that_differ_by_case_stay_apart_and_stray_quotes_go(tmp_path):  # two classes of Kinetics-600
    upper, lower = "passing American football (in game)", "passing american football (not in game)"
    rows = f'label,youtube_id,time_start,time_end,split\n"""{lower}""",id000000001,0,10,train\n'
    rows += f"{upper},id000000002,0,10,train\n"
    root = put(tmp_path / "videos", f"{lower}/id000000001_000000_000010.mp4", f"{upper}/id000000002_000000_000010.mp4")
    lists = kinetics_lists(annotate(tmp_path, train=rows), root)
    assert lists.class_names == [upper, lower]  # "A" stands before "a"
    assert [label for _, label in lists.rows["train"]] == [1, 0]
    assert not any("another class" in note for note in lists.notes)


def test_a_replacement_is_preferred_and_the_rest_is_told(tmp_path):
    root = put(
        tmp_path / "videos",
        "replacement/aB3-_xYz01Q_000017_000027.mp4",
        "train/aB3-_xYz01Q_000017_000027.mp4",
        "train/aB3-_xYz01Q_000099_000109.mp4",
        "train/never_named.mp4",
        "train/readme.txt",
    )
    lists = kinetics_lists(annotate(tmp_path, train=TRAIN), root)
    assert names_of(lists, "train", root) == [("replacement/aB3-_xYz01Q_000017_000027.mp4", 1)]
    assert {os.path.relpath(path, root): why for path, why in lists.unlisted} == {
        "train/aB3-_xYz01Q_000017_000027.mp4": "another file was chosen for this video",
        "train/aB3-_xYz01Q_000099_000109.mp4": "annotated with other times",
        "train/never_named.mp4": "no annotation names it",
        "train/readme.txt": "not a video file, by its extension",
    }


def test_the_same_row_twice_is_one_video_and_leaks_are_told(tmp_path):
    train = TRAIN + "washing lizard,aB3-_xYz01Q,17,27,train,0\n"
    val = "label,youtube_id,time_start,time_end,split\nwashing lizard,aB3-_xYz01Q,17,27,val\n"
    root = put(tmp_path / "videos", "aB3-_xYz01Q_000017_000027.mp4")
    lists = kinetics_lists(annotate(tmp_path, train=train, val=val), root)
    assert len(lists.rows["train"]) == len(lists.rows["val"]) == 1
    assert any(note.startswith("1 YouTube ids are in more than one split") for note in lists.notes)


def test_a_file_in_the_folder_of_another_class_is_told(tmp_path):
    root = put(tmp_path / "videos", "abseiling/aB3-_xYz01Q_000017_000027.mp4", "test/hidden00000_000003_000013.mp4")
    lists = kinetics_lists(annotate(tmp_path, train=TRAIN, test=TEST), root)
    assert lists.rows["train"][0][1] == 1
    assert names_of(lists, "test", root) == [("test/hidden00000_000003_000013.mp4", None)]  # withheld
    assert any(note.startswith("1 videos are in the folder of another class") for note in lists.notes)


def test_the_json_twin_says_the_same(tmp_path):
    (tmp_path / "train.csv").write_text(TRAIN)
    rows = [line.split(",") for line in TRAIN.splitlines()[1:]]
    twin = {
        youtube_id: {
            "annotations": {"label": label, "segment": [float(start), float(end)]},
            "duration": 10.0,
            "subset": subset,
            "url": f"https://www.youtube.com/watch?v={youtube_id}",
        }
        for label, youtube_id, start, end, subset, _ in rows
    }
    (tmp_path / "train.json").write_text(json.dumps(twin))
    assert read_annotations(tmp_path / "train.json") == read_annotations(tmp_path / "train.csv")


def test_the_split_may_stand_in_the_name_of_the_file(tmp_path):
    (tmp_path / "kinetics-400_val.csv").write_text("label,youtube_id,time_start,time_end\na,id000000001,0,10\n")
    assert read_annotations(tmp_path / "kinetics-400_val.csv")[0].split == "val"


def test_bad_rows_are_named(tmp_path):
    (tmp_path / "train.csv").write_text(
        "label,youtube_id,time_start,time_end,split\n"
        "a,id000000001,0,10,train\n"
        "a,,0,10,train\n"
        "a,id000000002,x,10,train\n"
        "a,id000000003,0,10,holdout\n"
    )
    with pytest.raises(ValueError) as caught:
        read_annotations(tmp_path / "train.csv")
    message = str(caught.value)
    assert "3 rows cannot be used" in message
    assert "train.csv:3: no youtube_id" in message
    assert "train.csv:4: time_start is 'x'" in message
    assert "train.csv:5: split is 'holdout'" in message


@pytest.mark.parametrize(
    "name, text, words",
    [
        ("a.csv", "path label\nx 1\n", "has no column youtube_id, time_start, time_end .*first line is 'path label'"),
        ("a.csv", "label,youtube_id,time_start,time_end,split\n", "holds no rows"),
        ("a.json", '{"x": 1}', "not a Kinetics annotation file"),
        ("a.json", "[1, 2]", "not a Kinetics annotation file"),
    ],
)
def test_other_files_are_refused(tmp_path, name, text, words):
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=words):
        read_annotations(tmp_path / name)


def test_given_classes_decide_the_labels(tmp_path):
    root = put(tmp_path / "videos", "aB3-_xYz01Q_000017_000027.mp4")
    names = ["washing lizard", "abseiling", "zumba"]
    assert kinetics_lists(annotate(tmp_path, train=TRAIN), root, class_names=names).rows["train"][0][1] == 0
    with pytest.raises(ValueError, match="1 classes that are not among the 2 given, such as 'abseiling'"):
        kinetics_lists(annotate(tmp_path, train=TRAIN), root, class_names=["washing lizard", "zumba"])
