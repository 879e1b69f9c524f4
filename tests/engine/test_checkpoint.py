from __future__ import annotations

import os
import re
import resource
import stat

import pytest
import torch

from slowfast.engine.checkpoint import (
    CheckpointFolder,
    checkpoint_path,
    find_checkpoints,
    load_for_finetuning,
    load_for_test,
    read_training_state,
    save_checkpoint,
)
from slowfast.models.weights.load import CheckpointError, read_checkpoint
from slowfast.models.weights.names import rename
from slowfast.utils.errors import StorageError
from tests import faults
from tests.models.toys import same_weights, seeded, toy_clip, toy_resnet, toy_slowfast


def state_of(model, **more) -> dict:
    return {"epoch": 3, "model_state": model.state_dict(), "cfg": "MODEL: {}\n", **more}


# --- writing ---


def test_checkpoints_come_in_the_order_of_training(tmp_path):
    assert find_checkpoints(tmp_path) == []
    for arguments in ((1,), (0, 3), (1, 0), (10,), (9,), (100_000,), (1, 12), (2, 0), (0, 20)):
        save_checkpoint(checkpoint_path(tmp_path, *arguments), {})
    assert stat.S_IMODE(checkpoint_path(tmp_path, 1).stat().st_mode) == 0o644  # others may read it
    for name in ("checkpoint_epoch_00011.pyth8x3.part", "checkpoint_best.pyth", "notes.txt"):
        (tmp_path / "checkpoints" / name).write_text("no checkpoint")
    names = [path.stem.removeprefix("checkpoint_epoch_") for path in find_checkpoints(tmp_path)]
    assert names == ["100000", "00010", "00009", "00002_batch_000000", "00001_batch_000012", "00001",
                     "00001_batch_000000", "00000_batch_000020", "00000_batch_000003"]  # fmt: skip


# --- loading ---


@pytest.fixture
def five_class_file(tmp_path):
    path = tmp_path / "five.pyth"
    save_checkpoint(path, state_of(seeded(toy_slowfast, 0)))
    return path


@pytest.mark.parametrize("make", [toy_slowfast, toy_resnet])
def test_a_network_of_clips_starts_one_of_boxes(make, tmp_path, caplog):
    """As Kinetics weights start AVA: 400 classes of clips, 80 of boxes, the last stage dilated."""
    narrow = {"beta": 1 / 4} if make is toy_slowfast else {}  # with 1/2, res5 would need no projection without stride
    source = seeded(lambda: make(num_classes=400, **narrow))
    pathways = len(source.pathway_names)
    path = tmp_path / "kinetics.pyth"
    save_checkpoint(path, {"epoch": 1, "model_state": rename(source.state_dict(), to="pyslowfast")})
    options = {**narrow, "num_classes": 80, "roi_head": {"resolution": 7}, "activation": "sigmoid"}
    if pathways == 2:
        options |= {"spatial_strides": ((1, 1), (2, 2), (2, 2), (1, 1)), "dilations": ((1, 1),) * 3 + ((2, 2),)}
    else:
        options |= {"spatial_strides": (1, 2, 2, 1), "dilations": (1, 1, 1, 2)}
    target = seeded(lambda: make(**options), 1)
    fresh = {name: value.clone() for name, value in target.head.state_dict(prefix="head.").items()}
    load_for_finetuning(target, path)
    for name, value in target.state_dict().items():
        assert torch.equal(value, fresh[name] if name in fresh else source.state_dict()[name]), name
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    width = sum({1: (256,), 2: (256, 64)}[pathways])
    assert record.getMessage() == (
        f"{path}: {len(source.state_dict()) - 2} tensors loaded; 2 wrong shape: head.classifier.bias (file [400], "
        f"model [80]), head.classifier.weight (file [400, {width}], model [80, {width}]). Tensors that were not "
        "loaded keep their initial values."
    )
    scores = target.eval()(toy_clip(), torch.tensor([[0.0, 2, 2, 20, 30], [1.0, 0, 0, 31, 31]]))
    assert scores.shape == (2, 80)


@pytest.mark.parametrize("change", ["missing", "unexpected"])
def test_anything_missing_or_left_over_is_an_error_for_a_test(tmp_path, change):
    state = toy_slowfast().state_dict()
    if change == "missing":
        del state["slow.stem.bn.running_mean"]
    else:
        state["slow.stem.bn.running_mode"] = torch.zeros(1)
    path = tmp_path / "weights.pyth"
    save_checkpoint(path, {"model_state": state})
    with pytest.raises(CheckpointError, match=rf"1 {change}: slow\.stem\.bn\.running_mo?"):
        load_for_test(toy_slowfast(), path)


def test_nothing_that_fits_is_an_error_for_fine_tuning(tmp_path):
    path = tmp_path / "weights.pyth"
    save_checkpoint(path, {"model_state": {"w": torch.ones(3)}})
    with pytest.raises(CheckpointError, match=r"has no tensor that fits this model: 0 tensors loaded; \d+ missing: "):
        load_for_finetuning(toy_slowfast(), path)


def test_weights_of_which_too_little_fits_are_refused_unless_allowed(tmp_path, caplog):
    """The Slow pathway alone is less than half of a SlowFast network."""
    source, target = seeded(toy_slowfast, 0), seeded(toy_slowfast, 1)
    path = tmp_path / "slow.pyth"
    slow = {name: value for name, value in source.state_dict().items() if name.startswith("slow.res")}
    save_checkpoint(path, {"model_state": slow})
    with pytest.raises(CheckpointError, match=r"less than 50 %.* allow this: TRAIN\.CHECKPOINT_MIN_MATCH 0\.") as info:
        load_for_finetuning(target, path)
    counted = [name for name in target.state_dict() if not name.endswith("num_batches_tracked")]
    found = [name for name in counted if name in slow]
    assert f"{path} has {len(found)} of the model's {len(counted)} tensors" in str(info.value)
    load_for_finetuning(target, path, min_match=0.2)
    loaded = target.state_dict()
    assert all(torch.equal(loaded[name], value) for name, value in slow.items())
    assert "Tensors that were not loaded keep their initial values." in caplog.text


def test_text_may_be_cleared_from_the_names(tmp_path):
    source, target = seeded(toy_slowfast, 0), seeded(toy_slowfast, 1)
    path = tmp_path / "weights.pyth"
    save_checkpoint(path, {"model_state": {f"backbone.encoder.{k}": v for k, v in source.state_dict().items()}})
    load_for_finetuning(target, path, clear_patterns=("backbone.", "encoder."))
    assert same_weights(source, target)


# --- resuming ---


def resume(output_dir, model, **train):
    from slowfast.config import load_cfg
    from slowfast.engine.build_trainer import _initial_state

    overrides = ["OUTPUT_DIR", str(output_dir), *(x for key, v in train.items() for x in (f"TRAIN.{key}", v))]
    return _initial_state(load_cfg("Kinetics/SLOWFAST_4x16_R50", overrides), model)


# The fields beside the weights that a training is known by.
TRAINING = {
    "batch": 0,
    "optimizer_state": {},
    "training": {"due": [], "figures": {}, "figures_epoch": 0, "steps_per_epoch": 1, "num_records": 0},
    "states": {},
    "processes": [{"generators": {}, "log": {}}],
}


def trained(tmp_path, number: int, seed: int):
    model = seeded(toy_slowfast, seed)
    save_checkpoint(checkpoint_path(tmp_path, number), state_of(model, **TRAINING, epoch=number - 1))
    return model


def test_training_resumes_from_the_newest(tmp_path):
    trained(tmp_path, 9, seed=1)
    newest = trained(tmp_path, 10, seed=2)
    model = toy_slowfast()
    assert resume(tmp_path, model)["epoch"] == 9
    assert same_weights(model, newest)


def test_a_checkpoint_of_another_model_stops_the_run(tmp_path):
    trained(tmp_path, 9, seed=1)
    message = r"00009\.pyth belongs to .* than the config's: .*2 wrong shape.*TRAIN\.AUTO_RESUME False"
    with pytest.raises(CheckpointError, match=message):
        resume(tmp_path, toy_slowfast(num_classes=9))


def test_weights_alone_cannot_be_resumed(tmp_path):
    save_checkpoint(checkpoint_path(tmp_path, 1), {"model_state": toy_slowfast().state_dict()})
    with pytest.raises(CheckpointError, match=r"not written by this framework.*TRAIN\.CHECKPOINT_FILE_PATH"):
        resume(tmp_path, toy_slowfast())


def test_without_auto_resume_training_begins_anew(tmp_path):
    trained(tmp_path, 9, seed=1)
    model = seeded(toy_slowfast, 5)
    assert resume(tmp_path, model, AUTO_RESUME=False) is None
    assert same_weights(model, seeded(toy_slowfast, 5))


def test_the_config_key_inflates_2d_weights(tmp_path):
    source = seeded(lambda: toy_resnet(arch="2d"))
    path = tmp_path / "image.pyth"
    save_checkpoint(
        path, {"model_state": {k: v[:, :, 0] if v.ndim == 5 else v for k, v in source.state_dict().items()}}
    )
    with pytest.raises(CheckpointError, match=r"image\.pyth: \d+ kernels .*Set TRAIN\.CHECKPOINT_INFLATE True"):
        resume(tmp_path, toy_resnet(), CHECKPOINT_FILE_PATH=str(path))
    model = seeded(toy_resnet, 1)
    assert resume(tmp_path, model, CHECKPOINT_FILE_PATH=str(path), CHECKPOINT_INFLATE=True) is None
    kernel = model.pathway.res5.block0.a.weight
    assert torch.allclose(kernel[:, :, 1] * 3, source.pathway.res5.block0.a.weight[:, :, 0])


def test_a_weights_file_starts_from_weights_alone(tmp_path, five_class_file):
    model = seeded(toy_slowfast, 5)
    assert resume(tmp_path / "out", model, CHECKPOINT_FILE_PATH=str(five_class_file)) is None
    assert same_weights(model, seeded(toy_slowfast, 0))


# --- damage ---


def small_state(**changes) -> dict:
    weights = {f"w{number}": torch.randn(50) for number in range(20)}
    return {"model_state": weights, "epoch": 9, "step": 3, **TRAINING, **changes}


def test_a_flipped_bit_is_seen_or_changes_nothing(tmp_path):
    """What no checksum covers is padding, and fields of the zip format that nobody reads."""
    path, state = tmp_path / "state.pyth", small_state()
    save_checkpoint(path, state)
    size, num_seen, positions = path.stat().st_size, 0, range(0, path.stat().st_size, 97)
    for position in positions:
        faults.flip_bit(path, position / size)
        try:
            content = read_training_state(path)
        except CheckpointError as error:
            assert str(error).startswith(f"{path} ")
            num_seen += 1
        else:
            assert same_tensors(content.pop("model_state"), state["model_state"])
            assert content == {key: value for key, value in state.items() if key != "model_state"}
        faults.flip_bit(path, position / size)
    assert num_seen > 0.4 * len(positions)


def same_tensors(one: dict, other: dict) -> bool:
    return one.keys() == other.keys() and all(torch.equal(value, other[name]) for name, value in one.items())


@pytest.mark.parametrize("damage", ["bit", "torn", "empty", "field", "nan", "inf"])
def test_a_damaged_newest_is_passed_over(tmp_path, caplog, damage):
    older = trained(tmp_path, 9, seed=1)
    path = checkpoint_path(tmp_path, 10)
    model = toy_slowfast()
    if damage in ("nan", "inf"):
        model.slow.stem.bn.running_var[0] = float(damage)
    changes = {"epoch": 10**12} if damage == "field" else {"epoch": 9}
    save_checkpoint(path, state_of(model, **{**TRAINING, **changes}))
    if damage == "bit":
        faults.flip_bit(path, 0.5)
        with pytest.raises(CheckpointError, match="is damaged: the checksum of"):
            load_for_test(toy_slowfast(), path)
    if damage in ("torn", "empty"):
        faults.tear(path, keep=0.7 * (damage == "torn"))
    fresh = toy_slowfast()
    assert resume(tmp_path, fresh)["epoch"] == 8
    assert same_weights(fresh, older)
    assert f"{path} " in caplog.text and "Trying the previous one." in caplog.text


@pytest.mark.parametrize(
    "change, message",
    [
        ({"epoch": 10**12}, "epoch=1000000000000 is not a valid number"),
        ({"epoch": -2}, "epoch=-2"),
        ({"epoch": "3"}, "epoch='3'"),
        ({"batch": -1}, "batch=-1"),
        ({"batch": 2}, "batch=2 of an epoch of 1"),
        ({"step": True}, "step=True"),
        ({"training": 3}, "it has no training state"),
        ({"training": {**TRAINING["training"], "due": ["lunch"]}}, r"due=\['lunch'\]"),
        ({"training": {**TRAINING["training"], "num_records": None}}, "num_records=None"),
        ({"processes": []}, "it has no states of the processes"),
        ({"states": []}, "its figures or states are not mappings"),
        ({"optimizer_state": None}, "it has no training state"),
    ],
)
def test_absurd_fields_are_damage(tmp_path, change, message):
    path = tmp_path / "state.pyth"
    save_checkpoint(path, small_state(**change))
    with pytest.raises(CheckpointError, match=f"is damaged: .*{message}"):
        read_training_state(path)


# --- saving where something is in the way ---


def test_a_full_disk_is_one_message_and_the_old_file_stays(tmp_path):
    path = checkpoint_path(tmp_path, 1)
    save_checkpoint(path, {"model_state": {"w": torch.ones(3)}})
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
    try:
        with pytest.raises(StorageError, match=rf"^{re.escape(str(path))} cannot be written: "):
            save_checkpoint(path, {"model_state": {"w": torch.zeros(100_000)}})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert read_checkpoint(path)["model_state"]["w"].tolist() == [1, 1, 1]
    assert os.listdir(path.parent) == [path.name]


def test_the_best_is_a_second_name_of_its_file_or_a_copy(tmp_path, monkeypatch):
    folder = CheckpointFolder(tmp_path)
    best = tmp_path / "checkpoints" / "best.pyth"
    for number in (1, 2):
        path = folder.save({"model_state": {"w": torch.full((3,), float(number))}, "step": 1}, epochs=number)
        for _ in range(2):  # again, as after a crash in between
            folder.keep_best()
        assert read_checkpoint(best)["model_state"]["w"].tolist() == [number] * 3
        assert best.stat().st_ino == path.stat().st_ino
    monkeypatch.setattr("os.link", lambda *_: (_ for _ in ()).throw(PermissionError()))
    path = folder.save({"model_state": {"w": torch.full((3,), 3.0)}, "step": 1}, epochs=3)
    folder.keep_best()
    assert read_checkpoint(best)["model_state"]["w"].tolist() == [3, 3, 3]
    assert best.stat().st_ino != path.stat().st_ino
    assert find_checkpoints(tmp_path) == [checkpoint_path(tmp_path, number) for number in (3, 2, 1)]
    assert len(os.listdir(tmp_path / "checkpoints")) == 4
