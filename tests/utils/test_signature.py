from __future__ import annotations

import re

import pytest
from torch import nn

from slowfast.utils.signature import check_kwargs


class Takes:
    def __init__(self, *, kernel_size: int = 5, ratio: int = 2):
        pass


class TakesAnything:
    def __init__(self, **options):
        pass


class TakesNothing(nn.Module):
    def forward(self, x):
        return x


def test_what_fits_passes():
    assert check_kwargs(Takes, {"ratio": 1}, "KEY") is None
    assert check_kwargs(Takes, {}, "KEY") is None
    assert check_kwargs(TakesAnything, {"whatever": 1}, "KEY") is None
    assert check_kwargs(lambda a, b: None, {"a": 1}, "KEY") is None


@pytest.mark.parametrize(
    "target, name, message",
    [
        (Takes, "kernel_sise", "takes no argument 'kernel_sise'. Did you mean kernel_size? It takes: kernel_size"),
        (Takes, "self", "KEY: Takes takes no argument 'self'."),
        (TakesNothing, "width", "KEY: TakesNothing takes no argument 'width'. It takes: none."),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_named(target, name, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        check_kwargs(target, {name: 1}, "KEY")
