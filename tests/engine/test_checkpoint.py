from __future__ import annotations

import io
import logging
import os
import pickle
import random
import re
import stat
from pathlib import Path

import pytest
import torch

from slowfast.engine.checkpoint import (
    CheckpointError,
    checkpoint_path,
    find_checkpoints,
    load_for_finetuning,
    load_for_test,
    load_weights,
    read_checkpoint,
    save_checkpoint,
)
from slowfast.models.convert import rename
from tests.models.toys import seeded, toy_clip, toy_resnet, toy_slowfast


def state_of(model, **more) -> dict:
    return {"epoch": 3, "model_state": model.state_dict(), "cfg": "MODEL: {}\n", **more}


def same_weights(first, second) -> bool:
    other = second.state_dict()
    return all(torch.equal(value, other[name]) for name, value in first.state_dict().items())


def torch_bytes(content) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


# --- writing ---


def test_a_round_trip_keeps_everything(tmp_path):
    model = toy_resnet()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    model(toy_clip()).sum().backward()
    optimizer.step()
    extra = {
        "class_names": ["a", "b"],
        "versions": {"torch": "x"},
        "rng_state": torch.get_rng_state(),
        "scaler_state": {},
    }
    path = checkpoint_path(tmp_path, 4)
    save_checkpoint(path, state_of(model, optimizer_state=optimizer.state_dict(), **extra))
    content = read_checkpoint(path)
    assert content["epoch"] == 3 and content["cfg"] == "MODEL: {}\n" and content["class_names"] == ["a", "b"]
    assert torch.equal(content["rng_state"], extra["rng_state"])
    fresh = torch.optim.SGD(model.parameters(), lr=0.5)
    fresh.load_state_dict(content["optimizer_state"])
    assert fresh.param_groups[0]["momentum"] == 0.9
    other = seeded(toy_resnet, 1)
    assert load_weights(other, content["model_state"]).is_complete
    assert same_weights(model, other)


def test_files_lie_where_pyslowfast_puts_them(tmp_path):
    assert checkpoint_path(tmp_path, 7) == tmp_path / "checkpoints" / "checkpoint_epoch_00007.pyth"


class Crash(Exception):
    pass


@pytest.mark.parametrize("moment", ["torch.save", "os.replace"])
@pytest.mark.parametrize("error", [Crash, KeyboardInterrupt])
def test_a_crash_while_writing_leaves_the_old_file(tmp_path, monkeypatch, moment, error):
    path = checkpoint_path(tmp_path, 1)
    save_checkpoint(path, {"model_state": {"w": torch.ones(3)}})

    def crash(*arguments):
        if moment == "torch.save":
            arguments[1].write(b"half of it")
        raise error

    monkeypatch.setattr(moment, crash)
    with pytest.raises(error):
        save_checkpoint(path, {"model_state": {"w": torch.zeros(3)}})
    monkeypatch.undo()
    assert read_checkpoint(path)["model_state"]["w"].tolist() == [1, 1, 1]
    assert os.listdir(path.parent) == [path.name]  # nothing half-written stays


def test_a_crash_before_the_first_file_leaves_none(tmp_path, monkeypatch):
    monkeypatch.setattr("torch.save", lambda *_: (_ for _ in ()).throw(Crash()))
    with pytest.raises(Crash):
        save_checkpoint(checkpoint_path(tmp_path, 1), {})
    assert find_checkpoints(tmp_path) == []


def test_others_may_read_the_file(tmp_path):
    path = checkpoint_path(tmp_path, 1)
    save_checkpoint(path, {"model_state": {"w": torch.ones(3)}})
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_checkpoints_come_newest_first_by_number(tmp_path):
    for number in (2, 10, 9, 100_000):
        save_checkpoint(checkpoint_path(tmp_path, number), {"model_state": {"w": torch.ones(1)}})
    folder = tmp_path / "checkpoints"
    for name in ("checkpoint_epoch_00011.pyth8x3.part", "checkpoint_best.pyth", "notes.txt"):
        (folder / name).write_text("no checkpoint")
    numbers = [int(path.stem.split("_")[-1]) for path in find_checkpoints(tmp_path)]
    assert numbers == [100_000, 10, 9, 2]


def test_a_folder_without_any(tmp_path):
    assert find_checkpoints(tmp_path) == []
    assert find_checkpoints(tmp_path / "absent") == []


# --- files that are no checkpoint ---


class Runs:
    """Unpickled, it makes a folder: what a malicious file would do."""

    def __init__(self, folder: Path):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


def whole() -> bytes:
    return torch_bytes({"model_state": {"w": torch.ones(500)}})


LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
WRONG_FILES = {
    "empty": (b"", "it is empty"),
    "page": (b"\n <!DOCTYPE html><html></html>", "it is an HTML or XML page, not a download of the weights"),
    "lfs": (LFS, "it is a Git LFS pointer: fetch the file itself with git lfs pull"),
    "truncated": (whole()[:700], "it looks like a torch file of 700 bytes that is cut short"),
    "number": (pickle.dumps(5), "it is a pickle of 5 bytes"),
    "text": (b"epoch 1: loss 0.5\n", "it has 18 bytes of another kind, beginning with b'epoch 1: loss 0.'"),
}  # fmt: skip


@pytest.mark.parametrize("kind", WRONG_FILES)
def test_a_file_that_is_refused_says_what_it_is(tmp_path, kind):
    data, message = WRONG_FILES[kind]
    path = tmp_path / "weights.pyth"
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match=re.escape(f"{path} cannot be read as a checkpoint: {message}")) as error:
        read_checkpoint(path)
    assert "\n" not in str(error.value)
    assert "weights_only" not in str(error.value)  # torch's advice would be to let the file run its code


@pytest.mark.parametrize("wrap", [pickle.dumps, torch_bytes, lambda x: torch_bytes({"model_state": {"w": x}})])
def test_a_malicious_file_does_not_run(tmp_path, wrap):
    path, folder = tmp_path / "weights.pyth", tmp_path / "made_by_the_file"
    path.write_bytes(wrap(Runs(folder)))
    with pytest.raises(CheckpointError, match="objects other than tensors"):
        read_checkpoint(path)
    assert not folder.exists()
    pickle.loads(pickle.dumps(Runs(folder)))  # the trap does work
    assert folder.exists()


def test_the_refused_object_is_named(tmp_path):
    path = tmp_path / "weights.pyth"
    path.write_bytes(torch_bytes({"model_state": Runs(tmp_path / "x")}))
    with pytest.raises(CheckpointError, match=r"asks for (posix|nt)\.mkdir, which is no tensor"):
        read_checkpoint(path)


@pytest.mark.parametrize(
    "content, found",
    [
        (5, "int"),
        ([torch.ones(2)], "list"),
        ({}, "a dict with "),
        ({"model_state": 5}, "a dict with model_state"),
        ({"model_state": {"w": 5}}, "a dict with model_state"),
        ({"epoch": 1, "optimizer_state": {}}, "a dict with epoch, optimizer_state"),
    ],
)
def test_a_torch_file_without_weights(tmp_path, content, found):
    path = tmp_path / "weights.pyth"
    path.write_bytes(torch_bytes(content))
    message = f"{path} holds no weights: expected a dict with model_state, found {found}"
    with pytest.raises(CheckpointError, match=re.escape(message)):
        read_checkpoint(path)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(CheckpointError, match=re.escape(f"there is no checkpoint {tmp_path / 'absent.pyth'}.")):
        read_checkpoint(tmp_path / "absent.pyth")
    with pytest.raises(CheckpointError, match=re.escape(f"there is no checkpoint {tmp_path}")):
        read_checkpoint(tmp_path)  # a folder


@pytest.mark.filterwarnings("ignore")  # torch's, on pickles of other protocols
def test_whatever_is_broken_gives_the_same_kind_of_error(tmp_path):
    rng, good, path = random.Random(0), whole(), tmp_path / "weights.pyth"
    refused = 0
    for i in range(300):
        if i % 3 == 0:
            data = rng.randbytes(rng.choice([1, 5, 30, 200]))
        elif i % 3 == 1:
            data = b"\x80\x02" + rng.randbytes(rng.choice([1, 5, 30, 200]))
        else:
            start = rng.randrange(len(good))
            data = good[:start] + rng.randbytes(8) + good[start + 8 :]
        path.write_bytes(data)
        try:
            read_checkpoint(path)  # a flipped weight goes unnoticed, or zip's checksum finds it
        except CheckpointError:
            refused += 1
    assert refused > 200


# --- loading ---


@pytest.mark.parametrize("wrap", ["model_state", "state_dict", None])
@pytest.mark.parametrize("naming", ["slowfast", "pyslowfast"])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_weights_load_however_they_are_wrapped(tmp_path, wrap, naming, prefix):
    source, target = seeded(toy_slowfast, 0), seeded(toy_slowfast, 1)
    state = {prefix + name: value for name, value in rename(source.state_dict(), to=naming).items()}
    path = tmp_path / "weights.pyth"
    save_checkpoint(path, {"epoch": 1, wrap: state} if wrap else state)
    load_for_test(target, path)
    assert same_weights(source, target)


def test_missing_counters_of_batch_norms_are_no_loss(tmp_path):
    source, target = seeded(toy_slowfast, 0), seeded(toy_slowfast, 1)
    state = {k: v for k, v in source.state_dict().items() if not k.endswith("num_batches_tracked")}
    assert load_weights(target, state).is_complete


def test_the_report_tells_missing_unexpected_and_wrong_shape_apart():
    source, target = seeded(toy_slowfast, 0), seeded(lambda: toy_slowfast(num_classes=9), 1)
    state = source.state_dict()
    del state["fast.res2.block0.a.weight"]
    state["something.else"] = torch.zeros(1)
    report = load_weights(target, state)
    assert report.missing == ["fast.res2.block0.a.weight"]
    assert report.unexpected == ["something.else"]
    assert report.wrong_shape == [
        "head.classifier.bias (file [5], model [9])",
        f"head.classifier.weight (file [5, {256 + 128}], model [9, {256 + 128}])",
    ]
    assert not report.is_complete
    assert str(report).startswith(
        f"{len(source.state_dict()) - 3} tensors loaded; 1 missing: fast.res2.block0.a.weight"
    )
    assert "1 unexpected: something.else; 2 wrong shape: head.classifier.bias (file [5], model [9])" in str(report)


def test_a_long_report_is_cut():
    report = load_weights(toy_slowfast(), {f"other{i}": torch.zeros(1) for i in range(7)})
    assert "7 unexpected: other0, other1, other2, other3, other4, and 2 more" in str(report)


@pytest.fixture
def five_class_file(tmp_path):
    path = tmp_path / "five.pyth"
    save_checkpoint(path, state_of(seeded(toy_slowfast, 0)))
    return path


def test_another_class_count_gives_fine_tuning_a_fresh_head(five_class_file, caplog):
    target = seeded(lambda: toy_slowfast(num_classes=9), 1)
    head = target.head.classifier.weight.clone()
    with caplog.at_level(logging.INFO, logger="slowfast"):
        load_for_finetuning(target, five_class_file)
    assert torch.equal(target.head.classifier.weight, head)
    assert torch.equal(target.slow.stem.conv.weight, seeded(toy_slowfast, 0).slow.stem.conv.weight)
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert "2 wrong shape: head.classifier.bias (file [5], model [9])" in record.getMessage()
    assert "What did not load keeps its initial values." in record.getMessage()


def test_another_class_count_is_an_error_for_a_test(five_class_file):
    target = seeded(lambda: toy_slowfast(num_classes=9), 1)
    message = (
        rf"{re.escape(str(five_class_file))} is of another model.*2 wrong shape: head\.classifier\.bias \(file \[5\]"
    )
    with pytest.raises(CheckpointError, match=message):
        load_for_test(target, five_class_file)


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


def test_the_contents_come_back(five_class_file):
    assert load_for_test(seeded(toy_slowfast, 1), five_class_file)["epoch"] == 3


def test_nothing_that_fits_is_an_error_for_fine_tuning(tmp_path):
    path = tmp_path / "weights.pyth"
    save_checkpoint(path, {"model_state": {"w": torch.ones(3)}})
    with pytest.raises(CheckpointError, match=r"has nothing that fits this model: 0 tensors loaded; \d+ missing: "):
        load_for_finetuning(toy_slowfast(), path)


def test_text_may_be_cleared_from_the_names(tmp_path):
    source, target = seeded(toy_slowfast, 0), seeded(toy_slowfast, 1)
    path = tmp_path / "weights.pyth"
    save_checkpoint(path, {"model_state": {f"backbone.encoder.{k}": v for k, v in source.state_dict().items()}})
    load_for_finetuning(target, path, clear_patterns=("backbone.", "encoder."))
    assert same_weights(source, target)


def test_weights_are_copied_not_shared(five_class_file):
    content = read_checkpoint(five_class_file)
    target = toy_slowfast()
    load_weights(target, content["model_state"])
    target.slow.stem.conv.weight.data.zero_()
    assert content["model_state"]["slow.stem.conv.weight"].abs().sum() > 0


# --- resuming ---


def resume(output_dir, model, **train):
    from slowfast.config import load_cfg
    from slowfast.engine.build import _initial_state

    overrides = ["OUTPUT_DIR", str(output_dir), *(x for key, v in train.items() for x in (f"TRAIN.{key}", v))]
    return _initial_state(load_cfg("Kinetics/SLOWFAST_4x16_R50", overrides), model)


def trained(tmp_path, number: int, seed: int):
    model = seeded(toy_slowfast, seed)
    save_checkpoint(
        checkpoint_path(tmp_path, number), state_of(model, optimizer_state={}, versions={}, epoch=number - 1)
    )
    return model


def test_training_resumes_from_the_newest(tmp_path):
    trained(tmp_path, 9, seed=1)
    newest = trained(tmp_path, 10, seed=2)
    model = toy_slowfast()
    assert resume(tmp_path, model)["epoch"] == 9
    assert same_weights(model, newest)


def test_an_unreadable_newest_is_passed_over_and_said(tmp_path, caplog):
    older = trained(tmp_path, 9, seed=1)
    path = checkpoint_path(tmp_path, 10)
    path.write_bytes(whole()[:300])
    model = toy_slowfast()
    assert resume(tmp_path, model)["epoch"] == 8
    assert same_weights(model, older)
    assert f"{path} cannot be read as a checkpoint" in caplog.text and "Trying the one before." in caplog.text


def test_a_checkpoint_of_another_model_stops_the_run(tmp_path):
    trained(tmp_path, 9, seed=1)
    with pytest.raises(CheckpointError, match=r"00009\.pyth is of another model than the config's: .*2 wrong shape"):
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


def test_a_weights_file_starts_from_weights_alone(tmp_path, five_class_file):
    model = seeded(toy_slowfast, 5)
    assert resume(tmp_path / "out", model, CHECKPOINT_FILE_PATH=str(five_class_file)) is None
    assert same_weights(model, seeded(toy_slowfast, 0))
