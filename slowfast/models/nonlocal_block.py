"""Non-local block (Wang et al., CVPR 2018): every position attends to all positions of the pooled clip."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from slowfast.models.norm import NormLayer

INSTANTIATIONS = ("dot_product", "softmax")


class NonLocalBlock(nn.Module):
    """x + BN(out(attention(x))): (B, C, T, H, W) -> the same shape.

    Args:
        channels: C. The latent width is C // 2.
        instantiation: "dot_product" divides by the number of key positions, "softmax" scales by latent^-0.5.
        pool: window and stride (time, height, width) of the max pooling before keys and values.
        num_groups: the clip is cut into so many stretches of time that do not see each other.

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
        if instantiation not in INSTANTIATIONS:
            raise ValueError(f"NONLOCAL.INSTANTIATION={instantiation!r} is not one of {', '.join(INSTANTIATIONS)}.")
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
            groups = self._split_groups(x)
            return self._merge_groups(groups + self._attend(groups), x.shape)
        return x + self._attend(x)

    def _attend(self, x: Tensor) -> Tensor:
        pooled = self.pool(x)
        query = self.theta(x).flatten(2)  # (B, L, THW)
        key = self.phi(pooled).flatten(2)  # (B, L, P)
        value = self.g(pooled).flatten(2)  # (B, L, P)
        if self.softmax:
            affinity = torch.softmax(query.transpose(1, 2) @ key * query.shape[1] ** -0.5, dim=2)  # (B, THW, P)
            mixed = value @ affinity.transpose(1, 2)  # (B, L, THW)
        else:
            # Without a softmax the products may be taken in the cheap order: (L x P)(P x L) first, not THW x P.
            mixed = (value @ key.transpose(1, 2) / key.shape[2]) @ query
        return self.bn(self.out(mixed.view(x.shape[0], -1, *x.shape[2:])))

    def _split_groups(self, x: Tensor) -> Tensor:
        batch, channels, time, height, width = x.shape
        if time % self.num_groups:
            raise ValueError(f"NONLOCAL.GROUP={self.num_groups} does not divide the {time} frames of the pathway.")
        x = x.view(batch, channels, self.num_groups, time // self.num_groups, height, width)
        return x.transpose(1, 2).reshape(batch * self.num_groups, channels, time // self.num_groups, height, width)

    def _merge_groups(self, x: Tensor, shape: torch.Size) -> Tensor:
        batch, channels, time, height, width = shape
        x = x.view(batch, self.num_groups, channels, time // self.num_groups, height, width)
        return x.transpose(1, 2).reshape(batch, channels, time, height, width)
