"""Arrays and tensors from untrusted files: no code runs, and the unpacked size is limited.

Both kinds are ZIP archives (torch's older ones are pickles). A small archive can claim any size: packed zeros are a
thousand times smaller than their content, and the header of an array may promise more than its file holds. So sizes are
checked before anything is unpacked.
"""

from __future__ import annotations

import math
import os
import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn

from slowfast.utils.untrusted import describe_file, file_status

MAX_ARRAY_BYTES = 2**31  # of all arrays of an .npz file: scores of 700 classes for 760,000 videos
MAX_RATIO = 20  # of unpacked to packed bytes in torch's files, whose tensors are stored as they are

_HEADER_BYTES = 2**16
_READ_HEADER = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


class TensorFileError(ValueError):
    """A file of arrays or tensors cannot be used; the message names it and says what it is."""


class ArrayFile:
    """The arrays of an .npz file by name; use ``open_arrays``."""

    def __init__(self, archive: zipfile.ZipFile, max_bytes: int):
        self._archive, self._left = archive, max_bytes
        self._members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}

    def __contains__(self, name: str) -> bool:
        return name in self._members

    def __getitem__(self, name: str) -> np.ndarray:
        """An array. Raises KeyError if there is none, ValueError if its header does not match its size."""
        info = self._members[name]
        self._left -= info.file_size
        if self._left < 0:
            raise ValueError(f"its arrays would take {info.file_size:,} bytes and more")
        with self._archive.open(info) as file:
            return _read_array(file, info.file_size)


def _read_array(file, size: int) -> np.ndarray:
    """The array of an .npy file of ``size`` bytes."""
    version = np.lib.format.read_magic(file)
    if version not in _READ_HEADER:
        raise ValueError(f"version {version} of NumPy's format")
    shape, is_fortran, dtype = _READ_HEADER[version](file, max_header_size=_HEADER_BYTES)
    if dtype.hasobject:
        raise ValueError("it holds Python objects, which could run code")
    num_items = math.prod(shape)
    num_bytes = num_items * dtype.itemsize
    if min(shape, default=0) < 0 or num_bytes > size:
        raise ValueError(f"an array of shape {shape} and type {dtype} does not fit into {size:,} bytes")
    content = file.read(num_bytes)
    array = np.frombuffer(content, dtype, count=num_items)
    return array.reshape(shape, order="F" if is_fortran else "C").copy()


@contextmanager
def open_arrays(path: str | os.PathLike, *, max_bytes: int = MAX_ARRAY_BYTES) -> Iterator[ArrayFile]:
    """The arrays of an .npz file, each read on request.

    Args:
        max_bytes: limit for all that are read, unpacked.

    Raises:
        TensorFileError: (also from within the block) no such file, damaged, too large, without a requested array, or
            with Python objects.
    """
    path = os.fspath(path)
    try:
        file_status(path)
        with zipfile.ZipFile(path) as archive:
            yield ArrayFile(archive, max_bytes)
    except TensorFileError:
        raise
    except OSError as error:
        raise TensorFileError(f"cannot read {path}: {error.strerror or error}.") from error
    # A damaged archive fails in many ways: BadZipFile, zlib.error, struct.error, SyntaxError (of a header), ...
    except Exception as error:
        what = describe_file(path)
        what = "" if what.startswith("a ZIP archive") else f" (it is {what})"
        raise TensorFileError(f"{path} cannot be read as an .npz file: {_cause(error)}{what}.") from error


def load_tensors(path: str | os.PathLike) -> object:
    """What ``torch.save`` wrote: tensors, numbers, text and containers of them. On the CPU; no code is run.

    Raises:
        TensorFileError: no such file, damaged, or with other objects.
    """
    path = os.fspath(path)
    try:
        file_status(path)
        _check_archive(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a broken pickle fails in any way: IndexError, struct.error, ...
        raise TensorFileError(
            f"{path} cannot be read as a checkpoint: it is {describe_weights(path)} ({_cause(error)})"
        ) from error


def load_state(model: nn.Module, path: str | os.PathLike) -> None:
    """Give ``model`` the state dict that ``torch.save`` wrote; all names and shapes must fit.

    Raises:
        TensorFileError: as ``load_tensors``, or it holds no state dict of this model.
    """
    state: Any = load_tensors(path)
    try:
        if not is_state_dict(state):
            raise ValueError("no state dict")
        model.load_state_dict(state)
    except (RuntimeError, ValueError) as error:  # torch's of names, shapes and kinds of tensors that do not fit
        raise TensorFileError(f"{os.fspath(path)} holds no weights of this network: {error}") from error


def is_state_dict(value: object) -> bool:
    """Whether ``value`` is a dict of tensors by name, with at least one."""
    return (
        isinstance(value, dict)
        and bool(value)
        and all(isinstance(name, str) and isinstance(entry, torch.Tensor) for name, entry in value.items())
    )


def _check_archive(path: str) -> None:
    """Check that the file is not a ZIP archive, or is one of about the size of its content."""
    size = os.path.getsize(path)
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(info.file_size for info in archive.infolist())
    except zipfile.BadZipFile:
        return
    if unpacked > MAX_RATIO * size:
        raise ValueError(f"unpacked it would take {unpacked:,} bytes")


def describe_weights(path: str | os.PathLike) -> str:
    """``describe_file`` for a file that should hold weights."""
    what = describe_file(path).partition(" (as files")[0]
    if what not in ("a ZIP archive", "a pickle"):
        return what
    return f"{what} ({os.path.getsize(path):,} bytes), cut short or with objects other than tensors"


def _cause(error: Exception) -> str:
    """The cause in torch's message, without its advice to load the file in the way that lets it run code."""
    text = str(error)
    refused = re.search(r"GLOBAL (\S+)", text)
    if refused:
        return f"it asks for {refused[1]}, which is not a tensor, number, string or container"
    if "weights_only" in text:
        return "not a pickle of tensors"
    if isinstance(error, KeyError):
        return f"no {text} in it"
    return f"{type(error).__name__}: {text.splitlines()[0][:200] if text else 'no details'}"
