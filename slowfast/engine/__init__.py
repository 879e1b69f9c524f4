"""Training, testing, checkpoints."""

from slowfast.engine.tester import ClipEvaluator, Tester
from slowfast.engine.trainer import NonFiniteLossError, Trainer
from slowfast.models.weights.load import CheckpointError

__all__ = ["CheckpointError", "ClipEvaluator", "NonFiniteLossError", "Tester", "Trainer"]
