"""Multigrid training (Wu, Girshick, He, Feichtenhofer and Krähenbühl, CVPR 2020, arXiv 1912.00998): which clips when.

Training begins with small clips in large batches and ends with the recipe's own, so every step costs about the same,
and an epoch of small clips has few steps. In the long cycle frames and crop change from stage to stage, in the short
cycle the crop changes from batch to batch. Formulas and roundings are those of the released recipes (PySlowFast).

B, T and S are the recipe's batch, frames and crop; T' and S' those of a stage.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from statistics import fmean
from typing import NamedTuple


@dataclass(frozen=True)
class Stage:
    """Epochs that share a shape.

    Attributes:
        step: learning-rate steps taken before it.
        batch_factor: its batch in B, without the short cycle's factor.
        num_frames, crop_size: T' and S', the crop in pixels.
        until_epoch: the number of epochs done when it ends.
    """

    step: int
    batch_factor: int
    num_frames: int
    crop_size: int
    until_epoch: int


class BatchShape(NamedTuple):
    """Clips of one batch: their number in units of B, and their T' and crop in pixels."""

    batch_factor: int
    num_frames: int
    crop_size: int


@dataclass(frozen=True)
class _Shape:
    batch_factor: int
    num_frames: int
    crop_size: int
    mean_factor: float  # of the batches of the short cycle


def long_cycle_stages(
    *,
    num_frames: int,
    crop_size: int,
    steps: Sequence[int],
    max_epoch: int,
    epoch_factor: float,
    factors: Sequence[Sequence[float]],
    short_cycle_factors: Sequence[float] = (),
) -> list[Stage]:
    """All shapes in turn before every learning-rate step, and the last shape after the last step.

    Between two steps, every shape gets the same number of iterations, i.e. epochs in proportion to its mean batch
    factor. After the last step, the same share of iterations is saved as before it. Then everything is scaled to
    max_epoch * epoch_factor epochs, and the ends are rounded (so a short stage may have no epoch).

    Args:
        num_frames, crop_size: T and S.
        steps: epochs at which the learning rate falls in a schedule without multigrid, at least two, the first 0.
        max_epoch: epochs of that schedule, above the last step.
        factors: (T' / T, S' / S) of every shape.
        short_cycle_factors: crops of the short cycle in S; empty without one.
    """
    shapes = [_shape(num_frames, crop_size, factor, short_cycle_factors) for factor in factors]
    sum_of_factors = _plain_sum(shape.mean_factor for shape in shapes)
    plan = [
        (step, shape, (end - start) * shape.mean_factor / sum_of_factors)
        for step, (start, end) in enumerate(pairwise(steps))
        for shape in shapes
    ]
    iterations = _plain_sum(epochs / shape.mean_factor for _, shape, epochs in plan)
    saving = steps[-1] / iterations
    last = shapes[-1]
    plan.append((len(steps) - 1, last, (max_epoch - steps[-1]) / saving * last.mean_factor))
    scale = max_epoch * epoch_factor / _plain_sum(epochs for _, _, epochs in plan)
    ends = accumulate(epochs * scale for _, _, epochs in plan)
    return [
        Stage(step, shape.batch_factor, shape.num_frames, shape.crop_size, round(end))
        for (step, shape, _), end in zip(plan, ends, strict=True)
    ]


def _plain_sum(values: Iterable[float]) -> float:
    """Sum from left to right. ``sum`` compensates from Python 3.12 on, and an end of 358.5 would then round
    differently."""
    return list(accumulate(values))[-1]


def _shape(num_frames: int, crop_size: int, factor: Sequence[float], short_cycle_factors: Sequence[float]) -> _Shape:
    frames, base_crop = round(num_frames * factor[0]), round(crop_size * factor[1])
    # The short cycle's crops hang on S alone, and are not rounded here.
    crops = [crop_size * short for short in short_cycle_factors] + [base_crop]
    batch_factors = [round(num_frames * crop_size**2 / (frames * crop**2)) for crop in crops]
    return _Shape(batch_factors[-1], frames, base_crop, fmean(batch_factors))


def long_cycle_rates(stages: Sequence[Stage], *, gamma: float) -> tuple[list[int], list[float]]:
    """Epochs at which the learning rate changes, and the rates from then on in units of the base rate.

    The rate of a stage is gamma^step times its batch factor (linear scaling). The last stage keeps the rate of the
    one before it through its first half.
    """
    ends = [stage.until_epoch for stage in stages]
    rates = [gamma**stage.step * stage.batch_factor for stage in stages]
    before_last = ends[-2]
    return [0, *ends[:-1], (before_last + ends[-1]) // 2], [*rates[:-1], rates[-2], rates[-1]]


def short_cycle(base_crop: int, *, crop_size: int, factors: Sequence[float]) -> list[tuple[int, int]]:
    """(crop, batch factor) of consecutive batches, in turn: factor * crop_size for each factor, then ``base_crop``.

    The batch grows by round((base_crop / crop)^2), at least 1, so that a step costs the same. The learning rate does
    not change.

    Args:
        base_crop: S', pixels.
        crop_size: S, pixels.
    """
    crops = [factor * crop_size for factor in factors]
    return [(round(crop), max(1, round((base_crop / crop) ** 2))) for crop in crops] + [(base_crop, 1)]


def evaluation_epochs(stages: Sequence[Stage], *, per_stage: int) -> set[int]:
    """Numbers of epochs after which an evaluation is due: at most ``per_stage`` per stage, the last at its end."""
    due, start = set(), 0
    for stage in stages:
        period = (stage.until_epoch - start) // per_stage + 1
        due |= set(range(stage.until_epoch, start, -period))
        start = stage.until_epoch
    return due


@dataclass(frozen=True)
class ShapeSchedule:
    """The shapes of the training batches in every epoch. Without multigrid training, it has one stage.

    Attributes:
        num_frames, crop_size: T and S.
        stages: in order; one may have no epoch.
        short_cycle_factors: crops of the short cycle in S; empty without one.
    """

    num_frames: int
    crop_size: int
    stages: tuple[Stage, ...]
    short_cycle_factors: tuple[float, ...] = ()

    @classmethod
    def from_config(cls, cfg) -> ShapeSchedule:
        """The schedule of the config's MULTIGRID, SOLVER and DATA keys."""
        solver = cfg.SOLVER
        multigrid = cfg.MULTIGRID
        full = {"num_frames": cfg.DATA.NUM_FRAMES, "crop_size": cfg.DATA.TRAIN_CROP_SIZE}
        short = tuple(multigrid.SHORT_CYCLE_FACTORS) if multigrid.SHORT_CYCLE else ()
        if multigrid.LONG_CYCLE:
            stages = long_cycle_stages(
                **full,
                steps=solver.STEPS,
                max_epoch=solver.MAX_EPOCH,
                epoch_factor=multigrid.EPOCH_FACTOR,
                factors=multigrid.LONG_CYCLE_FACTORS,
                short_cycle_factors=short,
            )
        else:
            num_epochs = int(solver.MAX_EPOCH * (multigrid.EPOCH_FACTOR if multigrid.SHORT_CYCLE else 1))
            stages = [Stage(step=0, batch_factor=1, **full, until_epoch=num_epochs)]
        return cls(**full, stages=tuple(stages), short_cycle_factors=short)

    @property
    def max_epoch(self) -> int:
        """Epochs in all."""
        return self.stages[-1].until_epoch

    @property
    def is_constant(self) -> bool:
        """Whether every batch has the recipe's own shape."""
        return not self.short_cycle_factors and all(
            (stage.num_frames, stage.crop_size) == (self.num_frames, self.crop_size) for stage in self.stages
        )

    def spans(self) -> list[tuple[int, int, Stage]]:
        """(first epoch, epoch after the last one, stage) of every stage that has epochs."""
        starts = [0, *(stage.until_epoch for stage in self.stages)]
        spans = [(start, stage.until_epoch, stage) for start, stage in zip(starts, self.stages, strict=False)]
        return [span for span in spans if span[0] < span[1]]

    def batches_at(self, epoch: int) -> list[BatchShape]:
        """The shapes of consecutive batches of ``epoch``, from 0, in turn.

        Past the end it is the recipe's own: batch norm statistics for an evaluation are taken there.
        """
        if epoch >= self.max_epoch:
            return [BatchShape(1, self.num_frames, self.crop_size)]
        stage = next(stage for stage in self.stages if epoch < stage.until_epoch)
        cycle = short_cycle(stage.crop_size, crop_size=self.crop_size, factors=self.short_cycle_factors)
        return [BatchShape(stage.batch_factor * factor, stage.num_frames, crop) for crop, factor in cycle]
