"""Rules between keys: each yields the problems it finds, and all are reported at once.

A rule reads the config and nothing else. What depends on the machine (GPUs present, files) is checked where
it is used, so that a config of eight GPUs loads on a laptop.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator

from fvcore.common.config import CfgNode

from slowfast.config.files import ConfigError, KeyPath
from slowfast.config.merge import changed_keys, coerce, key_names
from slowfast.config.origins import is_set, value_beside
from slowfast.config.refused import INSTEAD, REFUSED_KEYS, REFUSED_VALUES, unknown_key
from slowfast.config.rules.ava import ava_problems
from slowfast.config.rules.common import at_least, fraction, one_of
from slowfast.config.rules.data import data_problems
from slowfast.config.rules.model import model_problems
from slowfast.config.rules.multigrid import multigrid_problems
from slowfast.config.rules.training import solver_problems, training_problems

logger = logging.getLogger(__name__)


def check_and_infer(cfg: CfgNode, defaults: CfgNode, *, warn: bool = True) -> CfgNode:
    """``cfg`` itself, once every rule holds; with ``warn``, logs its ``odd_settings``.

    The one thing inferred: with SOLVER.BASE_LR_SCALE_NUM_SHARDS the three learning rates are multiplied by
    NUM_SHARDS and the switch is turned off, so that a second call changes nothing. A frozen config is only
    checked.

    Raises:
        ConfigError: all problems, one per line.
    """
    problems = list(type_problems(cfg, defaults)) or [
        *refused_settings(cfg, defaults),
        *run_problems(cfg),
        *model_problems(cfg),
        *data_problems(cfg),
        *ava_problems(cfg),
        *solver_problems(cfg),
        *multigrid_problems(cfg),
        *training_problems(cfg),
    ]
    if problems:
        raise ConfigError("\n".join(problems))
    if warn:
        for sentence in odd_settings(cfg, defaults):
            logger.warning(sentence)
    if cfg.SOLVER.BASE_LR_SCALE_NUM_SHARDS and cfg.NUM_SHARDS > 1 and not cfg.is_frozen():
        for key in ("BASE_LR", "WARMUP_START_LR", "COSINE_END_LR"):
            cfg.SOLVER[key] *= cfg.NUM_SHARDS
        cfg.SOLVER.BASE_LR_SCALE_NUM_SHARDS = False
    return cfg


def type_problems(
    cfg: CfgNode, defaults: CfgNode, names: list[str] | None = None, prefix: KeyPath = ()
) -> Iterator[str]:
    """Values whose type is not the default's, as a notebook may assign them; missing and unknown keys."""
    names = names or list(key_names(defaults))
    for key, default in defaults.items():
        name = ".".join((*prefix, key))
        if key not in cfg:
            yield f"{name} is missing; start from slowfast.config.get_cfg()."
        elif isinstance(default, CfgNode) and isinstance(cfg[key], CfgNode):
            yield from type_problems(cfg[key], default, names, (*prefix, key))
        else:
            try:
                taken = coerce(cfg[key], default)
                if isinstance(cfg[key], str) and not isinstance(default, str):
                    yield f"{name} is the text {cfg[key]!r}; assign {taken!r}, or use cfg.merge_from_list."
            except ConfigError as error:
                yield f"{name} {error}"
    if not defaults.is_new_allowed():
        for key in cfg.keys() - defaults.keys():
            if prefix or not isinstance(cfg[key], CfgNode):  # a whole group of one's own is welcome
                yield unknown_key((*prefix, key), cfg[key], names)


def refused_settings(cfg: CfgNode, defaults: CfgNode) -> Iterator[str]:
    """Settings that ask for a part of PySlowFast that does not exist here, or that nothing reads."""
    for name, value in changed_keys(cfg, defaults).items():
        if name in INSTEAD:
            yield f"{name}={value!r}: {INSTEAD[name]}. Remove the key."
        subject = REFUSED_KEYS.get(name) or REFUSED_VALUES.get(name, {}).get(str(value).lower())
        if subject:
            yield f"{name}={value!r}: {subject} not part of slowfast; remove the key, or use PySlowFast."


def run_problems(cfg: CfgNode) -> Iterator[str]:
    """Processes, machines, seeds, batches and checkpoints."""
    yield from at_least(cfg, 0, "NUM_GPUS", "RNG_SEED")
    yield from at_least(cfg, 1, "NUM_SHARDS", "LOG_PERIOD")
    if not 0 <= cfg.SHARD_ID < max(1, cfg.NUM_SHARDS):
        yield f"SHARD_ID={cfg.SHARD_ID}: machines are numbered 0 to NUM_SHARDS - 1 = {cfg.NUM_SHARDS - 1}."
    yield from one_of(cfg, "DIST_BACKEND", ("nccl", "gloo", "mpi"))
    if cfg.TASK and cfg.TASK not in REFUSED_VALUES["TASK"]:
        yield f'TASK={cfg.TASK!r}: leave it empty (""); the data set, the loss and the head define the task.'
    for group in ("TRAIN", "TEST"):
        yield from one_of(cfg, f"{group}.CHECKPOINT_TYPE", ("pytorch", "caffe2"))
        yield from at_least(cfg, 1, f"{group}.BATCH_SIZE")
        if cfg[group].ENABLE:
            yield from _batch_problems(cfg, group)
    yield from at_least(cfg, 1, "TRAIN.CHECKPOINT_PERIOD")
    yield from at_least(cfg, 0, "TRAIN.EVAL_PERIOD", "TRAIN.KILL_LOSS_EXPLOSION_FACTOR")
    yield from fraction(cfg, "TRAIN.CHECKPOINT_MIN_MATCH")


def _batch_problems(cfg: CfgNode, group: str) -> Iterator[str]:
    """A batch that the GPUs cannot share equally."""
    size, num_gpus = cfg[group].BATCH_SIZE, cfg.NUM_GPUS
    if num_gpus > 1 and size % num_gpus:
        sizes = [multiple for multiple in (size // num_gpus * num_gpus, -(-size // num_gpus) * num_gpus) if multiple]
        yield (
            f"{group}.BATCH_SIZE={size} is not divisible by NUM_GPUS={num_gpus}: every GPU needs an equal share. "
            f"Set {group}.BATCH_SIZE to {' or '.join(map(str, sizes))}, or NUM_GPUS to a divisor of {size}."
        )


def odd_settings(cfg: CfgNode, defaults: CfgNode) -> Iterator[str]:
    """Settings that work but are rarely intended."""
    yield from batch_without_rate(cfg, defaults)
    if cfg.DATA.MULTI_LABEL and cfg.DATA.ENSEMBLE_METHOD != "max":
        yield (
            f"DATA.MULTI_LABEL with DATA.ENSEMBLE_METHOD={cfg.DATA.ENSEMBLE_METHOD!r}: published multi-label "
            "results take the maximum over the views (DATA.ENSEMBLE_METHOD max)."
        )
    if (cfg.MULTIGRID.SHORT_CYCLE or cfg.MULTIGRID.LONG_CYCLE) and cfg.BN.NORM_TYPE == "sub_batchnorm":
        yield (
            "BN.NORM_TYPE='sub_batchnorm' has no effect in multigrid training: a batch-norm statistic covers "
            f"MULTIGRID.BN_BASE_SIZE={cfg.MULTIGRID.BN_BASE_SIZE} clips."
        )
    if cfg.TRAIN.ENABLE and cfg.SOLVER.WARMUP_EPOCHS > cfg.SOLVER.MAX_EPOCH:
        yield (
            f"SOLVER.WARMUP_EPOCHS={cfg.SOLVER.WARMUP_EPOCHS} exceeds SOLVER.MAX_EPOCH={cfg.SOLVER.MAX_EPOCH}"
            ": training ends before the full learning rate is reached."
        )


def batch_without_rate(cfg: CfgNode, defaults: CfgNode) -> Iterator[str]:
    """A batch other than the one that SOLVER.BASE_LR was chosen for, with SGD, whose rate depends on the batch."""
    written = value_beside(cfg, "TRAIN.BATCH_SIZE", "SOLVER.BASE_LR")
    meant = coerce(written, defaults.TRAIN.BATCH_SIZE) if written is not None else defaults.TRAIN.BATCH_SIZE
    size, rate = cfg.TRAIN.BATCH_SIZE, cfg.SOLVER.BASE_LR
    scales = cfg.SOLVER.SCALE_LR_TO_BATCH or cfg.SOLVER.LR_BATCH_SIZE
    is_asked = cfg.TRAIN.ENABLE and is_set(cfg, "SOLVER.BASE_LR") and not scales
    if is_asked and size != meant and cfg.SOLVER.OPTIMIZING_METHOD == "sgd":
        yield (
            f"SOLVER.BASE_LR={rate:g} was chosen for TRAIN.BATCH_SIZE={meant}, but the batch is {size}. "
            f"The linear rule (SOLVER.SCALE_LR_TO_BATCH True) gives SOLVER.BASE_LR {rate * size / meant:.4g}."
        )
