"""``slowfast export``: the files, what stands beside them, and what it refuses."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from torch import nn

from slowfast.cli import export as cli
from slowfast.cli.export import main, preprocessing
from slowfast.config import load_cfg
from slowfast.datasets import DATASET_REGISTRY
from slowfast.datasets.build import build_protocol
from slowfast.datasets.clip_sampling import KeyFrameSampling, SecondsSampling, SegmentSampling, StridedSampling
from slowfast.datasets.protocol import Protocol
from slowfast.engine.checkpoint import save_checkpoint
from slowfast.engine.inputs import ClipPreprocessor
from slowfast.engine.pipeline import Pipeline
from slowfast.models import build_model
from tests.cli.runs import RECIPE, keys
from tests.models.toys import randomize_batch_norms, seeded

TINY = keys("RESNET.WIDTH_PER_GROUP=8 DATA.NUM_FRAMES=8 DATA.TEST_CROP_SIZE=32 DATA.TRAIN_CROP_SIZE=32")
NAMES = [f"class {i}" for i in range(8)]


@pytest.fixture
def weights(tmp_path):
    """(model, path of its checkpoint)."""
    model = seeded(lambda: build_model(load_cfg(RECIPE, TINY))).eval()
    randomize_batch_norms(model)
    path = tmp_path / "weights.pyth"
    save_checkpoint(path, {"model_state": model.state_dict(), "class_names": NAMES})
    return model, path


def facts_of(cfg) -> dict:
    return preprocessing(Pipeline(nn.Identity(), build_protocol(cfg)), (3, cfg.DATA.NUM_FRAMES, 32, 32), 5)


def run(weights, output, *arguments: str) -> int:
    return main(["--cfg", RECIPE, "--checkpoint", str(weights[1]), "--output", str(output), *arguments, *TINY])


def test_the_program_and_its_description_are_all_one_needs(weights, tmp_path, capsys):
    """uint8 frames, preprocessed by hand from the JSON, give the scores of the model, batch norms folded or not."""
    assert run(weights, tmp_path / "out", "--format", "torch", "--fold-bn") == 0
    shown = capsys.readouterr().out
    assert "model.pt2: 2." in shown or "model.pt2: 3." in shown, shown
    assert "of its largest score" in shown
    facts = json.loads((tmp_path / "out/preprocessing.json").read_text())
    clip_input = facts["inputs"][0]
    assert clip_input["shape"] == ["batch", 3, 8, 32, 32] and clip_input["channel_order"] == "RGB"
    protocol = Protocol.from_dict(facts["protocol"])
    assert protocol.sampling == SecondsSampling(8, 1, 30, False) and facts["protocol_text"] == protocol.describe()
    assert facts["clip"]["span_seconds"] == pytest.approx(8 / 30)
    assert facts["resize"]["short_side"] == 32 and facts["resize"]["crop"] == [32, 32]
    assert facts["output"] == {"name": "scores", "dtype": "float32", "shape": ["batch", 8], "activation": "softmax"}
    assert facts["class_names"] == NAMES and facts["batch_norms_folded"] is True
    assert facts["files"]["model.pt2"]["largest_difference"] < 1e-4
    assert facts["config"]["RESNET"]["WIDTH_PER_GROUP"] == 8 and facts["versions"]["torch"] == torch.__version__
    assert facts["weights"] == str(weights[1])

    frames = torch.randint(0, 256, (3, 3, 8, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    mean, std = (np.array(facts["pixels"][name]).reshape(1, 3, 1, 1, 1) for name in ("mean", "std"))
    by_hand = torch.from_numpy((frames.numpy() / 255 - mean) / std).float()
    program = torch.export.load(tmp_path / "out/model.pt2").module()
    with torch.no_grad():
        expected = weights[0](ClipPreprocessor(device=torch.device("cpu"))(frames))
        torch.testing.assert_close(program(by_hand), expected, atol=1e-5, rtol=1e-4)


@pytest.fixture
def quick_writers(monkeypatch):
    """The writers themselves are tested in tests/engine/test_export.py; each takes seconds."""

    def write(program, path):
        path.write_text("written")
        return program.module()

    monkeypatch.setattr(cli, "FORMATS", {name: (file, write) for name, (file, _) in cli.FORMATS.items()})


def test_all_formats_are_the_default_and_each_is_checked(weights, tmp_path, capsys, quick_writers):
    assert run(weights, tmp_path / "out") == 0
    found = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert found == ["model.onnx", "model.pt2", "preprocessing.json"]
    facts = json.loads((tmp_path / "out/preprocessing.json").read_text())
    assert set(facts["files"]) == {"model.pt2", "model.onnx"}
    assert capsys.readouterr().out.count("of its largest score") == 2


def test_a_model_of_boxes_takes_boxes(tmp_path, quick_writers):
    opts = TINY + keys(
        "RESNET.SPATIAL_STRIDES=[[1,1],[2,2],[2,2],[1,1]] RESNET.SPATIAL_DILATIONS=[[1,1],[1,1],[1,1],[2,2]] "
        "MODEL.HEAD_ACT=sigmoid MODEL.LOSS_FUNC=bce DETECTION.ENABLE=True"
    )
    torch.save(build_model(load_cfg(RECIPE, opts)).state_dict(), tmp_path / "weights.pyth")
    arguments = ["--checkpoint", str(tmp_path / "weights.pyth"), "--output", str(tmp_path / "out")]
    assert main(["--cfg", RECIPE, *arguments, "--format", "torch", "--size", "32", "48", *opts]) == 0
    facts = json.loads((tmp_path / "out/preprocessing.json").read_text())
    assert [entry["name"] for entry in facts["inputs"]] == ["clip", "boxes"]
    assert facts["inputs"][0]["shape"] == ["batch", 3, 8, 32, 48]
    assert facts["output"]["shape"] == ["boxes", 8] and facts["output"]["activation"] == "sigmoid"
    assert facts["class_names"] is None


@pytest.mark.parametrize(
    "recipe, sampling, span_seconds, text",
    [
        ("Kinetics/SLOWFAST_8x8_R50", SecondsSampling(32, 2), 64 / 30, "floor(start + k * (span - 1)"),
        # 63 strides of 2 frames, and a frame
        ("Charades/SLOWFAST_16x8_R50", StridedSampling(64, 2, 24), 127 / 24, "frame start + k * sampling_rate"),
        ("SSv2/SLOWFAST_16x8_R50", SegmentSampling(64, 30), None, "the middle of segment k"),
        ("AVA/SLOWFAST_32x2_R101", KeyFrameSampling(32, 2), 64 / 30, "range(g - half, g + half, sampling_rate)"),
    ],
)
def test_the_frames_are_those_of_the_data_set(recipe, sampling, span_seconds, text):
    facts = facts_of(load_cfg(recipe))
    assert Protocol.from_dict(facts["protocol"]).sampling == sampling
    assert text in facts["clip"]["rule"] and facts["clip"]["span_seconds"] == span_seconds


def test_a_data_set_that_does_not_tell_its_frames_is_named(monkeypatch):
    monkeypatch.setitem(DATASET_REGISTRY._entries, "mine", ("mine", type("Mine", (), {})))
    facts = facts_of(load_cfg(RECIPE, [*TINY, "TEST.DATASET", "mine"]))
    assert "8 frames, chosen by the data set mine" in facts["protocol_text"] and "pixels" in facts


def test_the_channel_order_is_the_one_that_training_feeds():
    facts = facts_of(load_cfg("SSv2/SLOWFAST_16x8_R50", ["DATA.REVERSE_INPUT_CHANNEL", False]))
    assert facts["inputs"][0]["channel_order"] == "BGR"


@pytest.mark.parametrize(
    "overrides, message",
    [
        (["MODEL.NUM_CLASSES", "5"], "belongs to a different model"),
        (["SLOWFAST.FAST_INPUT", "flow"], "SLOWFAST.FAST_INPUT='flow': the model's clips have 5 channels"),
    ],
)
def test_what_cannot_be_exported_is_one_message(weights, tmp_path, refused, overrides, message):
    arguments = ["--cfg", RECIPE, "--checkpoint", str(weights[1]), "--output", str(tmp_path / "out")]
    assert message in refused(main, [*arguments, *TINY, *overrides])


def test_without_weights_nothing_is_written(tmp_path, refused):
    assert "no weights to test" in refused(
        main, ["--cfg", RECIPE, "--output", str(tmp_path / "out"), *TINY, "OUTPUT_DIR", str(tmp_path)]
    )
    assert not (tmp_path / "out").exists()
