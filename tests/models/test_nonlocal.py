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
    with torch.no_grad():
        out = made(x)
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


def test_softmax_weights_are_a_mean_of_the_values():
    """With equal keys every position gets the plain mean of the values, by either rule for weights of one."""
    made = block(instantiation="softmax")
    torch.nn.init.zeros_(made.phi.weight), torch.nn.init.zeros_(made.phi.bias)
    x = clip()
    with torch.no_grad():
        value = made.g(made.pool(x)).mean((2, 3, 4), keepdim=True).expand(-1, -1, *x.shape[2:])
        assert torch.allclose(made(x), x + made.bn(made.out(value)), atol=1e-6)


def test_latent_width_is_half():
    assert block().theta.weight.shape == (3, 6, 1, 1, 1)


def test_the_input_is_not_written_to():
    made, x = block(), clip()
    before = x.clone()
    made.train()(x)
    assert torch.equal(x, before)


def test_an_unknown_instantiation():
    with pytest.raises(ValueError, match="instantiation='gaussian' is not one of dot_product, softmax"):
        NonLocalBlock(6, instantiation="gaussian")
