"""From folders, or annotations and files, to lists that a data set is built from."""

import json

import pytest

from slowfast.cli.prepare.main import main
from slowfast.config import load_cfg
from slowfast.datasets import build_dataset
from slowfast.datasets.lists.path_labels import read_path_label_list
from slowfast.preparation.files import read_table


def test_a_folder_of_classes_becomes_a_data_set(tmp_path, make_video, capsys):
    for name in ("big dogs", "#cats"):
        for i in range(5):
            make_video(tmp_path / "videos" / name / f"{i}.mp4")
    assert main(["lists", str(tmp_path / "videos"), str(tmp_path), "--split", "0.6", "0.2", "0.2"]) == 0
    assert f"{tmp_path}: 6 train, 2 val, 2 test videos of 2 classes" in capsys.readouterr().out
    assert json.loads((tmp_path / "classids.json").read_text()) == {"#cats": 0, "big dogs": 1}
    options = ["DATA.PATH_TO_DATA_DIR", str(tmp_path), "MODEL.NUM_CLASSES", 2, "NUM_GPUS", 0, "DATA.NUM_FRAMES", 8]
    options += ["DATA.SAMPLING_RATE", 1, "DATA.TRAIN_CROP_SIZE", 32, "DATA.TRAIN_JITTER_SCALES", [32, 32]]
    cfg = load_cfg("Kinetics/SLOWFAST_8x8_R50", options)
    dataset = build_dataset(cfg, "train")
    assert len(dataset) == 6 and dataset.class_names == ["#cats", "big dogs"]
    assert dataset[(0, 0)].frames.shape == (3, 8, 32, 32)
    assert dataset[(0, 0)].failures == ()


def test_kinetics_annotations_and_files_become_lists(tmp_path, capsys):
    videos = tmp_path / "videos"
    for name in ("washing_lizard/-B3-_xYz01Q_000017_000027.mp4", "zumba/id000000002.mp4", "zumba/other.mp4"):
        (videos / name).parent.mkdir(parents=True, exist_ok=True)
        (videos / name).write_bytes(b"")
    header = "label,youtube_id,time_start,time_end,split\n"
    (tmp_path / "k_train.csv").write_text(
        header + "washing lizard,-B3-_xYz01Q,17,27,train\nzumba,gone0000000,1,11,train\n"
    )
    (tmp_path / "k_validate.csv").write_text(header + "zumba,id000000002,1,11,validate\n")
    command = ["lists", str(videos), str(tmp_path / "k"), "--annotations"]
    command += [str(tmp_path / "k_train.csv"), str(tmp_path / "k_validate.csv"), "--test-from-val"]
    assert main(command) == 0
    out = capsys.readouterr().out
    assert "1 of 3 annotated videos are missing (33.3%)" in out and "1 train, 1 val, 1 test videos of 2 classes" in out
    found = read_path_label_list(tmp_path / "k" / "train.csv")
    assert list(found.paths) == [str(videos / "washing_lizard/-B3-_xYz01Q_000017_000027.mp4")]
    assert found.labels.tolist() == [0]
    assert (tmp_path / "k" / "test.csv").read_text() == (tmp_path / "k" / "val.csv").read_text()
    assert [row["youtube_id"] for row in read_table(tmp_path / "k" / "missing.csv")] == ["gone0000000"]
    assert [row["reason"] for row in read_table(tmp_path / "k" / "unlisted.csv")] == ["no annotation names it"]


def test_nothing_found_is_told_by_the_exit_code(tmp_path, capsys):
    (tmp_path / "videos").mkdir()
    (tmp_path / "train.csv").write_text("label,youtube_id,time_start,time_end,split\na,id000000001,0,10,train\n")
    command = ["lists", str(tmp_path / "videos"), str(tmp_path / "out"), "--annotations", str(tmp_path / "train.csv")]
    assert main(command) == 1
    assert "1 of 1 annotated videos are missing (100.0%)" in capsys.readouterr().out


@pytest.mark.parametrize(
    "options, words",
    [
        (["--annotations", "a.csv", "--split", "1", "0", "0"], "--split is for folders of classes"),
        (["--split", "1", "0", "0", "--test-from-val"], "--test-from-val: there is no video in val"),
    ],
)
def test_options_that_contradict(tmp_path, refused, options, words):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "1.mp4").write_bytes(b"")
    assert words in refused(main, ["lists", str(tmp_path), str(tmp_path / "out"), *options])
