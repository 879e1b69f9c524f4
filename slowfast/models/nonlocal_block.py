"""Non-local block (Wang et al., CVPR 2018): every position attends to all positions of the pooled clip."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, fx, nn

from slowfast.models.checks import check_whole
from slowfast.models.norm import NormLayer
from slowfast.utils.suggest import check_choice

INSTANTIATIONS = ("dot_product", "softmax")


class NonLocalBlock(nn.Module):
    """x + BN(out(attention(x))): (B, C, T, H, W) -> the same shape.

    Args:
        channels: C. The latent width is C // 2.
        instantiation: "dot_product" divides by the number of key positions, "softmax" scales by latent^-0.5.
        pool: window and stride (time, height, width) of the max pooling before keys and values.
        num_groups: the clip is cut into this number of stretches of time, which do not see each other.

    Raises:
        ValueError: unknown ``instantiation``; at run time, T that ``num_groups`` does not divide.
    """

    def __init__(
        self,
        channels: int,
        *,
        instantiation: str = "dot_product",
        pool: Sequence[int] = (1, 2, 2),
        num_groups: int = 1,
        norm: NormLayer = nn.BatchNorm3d,
    ):
        super().__init__()
        check_choice("instantiation", instantiation, INSTANTIATIONS)
        check_whole("num_groups", num_groups)
        self.softmax = instantiation == "softmax"
        self.num_groups = num_groups
        latent = channels // 2
        self.theta = nn.Conv3d(channels, latent, 1)
        self.phi = nn.Conv3d(channels, latent, 1)
        self.g = nn.Conv3d(channels, latent, 1)
        self.out = nn.Conv3d(latent, channels, 1)
        self.bn = norm(channels)
        pool = tuple(pool)
        self.pool = nn.MaxPool3d(pool, pool) if max(pool, default=1) > 1 else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        if self.num_groups > 1:
            groups = split_groups(x, self.num_groups)
            return merge_groups(groups + self._attend(groups), self.num_groups)
        return x + self._attend(x)

    def _attend(self, x: Tensor) -> Tensor:
        pooled = self.pool(x)
        return self.bn(self.out(attend(self.theta(x), self.phi(pooled), self.g(pooled), softmax=self.softmax)))


# fx.wrap: one node in a traced graph, for functions that look at shapes.


@fx.wrap
def attend(query: Tensor, key: Tensor, value: Tensor, *, softmax: bool) -> Tensor:
    """What each position of ``query`` (B, L, T, H, W) gathers from ``value`` (B, L, t, h, w) by similarity to keys."""
    shape = query.shape
    query, key, value = query.flatten(2), key.flatten(2), value.flatten(2)  # (B, L, THW), (B, L, P), (B, L, P)
    if softmax:
        affinity = torch.softmax(query.transpose(1, 2) @ key * query.shape[1] ** -0.5, dim=2)  # (B, THW, P)
        mixed = value @ affinity.transpose(1, 2)  # (B, L, THW)
    else:
        # Without a softmax the products may be taken in the cheap order: (L x P)(P x L) first, not THW x P.
        mixed = (value @ key.transpose(1, 2) / key.shape[2]) @ query
    return mixed.view(shape)


@fx.wrap
def split_groups(x: Tensor, num_groups: int) -> Tensor:
    """Stretches of time as clips of a larger batch: (B, C, T, H, W) -> (B * num_groups, C, T / num_groups, H, W)."""
    batch, channels, time, height, width = x.shape
    if time % num_groups:
        raise ValueError(f"num_groups={num_groups} does not divide the {time} frames of the pathway.")
    x = x.view(batch, channels, num_groups, time // num_groups, height, width)
    return x.transpose(1, 2).reshape(batch * num_groups, channels, time // num_groups, height, width)


@fx.wrap
def merge_groups(x: Tensor, num_groups: int) -> Tensor:
    """The clips before ``split_groups`` cut them."""
    batch, channels, time, height, width = x.shape
    x = x.view(batch // num_groups, num_groups, channels, time, height, width)
    return x.transpose(1, 2).reshape(batch // num_groups, channels, num_groups * time, height, width)
