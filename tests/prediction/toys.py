"""A model whose scores are what anyone can compute of the pixels, with a protocol of small clips."""

from __future__ import annotations

import torch
from torch import nn

from slowfast.datasets.clip_sampling import SecondsSampling
from slowfast.datasets.protocol import Protocol
from slowfast.engine.pipeline import Pipeline

PROTOCOL = Protocol(SecondsSampling(4, 2), num_clips=2, num_crops=3, short_sides=(32,), crop_size=32)


class Brightness(nn.Module):
    """Scores (B, 3): of dark, middle and bright clips; they sum to one."""

    def __init__(self):
        super().__init__()
        self.levels = nn.Parameter(torch.tensor([-1.5, 0.0, 1.5]))

    def forward(self, clip):
        return (-8 * (clip.mean((1, 2, 3, 4))[:, None] - self.levels).abs()).softmax(1)


def brightness_pipeline(protocol: Protocol = PROTOCOL, **options) -> Pipeline:
    return Pipeline(Brightness(), protocol, class_names=["dark", "middle", "bright"], device="cpu", **options)
