"""Inference, training, testing, checkpoints."""

from slowfast.engine.checkpoint import CheckpointFolder
from slowfast.engine.inputs import ClipPreprocessor
from slowfast.engine.pipeline import Pipeline
from slowfast.engine.prediction import Prediction
from slowfast.engine.step import NonFiniteLossError, StepOptions
from slowfast.engine.tester import ClipEvaluator, Tester
from slowfast.engine.train_log import TrainLog
from slowfast.engine.trainer import TRAINER_REGISTRY, Trainer
from slowfast.engine.validation import Validation
from slowfast.models.weights.load import CheckpointError

__all__ = [
    "TRAINER_REGISTRY",
    "CheckpointError",
    "CheckpointFolder",
    "ClipEvaluator",
    "ClipPreprocessor",
    "NonFiniteLossError",
    "Pipeline",
    "Prediction",
    "StepOptions",
    "Tester",
    "TrainLog",
    "Trainer",
    "Validation",
]
