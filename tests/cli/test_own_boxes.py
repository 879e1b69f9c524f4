"""Detection on your own set, with seconds from 0 at 25 frames per second: the commands of docs/DATASETS.md.

Motion in AVA form plays the set. The commands are those of the page, with overrides that make the network small.
"""

import csv
import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest

from slowfast.cli.eval_ava import main as eval_ava
from slowfast.cli.prepare.main import main as prepare
from slowfast.cli.run import main as run
from slowfast.motion.detection import DETECTION_FILES, DETECTIONS_FOLDER, MotionAvaSpec
from slowfast.motion.files import write_set
from tests.cli.runs import SMALL, keys, results_of

DOCS = Path(__file__).parents[2] / "docs" / "DATASETS.md"
SMALLER = SMALL + keys(
    "NUM_GPUS=0 RESNET.DEPTH=18 RESNET.TRANS_FUNC=basic_transform DATA.NUM_FRAMES=8 DATA.SAMPLING_RATE=2 "
    "SLOWFAST.ALPHA=4 SLOWFAST.BETA_INV=2 TEST.BATCH_SIZE=4 BN.NORM_TYPE=batchnorm "
    "RESNET.NUM_BLOCK_TEMP_KERNEL=[[2,2],[2,2],[2,2],[2,2]] NONLOCAL.LOCATION=[[[],[]],[[],[]],[[],[]],[[],[]]]"
)


class OwnClock(MotionAvaSpec):
    """Motion's movies at 25 frames per second, key frames from second 2 on, counted from the start of the file."""

    fps = 25
    start_second = 0


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """The folder of the page's ``data/mine``: movies, lists and a label map, and nothing of AVA's layout."""
    folder = tmp_path_factory.mktemp("own")
    spec = OwnClock(num_train=3, num_val=3, num_seconds=3, height=32, width=56)
    made = write_set(folder / "made", spec, num_workers=2).root
    mine = folder / "data" / "mine"
    mine.mkdir(parents=True)
    (made / "movies").rename(mine / "videos")
    annotations = made / "annotations"
    for split in ("train", "val"):
        (annotations / f"ava_{split}_v2.2.csv").rename(mine / f"{split}.csv")
    (annotations / DETECTIONS_FOLDER / DETECTION_FILES["val"]).rename(mine / "boxes.csv")
    (annotations / "ava_action_list_v2.2_for_activitynet_2019.pbtxt").rename(mine / "labels.pbtxt")
    return folder


@pytest.fixture(autouse=True)
def there(root, monkeypatch):
    monkeypatch.chdir(root)


@pytest.fixture(scope="module")
def trained(root):
    """outputs/mine, as the page's command writes it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        assert train_and_test() == 0


def documented(start: str) -> list[str]:
    """The arguments of the page's command that begins so."""
    section = DOCS.read_text().partition("### Your own boxes")[2].partition("\n## ")[0]
    (command,) = re.findall(rf"^slowfast {start}((?:.*\\\n)*.*)$", section, flags=re.MULTILINE)
    return shlex.split(command.replace("\\\n", " "))


def train_and_test(*more: str, output: str = "outputs/mine") -> int:
    words = documented("run")
    words[words.index("--output") + 1] = output
    at = words.index("--checkpoint")  # a network of another size cannot start from published weights
    return run([*words[:at], *words[at + 2 :], *SMALLER, *more])


def rows(path) -> list[list[str]]:
    return list(csv.reader(Path(path).open()))


def test_the_documented_commands_train_test_and_evaluate(trained, capsys):
    assert {int(row[1]) for row in rows("data/mine/val.csv")} == {2, 3, 4}
    results = results_of(Path("outputs/mine"))
    detected = rows("outputs/mine/detections.csv")
    assert {row[1] for row in detected} == {"0002", "0003", "0004"}
    assert len(detected) == 6 * sum(float(row[7]) >= 0.8 for row in rows("data/mine/boxes.csv"))
    assert results["config"]["MODEL"]["NUM_CLASSES"] == 6  # of the label map; the recipe's is 80
    assert results["protocol"]["sampling"]["fps"] == 25
    assert "MODEL.NUM_CLASSES 6 (data/mine/labels.pbtxt names 6 classes" in Path("outputs/mine/log.txt").read_text()

    assert eval_ava([*documented("eval-ava"), "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["mAP_percent"] == pytest.approx(results["figures"]["mAP"], abs=1e-3)


def test_extracted_frames_give_what_the_files_give(trained, capsys, refused):
    """The pixels differ by the JPEG files, so do the scores, a little."""
    assert prepare(["frames", *documented("prepare-data frames"), "--workers", "0"]) == 0
    frames = ["AVA.MOVIE_DIR", "", "AVA.FRAME_DIR", "data/mine/frames", "AVA.FRAME_LIST_DIR", "data/mine/frame_lists"]
    frames += ["AVA.FRAMES_START_SECONDS", "0", "TRAIN.ENABLE", "False"]
    frames += ["TEST.CHECKPOINT_FILE_PATH", "outputs/mine/checkpoints/checkpoint_epoch_00001.pyth"]
    assert train_and_test(*frames, output="outputs/frames") == 0, capsys.readouterr().err
    one, other = rows("outputs/mine/detections.csv"), rows("outputs/frames/detections.csv")
    assert [row[:7] for row in one] == [row[:7] for row in other]
    scores = np.array([[float(row[7]) for row in table] for table in (one, other)])
    assert 0 < np.abs(scores[0] - scores[1]).max() < 0.1

    for wrong, message in (
        (["AVA.FPS", "30"], "frames.json: these frames were extracted at 25 per second, but AVA.FPS is 30"),
        (["AVA.FRAMES_START_SECONDS", "900"], "lie outside their frame lists"),
    ):
        assert message in refused(train_and_test, *frames, *wrong, output="outputs/frames")


@pytest.mark.parametrize(
    "wrong, message",
    [
        (["AVA.FIRST_SECOND", "902"], "have the seconds 2 to 4, outside 902-1798. Set AVA.FIRST_SECOND and"),
        (["AVA.MOVIE_START_SECONDS", "900"], "with AVA.MOVIE_START_SECONDS=900 it shows the seconds 900.0 to 907.0"),
        (["AVA.LAST_SECOND", "-1"], "AVA.LAST_SECOND=-1 is before AVA.FIRST_SECOND=0"),
        (["AVA.FPS", "0"], "AVA.FPS=0.0: must be above 0"),
    ],
)
def test_another_clock_is_said_at_the_start(wrong, message, refused):
    assert message in refused(train_and_test, *wrong)


def test_fewer_seconds_are_evaluated_as_they_are_trained(capsys):
    assert train_and_test("AVA.LAST_SECOND=3", "AVA.FULL_TEST_ON_VAL=True", output="outputs/fewer") == 0
    assert {row[1] for row in rows("outputs/fewer/detections.csv")} == {"0002", "0003"}
    assert "val.csv: 3 of 9 key frames lie outside the seconds 0 to 3" in capsys.readouterr().out
    assert train_and_test("AVA.LAST_SECOND=3", output="outputs/nothing") == 2
    error = capsys.readouterr().err
    assert "Validation uses every 4th second" in error and "AVA.FULL_TEST_ON_VAL True" in error
