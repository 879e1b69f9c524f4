"""Frame mAP of boxes, as on AVA: figures by three named protocols, from data in memory or from files."""

from slowfast.evaluation.ava.protocols import PROTOCOLS, evaluate, evaluate_files

__all__ = ["PROTOCOLS", "evaluate", "evaluate_files"]
