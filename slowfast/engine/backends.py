"""How torch computes on a GPU: the only place that sets its process-wide switches."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from slowfast.datasets.sample_kinds import BOXES, sample_kind
from slowfast.utils.known_faults import known_faults

if TYPE_CHECKING:
    from fvcore.common.config import CfgNode

CUBLAS_WORKSPACE = ":4096:8"  # with which cuBLAS repeats itself; read when its first handle is made


@dataclass(frozen=True)
class Backends:
    """Torch's switches for a run.

    Attributes:
        cudnn_benchmark: time cuDNN's algorithms for every new shape and keep the fastest; this pays off if shapes stay
            the same.
        tf32: float32 convolutions and products may round their factors to 10 bits of mantissa.
        deterministic: the same bits from the same input, and an error if torch cannot promise that.
    """

    cudnn_benchmark: bool = False
    tf32: bool = False
    deterministic: bool = False

    @classmethod
    def from_config(cls, cfg: CfgNode) -> Backends:
        """The switches that the BACKEND keys ask for in this run."""
        multigrid = cfg.MULTIGRID.SHORT_CYCLE or cfg.MULTIGRID.LONG_CYCLE
        # Crops change from batch to batch in multigrid training, whole frames from movie to movie in detection.
        keeps_shapes = not multigrid and sample_kind(cfg) is not BOXES
        asked = {"auto": keeps_shapes, "always": True, "never": False}[cfg.BACKEND.CUDNN_BENCHMARK]
        deterministic = cfg.BACKEND.DETERMINISTIC
        return cls(asked and not deterministic, cfg.BACKEND.TF32, deterministic)

    def apply(self) -> None:
        """Set the switches. Deterministic algorithms that the environment or the caller turned on stay on."""
        torch.backends.cudnn.benchmark = self.cudnn_benchmark
        torch.backends.cudnn.allow_tf32 = self.tf32
        torch.backends.cuda.matmul.allow_tf32 = self.tf32
        if self.deterministic:
            os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", CUBLAS_WORKSPACE)
            torch.use_deterministic_algorithms(True)

    def __str__(self) -> str:
        words = {True: "on", False: "off"}
        return (
            f"cudnn.benchmark {words[self.cudnn_benchmark]}, TF32 {words[self.tf32]}, "
            f"deterministic algorithms {words[self.deterministic]}"
        )


def faults_here(cfg: CfgNode) -> list[str]:
    """Known faults of this machine's torch and cuDNN that affect the run of ``cfg``; none on a CPU."""
    if cfg.NUM_GPUS == 0:
        return []
    return known_faults(
        torch_version=str(torch.__version__),
        cudnn_version=torch.backends.cudnn.version(),
        half_precision=cfg.TRAIN.MIXED_PRECISION or cfg.TEST.MIXED_PRECISION,
        tf32=cfg.BACKEND.TF32,
    )
