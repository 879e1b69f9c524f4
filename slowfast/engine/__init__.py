"""Inference, training, testing, checkpoints."""

from slowfast.engine.pipeline import Pipeline, Prediction
from slowfast.engine.tester import ClipEvaluator, Tester
from slowfast.engine.trainer import NonFiniteLossError, Trainer
from slowfast.models.weights.load import CheckpointError

__all__ = ["CheckpointError", "ClipEvaluator", "NonFiniteLossError", "Pipeline", "Prediction", "Tester", "Trainer"]
