"""How to train on a small set: each choice a function of the network, the videos and the machine.

Every choice is a config key with its value and the reason; nothing is set that the YAML does not show.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import yaml

from slowfast.config import CfgNode
from slowfast.config.rules.common import value_of
from slowfast.config.rules.model import model_kind
from slowfast.engine.training_memory import TrainingMemory
from slowfast.utils.logging import count
from slowfast.utils.text import printable

SHORT_VIDEOS = 0.1  # share of the videos that may be shorter than a clip (their last frame repeats)
LEAST_STEPS = 10  # of an epoch: a larger batch leaves too few
NORM_CLIPS = 8  # clips whose statistics batch norm can use
HEAD_ALONE = 20  # training videos of a class, on average, below which only the classifier learns
LATER_STAGES = 100  # below which the early stages keep their weights
SLOW_LAYERS = 300  # below which they learn, but more slowly than the later ones
LAYER_DECAY = 0.9  # of the learning rate from a residual block to the one before it
EPOCHS = 30  # from weights, as configs/_base_/schedule/finetune.yaml; early stopping makes them fewer
LOWER_RATE = 0.1  # of the rate that trained the weights
PATIENCE = 6  # validations without a better figure; from zero a fifth of the epochs, which may begin on a plateau
STEPS_FROM_ZERO = 600  # at least: the recipe's epochs of a small set would be too few
_SIDES = re.compile(r"(?<![a-z])(left|right|(counter|anti)?-?clockwise|c?cw|leftwards?|rightwards?)(?![a-z])", re.I)
_EARLY_STAGES = ("*.stem", "*.res2", "*.res3")


@dataclass(frozen=True)
class Setting:
    """One config key, its value, and why."""

    key: str
    value: Any
    why: str

    def __str__(self) -> str:
        return f"{self.key} {self.value if self.value != '' else repr('')}: {self.why}"


@dataclass(frozen=True)
class Machine:
    """What training may use.

    Attributes:
        num_gpus: 0 for the CPU.
        num_workers: loader processes in total.
        free_bytes: on each GPU, or in main memory; None: unknown.
    """

    num_gpus: int
    num_workers: int
    free_bytes: int | None

    @property
    def num_processes(self) -> int:
        return max(1, self.num_gpus)

    def __str__(self) -> str:
        what = count(self.num_gpus, "GPU") if self.num_gpus else "main memory"
        return f"{what} with {(self.free_bytes or 0) / 2**30:.1f} GiB free{' on each' if self.num_gpus > 1 else ''}"


# ---- the task ----


def task_settings(cfg: CfgNode, class_names: Sequence[str]) -> Iterator[Setting]:
    """One label per video, from lists of files."""
    for key, value, why in (
        ("TRAIN.ENABLE", True, "train"),
        ("TEST.ENABLE", True, "and test"),
        ("TRAIN.DATASET", "kinetics", "lists of video files"),
        ("TEST.DATASET", "kinetics", "lists of video files"),
        ("DATA.CLASS_NAMES", "", "classids.json, next to the lists"),
        ("DATA.PATH_PREFIX", "", "paths in the lists are absolute"),
        ("DATA.SKIP_ROWS", 0, "the lists have no header"),
        ("TEST.NUM_TEMPORAL_CLIPS", [], "one test"),
        ("DATA.MULTI_LABEL", False, "a video has one class, that of its folder"),
        ("MODEL.HEAD_ACT", "softmax", "a video has one class"),
        ("TRAIN.BEST_FIGURE", "top1", "decides which weights become checkpoints/best.pyth"),
        ("MULTIGRID.LONG_CYCLE", False, "a small set: full-size clips from the start"),
        ("MULTIGRID.SHORT_CYCLE", False, "a small set: full-size clips from the start"),
    ):
        if value_of(cfg, key) != value:
            yield Setting(key, value, why)
    if cfg.MODEL.LOSS_FUNC.startswith("bce"):
        yield Setting("MODEL.LOSS_FUNC", "cross_entropy", "a video has one class")
    yield Setting("MODEL.NUM_CLASSES", len(class_names), "one per folder")
    sided = [name for name in class_names if _SIDES.search(name)]
    if sided and cfg.DATA.RANDOM_FLIP:
        yield Setting("DATA.RANDOM_FLIP", False, f"mirroring would turn {sided[0]!r} into another class")


# ---- clips ----


def clip_settings(cfg: CfgNode, seconds: Sequence[float]) -> list[Setting]:
    """Frames of a clip, and source frames between them, that fit into nine of ten videos.

    First the rate is lowered, which keeps the network as it was trained; then, at rate 1, the number of frames.

    Args:
        seconds: of the training videos.
    """
    fitting = float(np.quantile(seconds, SHORT_VIDEOS, method="lower")) * cfg.DATA.TARGET_FPS  # frames
    frames, rate = cfg.DATA.NUM_FRAMES, cfg.DATA.SAMPLING_RATE
    told = f"{1 - SHORT_VIDEOS:.0%} of the videos last {fitting / cfg.DATA.TARGET_FPS:.2f} s or more"
    if frames * rate > fitting:
        rate = max(1, min(rate, int(fitting // frames)))
        if frames * rate > fitting and model_kind(cfg) in ("slowfast", "resnet"):
            step = cfg.SLOWFAST.ALPHA if model_kind(cfg) == "slowfast" else 1
            frames = max(step, int(fitting) // step * step)
    span = f"a clip covers {frames * rate / cfg.DATA.TARGET_FPS:.2f} s"
    changed = frames * rate != cfg.DATA.NUM_FRAMES * cfg.DATA.SAMPLING_RATE
    was = f", not {cfg.DATA.NUM_FRAMES} x {cfg.DATA.SAMPLING_RATE}" if changed else ""
    short = "; shorter ones repeat their last frame" if frames * rate > fitting else ""
    return [
        Setting("DATA.NUM_FRAMES", frames, f"{told}; {span}{short}"),
        Setting("DATA.SAMPLING_RATE", rate, f"{frames} frames x {rate}{was}"),
    ]


# ---- batch and learning rate ----


def batch_settings(
    cfg: CfgNode, machine: Machine, *, num_train: int, memory: TrainingMemory, from_weights: bool
) -> list[Setting]:
    """The batch, in how many parts it is computed, what batch norm does with it, and the processes that load it.

    Raises:
        ValueError: not even one clip fits.
    """
    processes = machine.num_processes
    most = max(1, min(cfg.TRAIN.BATCH_SIZE, num_train // LEAST_STEPS) // processes)
    own = 2 ** int(math.log2(most))
    fitting = own if machine.free_bytes is None else memory.clips_in(machine.free_bytes)
    if fitting == 0:
        raise ValueError(
            f"not one training clip fits: it takes {_gib(memory.per_clip)} on top of {_gib(memory.fixed)} for weights, "
            f"and there is {machine}. Make clips smaller (DATA.TRAIN_CROP_SIZE, DATA.NUM_FRAMES) or the network."
        )
    at_once = min(own, 2 ** int(math.log2(fitting)))
    clips = f"{_gib(memory.per_clip)} per clip, {_gib(memory.fixed)} for weights: {fitting:,} fit into {machine}"
    known = clips if machine.free_bytes is not None else f"{_gib(memory.per_clip)} per clip; free memory is not known"
    settings = [
        Setting("NUM_GPUS", machine.num_gpus, "what this machine has" if machine.num_gpus else "the CPU"),
        Setting("TRAIN.BATCH_SIZE", own * processes, f"{num_train // (own * processes)} steps per epoch; {known}"),
        Setting("TEST.BATCH_SIZE", at_once * processes, "test views at a time"),
    ]
    if at_once < own:
        settings.append(Setting("TRAIN.ACCUMULATE", own // at_once, f"{at_once} clips at a time, gradients summed"))
    if from_weights and at_once < NORM_CLIPS:
        why = f"statistics of {at_once} clip{'s' * (at_once > 1)} are too noisy, so the pretrained ones stay"
        settings.append(Setting("MODEL.FROZEN_BN", True, why))
    workers = min(cfg.DATA_LOADER.NUM_WORKERS, -(-machine.num_workers // processes))
    settings.append(Setting("DATA_LOADER.NUM_WORKERS", workers, "loader processes per training process"))
    return settings


def _gib(num_bytes: int) -> str:
    return f"{num_bytes / 2**30:.2f} GiB" if num_bytes >= 2**30 / 10 else f"{num_bytes / 2**20:.0f} MiB"


def schedule_settings(
    cfg: CfgNode,
    *,
    batch: int,
    num_train: int,
    from_weights: bool,
    keeps_rate: bool = False,
    norm_frozen: bool = False,
    rate: float | None = None,
    epochs: int | None = None,
) -> list[Setting]:
    """The learning rate by the linear rule, epochs, validations, and when to stop.

    Args:
        cfg: of the recipe, whose rate is for its TRAIN.BATCH_SIZE.
        keeps_rate: pretrained weights need no lower rate: the recipe's is already low, or only the classifier learns.
        norm_frozen: batch-norm statistics are not updated.
        rate, epochs: those that the user chose.
    """
    is_lower = from_weights and not keeps_rate
    factor = batch / cfg.TRAIN.BATCH_SIZE * (LOWER_RATE if is_lower else 1.0)
    why = f"the recipe's {cfg.SOLVER.BASE_LR:g} for {cfg.TRAIN.BATCH_SIZE} clips, by the linear rule"
    why += "; a tenth of that, because the weights are pretrained" if is_lower else ""
    rate = rate or _digits(cfg.SOLVER.BASE_LR * factor)
    steps = max(1, num_train // batch)
    epochs = epochs or (EPOCHS if from_weights else max(cfg.SOLVER.MAX_EPOCH, -(-STEPS_FROM_ZERO // steps)))
    warm_up = 1.0 if from_weights else cfg.SOLVER.WARMUP_EPOCHS
    patience = PATIENCE if from_weights else max(PATIENCE, epochs // 5)
    settings = [
        Setting("SOLVER.BASE_LR", rate, why),
        Setting("SOLVER.LR_POLICY", "cosine", "falls smoothly to the last epoch"),
        Setting("SOLVER.COSINE_END_LR", _digits(cfg.SOLVER.COSINE_END_LR * factor), "the rate at the end"),
        Setting("SOLVER.MAX_EPOCH", epochs, f"at most; {epochs * steps:,} steps"),
        Setting("SOLVER.WARMUP_EPOCHS", warm_up, "epochs in which the rate rises"),
        Setting("SOLVER.WARMUP_START_LR", _digits(rate / 10), "a tenth of BASE_LR"),
        Setting("TRAIN.EVAL_PERIOD", 1, "epochs between validations"),
        Setting("TRAIN.CHECKPOINT_PERIOD", 1, "epochs between checkpoints"),
        Setting("TRAIN.KEEP_CHECKPOINTS", 2, "the newest ones, besides the best"),
        Setting("TRAIN.EARLY_STOPPING", patience, "stop after so many validations without a better top1"),
        Setting("LOG_PERIOD", max(1, min(cfg.LOG_PERIOD, steps // 2)), f"steps per log line, of {steps} per epoch"),
    ]
    if cfg.BN.USE_PRECISE_STATS and norm_frozen:
        settings.append(Setting("BN.USE_PRECISE_STATS", False, "batch-norm statistics are frozen"))
    elif cfg.BN.USE_PRECISE_STATS:
        batches = max(1, min(cfg.BN.NUM_BATCHES_PRECISE, steps // 2))
        settings.append(Setting("BN.NUM_BATCHES_PRECISE", batches, "at most half an epoch, before every validation"))
    return settings


def _digits(rate: float) -> float:
    """A learning rate rounded to three digits, which are enough."""
    return float(f"{rate:.3g}")


# ---- what learns ----


def freezing_settings(cfg: CfgNode, *, num_train: int, num_classes: int) -> list[Setting]:
    """Which part of pretrained weights is frozen: few videos cannot improve a whole network, but can spoil it."""
    each = num_train / num_classes
    if each < HEAD_ALONE:
        why = f"{each:.0f} training videos per class, fewer than {HEAD_ALONE}: only the classifier learns"
        return [
            Setting("MODEL.DETACH_FINAL_FC", True, why),
            Setting("MODEL.FROZEN_BN", True, "nor do batch-norm statistics, and so the features, change"),
        ]
    kind = model_kind(cfg)
    if kind not in ("slowfast", "resnet", "x3d"):
        return []
    if each < LATER_STAGES:
        has_laterals = kind == "slowfast" and cfg.SLOWFAST.FUSION == "TimeStridedConv"
        patterns = [*_EARLY_STAGES, *(["laterals.[012]"] if has_laterals else [])]
        why = f"{each:.0f} training videos per class, fewer than {LATER_STAGES}: the early stages keep their weights"
        return [Setting("MODEL.FREEZE", patterns, why)]
    if each < SLOW_LAYERS:
        why = f"{each:.0f} training videos per class, fewer than {SLOW_LAYERS}: earlier layers learn more slowly"
        return [Setting("SOLVER.LAYER_DECAY", LAYER_DECAY, why)]
    return []


# ---- unequal classes ----

UNEQUAL = 3.0  # times as many videos in the largest class as in the smallest


def counts_table(names: Sequence[str], counts: Sequence[int], *, most_lines: int = 12) -> list[str]:
    """The training videos of each class, the largest first; for many classes, only both ends."""
    order = sorted(range(len(names)), key=lambda i: (-counts[i], names[i]))
    width = max(map(len, names))
    lines = [f"  {names[i]:<{width}} {counts[i]:>6,}" for i in order]
    if len(lines) <= most_lines:
        return lines
    half = most_lines // 2
    return [*lines[:half], f"  ... {len(lines) - 2 * half} classes between", *lines[-half:]]


# What gives rare classes more weight, one way each.
BALANCING = (
    ("LOSS.CLASS_WEIGHTS", "inverse_sqrt", "their errors count more"),
    ("TRAIN.BALANCE_CLASSES", True, "their videos are drawn as often as others'"),
    ("MODEL.LOSS_FUNC", "softmax_focal", "focal loss: hard videos of any class count more"),
)


def imbalance_advice(counts: Sequence[int]) -> list[str]:
    """Lines with what can be appended to the command if classes are unbalanced; none if they are not."""
    ratio = max(counts) / max(1, min(counts))
    if ratio < UNEQUAL:
        return []
    said = f"the largest class has {ratio:.1f} times the training videos of the smallest. To help small classes, append"
    return [said, *(f"  {key} {value}  ({why})" for key, value, why in BALANCING)]


def merged(groups: Iterable[Iterable[Setting]]) -> dict[str, Setting]:
    """All settings in order by key: of two of one key, the later is kept."""
    return {setting.key: setting for group in groups for setting in group}


# ---- the YAML file ----


def recipe_text(
    settings: Iterable[Setting], *, base: str = "", others: Mapping[str, Any] | None = None, header: Sequence[str] = ()
) -> str:
    """The text of a config file: `_BASE_`, and every key followed by its reason.

    Args:
        settings: written with their reason.
        base: recipe or file under the settings; empty for none.
        others: dotted key -> value, written without a reason.
        header: lines of comment.
    """
    tree: dict[str, Any] = {}
    for setting in [*(Setting(key, value, "") for key, value in (others or {}).items()), *settings]:
        *groups, name = setting.key.split(".")
        node = tree
        for group in groups:
            node = node.setdefault(group, {})
        node[name] = setting
    lines = [f"# {printable(line)}".rstrip() for line in header]
    lines += [f"_BASE_: {_scalar(base)}"] if base else []
    return "\n".join([*lines, *_lines(tree, "")]) + "\n"


def _lines(tree: Mapping[str, Any], indent: str) -> Iterator[str]:
    for name, node in tree.items():
        if isinstance(node, Setting):
            why = f"  # {printable(node.why)}" if node.why else ""
            yield f"{indent}{name}: {_scalar(node.value)}{why}"
        else:
            yield f"{indent}{name}:"
            yield from _lines(node, indent + "  ")


def _scalar(value: Any) -> str:
    """``value`` on one line of YAML."""
    plain = list(value) if isinstance(value, tuple) else value
    # the dumper ends a plain scalar's document with a line of three dots
    text = yaml.safe_dump(plain, default_flow_style=True, width=float("inf"), allow_unicode=True)
    return text.removesuffix("\n").removesuffix("\n...")
