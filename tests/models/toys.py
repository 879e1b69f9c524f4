"""Networks small enough to run in milliseconds."""

from __future__ import annotations

import torch
from torch import Tensor

from slowfast.models import CSN, X3D, R2Plus1D, ResNet, SlowFast

TOY = {"depth": 18, "width": 8, "num_classes": 5, "pool_size": 1, "dropout": 0.0, "zero_init_final_bn": False}


def toy_slowfast(**arguments) -> SlowFast:
    """SlowFast with 8 Slow and 4 Fast stem channels and two blocks a stage, for clips of 8 frames of 32 x 32."""
    return SlowFast(**{**TOY, "alpha": 4, "beta": 1 / 2, **arguments})


def toy_resnet(**arguments) -> ResNet:
    """One pathway with 8 stem channels and two blocks a stage."""
    return ResNet(**{**TOY, **arguments})


def toy_x3d(**arguments) -> X3D:
    """X3D with 8 stem channels, for clips of 32 x 32 pixels."""
    sizes = {"width_factor": 1.0, "depth_factor": 1.0, "stem_channels": 8, "head_channels": 16, "pool_size": 1}
    return X3D(**{**sizes, "num_classes": 5, "dropout": 0.0, "zero_init_final_bn": False, **arguments})


def toy_csn(**arguments) -> CSN:
    """ir-CSN-50 with 4 stem channels."""
    return CSN(**{"depth": 50, "width": 4, "num_classes": 5, "pool_size": 1, "dropout": 0.0, **arguments})


def toy_r2plus1d(**arguments) -> R2Plus1D:
    """R(2+1)D-50 with 4 stem channels; depth=34 for the other family."""
    return R2Plus1D(**{"depth": 50, "width": 4, "num_classes": 5, "pool_size": 1, "dropout": 0.0, **arguments})


# One small network of every kind that takes a clip (B, 3, 8, 32, 32) and has 5 classes.
TOYS = {
    "SlowFast": toy_slowfast,
    "ResNet": toy_resnet,
    "C2D": lambda **arguments: toy_resnet(arch="c2d", **arguments),
    "X3D": toy_x3d,
    "CSN": toy_csn,
    "R2Plus1D-50": toy_r2plus1d,
    "R2Plus1D-34": lambda **arguments: toy_r2plus1d(depth=34, **arguments),
}


def toy_clip(seed: int = 0, *, batch: int = 2, frames: int = 8, size: int = 32) -> Tensor:
    """A normal clip (batch, 3, frames, size, size)."""
    return torch.randn(batch, 3, frames, size, size, generator=torch.Generator().manual_seed(seed))


def uneven_clips(batch: int = 6) -> Tensor:
    """Clips (batch, 3, 2, 4, 4) whose level and spread grow from one to the next."""
    numbers = torch.arange(batch).view(-1, 1, 1, 1, 1)
    return toy_clip(batch=batch, frames=2, size=4) * (numbers + 1) + numbers


def seeded(make, seed: int = 0):
    """``make()`` with torch's generator at ``seed``."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make()


def same_weights(first, second) -> bool:
    """Whether every entry of the first state dict is in the second, bit by bit."""
    other = second.state_dict()
    return all(torch.equal(value, other[name]) for name, value in first.state_dict().items())


def randomize_batch_norms(model, seed: int = 0) -> None:
    """Running statistics and scales as after some training, so that an eval run shows what they do."""
    generator = torch.Generator().manual_seed(seed)
    for name, value in model.state_dict().items():
        if name.endswith("running_mean") or name.endswith("bn.bias"):
            value.copy_(torch.randn(value.shape, generator=generator) * 0.1)
        elif name.endswith("running_var") or name.endswith("bn.weight"):
            value.copy_(torch.rand(value.shape, generator=generator) + 0.5)
