"""Losses: what training minimizes, by name."""

from slowfast.losses.build import LOSS_REGISTRY, build_loss

__all__ = ["LOSS_REGISTRY", "build_loss"]
