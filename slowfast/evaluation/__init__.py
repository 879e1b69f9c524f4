"""From scores to figures."""

from slowfast.evaluation.build import EVALUATOR_REGISTRY, build_ensemble, build_evaluator, evaluator_name
from slowfast.evaluation.ensemble import MissingViewsError, ViewEnsemble

__all__ = [
    "EVALUATOR_REGISTRY",
    "MissingViewsError",
    "ViewEnsemble",
    "build_ensemble",
    "build_evaluator",
    "evaluator_name",
]
