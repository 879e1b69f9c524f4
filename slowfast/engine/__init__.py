"""Inference, training, testing, checkpoints."""

from slowfast.engine.pipeline import Pipeline
from slowfast.engine.prediction import Prediction
from slowfast.engine.step_checks import NonFiniteLossError
from slowfast.engine.tester import ClipEvaluator, Tester
from slowfast.engine.trainer import TRAINER_REGISTRY, Trainer
from slowfast.models.weights.load import CheckpointError

__all__ = [
    "TRAINER_REGISTRY",
    "CheckpointError",
    "ClipEvaluator",
    "NonFiniteLossError",
    "Pipeline",
    "Prediction",
    "Tester",
    "Trainer",
]
