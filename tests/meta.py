"""Shapes without numbers, quickly."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import torch


@contextmanager
def shapes_only() -> Iterator[None]:
    """New tensors lie on the meta device, and batch norms give their input back.

    On that device a batch norm takes 3 ms, ten times a convolution: torch works its shape out in Python.
    """
    with torch.device("meta"), patch("torch.nn.functional.batch_norm", lambda features, *_, **__: features):
        yield
