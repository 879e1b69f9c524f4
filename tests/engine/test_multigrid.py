"""Multigrid training: the loop over stages in memory, what the config makes of it, and its resumption."""

from __future__ import annotations

import json
import logging

import pytest
import torch

from slowfast.config import load_cfg
from slowfast.datasets.samplers import TrainSampler
from slowfast.datasets.samples import ClipBatch, ClipShape
from slowfast.engine.build_trainer import build_trainer
from slowfast.engine.checkpoint import checkpoint_path
from slowfast.engine.multigrid import BatchShapes, check_batches, describe_plan, describe_stage, warn_of_statistics
from slowfast.engine.train_log import TrainLog
from slowfast.engine.validation import Validation
from slowfast.models.fixed_size_norm import fixed_size_norm
from slowfast.solver import ShapeSchedule
from slowfast.solver.multigrid import Stage
from slowfast.utils.logging import MetricWriter
from tests.engine.toys import TinyNet, make_trainer, random_clips
from tests.groups import run_group

PLAIN = ShapeSchedule(num_frames=8, crop_size=32, stages=(Stage(0, 1, 8, 32, 5),))
BOTH = ShapeSchedule(
    num_frames=8,
    crop_size=32,
    stages=(Stage(0, 4, 4, 23, 2), Stage(0, 2, 4, 32, 2), Stage(0, 1, 8, 32, 3)),
    short_cycle_factors=(0.5, 0.5**0.5),
)


def sampler_of(schedule: ShapeSchedule, num_samples: int = 100, *, batch_size: int = 2, world_size: int = 1):
    shapes = BatchShapes(schedule, sampling_rate=2)
    return TrainSampler(num_samples, batch_size=batch_size, seed=0, world_size=world_size, shapes=shapes)


def test_the_keys_of_a_stage_say_its_shape_and_largest_sampling_rate():
    shapes = BatchShapes(BOTH, sampling_rate=2)
    assert shapes(1) == [(8, ClipShape(4, 16, 4)), (4, ClipShape(4, 23, 4)), (4, ClipShape(4, 23, 4))]
    assert shapes(2) == [(4, ClipShape(8, 16, 2)), (2, ClipShape(8, 23, 2)), (1, ClipShape(8, 32, 2))]
    assert shapes(3) == [(1, ClipShape(8, 32, 2))]  # past the end: where batch norm takes its statistics


def test_plain_training_has_plain_keys_and_nothing_to_say():
    assert BatchShapes(PLAIN, sampling_rate=2)(0) == [(1, None)]
    assert describe_stage(0, schedule=PLAIN, sampler=sampler_of(PLAIN)) == ""


def test_a_stage_in_words():
    sampler = sampler_of(BOTH, world_size=2)  # 4 clips per batch
    words = [describe_stage(epoch, schedule=BOTH, sampler=sampler) for epoch in range(3)]
    assert (
        words[0]
        == words[1]
        == (
            "stage 1 of 2 (epochs 1 to 2): clips of 4 frames, crops of 16, 23, 23 pixels in batches of 32, 16, 16 in "
            "turn, 4 steps per epoch"
        )
    )
    assert words[2] == (
        "stage 2 of 2 (epochs 3 to 3): clips of 8 frames, crops of 16, 23, 32 pixels in batches of 16, 8, 4 in turn, "
        "10 steps per epoch"
    )
    assert describe_plan(BOTH) == (
        "multigrid training: 3 epochs in 2 stages, frames x pixels: 4 x 23 to epoch 2, 8 x 32 to epoch 3"
    )


def test_a_stage_that_no_batch_fits_into_is_named():
    check_batches(BOTH, sampler_of(BOTH, 16), batch_size=2)
    with pytest.raises(
        ValueError,
        match=r"15 training videos do not fill one batch of TRAIN\.BATCH_SIZE=2 times 8, the first of stage 1 of "
        r"multigrid training\. Set TRAIN\.BATCH_SIZE to 1 or less\.",
    ):
        check_batches(BOTH, sampler_of(BOTH, 15), batch_size=2)
    with pytest.raises(ValueError, match=r"7 training videos .*More videos are needed\."):
        check_batches(BOTH, sampler_of(BOTH, 7), batch_size=2)
    with pytest.raises(ValueError, match=r"1 training videos do not fill one batch of TRAIN\.BATCH_SIZE=2\. Set .* 1 "):
        check_batches(PLAIN, sampler_of(PLAIN, 1), batch_size=2)


def test_batch_norm_that_cannot_keep_its_clips_is_warned_of(caplog):
    warn_of_statistics(BOTH, sampler_of(BOTH, batch_size=8), wanted=8)
    warn_of_statistics(BOTH, sampler_of(BOTH, batch_size=2, world_size=4), wanted=8)
    assert not caplog.records
    warn_of_statistics(BOTH, sampler_of(BOTH, batch_size=2), wanted=8)
    assert caplog.messages == [
        "MULTIGRID.BN_BASE_SIZE=8 cannot be kept: batch-norm statistics of a process cover only 2 in a batch of 2, 4 "
        "in a batch of 4 clips."
    ]


# ---- the loop ----


class ShapedLoader:
    """Clips in memory, cut to the shape that the keys ask for."""

    def __init__(self, num_clips: int, sampler: TrainSampler):
        self.frames, self.labels = random_clips(num_clips, num_frames=8)
        self.batch_sampler = sampler

    def __iter__(self):
        for keys in self.batch_sampler:
            rows, shape = [key[1] for key in keys], keys[0][2]
            frames = self.frames[rows, :, : shape.num_frames, : shape.crop_size, : shape.crop_size]
            yield ClipBatch(frames, self.labels[rows], torch.tensor(rows), torch.ones(len(rows), dtype=torch.bool))


def shaped_trainer(model: TinyNet, *, world_size: int = 1, rank: int = 0, **options):
    shapes = BatchShapes(BOTH, sampling_rate=2)
    sampler = TrainSampler(32, batch_size=2 // world_size, seed=0, shapes=shapes, rank=rank, world_size=world_size)
    return make_trainer(model, ShapedLoader(32, sampler), num_epochs=BOTH.max_epoch, **options)


def tiny_net() -> TinyNet:
    torch.manual_seed(0)
    model = TinyNet(norm=True)
    model.bn = fixed_size_norm(2)(8)
    return model


def test_steps_rates_and_shapes_through_the_stages(tmp_path, caplog):
    writer, seen = MetricWriter(tmp_path), []
    log = TrainLog(writer, period=1, describe_epoch=lambda epoch: f"shape of epoch {max(epoch, 1)}")
    trainer = shaped_trainer(tiny_net(), schedule=lambda epoch: 0.01 + epoch, log=log)
    step = trainer.train_step
    trainer.train_step = lambda batch: seen.append(tuple(batch.frames.shape)) or step(batch)
    with caplog.at_level(logging.INFO, logger="slowfast"):
        trainer.train()
    writer.close()
    small = [(16, 3, 4, 16, 16), (8, 3, 4, 23, 23), (8, 3, 4, 23, 23)]
    large = [(8, 3, 8, 16, 16), (4, 3, 8, 23, 23), (2, 3, 8, 32, 32)]
    assert seen == [*small, *small, *large, *large]
    records = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [r["step"] for r in records] == list(range(1, 13))
    assert all(isinstance(r["train/loss"], float) and r["clips_per_second"] > 0 for r in records)
    assert [r["lr"] for r in records] == pytest.approx(
        [0.01 + e for e in (0, 1 / 3, 2 / 3, 1, 4 / 3, 5 / 3, *(2 + i / 6 for i in range(6)))]
    )
    assert [m for m in caplog.messages if m.startswith("shape of")] == ["shape of epoch 1", "shape of epoch 2"]


def test_the_time_left_counts_the_steps_of_later_stages(monkeypatch, caplog):
    record = {"train/loss": 1.0, "data_seconds": 0.0, "step_seconds": 10.0, "data_share": 0.0, "clips_per_second": 2.0}
    monkeypatch.setattr("slowfast.engine.train_log.TrainMeter.pop", lambda self: dict(record))
    with caplog.at_level(logging.INFO, logger="slowfast"):
        shaped_trainer(tiny_net(), log=TrainLog(period=1)).train()
    left = [message.rpartition("eta ")[2] for message in caplog.messages if "eta" in message]
    assert left == [f"{seconds // 60}:{seconds % 60:02}" for seconds in range(110, -10, -10)]


def test_evaluations_come_at_chosen_epochs_and_at_the_end_with_statistics_of_whole_clips():
    sizes, evaluated = [], []
    validation = Validation(lambda model: evaluated.append(trainer.epoch) or {}, epochs={1}, period=1)
    trainer = shaped_trainer(tiny_net(), precise_bn_batches=3, validation=validation)
    forward = trainer.model.forward
    trainer.model.forward = lambda clip: sizes.append(tuple(clip.shape)) or forward(clip)
    trainer.train()
    assert sizes[3:6] == sizes[-3:] == [(2, 3, 8, 32, 32)] * 3
    assert evaluated == [1, 3]


def train_shared(rank: int, world_size: int, path: str) -> None:
    """A net without batch norm, whose weights do not hang on the number of processes, and one with it."""
    torch.manual_seed(0)
    for name, model in {"plain": TinyNet(), "norm": tiny_net()}.items():
        trainer = shaped_trainer(model, rank=rank, world_size=world_size)
        trainer.train()
        torch.save(model.state_dict(), f"{path}_{name}{rank}.pt")
        assert trainer.step == 12


def test_two_processes_train_as_one_with_the_double_batch(tmp_path):
    train_shared(0, 1, str(tmp_path / "one"))
    run_group(train_shared, 2, tmp_path / "group", str(tmp_path / "two"))
    names = ("one_plain0", "two_plain0", "two_norm0", "two_norm1")
    one, two, norm, other = (torch.load(tmp_path / f"{name}.pt", weights_only=True) for name in names)
    for name in one:
        torch.testing.assert_close(one[name], two[name], rtol=1e-3, atol=1e-5)
    for name, value in norm.items():
        assert torch.isfinite(value).all()
        if "running" not in name:  # the main process's are saved
            assert torch.equal(value, other[name]), name


# ---- from a config, on video files ----


@pytest.fixture
def config(tmp_path, tiny_opts):
    def make(*overrides):
        small = [*tiny_opts, "OUTPUT_DIR", str(tmp_path), "SLOWFAST.ALPHA", 2, "TRAIN.BATCH_SIZE", 1]
        small += ["SOLVER.LR_POLICY", "steps_with_relative_lrs", "SOLVER.STEPS", [0, 2], "SOLVER.LRS", [1, 0.1]]
        small += ["SOLVER.MAX_EPOCH", 3, "SOLVER.WARMUP_EPOCHS", 0.0, "MULTIGRID.EPOCH_FACTOR", 1.0]
        small += ["MULTIGRID.LONG_CYCLE", True, "MULTIGRID.SHORT_CYCLE", True, "MULTIGRID.BN_BASE_SIZE", 2]
        small += ["MULTIGRID.LONG_CYCLE_FACTORS", [[0.5, 1], [1, 1]], "MODEL.DROPOUT_RATE", 0.5]
        return load_cfg("Motion/SLOWFAST_4x4_R18", [*small, *overrides])

    return make


def test_resuming_in_the_next_stage_equals_not_stopping(config, tmp_path, caplog):
    """Bitwise, with both cycles, dropout, precise batch norm and videos read from files."""
    torch.manual_seed(0)
    straight = build_trainer(config("OUTPUT_DIR", str(tmp_path / "straight")))
    assert [end for _, end, _ in ShapeSchedule.from_config(config()).spans()] == [1, 2, 3]
    assert "top1" in straight.train()
    torch.manual_seed(0)
    stopped = build_trainer(config())
    stopped.num_epochs = 1  # as if killed after its first checkpoint
    stopped.train()
    torch.manual_seed(99)  # another process would not be where this one is
    with caplog.at_level(logging.INFO, logger="slowfast"):
        resumed = build_trainer(config())
        assert (resumed.epoch, resumed.step) == (1, stopped.step)
        resumed.train()
    assert "stage 2 of 3 (epochs 2 to 2): clips of 8 frames" in caplog.text
    assert resumed.step == straight.step
    for name, value in straight.model.state_dict().items():
        assert torch.equal(value, resumed.model.state_dict()[name]), name
    for trainer in (straight, resumed):
        trainer.log.close()
    for folder in (tmp_path, tmp_path / "straight"):
        records = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        assert [record["step"] for record in records if "train/loss" in record] == list(range(1, straight.step + 1))
        assert [record["epoch"] for record in records if "val/clip_top1" in record] == [1, 2, 3]
    state = torch.load(checkpoint_path(tmp_path, 3), weights_only=True)["model_state"]
    assert not any("split_bn" in name for name in state)  # loads into a plain network, as PySlowFast's do


def test_evaluations_follow_the_stages(config):
    trainer = build_trainer(config("SOLVER.MAX_EPOCH", 30, "SOLVER.STEPS", [0, 20], "MULTIGRID.EVAL_FREQ", 1))
    assert trainer.validation.epochs == {15, 22, 30}  # where the stages end
    short_alone = build_trainer(config("MULTIGRID.LONG_CYCLE", False, "MULTIGRID.EPOCH_FACTOR", 2.0))
    assert short_alone.validation.epochs is None and short_alone.num_epochs == 6
