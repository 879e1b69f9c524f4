"""UCF101 and HMDB51 by their own annotation files, on a few small videos with the names that they really have."""

import shutil

import pytest

from slowfast.config import ConfigError, load_cfg
from slowfast.datasets import HMDB51, UCF101, build_dataset
from slowfast.datasets.lists.row_problems import AnnotationError
from slowfast.datasets.ucf_hmdb import read_hmdb_split, read_ucf_classes, read_ucf_list
from tests.datasets.toys import small_config

# The class that differs in case between folder and files is in the real set.
UCF_VIDEOS = [
    "ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi",
    "HandstandPushups/v_HandStandPushups_g08_c01.avi",
    "YoYo/v_YoYo_g01_c02.avi",
    "HandstandPushups/v_HandStandPushups_g01_c04.avi",
]
# Names with everything that a shell would trip over, as in the real set.
HMDB_VIDEOS = {
    "brush_hair": [
        "Brushing_Hair_with_Beth!_&_co_[1]_brush_hair_u_nm_np1_fr_goo_0.avi",
        "a_#2;(x)_h_cm_np1_ri_goo_1.avi",
    ],
    "cartwheel": ["(Rad)Schlag_die_Bank!_cartwheel_f_cm_np1_le_med_0.avi", "unused_cartwheel_0.avi"],
}


@pytest.fixture(scope="module")
def video(tmp_path_factory, helpers):
    path = tmp_path_factory.mktemp("video") / "a.avi"
    return helpers.write_video(path, codec="mpeg4", num_frames=30, fps=25)


@pytest.fixture
def ucf(tmp_path, video):
    """The set under a folder, its annotations in the folder that they are packed in."""
    for name in UCF_VIDEOS:
        path = tmp_path / "UCF-101" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(video, path)
    lists = tmp_path / "ucfTrainTestlist"
    lists.mkdir()
    (lists / "classInd.txt").write_bytes(b"1 ApplyEyeMakeup\r\n2 HandstandPushups\r\n3 YoYo\r\n")
    for fold, (train, test) in {1: ([0, 1], [2, 3]), 2: ([2, 3], [0, 1]), 3: ([0, 3], [1])}.items():
        numbers = {"ApplyEyeMakeup": 1, "HandstandPushups": 2, "YoYo": 3}
        rows = [f"{UCF_VIDEOS[i]} {numbers[UCF_VIDEOS[i].split('/')[0]]}" for i in train]
        (lists / f"trainlist{fold:02d}.txt").write_text("\r\n".join(rows) + "\r\n", newline="")
        (lists / f"testlist{fold:02d}.txt").write_text("\r\n".join(UCF_VIDEOS[i] for i in test), newline="")
    return tmp_path


@pytest.fixture
def hmdb(tmp_path, video):
    lists = tmp_path / "testTrainMulti_7030_splits"
    lists.mkdir()
    for name, videos in HMDB_VIDEOS.items():
        (tmp_path / "hmdb51" / name).mkdir(parents=True)
        for file in videos:
            shutil.copy(video, tmp_path / "hmdb51" / name / file)
    codes = {1: {"brush_hair": (1, 2), "cartwheel": (1, 0)}, 2: {"brush_hair": (2, 1), "cartwheel": (2, 1)}}
    for fold, of in codes.items():
        for name, pair in of.items():
            rows = "".join(f"{file} {code} \n" for file, code in zip(HMDB_VIDEOS[name], pair, strict=True))
            (lists / f"{name}_test_split{fold}.txt").write_text(rows)
    return tmp_path


def config(root, videos: str, name: str, num_classes: int):
    settings = {"DATA.PATH_PREFIX": str(root / videos), "DATA.TRAIN_JITTER_SCALES": [48, 48]}
    return small_config(name, root, num_classes, settings)


def ucf_config(root):
    return config(root, "UCF-101", "ucf101", 3)


def hmdb_config(root):
    return config(root, "hmdb51", "hmdb51", 2)


@pytest.mark.parametrize("fold, train, test", [(1, [0, 1], [2, 3]), (2, [2, 3], [0, 1]), (3, [0, 3], [1])])
def test_the_three_splits_of_ucf101(ucf, fold, train, test):
    cfg = ucf_config(ucf)
    cfg.DATA.FOLD = fold
    labels = [0, 1, 2, 1]
    for split, rows in (("train", train), ("val", test), ("test", test)):
        dataset = build_dataset(cfg, split)
        assert isinstance(dataset, UCF101) and not dataset.pyslowfast_reads_bgr
        assert list(dataset.paths) == [str(ucf / "UCF-101" / UCF_VIDEOS[i]) for i in rows]
        assert dataset.labels.tolist() == [labels[i] for i in rows]
        assert dataset.class_names == ["ApplyEyeMakeup", "HandstandPushups", "YoYo"]


def test_folders_and_files_of_another_case_or_ending_are_found(ucf):
    """Both spellings of HandstandPushups go round, and re-encoded copies are .mp4."""
    videos = ucf / "UCF-101"
    (videos / "HandstandPushups").rename(videos / "HandStandPushups")
    old = videos / "HandStandPushups" / "v_HandStandPushups_g08_c01.avi"
    old.rename(old.with_name("v_handstandpushups_g08_c01.mp4"))
    dataset = build_dataset(ucf_config(ucf), "train")
    assert dataset.paths[1] == str(videos / "HandStandPushups" / "v_handstandpushups_g08_c01.mp4")
    assert dataset[0, 1].failures == ()


def test_annotations_and_videos_may_lie_in_one_folder(ucf):
    for path in (ucf / "ucfTrainTestlist").iterdir():
        path.rename(ucf / "UCF-101" / path.name)
    cfg = ucf_config(ucf / "UCF-101")
    cfg.DATA.PATH_PREFIX = ""
    assert build_dataset(cfg, "train").paths[0] == str(ucf / "UCF-101" / UCF_VIDEOS[0])


def test_missing_videos_of_ucf101_are_named_with_their_lines(ucf):
    (ucf / "UCF-101" / UCF_VIDEOS[1]).unlink()
    with pytest.raises(AnnotationError, match=r"1 of 2 files are missing:\n  trainlist01\.txt:2: .*g08_c01\.avi"):
        build_dataset(ucf_config(ucf), "train")


def test_the_splits_of_hmdb51(hmdb):
    cfg = hmdb_config(hmdb)
    dataset = build_dataset(cfg, "train")
    assert isinstance(dataset, HMDB51)
    assert dataset.class_names == ["brush_hair", "cartwheel"]
    videos = hmdb / "hmdb51"
    brush, wheel = HMDB_VIDEOS["brush_hair"], HMDB_VIDEOS["cartwheel"]
    assert list(dataset.paths) == [str(videos / "brush_hair" / brush[0]), str(videos / "cartwheel" / wheel[0])]
    assert dataset.labels.tolist() == [0, 1]
    assert all(dataset[0, i].failures == () for i in range(2))
    test = build_dataset(cfg, "test")
    assert list(test.paths) == [str(videos / "brush_hair" / brush[1])] and test.labels.tolist() == [0]
    cfg.DATA.FOLD = 2
    assert list(build_dataset(cfg, "train").paths) == [
        str(videos / "brush_hair" / brush[1]),
        str(videos / "cartwheel" / wheel[1]),
    ]


def test_a_broken_video_of_hmdb51_is_named_by_the_file_of_its_class(hmdb):
    (hmdb / "hmdb51" / "brush_hair" / HMDB_VIDEOS["brush_hair"][1]).write_bytes(b"")
    views = build_dataset(hmdb_config(hmdb), "test")[0]
    assert views.failure.startswith("brush_hair_test_split1.txt:2: cannot open")


def test_settings_that_do_not_fit(ucf):
    cfg = ucf_config(ucf)
    cfg.MODEL.NUM_CLASSES = 101
    with pytest.raises(AnnotationError, match=r"names 3 classes, but MODEL\.NUM_CLASSES is 101"):
        build_dataset(cfg, "train")
    cfg.DATA.MULTI_LABEL = True
    with pytest.raises(ValueError, match=r"UCF101 has one label per video: set DATA\.MULTI_LABEL False"):
        build_dataset(cfg, "train")
    with pytest.raises(ConfigError, match=r"DATA\.FOLD=4 is not one of 1, 2, 3"):
        load_cfg("Kinetics/SLOWFAST_4x16_R50", ["DATA.FOLD", 4])


@pytest.mark.parametrize("name, pattern", [("ucf101", "classInd.txt"), ("hmdb51", r"\*_test_split1.txt")])
def test_a_folder_without_annotations(tmp_path, name, pattern):
    with pytest.raises(AnnotationError, match=rf"no {pattern} in {tmp_path}, {tmp_path}/.*PATH_TO_DATA_DIR"):
        build_dataset(config(tmp_path, "", name, 3), "train")


# ---- The annotation files ----


@pytest.mark.parametrize(
    "row, message",
    [
        ("v_YoYo_g01_c02.avi 3", "not a class and a file: 'v_YoYo_g01_c02.avi 3'"),
        ("Yoyos/v_YoYo_g01_c02.avi", "class Yoyos is not in classInd.txt"),
        ("YoYo/v_YoYo_g01_c02.avi 2", "YoYo has number 3, not 2"),
    ],
)
def test_bad_rows_of_ucf101(tmp_path, row, message):
    path = tmp_path / "testlist01.txt"
    path.write_text(f"YoYo/a.avi\n\n{row}\n")
    with pytest.raises(AnnotationError, match=rf"1 of 2 rows cannot be used:\n  testlist01\.txt:3: {message}"):
        read_ucf_list(path, ["A", "B", "YoYo"])


def test_crlf_a_byte_order_mark_and_blank_lines(tmp_path):
    path = tmp_path / "testlist01.txt"
    path.write_bytes(b"\xef\xbb\xbfYoYo/a b.avi\r\n\r\nYoYo/c.avi 1\r\n")
    found = read_ucf_list(path, ["YoYo"])
    assert list(found.paths) == ["YoYo/a b.avi", "YoYo/c.avi"]
    assert [found.location(i) for i in range(2)] == ["testlist01.txt:1", "testlist01.txt:3"]


def test_classes_of_ucf101_count_from_1(tmp_path):
    path = tmp_path / "classInd.txt"
    path.write_text("1 A\n3 B\n")
    with pytest.raises(AnnotationError, match=r"classInd\.txt:2: expected `2 ClassName`, .* found '3 B'"):
        read_ucf_classes(path)


def test_bad_rows_of_hmdb51(tmp_path):
    (tmp_path / "run_test_split1.txt").write_text("a b.avi 1\nc.avi 4\n")
    with pytest.raises(AnnotationError, match=r"run_test_split1\.txt:2: not a file and a code: 'c\.avi 4'"):
        read_hmdb_split(tmp_path, 1, "train")
    (tmp_path / "run_test_split1.txt").write_text("a b.avi 1\n")
    assert list(read_hmdb_split(tmp_path, 1, "train")[1].paths) == ["run/a b.avi"]
    with pytest.raises(AnnotationError, match="names no video of this part of the split"):
        read_hmdb_split(tmp_path, 1, "test")
