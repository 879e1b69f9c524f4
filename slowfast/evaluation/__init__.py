"""From scores to figures."""

from slowfast.evaluation.build import EVALUATOR_REGISTRY, build_ensemble, build_evaluator
from slowfast.evaluation.ensemble import MissingViewsError, ViewEnsemble

__all__ = ["EVALUATOR_REGISTRY", "MissingViewsError", "ViewEnsemble", "build_ensemble", "build_evaluator"]
