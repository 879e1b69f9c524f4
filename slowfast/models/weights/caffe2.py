"""Released Caffe2 weights: a pickle ``{"blobs": {name: array}}`` -> a state dict in PySlowFast's names.

The file comes from the internet, so the unpickler accepts only NumPy arrays and containers: nothing that could run, and
no array that takes more bytes than the file holds for it.
"""

from __future__ import annotations

import pickle
import re
from collections import OrderedDict
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from slowfast.utils.untrusted import cut, file_status

_PARAMETERS = {
    "w": "weight",
    "b": "bias",
    "bn_s": "weight",
    "bn_b": "bias",
    "bn_rm": "running_mean",
    "bn_riv": "running_var",
}
_PARAMETER = r"(?P<bn>_bn)?_(?P<kind>w|b|s|rm|riv)$"
# Names in a file -> the beginning of PySlowFast's name, without and with batch norm.
# {p}: pathway, {n}: stage, {i}: block.
_TABLE = (
    (r"(?P<t>t_)?conv1", "s1.pathway{p}_stem.conv", None),
    (r"(?P<t>t_)?res_conv1", None, "s1.pathway{p}_stem.bn"),
    (r"t_pool1_subsample", "s1_fuse.conv_f2s", "s1_fuse.bn"),
    (r"t_res(?P<n>\d)_\d+_branch2\w_bn_subsample", "s{n}_fuse.conv_f2s", "s{n}_fuse.bn"),
    (
        r"(?P<t>t_)?res(?P<n>\d)_(?P<i>\d+)_branch1",
        "s{n}.pathway{p}_res{i}.branch1",
        "s{n}.pathway{p}_res{i}.branch1_bn",
    ),
    (
        r"(?P<t>t_)?res(?P<n>\d)_(?P<i>\d+)_branch2(?P<x>[abc])",
        "s{n}.pathway{p}_res{i}.branch2.{x}",
        "s{n}.pathway{p}_res{i}.branch2.{x}_bn",
    ),
    (r"nonlocal_conv(?P<n>\d)_(?P<i>\d+)_(?P<x>theta|phi|g|out)", "s{n}.pathway0_nonlocal{i}.conv_{x}", None),
    (r"nonlocal_conv(?P<n>\d)_(?P<i>\d+)", None, "s{n}.pathway0_nonlocal{i}.bn"),
    (r"pred", "head.projection", None),
)
_PATTERNS = tuple((re.compile("^" + theirs + _PARAMETER), plain, norm) for theirs, plain, norm in _TABLE)
_IGNORED = re.compile(r"(_momentum|^lr|^model_iter)$")  # of the optimizer


class _DType:
    """Replaces ``numpy.dtype``, for plain numbers only: NumPy's own accepts fields that lie outside an array."""

    def __init__(self, name: str, align: bool = False, copy: bool = False):
        if not isinstance(name, str) or not _PLAIN_NUMBER.fullmatch(name):
            raise pickle.UnpicklingError(f"it holds an array of the type {cut(repr(name))}, not of plain numbers")
        self.value = np.dtype(name)

    def __setstate__(self, state: tuple) -> None:
        self.value = self.value.newbyteorder(state[1])


class _Array:
    """Replaces ``numpy.ndarray``, which must not be called: its first argument is a size."""

    def __init__(self, *arguments):
        raise pickle.UnpicklingError(f"it asks for an array of the size {cut(repr(arguments))} without content")


class _Content:
    """Becomes an array once its content follows, which must have as many bytes as its shape says."""

    def __init__(self, *arguments):
        self.value: np.ndarray | None = None

    def __setstate__(self, state: tuple) -> None:
        _, shape, dtype, is_fortran, content = state
        content = content.encode("latin1") if isinstance(content, str) else content
        array = np.frombuffer(content, dtype.value)
        self.value = array.reshape(shape, order="F" if is_fortran else "C")


def _scalar(dtype: _DType, content: bytes | str) -> np.generic:
    """A scalar of an array's type."""
    content = content.encode("latin1") if isinstance(content, str) else content
    return np.frombuffer(content, dtype.value, count=1)[0]


def _encode(text: str, encoding: str) -> bytes:
    """Bytes, which Python 3 pickles as text with protocol 2."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"it asks for the encoding {cut(str(encoding))}, which arrays do not need")
    return text.encode("latin1")


_PLAIN_NUMBER = re.compile(r"[<>=|]?(f[248]|[iu][1248]|b1)")
# What a name in the pickle stands for: nothing of NumPy's, whose own functions for pickles trust them.
_ALLOWED = {
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _Content for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "scalar"): _scalar for core in ("core", "_core")},
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _DType,
    ("_codecs", "encode"): _encode,
    ("collections", "OrderedDict"): OrderedDict,
}


class _ArrayUnpickler(pickle.Unpickler):
    """Refuses every class and function that arrays and containers do not need."""

    def find_class(self, module: str, name: str):
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which weights do not need")
        return _ALLOWED[module, name]


def pyslowfast_name(blob: str) -> str | None:
    """PySlowFast's name of a blob, the blob's own where the table has none, None for blobs of the optimizer."""
    if _IGNORED.search(blob):
        return None
    for pattern, plain, norm in _PATTERNS:
        match = pattern.match(blob)
        if match is None:
            continue
        template = norm if match["bn"] else plain
        if template:
            fields = {key: value for key, value in match.groupdict().items() if value is not None}
            name = template.format(p=1 if "t" in fields else 0, **{k: fields[k] for k in "nix" if k in fields})
            return f"{name}.{_PARAMETERS[('bn_' if match['bn'] else '') + match['kind']]}"
    return blob


def read_caffe2(path: str | Path) -> dict[str, Tensor]:
    """State dict of a Caffe2 file, in PySlowFast's names, float32.

    Raises:
        pickle.UnpicklingError: the file asks for more than arrays, or holds no blobs.
    """
    file_status(path)
    with open(path, "rb") as file:
        content = _ArrayUnpickler(file, encoding="latin1").load()
    blobs = content.get("blobs") if isinstance(content, dict) else None
    if not isinstance(blobs, dict) or not blobs:
        raise pickle.UnpicklingError("it holds no Caffe2 blobs")
    state = {}
    for blob, array in blobs.items():
        if not isinstance(blob, str):
            raise pickle.UnpicklingError(f"a blob is called {cut(repr(blob))}, which is not text")
        name = pyslowfast_name(blob)
        if name is not None:
            state[name] = _tensor(array)
    return state


def _tensor(blob: object) -> Tensor:
    value = blob.value if isinstance(blob, _Content) else blob
    if not isinstance(value, np.ndarray | np.generic | int | float):
        raise pickle.UnpicklingError(f"a blob is {cut(repr(blob))}, neither an array nor a number")
    return torch.from_numpy(np.array(value, dtype=np.float32))
