"""The model in several processes: how gradients are exchanged."""

from __future__ import annotations

import contextlib
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.distributed.algorithms.ddp_comm_hooks import default_hooks
from torch.nn.parallel import DistributedDataParallel

from slowfast.utils import distributed
from slowfast.utils.suggest import check_choice

if TYPE_CHECKING:
    from fvcore.common.config import CfgNode

COMPRESSIONS = {"bfloat16": default_hooks.bf16_compress_hook, "float16": default_hooks.fp16_compress_hook}


@dataclass(frozen=True)
class ParallelOptions:
    """How ``DistributedDataParallel`` works.

    Attributes:
        static_graph: every step uses the same parameters in the same order, which saves some bookkeeping.
        bucket_view: gradients are views of the exchanged buffers, not copies: saves one copy of them.
        compression: "bfloat16" or "float16" halves the bytes that are exchanged, and rounds the gradients; "" does not.
    """

    static_graph: bool = False
    bucket_view: bool = True
    compression: str = ""

    def __post_init__(self):
        check_choice("TRAIN.DDP.COMPRESSION", self.compression, ["", *COMPRESSIONS])

    @classmethod
    def from_config(cls, cfg: CfgNode) -> ParallelOptions:
        """What the keys of TRAIN.DDP say.

        Raises:
            ValueError: a compression that there is not.
        """
        return cls(
            static_graph=cfg.TRAIN.DDP.STATIC_GRAPH,
            bucket_view=cfg.TRAIN.DDP.BUCKET_VIEW,
            compression=cfg.TRAIN.DDP.COMPRESSION or ("float16" if cfg.MODEL.FP16_ALLREDUCE else ""),
        )


class _OnCpu(DistributedDataParallel):
    """Also accepts sync batch norm on CPUs: torch refuses its own there, but ours (``models/norm.py``) works.

    The check is a private method that torch offers no switch for, and it accepts no subclass of its norm.
    """

    def _passing_sync_batchnorm_handle(self, module: nn.Module) -> None:
        pass


def parallelize(model: nn.Module, device: torch.device, options: ParallelOptions) -> nn.Module:
    """``model`` itself in a single process, else wrapped so that its gradients are the mean over all processes."""
    if distributed.world_size() == 1:
        return model
    # A head that detaches its features leaves the rest of the model without gradients.
    detaches = any(getattr(module, "detach", None) is True for module in model.modules())
    # Of a 1x1x1 kernel both layouts are the same memory.
    warnings.filterwarnings("ignore", message="Grad strides do not match bucket view strides")
    wrapped = (DistributedDataParallel if device.type == "cuda" else _OnCpu)(
        model,
        device_ids=[device] if device.type == "cuda" else None,
        find_unused_parameters=detaches and not options.static_graph,
        gradient_as_bucket_view=options.bucket_view,
        static_graph=options.static_graph,
    )
    if options.compression:
        wrapped.register_comm_hook(None, COMPRESSIONS[options.compression])
    return wrapped


def without_exchange(model: nn.Module, *, is_first_step: bool) -> contextlib.AbstractContextManager:
    """Backward passes inside keep the gradients of this process, to be exchanged with later ones.

    A static graph is learned in the first step of a process, in which torch needs an exchange in every pass; the result
    is the same.
    """
    if not isinstance(model, DistributedDataParallel) or (is_first_step and model.static_graph):
        return contextlib.nullcontext()
    return model.no_sync()
