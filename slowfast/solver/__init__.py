"""Optimizers and learning rates."""

from slowfast.solver.build import build_optimizer, build_schedule
from slowfast.solver.schedule import LearningRateSchedule

__all__ = ["LearningRateSchedule", "build_optimizer", "build_schedule"]
