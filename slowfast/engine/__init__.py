"""Training, testing, checkpoints."""

from slowfast.engine.checkpoint import CheckpointError
from slowfast.engine.tester import ClipEvaluator, Tester
from slowfast.engine.trainer import NonFiniteLossError, Trainer

__all__ = ["CheckpointError", "ClipEvaluator", "NonFiniteLossError", "Tester", "Trainer"]
