"""``slowfast convert``: weights in the other naming, bit by bit."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from slowfast.cli.convert import main
from slowfast.models.weights.load import read_checkpoint
from slowfast.models.weights.names import rename
from slowfast.models.weights.training_state import to_pyslowfast
from tests.models.toys import randomize_batch_norms, seeded, toy_resnet, toy_slowfast, toy_x3d
from tests.models.weights.test_training_state import MODELS, trained

ROOT = Path(__file__).parents[2]
FIELDS = {"epoch": 195, "cfg": "MODEL:\n  NUM_CLASSES: 5\n", "x": None}


@pytest.fixture(params=[toy_slowfast, toy_resnet, toy_x3d])
def model(request):
    model = seeded(request.param)
    randomize_batch_norms(model)
    return model


def bits(state) -> list[tuple[str, torch.dtype, bytes]]:
    """Names in order, types and bytes."""
    return [(name, value.dtype, value.numpy().tobytes()) for name, value in state.items()]


def checkpoint(path: Path, state) -> Path:
    torch.save({"epoch": 195, "model_state": state, **FIELDS}, path)
    return path


@pytest.mark.parametrize("first, second", [("pyslowfast", "slowfast"), ("slowfast", "pyslowfast")])
def test_there_and_back_gives_the_same_bits_in_the_same_order(model, first, second, tmp_path):
    source = checkpoint(tmp_path / "a.pyth", rename(model.state_dict(), to=first))
    there, back = tmp_path / "b.pyth", tmp_path / "c.pyth"
    assert main([str(source), str(there), "--to", second]) == 0
    assert main([str(there), str(back), "--to", first]) == 0
    state = read_checkpoint(source)["model_state"]
    assert bits(read_checkpoint(there)["model_state"]) == bits(rename(model.state_dict(), to=second))
    assert bits(read_checkpoint(back)["model_state"]) == bits(state)


def test_other_fields_and_their_order_stay(tmp_path):
    source = checkpoint(tmp_path / "a.pyth", toy_resnet().state_dict())
    main([str(source), str(tmp_path / "b.pyth"), "--to", "pyslowfast"])
    content = read_checkpoint(tmp_path / "b.pyth")
    # An epoch without an optimizer is no training that PySlowFast could go on with.
    assert list(content) == ["model_state", "cfg", "x"]
    assert (content["cfg"], content["x"]) == (FIELDS["cfg"], None)


@pytest.mark.parametrize("model_name", ["SlowFast", "sub-batch norm"])
def test_pyslowfast_goes_on_with_a_training(model_name, tmp_path, capsys):
    """Epoch and optimizer come in its order, norms as it saves them; what only this framework reads stays behind."""
    _, _, content = trained(MODELS[model_name])
    torch.save({**content, "processes": [], "protocol": {"x": 1}}, tmp_path / "a.pyth")
    assert main([str(tmp_path / "a.pyth"), str(tmp_path / "b.pyth"), "--to", "pyslowfast"]) == 0
    found, expected = torch.load(tmp_path / "b.pyth", weights_only=True), to_pyslowfast(content)
    for name in ("model_state", "optimizer_state"):
        assert repr(found[name]) == repr(expected[name])
    assert (found["epoch"], found["scaler_state"]["scale"]) == (6, 65536.0)
    assert found["protocol"] == {"x": 1} and "batch" not in found and "processes" not in found
    said = capsys.readouterr().out
    assert "PySlowFast can resume the training at the start of epoch 8.\nNot converted: batch, processes." in said
    assert ("sub-batch norms are joined" in said) == (model_name == "sub-batch norm")


def test_an_optimizer_that_is_not_the_models_is_left_out(tmp_path, capsys):
    _, _, content = trained(toy_resnet)
    content["optimizer_state"]["param_groups"].pop()
    torch.save(content, tmp_path / "a.pyth")
    assert main([str(tmp_path / "a.pyth"), str(tmp_path / "b.pyth"), "--to", "pyslowfast"]) == 0
    assert "The optimizer is not converted: the optimizer's state has groups of" in capsys.readouterr().out
    assert "optimizer_state" not in read_checkpoint(tmp_path / "b.pyth")


def test_what_is_said(tmp_path, capsys):
    state = rename(toy_resnet().state_dict(), to="pyslowfast")
    source, target = checkpoint(tmp_path / "a.pyth", state), tmp_path / "b.pyth"
    assert main([str(source), str(target)]) == 0
    values = sum(value.numel() for value in state.values())
    assert capsys.readouterr().out == (
        f"{source}: checkpoint, PySlowFast's names, {len(state)} tensors, {values:,} values; "
        "fields epoch, cfg, x\n"
        f"{target}: {len(state)} of {len(state)} renamed, "
        "e.g. s1.pathway0_stem.conv.weight -> pathway.stem.conv.weight\n"
    )
    assert main([str(target), str(tmp_path / "c.pyth")]) == 0
    assert f"0 of {len(state)} renamed: the names are this framework's already" in capsys.readouterr().out


def test_a_caffe2_file(tmp_path, capsys):
    blobs = {"conv1_w": np.arange(6, dtype=np.float32).reshape(2, 3), "lr": np.float32(0.1), "pred_b": np.ones(2)}
    source = tmp_path / "a.pkl"
    source.write_bytes(pickle.dumps({"blobs": blobs}, protocol=2))
    assert main([str(source), str(tmp_path / "b.pyth")]) == 0
    assert capsys.readouterr().out.startswith(f"{source}: Caffe2 file, PySlowFast's names, 2 tensors, 8 values\n")
    state = read_checkpoint(tmp_path / "b.pyth")["model_state"]
    assert list(state) == ["pathway.stem.conv.weight", "head.classifier.bias"]
    assert state["pathway.stem.conv.weight"].flatten().tolist() == [0, 1, 2, 3, 4, 5]


def test_the_prefix_of_wrapped_models_goes(tmp_path):
    state = {f"module.{name}": value for name, value in toy_slowfast().state_dict().items()}
    torch.save(state, tmp_path / "a.pth")
    assert main([str(tmp_path / "a.pth"), str(tmp_path / "b.pyth"), "--to", "pyslowfast"]) == 0
    assert "s1.pathway1_stem.conv.weight" in read_checkpoint(tmp_path / "b.pyth")["model_state"]


# --- refused ---


def refusal(capsys, *arguments) -> str:
    assert main([str(argument) for argument in arguments]) == 2
    return capsys.readouterr().err


def test_an_existing_file_is_replaced_only_by_force(tmp_path, capsys):
    source = checkpoint(tmp_path / "a.pyth", toy_resnet().state_dict())
    target = tmp_path / "b.pyth"
    target.write_text("mine")
    assert f"error: {target} exists. Choose another OUT, or --overwrite to replace it." in refusal(
        capsys, source, target
    )
    assert target.read_text() == "mine"
    assert main([str(source), str(target), "--overwrite"]) == 0
    assert read_checkpoint(target)["epoch"] == 195


def test_the_input_is_never_overwritten(tmp_path, capsys):
    source = checkpoint(tmp_path / "a.pyth", toy_resnet().state_dict())
    before = source.read_bytes()
    os.symlink(source, tmp_path / "same.pyth")
    for target in (source, tmp_path / "." / "a.pyth", tmp_path / "same.pyth"):
        assert "IN and OUT are the same file" in refusal(capsys, source, target, "--overwrite")
    assert source.read_bytes() == before


def test_what_cannot_be_converted(tmp_path, capsys):
    source, target, ours = tmp_path / "a.pyth", tmp_path / "b.pyth", toy_resnet().state_dict()
    checkpoint(source, ours)
    assert f"{tmp_path} is a folder. Name the file to write." in refusal(capsys, source, tmp_path, "--overwrite")
    assert "there is no checkpoint" in refusal(capsys, tmp_path / "absent.pyth", target)
    source.write_text("<html>")
    assert "it is an HTML page" in refusal(capsys, source, target)
    torch.save({"conv1.weight": torch.ones(2)}, source)
    message = "has the names of neither framework, e.g. conv1.weight: there is nothing to convert."
    assert message in refusal(capsys, source, target)
    torch.save({**ours, **rename(ours, to="pyslowfast")}, source)
    message = f"holds weights in both namings: {2 * len(ours)} tensors would have {len(ours)} names."
    assert message in refusal(capsys, source, target)
    assert not target.exists()
