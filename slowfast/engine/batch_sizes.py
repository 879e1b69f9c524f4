"""The size of a training batch, counted in every way that matters, and its learning rate."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from slowfast.config.origins import value_beside
from slowfast.config.rules.common import clips_per_video
from slowfast.utils import distributed
from slowfast.utils.logging import count

if TYPE_CHECKING:
    from fvcore.common.config import CfgNode


@dataclass(frozen=True)
class BatchSizes:
    """The clips of one training step, and what follows from their number.

    Attributes:
        whole: over all processes, as the optimizer sees it.
        num_processes: processes that share them.
        at_once: clips that a process computes together.
        norm: clips per batch-norm statistic, in words.
        base_lr: learning rate in use.
        lr_factor: by which it was multiplied.
        lr_batch: clips for which the config's learning rate is meant.
    """

    whole: int
    num_processes: int
    at_once: int
    norm: str
    base_lr: float
    lr_factor: float
    lr_batch: int

    @classmethod
    def from_config(cls, cfg: CfgNode) -> BatchSizes:
        """The sizes of a training in the current processes."""
        num_processes = distributed.world_size()
        videos = max(1, cfg.TRAIN.BATCH_SIZE // distributed.processes_per_machine(cfg.NUM_GPUS))
        own = videos * clips_per_video(cfg)
        whole, lr_batch = own * num_processes, learning_rate_batch(cfg)
        factor = whole / lr_batch if cfg.SOLVER.SCALE_LR_TO_BATCH else 1.0
        at_once = own // cfg.TRAIN.ACCUMULATE
        return cls(
            whole=whole,
            num_processes=num_processes,
            at_once=at_once,
            norm=_norm_clips(cfg, at_once, num_processes),
            base_lr=cfg.SOLVER.BASE_LR * factor,
            lr_factor=factor,
            lr_batch=lr_batch,
        )

    def __str__(self) -> str:
        processes = f" over {self.num_processes} processes" if self.num_processes > 1 else ""
        share = f", {self.at_once} at once{' in each' if processes else ''}" if self.at_once < self.whole else ""
        scaled = f" ({self.lr_factor:.4g} times the config's, which is for {self.lr_batch})"
        rate = f"learning rate {self.base_lr:.4g}{scaled if self.lr_factor != 1 else ''}"
        return f"a step: {count(self.whole, 'clip')}{processes}{share}; batch norm over {self.norm}; {rate}"

    def as_dict(self) -> dict[str, Any]:
        """For results.json and checkpoints."""
        return asdict(self)


def learning_rate_batch(cfg: CfgNode) -> int:
    """Clips per step, over all machines, for which SOLVER.BASE_LR is meant."""
    if cfg.SOLVER.LR_BATCH_SIZE:
        return cfg.SOLVER.LR_BATCH_SIZE
    beside = [value_beside(cfg, name, "SOLVER.BASE_LR") for name in ("TRAIN.BATCH_SIZE", "NUM_SHARDS")]
    # What no file sets is PySlowFast's default, as BASE_LR then is; text comes from a command line.
    size, machines = (
        int(value) if value is not None else default for value, default in zip(beside, (64, 1), strict=True)
    )
    return size * machines * clips_per_video(cfg)


def _norm_clips(cfg: CfgNode, at_once: int, num_processes: int) -> str:
    """Clips per batch-norm statistic."""
    if cfg.MODEL.FROZEN_BN:
        return "none (frozen)"
    if cfg.MULTIGRID.SHORT_CYCLE or cfg.MULTIGRID.LONG_CYCLE:
        return count(cfg.MULTIGRID.BN_BASE_SIZE, "clip")
    shared = num_processes if cfg.BN.GLOBAL_SYNC else min(cfg.BN.NUM_SYNC_DEVICES, num_processes)
    factor = {"sync_batchnorm": shared}.get(cfg.BN.NORM_TYPE, 1)
    divisor = {"sub_batchnorm": cfg.BN.NUM_SPLITS}.get(cfg.BN.NORM_TYPE, 1)
    return count(max(1, at_once * factor // divisor), "clip")
