"""What TENSORBOARD.* keys make of a run, read back with TensorBoard's own reader, and writers of one's own."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from slowfast.cli.run import main
from tests.cli.runs import RECIPE, SEVERAL_LABELS, keys, output_of, results_of

WRITER = '''
from slowfast.utils.run_writers import WRITER_REGISTRY, RunWriter


@WRITER_REGISTRY.register()
class Notes(RunWriter):
    """A line for each thing that it is told."""

    def note(self, *what):
        with open(self.output_dir / "notes.txt", "a") as file:
            print(*what, file=file)

    def scalars(self, step, values):
        self.note("scalars", step, *sorted(values))

    def image(self, step, name, pixels):
        self.note("image", step, name, pixels.shape, pixels.dtype)

    def close(self):
        self.note("closed", self.config["SOLVER"]["MAX_EPOCH"])
'''


def board(folder: Path) -> EventAccumulator:
    events = EventAccumulator(str(folder), size_guidance={"images": 0, "scalars": 0, "histograms": 0})
    events.Reload()
    return events


def picture(events: EventAccumulator, tag: str) -> Image.Image:
    return Image.open(io.BytesIO(events.Images(tag)[-1].encoded_image_string))


@pytest.fixture
def files(tmp_path, tiny_motion) -> dict[str, Path]:
    names = list(json.loads((tiny_motion / "classids.json").read_text()))
    contents = {
        "subset.txt": "\n".join(names[:3]) + "\n",
        "groups.json": json.dumps({"first two": names[:2]}),
        "wrong.txt": "arow\n",
        "notes.py": WRITER,
    }
    for name, text in contents.items():
        (tmp_path / name).write_text(text)
    return {name.partition(".")[0]: tmp_path / name for name in contents}


def test_every_drawing_of_a_run_is_in_the_event_files(tiny_opts, tiny_motion, files, capsys, refused):
    out = output_of(tiny_opts)
    names = list(json.loads((tiny_motion / "classids.json").read_text()))
    opts = keys(
        "ENABLE=True LOG_DIR=board CONFUSION_MATRIX.ENABLE=True CONFUSION_MATRIX.FIGSIZE=[4,3] HISTOGRAM.ENABLE=True "
        "HISTOGRAM.FIGSIZE=[3,2] WRONG_PRED_VIS.ENABLE=True WRONG_PRED_VIS.TAG=Mistakes MODEL_VIS.ENABLE=True "
        "MODEL_VIS.MODEL_WEIGHTS=True MODEL_VIS.ACTIVATIONS=True MODEL_VIS.INPUT_VIDEO=True MODEL_VIS.TOPK_PREDS=2 "
        "MODEL_VIS.LAYER_LIST=['s2/pathway1_res0','slow.stem'] MODEL_VIS.GRAD_CAM.USE_TRUE_LABEL=True "
        "MODEL_VIS.GRAD_CAM.LAYER_LIST=['s2/pathway0_res1','s2/pathway1_res1']"
    )
    opts += [f"CATEGORIES_PATH={files['groups']}", f"CLASS_NAMES_PATH={tiny_motion / 'classids.json'}"]
    opts += [f"{group}.SUBSET_PATH={files['subset']}" for group in ("CONFUSION_MATRIX", "HISTOGRAM")]
    opts = [*(f"TENSORBOARD.{opt}" for opt in opts), f"IMPORTS=['{files['notes']}']", "LOG_WRITERS=['Notes']"]
    assert main(["--cfg", RECIPE, *tiny_opts, *opts]) == 0, capsys.readouterr().err

    events = board(out / "board")
    figures = results_of(out)["figures"]
    assert [(event.step, event.value) for event in events.Scalars("test/top1")] == [(2, pytest.approx(figures["top1"]))]
    assert [event.step for event in events.Scalars("train/loss")] == [1, 2]  # not hidden by what came after the test
    for tag in ("lr", "val/clip_top1", "data_share", "test/calibration_error"):
        assert events.Scalars(tag), tag

    tags = events.Tags()["images"]
    for tag in ("val/Confusion matrix", "val/Confusion matrix/first two"):
        assert [event.step for event in events.Images(tag)] == [2]  # one validation
    assert picture(events, "val/Confusion matrix").size == (400, 300)
    assert {tag for tag in tags if tag.startswith("val/Predictions")} <= {
        f"val/Predictions by class/{name}" for name in names[:3]
    }
    assert {"Confusion matrix", "Confusion matrix/first two"} <= set(tags)
    assert picture(events, "Confusion matrix").size == (400, 300)
    assert {tag for tag in tags if tag.startswith("Predictions")} == {f"Predictions by class/{n}" for n in names[:3]}
    assert picture(events, f"Predictions by class/{names[0]}").size == (300, 200)
    predictions = np.load(out / "predictions.npz")
    wrong = int((predictions["scores"].argmax(1) != predictions["labels"]).sum())
    assert wrong > 0 and len([tag for tag in tags if tag.startswith("Mistakes/")]) == wrong

    for prefix in ("Input", "Activations/fast.res2.block0", "Activations/slow.stem", "Grad-CAM/slow", "Grad-CAM/fast"):
        videos = [tag for tag in tags if tag.startswith(f"{prefix}/")]
        assert len(videos) == 6, prefix
        with picture(events, videos[0]) as shown:
            assert (shown.format, shown.n_frames) == ("GIF", 8)
    weights = events.Tags()["histograms"]
    assert "Weights/slow.stem.conv.weight" in weights and all("stem" in tag or "res2.block0" in tag for tag in weights)

    notes = (out / "notes.txt").read_text().splitlines()
    assert notes.count("closed 1") == 2  # after the training and after the test
    assert any(line.startswith("scalars 1 ") and "train/loss" in line for line in notes)
    assert any(line.startswith("scalars 2 test/") for line in notes)
    assert "image 2 Confusion matrix (300, 400, 3) uint8" in notes

    # Alone, it draws an earlier test; what its files name wrongly is said.
    capsys.readouterr()
    alone = keys(
        "TRAIN.ENABLE=False TEST.ENABLE=False TENSORBOARD.ENABLE=True TENSORBOARD.CONFUSION_MATRIX.ENABLE=True"
    )
    alone += ["TENSORBOARD.CONFUSION_MATRIX.ENABLE=True", f"TENSORBOARD.PREDICTIONS_PATH={out}", f"OUTPUT_DIR={out}/x"]
    assert main(["--cfg", RECIPE, *tiny_opts, *alone]) == 0, capsys.readouterr().err
    assert board(out / "x/tensorboard").Tags()["images"] == ["Confusion matrix"]
    wrong = ["TENSORBOARD.CONFUSION_MATRIX.SUBSET_PATH", str(files["wrong"])]
    assert "'arow' is not a class of the test" in refused(main, ["--cfg", RECIPE, *tiny_opts, *alone, *wrong])
    asked = ["TENSORBOARD.ENABLE", "True", "TENSORBOARD.CONFUSION_MATRIX.ENABLE", "True", *wrong]
    assert main(["--cfg", RECIPE, *tiny_opts, *asked, "OUTPUT_DIR", str(out / "y")]) == 2
    said = capsys.readouterr()
    assert "'arow' is not a class" in said.err and "epoch 1/1 done" not in said.out  # before anything is trained


@pytest.mark.parametrize(
    "opts, message",
    [
        (["TENSORBOARD.CONFUSION_MATRIX.ENABLE=True", *SEVERAL_LABELS], "this test has several labels per video"),
        (["TENSORBOARD.MODEL_VIS.ENABLE", "True", "TENSORBOARD.MODEL_VIS.COLORMAP", "Pastell"], "Pastell"),
        (["TENSORBOARD.HISTOGRAM.ENABLE", "True", "TENSORBOARD.HISTOGRAM.FIGSIZE", "[8]"], "HISTOGRAM.FIGSIZE=[8]"),
        (["TENSORBOARD.HISTOGRAM.ENABLE", "True", "TENSORBOARD.HISTOGRAM.TOPK", "0"], "must be at least 1"),
        (["LOG_WRITERS", "['Wandb']"], "LOG_WRITERS: there is no writer 'Wandb'"),
    ],
)
def test_what_cannot_be_drawn_is_said_before_the_training(tiny_opts, opts, message, capsys):
    assert main(["--cfg", RECIPE, *tiny_opts, "TENSORBOARD.ENABLE", "True", *opts]) == 2
    shown = capsys.readouterr()
    assert message in shown.err and "training on" not in shown.out
