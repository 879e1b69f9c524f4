"""Reading weights of any kind, and loading them with a report."""

from __future__ import annotations

import io
import os
import pickle
import random
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from slowfast.models.norm import norm_layer
from slowfast.models.weights.load import CheckpointError, load_exactly, load_weights, read_checkpoint, read_with_kind
from slowfast.models.weights.names import rename
from tests.models.toys import randomize_batch_norms, seeded, toy_clip, toy_resnet, toy_slowfast


def torch_bytes(content) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


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
    "page": (b"\n <!DOCTYPE html><html></html>", "it is an HTML page"),
    "lfs": (LFS, "it is a Git LFS pointer: fetch the file itself with git lfs pull"),
    "truncated": (whole()[:700], "it is a ZIP archive (700 bytes), cut short"),
    "number": (pickle.dumps(5), "it is a pickle (5 bytes), cut short"),
    "text": (b"epoch 1: loss 0.5\n", "it is a text file"),
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


@pytest.mark.parametrize(
    "wrap, cause",
    [
        (pickle.dumps, "not a pickle of tensors"),
        (torch_bytes, r"it asks for (posix|nt)\.mkdir, which is not a tensor"),
        (lambda x: torch_bytes({"model_state": {"w": x}}), r"it asks for (posix|nt)\.mkdir"),
    ],
)
def test_a_malicious_file_does_not_run(tmp_path, wrap, cause):
    path, folder = tmp_path / "weights.pyth", tmp_path / "made_by_the_file"
    path.write_bytes(wrap(Runs(folder)))
    with pytest.raises(CheckpointError, match=rf"objects other than tensors \({cause}"):
        read_checkpoint(path)
    assert not folder.exists()
    pickle.loads(pickle.dumps(Runs(folder)))  # the trap does work
    assert folder.exists()


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
    with pytest.raises(
        CheckpointError,
        match=re.escape(f"there is no checkpoint {tmp_path / 'absent.pyth'}: no file, and there are no published"),
    ):
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


@pytest.mark.parametrize(
    "wrap, naming, prefix",
    [("model_state", "slowfast", "module."), ("state_dict", "pyslowfast", ""), (None, "pyslowfast", "module.")],
)
def test_weights_load_however_they_are_wrapped(tmp_path, wrap, naming, prefix):
    source, target = seeded(toy_slowfast, 0), seeded(toy_slowfast, 1)
    state = {prefix + name: value for name, value in rename(source.state_dict(), to=naming).items()}
    state = {name: value for name, value in state.items() if not name.endswith("num_batches_tracked")}  # older files
    path = tmp_path / "weights.pyth"
    torch.save({"epoch": 1, wrap: state} if wrap else state, path)
    load_exactly(target, read_checkpoint(path), path)
    loaded = rename(target.state_dict(), to=naming)
    assert all(torch.equal(value, loaded[name.removeprefix(prefix)]) for name, value in state.items())


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


def test_exact_loading_allows_another_head_alone():
    five_classes = {"model_state": seeded(toy_slowfast, 0).state_dict()}
    target = seeded(lambda: toy_slowfast(num_classes=9), 1)
    head = target.head.classifier.weight.clone()
    with pytest.raises(CheckpointError, match=r"five\.pyth belongs to .*2 wrong shape: head\.classifier"):
        load_exactly(target, five_classes, "five.pyth")
    load_exactly(target, five_classes, "five.pyth", but_for_head=True)
    assert torch.equal(target.head.classifier.weight, head)
    with pytest.raises(
        CheckpointError, match=r"belongs to a different model, .*311 wrong shape: fast\.res2\.block0\.a\.weight"
    ):
        load_exactly(toy_slowfast(width=16), five_classes, "five.pyth", but_for_head=True)


# --- kinds of files ---


def test_kinds_are_seen_from_the_content(tmp_path):
    path = tmp_path / "weights.pkl"
    torch.save({"epoch": 7, "state_dict": {"w": torch.ones(2)}, "cfg": "A: 1"}, path)
    kind, content = read_with_kind(path)
    assert kind == "checkpoint"
    assert list(content) == ["epoch", "model_state", "cfg"]  # whatever the file calls the weights
    torch.save({"w": torch.ones(2)}, path)
    kind, content = read_with_kind(path)
    assert (kind, list(content), list(content["model_state"])) == ("state dict", ["model_state"], ["w"])
    path.write_bytes(pickle.dumps({"blobs": {"conv1_w": np.ones((2, 3), np.float32)}}, protocol=2))
    kind, content = read_with_kind(path)
    assert (kind, list(content["model_state"])) == ("Caffe2 file", ["s1.pathway0_stem.conv.weight"])


# --- from a URL ---


def test_a_url_is_read_through_the_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("FVCORE_CACHE", str(tmp_path))
    file = tmp_path / "zoo" / "weights.pyth"
    file.parent.mkdir()
    torch.save({"model_state": {"w": torch.ones(2)}}, file)
    url = "https://nowhere.invalid/zoo/weights.pyth"
    assert read_checkpoint(url)["model_state"]["w"].tolist() == [1, 1]  # the cache has it: no connection
    file.write_text("<html>")
    message = f"{file} cannot be read as a checkpoint: it is an HTML page"
    with pytest.raises(CheckpointError, match=re.escape(message)) as error:
        read_checkpoint(url)
    assert str(error.value).endswith(f"Delete it to download {url} again.")


def test_a_url_that_cannot_be_had_says_where_the_file_goes(tmp_path, monkeypatch):
    monkeypatch.setenv("FVCORE_CACHE", str(tmp_path))
    url = "http://127.0.0.1:9/zoo/weights.pyth"  # the discard port: nobody listens
    message = (
        rf"{re.escape(url)} cannot be downloaded \(.*refused.*put it at {re.escape(str(tmp_path))}/zoo/weights\.pyth"
    )
    with pytest.raises(CheckpointError, match=message):
        read_checkpoint(url)


# --- statistics of batch norms ---


@pytest.mark.parametrize("naming", ["slowfast", "pyslowfast"])
@pytest.mark.parametrize("num_splits", [1, 2, 4])
def test_plain_batch_norms_load_into_sub_batch_norms(num_splits, naming):
    source = seeded(toy_resnet)
    randomize_batch_norms(source)
    target = seeded(lambda: toy_resnet(norm=norm_layer("sub_batchnorm", num_splits=num_splits)), 1)
    report = load_weights(target, rename(source.state_dict(), to=naming))
    assert report.is_complete and f"batch norms made sub-batch norms of {num_splits} parts" in str(report)
    assert torch.allclose(target.eval()(toy_clip()), source.eval()(toy_clip()), atol=1e-6)
    fresh = seeded(toy_resnet, 2)
    report = load_weights(fresh, target.state_dict())  # and back
    num_norms = sum(isinstance(module, torch.nn.BatchNorm3d) for module in fresh.modules())
    assert report.is_complete and str(report).endswith(f"; {num_norms} sub-batch norms joined into plain ones")
    again = load_weights(target, target.state_dict())
    assert again.is_complete and not again.notes
    assert torch.allclose(fresh.eval()(toy_clip()), source(toy_clip()), atol=1e-6)


@pytest.mark.parametrize("before, after", [(2, 4), (4, 1)])
def test_another_number_of_parts_keeps_the_outputs(before, after):
    """A network whose parts have statistics of their own."""
    source = seeded(lambda: toy_resnet(norm=norm_layer("sub_batchnorm", num_splits=before)))
    randomize_batch_norms(source)
    expected = source.eval()(toy_clip())
    target = seeded(lambda: toy_resnet(norm=norm_layer("sub_batchnorm", num_splits=after)), 1)
    report = load_weights(target, source.state_dict())
    assert report.is_complete and f"sub-batch norms of {before} parts made ones of {after}" in str(report)
    assert torch.allclose(target.eval()(toy_clip()), expected, atol=1e-6)
