"""Optimizers, learning rates, and the shapes of multigrid training."""

from slowfast.solver.build import build_optimizer, build_schedule
from slowfast.solver.multigrid import ShapeSchedule, evaluation_epochs
from slowfast.solver.schedule import LearningRateSchedule

__all__ = ["LearningRateSchedule", "ShapeSchedule", "build_optimizer", "build_schedule", "evaluation_epochs"]
