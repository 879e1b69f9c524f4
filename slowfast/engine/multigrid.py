"""Connects the parts of multigrid training: the schedule's shapes as keys for the sampler and as words for the log."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from slowfast.datasets.samplers import TrainSampler
from slowfast.datasets.samples import ClipShape
from slowfast.models.fixed_size_norm import group_sizes, statistics_size
from slowfast.solver import ShapeSchedule

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class BatchShapes:
    """``shapes(epoch)``: the shapes of an epoch's batches, for ``TrainSampler``.

    Attributes:
        schedule: the batches of each epoch.
        sampling_rate: of the recipe. A shorter clip's is drawn between it and sampling_rate * (T // T'), at which
            the clip spans as much of its video as a whole one.
    """

    schedule: ShapeSchedule
    sampling_rate: int

    def __call__(self, epoch: int) -> list[tuple[int, ClipShape | None]]:
        if self.schedule.is_constant:
            return [(1, None)]
        return [
            (factor, ClipShape(frames, crop, self.sampling_rate * (self.schedule.num_frames // frames)))
            for factor, frames, crop in self.schedule.batches_at(epoch)
        ]


def describe_plan(schedule: ShapeSchedule) -> str:
    """All stages in one line."""
    spans = schedule.spans()
    stages = ", ".join(f"{stage.num_frames} x {stage.crop_size} to epoch {end}" for _, end, stage in spans)
    return f"multigrid training: {schedule.max_epoch} epochs in {len(spans)} stages, frames x pixels: {stages}"


def describe_stage(epoch: int, *, schedule: ShapeSchedule, sampler: TrainSampler) -> str:
    """The stage of ``epoch``, from 0, in one line; "" if every batch has the recipe's own shape."""
    if schedule.is_constant:
        return ""
    spans = schedule.spans()
    number, (start, end, stage) = next((i, span) for i, span in enumerate(spans, 1) if epoch < span[1])
    batches = schedule.batches_at(epoch)
    crops = ", ".join(str(batch.crop_size) for batch in batches)
    total = sampler.batch_size * sampler.world_size
    sizes = ", ".join(str(batch.batch_factor * total) for batch in batches)
    return (
        f"stage {number} of {len(spans)} (epochs {start + 1} to {end}): clips of {stage.num_frames} frames, "
        f"crops of {crops} pixels in batches of {sizes}{' in turn' if len(batches) > 1 else ''}, "
        f"{sampler.num_batches(epoch)} steps per epoch"
    )


def check_batches(schedule: ShapeSchedule, sampler: TrainSampler, *, batch_size: int) -> None:
    """Check that every stage has at least one batch.

    Args:
        batch_size: TRAIN.BATCH_SIZE.

    Raises:
        ValueError: the videos do not fill the first batch of a stage, which is its largest.
    """
    starts = [start for start, _, _ in schedule.spans()]
    empty = [number for number, start in enumerate(starts, 1) if sampler.num_batches(start) == 0]
    if not empty:
        return
    factors = [schedule.batches_at(start)[0].batch_factor for start in starts]
    factor, largest = factors[empty[0] - 1], max(factors)
    stage = f" times {factor}, the first of stage {empty[0]} of multigrid training" if largest > 1 else ""
    fitting = batch_size * sampler.num_samples // (sampler.batch_size * sampler.world_size * largest)
    remedy = f"Set TRAIN.BATCH_SIZE to {fitting} or less." if fitting else "More videos are needed."
    raise ValueError(
        f"{sampler.num_samples} training videos do not fill one batch of TRAIN.BATCH_SIZE={batch_size}{stage}. {remedy}"
    )


def warn_of_statistics(schedule: ShapeSchedule, sampler: TrainSampler, *, wanted: int) -> None:
    """Warn if batch norm cannot have statistics over ``wanted`` clips (MULTIGRID.BN_BASE_SIZE) in every batch."""
    factors = {batch.batch_factor for start, _, _ in schedule.spans() for batch in schedule.batches_at(start)}
    processes = group_sizes(wanted, sampler.world_size)
    sizes = {n: statistics_size(n, wanted, processes) for n in (factor * sampler.batch_size for factor in factors)}
    others = [f"{size} in a batch of {num_clips}" for num_clips, size in sorted(sizes.items()) if size != wanted]
    if others:
        logger.warning(
            "MULTIGRID.BN_BASE_SIZE=%d cannot be kept: batch-norm statistics of a process cover only %s clips.",
            wanted,
            ", ".join(others),
        )
