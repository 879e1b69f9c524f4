"""Released Caffe2 weights: names, shapes, and files that would run something."""

import codecs
import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from slowfast.models import ResNet
from slowfast.models.weights.caffe2 import pyslowfast_name, read_caffe2
from slowfast.models.weights.load import CheckpointError, load_exactly, read_checkpoint
from slowfast.models.weights.names import to_pyslowfast

NAMES = json.loads((Path(__file__).parents[2] / "data/golden/caffe2_names.json").read_text())


@pytest.mark.parametrize("recipe", NAMES)
def test_every_name_of_the_reference(recipe):
    assert {blob: pyslowfast_name(blob) for blob in NAMES[recipe]} == NAMES[recipe]


def test_a_file_loads_strictly_with_and_without_trailing_ones(tmp_path):
    blob_of = {name: blob for blob, name in NAMES["Kinetics/SLOW_8x8_R50"].items()}
    model = ResNet(width=8, num_classes=5)
    with torch.no_grad():
        for value in (*model.parameters(), *model.buffers()):
            if value.is_floating_point():
                value.uniform_(0.1, 1)
    blobs = {"lr": np.float32(0.1), "conv1_w_momentum": np.zeros(3, np.float32)}
    for name, value in model.state_dict().items():
        if name.endswith("num_batches_tracked"):
            continue
        array = value.numpy()
        while array.ndim > 2 and array.shape[-1] == 1:
            array = array[..., 0]
        blobs[blob_of[to_pyslowfast(name, num_pathways=1)]] = array
    path = tmp_path / "weights.pkl"
    path.write_bytes(pickle.dumps({"blobs": blobs}, protocol=2))
    fresh = ResNet(width=8, num_classes=5)
    load_exactly(fresh, read_checkpoint(path), path)
    for name, value in model.state_dict().items():
        if not name.endswith("num_batches_tracked"):
            assert torch.equal(value, fresh.state_dict()[name]), name


class Calls:
    """Unpickles as a call of ``function`` with ``arguments``."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize(
    "value, problem",
    [
        (
            Calls(np.ndarray, (10**6, 10**6)),
            r"of the size \(\(1000000, 1000000\),\) without content",
        ),  # eight terabytes in 60 bytes
        (Calls(np._core.multiarray._reconstruct, np.ndarray, (10**12,), b"d"), "neither an array nor"),
        (None, "neither an array nor a number"),
        (Calls(codecs.encode, "x", "zip"), "the encoding zip"),
        (Calls(np.dtype, "O"), "of the type 'O', not of plain numbers"),
        (np.zeros(3, dtype=[("x", "f4")]), "of the type 'V4'"),
        (bytearray(5), "."),
        ({5: np.ones(3)}, "a blob is called 5"),
    ],
)
def test_blobs_that_ask_for_more_than_arrays_are_refused(value, problem, tmp_path):
    blobs = value if isinstance(value, dict) else {"conv1_w": value}
    (tmp_path / "a.pkl").write_bytes(pickle.dumps({"blobs": blobs}, protocol=2))
    with pytest.raises(Exception, match=problem):
        read_caffe2(tmp_path / "a.pkl")
    with pytest.raises(CheckpointError, match=r"a\.pkl cannot be read as a checkpoint: it is a pickle"):
        read_checkpoint(tmp_path / "a.pkl")


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, np.int64])
def test_arrays_and_numbers_of_every_pickle_protocol_are_read(protocol, dtype, tmp_path):
    values = np.arange(6).reshape(2, 3).astype(dtype)
    blobs = {"conv1_w": values, "conv1_b": np.asfortranarray(values), "pred_b": dtype(3)}
    (tmp_path / "a.pkl").write_bytes(pickle.dumps({"blobs": blobs}, protocol=protocol))
    state = read_caffe2(tmp_path / "a.pkl")
    assert [value.tolist() for value in state.values()] == [values.tolist(), values.tolist(), 3]
