"""Arrays and tensors of unknown origin: nothing runs, and nothing grows beyond its file."""

import io
import os
import re
import zipfile

import numpy as np
import pytest
import torch

from slowfast.evaluation.late_fusion import FusionError, read_predictions
from slowfast.models.weights.load import CheckpointError, read_checkpoint
from slowfast.utils.tensor_files import TensorFileError, load_state, load_tensors, open_arrays


def npy(array: np.ndarray, **options) -> bytes:
    file = io.BytesIO()
    np.save(file, array, **options)
    return file.getvalue()


def write_archive(path, members: dict[str, bytes], compression=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def header(shape: str, descr: str = "<f4") -> bytes:
    text = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}".ljust(117).encode() + b"\n"
    return b"\x93NUMPY\x01\0" + len(text).to_bytes(2, "little") + text


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6.0).reshape(2, 3),
        np.asfortranarray(np.arange(6, dtype=np.int32).reshape(2, 3)),
        np.array(["a", "long name"]),
        np.array(3, dtype=np.uint8),
        np.zeros((0, 4)),
        np.array([True, False]),
    ],
)
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_arrays_are_those_that_numpy_wrote(array, save, tmp_path):
    save(tmp_path / "a.npz", a=array, b=array[..., None])
    with open_arrays(tmp_path / "a.npz") as arrays:
        assert "a" in arrays and "c" not in arrays
        np.testing.assert_array_equal(arrays["a"], array)
        assert arrays["b"].shape == (*array.shape, 1) and arrays["a"].dtype == array.dtype


@pytest.mark.parametrize(
    "content, problem",
    [
        (header("(100000, 100000)"), r"an array of shape \(100000, 100000\) and type float32 does not fit into 128"),
        (header("(-1, 4)"), "does not fit"),
        (header("(9999999999999999999,)"), "does not fit"),
        (header("(" + "9," * 9 + ")", "<f8"), "does not fit"),
        (header("(1,)", "|O"), "it holds Python objects, which could run code"),
        (header("x"), "ValueError: "),
        (b"no array", "ValueError: "),
        (b"\x93NUMPY\x09\0" + bytes(60), r"version \(9, 0\)"),
    ],
)
def test_an_array_that_is_none_names_its_file(content, problem, tmp_path):
    path = write_archive(tmp_path / "a.npz", {"a.npy": content})
    with (
        pytest.raises(TensorFileError, match=rf"{re.escape(str(path))} cannot be read as an \.npz file: .*{problem}"),
        open_arrays(path) as arrays,
    ):
        arrays["a"]


def test_arrays_beyond_the_limit_are_not_unpacked(tmp_path):
    path = write_archive(tmp_path / "a.npz", {"a.npy": npy(np.zeros(10**6)), "b.npy": npy(np.zeros(10**6))})
    assert os.path.getsize(path) < 20_000
    with open_arrays(path, max_bytes=17 * 10**6) as arrays:
        assert len(arrays["a"]) + len(arrays["b"]) == 2 * 10**6
    with (
        pytest.raises(TensorFileError, match="would take 8,000,128 bytes and more"),
        open_arrays(path, max_bytes=15 * 10**6) as arrays,
    ):
        arrays["a"], arrays["b"]


def test_predictions_of_gigabytes_in_a_small_file_are_refused(tmp_path):
    members = {"labels.npy": npy(np.zeros(3, int)), "paths.npy": npy(np.array("a"))}
    path = write_archive(
        tmp_path / "predictions.npz", {**members, "scores.npy": header("(32768, 32767)") + bytes(2**20)}
    )
    content = path.read_bytes()
    size = content.rindex(b"PK\x01\x02") + 24  # of the last member, as the central directory has it
    path.write_bytes(content[:size] + (2**32 - 2).to_bytes(4, "little") + content[size + 4 :])
    with pytest.raises(FusionError, match=r"predictions\.npz cannot be read .*would take 4,294,967,294 bytes"):
        read_predictions(path)


def test_predictions_of_other_kinds_are_refused(tmp_path):
    np.savez(tmp_path / "a.npz", scores=np.array(["x"]), labels=np.zeros(1), paths=np.zeros(1))
    with pytest.raises(FusionError, match="holds labels float64, paths float64, scores <U1; expected whole numbers"):
        read_predictions(tmp_path / "a.npz")


def test_no_archive_and_no_file(tmp_path):
    (tmp_path / "a.npz").write_text("<html>")
    with (
        pytest.raises(
            TensorFileError, match=r"a\.npz cannot be read as an \.npz file: BadZipFile: .* \(it is an HTML page\)"
        ),
        open_arrays(tmp_path / "a.npz"),
    ):
        pass
    with pytest.raises(TensorFileError, match=r"cannot read .*b\.npz: No such file"), open_arrays(tmp_path / "b.npz"):
        pass


def test_a_packed_checkpoint_that_grows_is_not_unpacked(tmp_path):
    torch.save({"model_state": {"w": torch.zeros(10**6)}}, tmp_path / "plain.pyth")
    with zipfile.ZipFile(tmp_path / "plain.pyth") as plain:
        members = {info.filename: plain.read(info) for info in plain.infolist()}
    path = write_archive(tmp_path / "packed.pyth", members)
    assert os.path.getsize(path) < 10_000
    with pytest.raises(
        CheckpointError, match=r"packed\.pyth cannot be read as a checkpoint: .*unpacked it would take 4,0"
    ):
        read_checkpoint(path)
    assert len(read_checkpoint(tmp_path / "plain.pyth")["model_state"]["w"]) == 10**6


@pytest.mark.parametrize("state", [{"other": torch.ones(1)}, {"weight": torch.ones(1, 2)}, {1: torch.ones(1)}, [], 5])
def test_a_state_dict_of_another_network_names_its_file(state, tmp_path):
    torch.save(state, tmp_path / "a.pth")
    with pytest.raises(TensorFileError, match=r"a\.pth holds no weights of this network: "):
        load_state(torch.nn.Linear(2, 3, bias=False), tmp_path / "a.pth")


def test_a_checkpoint_whose_names_are_no_text_is_none(tmp_path):
    torch.save({"model_state": {1: torch.ones(1)}}, tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match="holds no weights"):
        read_checkpoint(tmp_path / "a.pth")


def test_a_special_file_is_not_opened(tmp_path):
    os.mkfifo(tmp_path / "a.pth")
    with pytest.raises(TensorFileError, match="it is a FIFO"):
        load_tensors(tmp_path / "a.pth")
