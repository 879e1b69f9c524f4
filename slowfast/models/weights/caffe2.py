"""Released Caffe2 weights: a pickle ``{"blobs": {name: array}}`` -> a state dict in PySlowFast's names.

The file comes from the internet, so the unpickler admits NumPy arrays and containers, and nothing that could run.
"""

from __future__ import annotations

import pickle
import re
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

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

_ALLOWED = {
    *((f"numpy.{core}.multiarray", name) for core in ("core", "_core") for name in ("_reconstruct", "scalar")),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("_codecs", "encode"),
    ("collections", "OrderedDict"),
}


class _ArrayUnpickler(pickle.Unpickler):
    """Refuses every class and function that arrays and containers do not need."""

    def find_class(self, module: str, name: str):
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which weights do not need")
        return super().find_class(module, name)


def pyslowfast_name(blob: str) -> str | None:
    """PySlowFast's name of a blob, the blob's own where the table has none, None for blobs of the optimizer."""
    if _IGNORED.search(blob):
        return None
    for pattern, plain, norm in _PATTERNS:
        match = pattern.match(blob)
        template = (norm if match["bn"] else plain) if match else None
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
    with open(path, "rb") as file:
        content = _ArrayUnpickler(file, encoding="latin1").load()
    blobs = content.get("blobs") if isinstance(content, dict) else None
    if not isinstance(blobs, dict) or not blobs:
        raise pickle.UnpicklingError("it holds no Caffe2 blobs")
    state = {}
    for blob, array in blobs.items():
        name = pyslowfast_name(blob)
        if name is not None:
            state[name] = torch.from_numpy(np.array(array, dtype=np.float32))
    return state
