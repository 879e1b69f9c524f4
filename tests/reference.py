"""Slow, obvious versions: what the fast code is compared with. Loops over single values, no shared helpers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

import torch
from torch import Tensor


def average_precision(scores: Sequence[float], labels: Sequence[int]) -> float:
    """Sum over descending thresholds of (recall gained) * precision, counted anew at every threshold."""
    num_positive = sum(labels)
    if num_positive == 0:
        return math.nan
    area, recall_before = Fraction(0), Fraction(0)
    for threshold in sorted(set(scores), reverse=True):
        retrieved = [label for score, label in zip(scores, labels, strict=True) if score >= threshold]
        recall = Fraction(sum(retrieved), num_positive)
        area += (recall - recall_before) * Fraction(sum(retrieved), len(retrieved))
        recall_before = recall
    return float(area)


def in_top_k(scores: Sequence[float], label: int, k: int) -> bool:
    """Whether ``label`` is among the first k of the classes sorted by score, then by number; never without a score."""
    if not math.isfinite(scores[label]):
        return False
    ranked = sorted(range(len(scores)), key=lambda c: (-scores[c] if scores[c] == scores[c] else math.inf, c))
    return label in ranked[:k]


def nonlocal_attention(query: Tensor, key: Tensor, value: Tensor, *, softmax: bool) -> Tensor:
    """For every position of ``query`` (L, N) the weighted sum of ``value`` (L, P): (L, N)."""
    latent, num_positions = query.shape
    mixed = torch.zeros_like(query)
    for n in range(num_positions):
        products = [float(query[:, n] @ key[:, p]) for p in range(key.shape[1])]
        if softmax:
            exponents = [math.exp(product / math.sqrt(latent)) for product in products]
            weights = [exponent / sum(exponents) for exponent in exponents]
        else:
            weights = [product / key.shape[1] for product in products]
        for p, weight in enumerate(weights):
            mixed[:, n] += weight * value[:, p]
    return mixed


def max_pool(x: Tensor, pool_size: tuple[int, int, int]) -> Tensor:
    """Maxima of the windows of ``x`` (C, T, H, W) that lie side by side; what is left over at the end is dropped."""
    t, h, w = (size // side for size, side in zip(x.shape[1:], pool_size, strict=True))
    pooled = torch.empty(x.shape[0], t, h, w, dtype=x.dtype)
    for i in range(t):
        for j in range(h):
            for k in range(w):
                a, b, c = i * pool_size[0], j * pool_size[1], k * pool_size[2]
                pooled[:, i, j, k] = x[:, a : a + pool_size[0], b : b + pool_size[1], c : c + pool_size[2]].amax(
                    (1, 2, 3)
                )
    return pooled


def fully_convolutional_scores(features: Sequence[Tensor], weight: Tensor, bias: Tensor, pool_size: int) -> Tensor:
    """Mean over all square regions of softmax(classifier(mean of the region)); features (C, T, H, W)."""
    height, width = features[0].shape[2:]
    scores = []
    for top in range(height - pool_size + 1):
        for left in range(width - pool_size + 1):
            region = [x[:, :, top : top + pool_size, left : left + pool_size].mean((1, 2, 3)) for x in features]
            scores.append((weight @ torch.cat(region) + bias).softmax(0))
    return sum(scores) / len(scores)


def sub_batch_norm(x: Tensor, num_splits: int, eps: float = 1e-5) -> Tensor:
    """Every ``num_splits``-th clip of ``x`` (B, C, T, H, W) normalized by the statistics of those clips alone."""
    out = torch.empty_like(x)
    for split in range(num_splits):
        for channel in range(x.shape[1]):
            part = x[split::num_splits, channel]
            out[split::num_splits, channel] = (part - part.mean()) / (part.var(unbiased=False) + eps).sqrt()
    return out


def population_statistics(values: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Mean and biased variance per channel of all tensors (B, C, ...) together, in float64."""
    per_channel = torch.cat([x.detach().double().transpose(0, 1).flatten(1) for x in values], dim=1)
    return per_channel.mean(1), per_channel.var(1, unbiased=False)


def time_to_channel(fast: Tensor, alpha: int) -> Tensor:
    """(B, C, alpha * t, H, W) -> (B, alpha * C, t, H, W): frame k of each alpha is channels k * C to k * C + C."""
    batch, channels, frames, height, width = fast.shape
    packed = torch.empty(batch, alpha * channels, frames // alpha, height, width)
    for k in range(alpha):
        for c in range(channels):
            for t in range(frames // alpha):
                packed[:, k * channels + c, t] = fast[:, c, t * alpha + k]
    return packed


def conv_macs(conv: torch.nn.Conv3d, output_shape: Sequence[int]) -> int:
    """Multiply-adds of one clip: for every output value, the inputs of its group under the kernel."""
    kernel = math.prod(conv.kernel_size)
    return math.prod(output_shape) * kernel * conv.in_channels // conv.groups


def cosine_rate(epoch: float, *, base: float, end: float, num_epochs: float) -> float:
    """The paper's half period of a cosine."""
    return end + (base - end) * 0.5 * (math.cos(math.pi * epoch / num_epochs) + 1)
