"""Exported models give the model's scores, at batch sizes that were not traced, and say why they cannot."""

from __future__ import annotations

from functools import cache

import pytest
import torch
from torch import nn

from slowfast.datasets.clip_sampling import SecondsSampling
from slowfast.datasets.protocol import Protocol
from slowfast.engine import export
from slowfast.engine.export import (
    ExportError,
    check_against,
    example_inputs,
    export_program,
    largest_difference,
    write_onnx,
    write_program,
)
from slowfast.engine.pipeline import Pipeline
from tests.engine.toys import TinyNet
from tests.models.toys import randomize_batch_norms, seeded, toy_resnet, toy_slowfast, toy_x3d

CLIP = (3, 8, 32, 32)
MODELS = {
    "slowfast": lambda: toy_slowfast(nonlocal_after=(((), ()), ((1,), ()), ((), ()), ((), ()))),
    "boxes": lambda: toy_resnet(roi_head={"resolution": 3, "spatial_scale": 1 / 32}, activation="sigmoid"),
    "x3d": toy_x3d,
}
NAMES = ["slowfast", "boxes", pytest.param("x3d", marks=pytest.mark.slow)]


@cache
def exported(name: str) -> tuple[nn.Module, torch.export.ExportedProgram]:
    """A toy model and its program; tracing takes seconds, so the tests share them."""
    model = seeded(MODELS[name]).eval()
    randomize_batch_norms(model)
    return model, export_program(model, CLIP)


def pipeline_of(model: nn.Module) -> Pipeline:
    return Pipeline(model, Protocol(SecondsSampling(8, 1)))


@pytest.mark.parametrize("name", NAMES)
def test_a_program_gives_the_models_scores(name, tmp_path):
    (model, program), path = exported(name), tmp_path / "model.pt2"
    run = write_program(program, path)
    assert check_against(pipeline_of(model), run, CLIP, path) < 1e-5
    frames, *boxes = example_inputs(model, CLIP, 7)
    with torch.no_grad():
        torch.testing.assert_close(run(frames / 255, *boxes), model(frames / 255, *boxes))
    with pytest.raises(Exception, match="32"):  # of a fixed size
        run(torch.zeros(1, 3, 8, 48, 48), *boxes)


@pytest.mark.parametrize("name", [NAMES[0], *(pytest.param(name, marks=pytest.mark.slow) for name in ("boxes", "x3d"))])
def test_onnx_gives_the_models_scores(name, tmp_path):
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    (model, program), path = exported(name), tmp_path / "model.onnx"
    run = write_onnx(program, path)
    assert check_against(pipeline_of(model), run, CLIP, path) < 1e-4
    graph = onnx.load(path).graph
    shapes = {
        value.name: [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in (*graph.input, *graph.output)
    }
    expected = {"clip": ["batch", *CLIP], "scores": ["batch", 5]}
    if name == "boxes":
        expected |= {"boxes": ["boxes", 5], "scores": ["boxes", 5]}
    assert shapes == expected
    assert [file.name for file in tmp_path.iterdir()] == ["model.onnx"]  # weights included


def test_example_inputs_are_the_same_each_time_and_boxes_lie_in_the_clip():
    model, _ = exported("boxes")
    clip, boxes = example_inputs(model, CLIP, 3)
    again = example_inputs(model, CLIP, 3)
    assert torch.equal(clip, again[0]) and torch.equal(boxes, again[1])
    assert clip.shape == (3, *CLIP) and boxes.shape == (4, 5)
    assert boxes[:, 0].tolist() == [0, 1, 2, 0]
    assert (boxes[:, 1:3] <= boxes[:, 3:]).all() and boxes[:, 1:].min() >= 0 and boxes[:, 1:].max() <= 32


class DataDependent(nn.Module):
    """Branches on a value of its input, which no trace can follow."""

    def forward(self, clip):
        return clip.mean((2, 3, 4)) if clip.sum() > 0 else -clip.mean((2, 3, 4))


def test_a_model_that_cannot_be_traced_is_named():
    with pytest.raises(ExportError, match=r"torch\.export cannot follow DataDependent: \w+"):
        export_program(DataDependent(), CLIP)


class Foreign(nn.Module):
    """Uses an operator that ONNX does not have."""

    def forward(self, clip):
        return torch.ops.aten.segment_reduce(
            clip.mean((2, 3, 4)), "sum", lengths=torch.ones(clip.shape[0], dtype=torch.int64)
        )


def test_an_operator_without_onnx_form_is_told(tmp_path):
    pytest.importorskip("onnxruntime")
    program = export_program(Foreign(), CLIP)
    with pytest.raises(ExportError, match=r"torch\.onnx cannot translate the model: \w+"):
        write_onnx(program, tmp_path / "model.onnx")


def test_without_the_extra_the_way_out_is_told(monkeypatch, tmp_path):
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    with pytest.raises(ExportError, match=r"needs onnxruntime: pip install 'slowfast\[export\]', or .*--format torch"):
        write_onnx(exported("boxes")[1], tmp_path / "model.onnx")


def test_a_file_with_other_scores_is_removed(tmp_path):
    model, path = TinyNet().eval(), tmp_path / "model.pt2"
    path.write_text("written")
    with pytest.raises(ExportError, match=r"model\.pt2 gives scores that differ from the model's by .*more than 1e-04"):
        check_against(pipeline_of(model), lambda clip: model(clip) + 0.01, CLIP, path)
    assert not path.exists()


@pytest.mark.parametrize(
    "run, message",
    [
        (lambda clip: torch.zeros(2, 4), r"gives \(2, 4\) for a batch of 1, not \(1, 4\)"),
        (lambda clip: clip.reshape(2, -1), r"fails with a batch of 1|gives \(2, 12288\) for a batch of 1"),
        (lambda clip: torch.cat([clip, clip[:, :2]]), r"the exported model fails with a batch of 1: RuntimeError"),
    ],
)
def test_an_export_that_kept_its_batch_is_refused(run, message):
    with pytest.raises(ExportError, match=message):
        largest_difference(pipeline_of(TinyNet()), run, CLIP)


def test_broken_weights_are_not_the_exports_fault():
    model = TinyNet().eval()
    with torch.no_grad():
        model.classifier.bias.fill_(torch.nan)
    with pytest.raises(ExportError, match="the model itself gives scores that are not finite"):
        largest_difference(pipeline_of(model), model, CLIP)


def test_differences_are_shares_of_the_largest_score():
    """Scores of 400 classes are small: an absolute tolerance would let anything pass."""
    model = TinyNet(num_classes=400).eval()
    found = largest_difference(pipeline_of(model), lambda clip: model(clip) * 1.01, CLIP)
    assert found == pytest.approx(0.01, rel=1e-3) and export.TOLERANCE < found
