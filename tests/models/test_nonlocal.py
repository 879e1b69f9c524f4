from __future__ import annotations

import re

import pytest
import torch

from slowfast.models.nonlocal_block import NonLocalBlock
from tests import reference
from tests.models.toys import randomize_batch_norms, seeded


def block(**arguments) -> NonLocalBlock:
    made = seeded(lambda: NonLocalBlock(6, **arguments)).eval()
    randomize_batch_norms(made)
    return made


def clip(frames: int = 2, height: int = 4, width: int = 5) -> torch.Tensor:
    return torch.randn(2, 6, frames, height, width, generator=torch.Generator().manual_seed(0))


def slow_version(made: NonLocalBlock, x: torch.Tensor, pool: tuple[int, int, int]) -> torch.Tensor:
    """The block on one clip (C, T, H, W), position by position."""

    def project(conv, features):
        weight, bias = conv.weight.flatten(1), conv.bias
        return weight @ features.flatten(1) + bias[:, None]

    pooled = reference.max_pool(x, pool)
    mixed = reference.nonlocal_attention(
        project(made.theta, x), project(made.phi, pooled), project(made.g, pooled), softmax=made.softmax
    )
    out, bn = project(made.out, mixed), made.bn
    scaled = (out - bn.running_mean[:, None]) / (bn.running_var[:, None] + bn.eps).sqrt()
    return x + (scaled * bn.weight[:, None] + bn.bias[:, None]).view_as(x)


@pytest.mark.parametrize("instantiation", ["dot_product", "softmax"])
@pytest.mark.parametrize("pool", [(1, 2, 2), (2, 2, 2), (1, 1, 1)])
def test_attention_against_the_slow_version(instantiation, pool):
    made, x = block(instantiation=instantiation, pool=pool), clip()
    before = x.clone()
    with torch.no_grad():
        out = made(x)
        assert torch.equal(x, before)
        for i in range(2):
            assert torch.allclose(out[i], slow_version(made, x[i], pool), atol=1e-5)


@pytest.mark.parametrize("instantiation", ["dot_product", "softmax"])
def test_groups_are_stretches_of_time_that_do_not_see_each_other(instantiation):
    made, whole = block(instantiation=instantiation, num_groups=3), block(instantiation=instantiation)
    x = clip(frames=6)
    with torch.no_grad():
        expected = torch.cat([whole(part) for part in x.split(2, dim=2)], dim=2)
        assert torch.allclose(made(x), expected, atol=1e-6)
        assert not torch.allclose(whole(x), expected, atol=1e-3)


def test_groups_of_a_channels_last_clip():
    made, x = block(num_groups=2), clip(frames=4)
    with torch.no_grad():
        assert torch.allclose(made(x.contiguous(memory_format=torch.channels_last_3d)), made(x), atol=1e-6)


def test_a_group_count_that_does_not_divide_the_frames():
    with pytest.raises(ValueError, match=re.escape("num_groups=3 does not divide the 4 frames of the pathway.")):
        block(num_groups=3)(clip(frames=4))
