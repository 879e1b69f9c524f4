"""The training loop on clips in memory."""

import logging

import pytest
import torch
from torch import nn

from slowfast.datasets.replacement import ReadFailure
from slowfast.datasets.samples import DetectionSample, collate_detections
from slowfast.engine.agreement import TooManyBadVideosError
from slowfast.engine.checkpoint import CheckpointFolder, checkpoint_path, find_checkpoints
from slowfast.engine.step import (
    LossExplosionError,
    NonFiniteGradientError,
    NonFiniteLossError,
    NonFiniteWeightsError,
    StepOptions,
)
from slowfast.engine.train_log import TrainLog
from slowfast.engine.validation import Validation
from slowfast.models.norm import SubBatchNorm3d
from slowfast.models.weights.load import read_checkpoint
from tests.engine.toys import MemoryLoader, TinyNet, make_trainer, random_clips
from tests.models.toys import toy_slowfast


def parameters_of(model: nn.Module) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def test_eight_clips_are_learned_by_heart():
    torch.manual_seed(0)
    frames, labels = random_clips(8)
    model = toy_slowfast(alpha=2, num_classes=4, zero_init_final_bn=True)
    trainer = make_trainer(model, MemoryLoader(frames, labels, batch_size=8), num_epochs=40)
    trainer.train()
    model.train()  # batch statistics: nothing depends on the running ones
    predicted = model(trainer.preprocess(frames)).argmax(1)
    assert predicted.tolist() == labels.tolist()


def test_a_loss_that_is_not_finite_stops_before_the_weights_move():
    model = TinyNet()
    before = parameters_of(model)
    trainer = make_trainer(
        model, MemoryLoader(*random_clips(4), batch_size=2), loss_fn=lambda logits, labels: logits.sum() * float("nan")
    )
    message = r"loss nan at epoch 1, batch 1 of 2 with lr 0\.05 .*but the loss is not"
    with pytest.raises(NonFiniteLossError, match=message):
        trainer.train()
    assert torch.equal(parameters_of(model), before)


class NanGradient(torch.autograd.Function):
    """The identity, whose gradient is lost."""

    @staticmethod
    def forward(ctx, value):
        return value.clone()

    @staticmethod
    def backward(ctx, gradient):
        return gradient * float("nan")


def test_a_finite_loss_whose_gradient_is_not_moves_nothing(tmp_path):
    model = TinyNet()
    before = parameters_of(model)
    trainer = make_trainer(
        model,
        MemoryLoader(*random_clips(4), batch_size=2),
        loss_fn=lambda logits, labels: NanGradient.apply(logits).square().mean(),
        checkpoints=CheckpointFolder(tmp_path),
    )
    message = r"loss 0\.\d+ at epoch 1, batch 1 of 2 .*its gradient is not: conv\.weight, conv\.bias, .* and 1 more"
    with pytest.raises(NonFiniteGradientError, match=message):
        trainer.train()
    assert torch.equal(parameters_of(model), before)
    assert find_checkpoints(tmp_path) == []


def test_the_scaler_of_float16_skips_a_step_by_itself():
    model = TinyNet()
    before = parameters_of(model)
    trainer = make_trainer(model, MemoryLoader(*random_clips(4), batch_size=4), num_epochs=1)
    trainer.scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    trainer.loss_fn = lambda logits, labels: NanGradient.apply(logits).square().mean()
    trainer.train()
    assert torch.equal(parameters_of(model), before)
    assert trainer.scaler.get_scale() == 2.0


def test_weights_that_are_not_finite_are_not_saved(tmp_path):
    model = TinyNet(norm=True)
    trainer = make_trainer(
        model, MemoryLoader(*random_clips(4), batch_size=2), checkpoints=CheckpointFolder(tmp_path), num_epochs=1
    )
    trainer.train()
    model.bn.running_var[3] = float("inf")  # no gradient sees it
    trainer.num_epochs = 2
    with pytest.raises(
        NonFiniteWeightsError, match=r"NaN or infinity in bn\.running_var after step 4: nothing was saved"
    ):
        trainer.train()
    assert find_checkpoints(tmp_path) == [checkpoint_path(tmp_path, 1)]


@pytest.mark.parametrize("factor, stops", [(0.0, False), (3.0, True), (8.0, False)])
def test_a_loss_that_explodes_stops_before_the_weights_move(factor, stops):
    """The mean of the five losses before is 2, the exploding one 10; the first six are compared with nothing."""
    losses = iter([9.0, 1.0, 2.0, 2.0, 2.0, 3.0, 2.0, 10.0, 1.0])
    model = TinyNet()
    before = parameters_of(model)
    trainer = make_trainer(
        model,
        MemoryLoader(*random_clips(9), batch_size=1),
        num_epochs=1,
        loss_fn=lambda logits, labels: 0.0 * logits.sum() + next(losses),
        step_options=StepOptions(loss_explosion_factor=factor),
    )
    if stops:
        message = r"loss 10 at epoch 1, batch 8 of 9 is more than TRAIN\.KILL_LOSS_EXPLOSION_FACTOR=3 times 2\.2,"
        with pytest.raises(LossExplosionError, match=message):
            trainer.train()
        assert trainer.step == 7
        assert torch.equal(parameters_of(model), before)
    else:
        trainer.train()


@pytest.mark.parametrize("parts", [2, 4])
@pytest.mark.parametrize("clip_grad_norm", [None, 0.01])
def test_a_batch_computed_in_parts_is_the_same_step_up_to_rounding(parts, clip_grad_norm):
    results = {}
    for accumulate in (1, parts):
        torch.manual_seed(0)
        trainer = make_trainer(
            TinyNet(),
            MemoryLoader(*random_clips(8), batch_size=4),
            step_options=StepOptions(accumulate=accumulate, clip_grad_norm=clip_grad_norm),
        )
        sizes = []
        trainer.model.register_forward_pre_hook(lambda _, inputs, sizes=sizes: sizes.append(len(inputs[0])))
        trainer.train()
        assert set(sizes) == {4 // accumulate} and trainer.step == 4
        results[accumulate] = parameters_of(trainer.model)
    assert not torch.equal(results[1], parameters_of(TinyNet()))
    torch.testing.assert_close(results[1], results[parts], rtol=1e-5, atol=1e-7)


def test_parts_of_a_detection_batch_count_by_their_boxes():
    """The loss is a mean over boxes: a clip with three of them weighs three times as much as one with one."""
    counts = [3, 1, 2, 2]
    samples = [
        DetectionSample(
            frames=torch.zeros(3, 2, 8, 8, dtype=torch.uint8),
            boxes=torch.full((n, 4), float(i)),
            labels=torch.full((n, 5), float(i)),
            boxes_normalized=torch.zeros(n, 4),
            sample_index=10 + i,
        )
        for i, n in enumerate(counts)
    ]
    first, second = collate_detections(samples).split(2)
    assert first.boxes[:, 0].tolist() == [0, 0, 0, 1] and second.boxes[:, 0].tolist() == [0, 0, 1, 1]
    assert second.boxes[:, 1].tolist() == [2, 2, 3, 3] == second.labels[:, 0].tolist()
    assert second.video_indices.tolist() == [12, 13]
    with pytest.raises(ValueError, match="4 clips cannot be computed in 3 equal parts"):
        collate_detections(samples).split(3)

    class Boxes(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(5))

        def forward(self, clip, boxes):
            return boxes[:, 1:2] * self.weight

    gradients = {}
    for accumulate in (1, 2):
        model = Boxes()
        trainer = make_trainer(
            model,
            MemoryLoader(*random_clips(2), batch_size=2),
            step_options=StepOptions(accumulate=accumulate),
        )
        trainer.loss_fn = lambda logits, labels: (logits.square() - labels).mean()
        trainer.train_step(collate_detections(samples))
        gradients[accumulate] = model.weight.grad.clone()
    torch.testing.assert_close(gradients[1], gradients[2])


def test_weights_that_are_not_finite_are_named():
    model = TinyNet()
    with torch.no_grad():
        model.classifier.weight[0, 0] = float("inf")
    with pytest.raises(NonFiniteLossError, match=r"weights were already not finite: classifier\.weight"):
        make_trainer(model, MemoryLoader(*random_clips(4), batch_size=2)).train()


def test_a_bad_video_counts_once_however_often_it_is_drawn(caplog):
    failures = [ReadFailure(f"train.csv:{row + 1}: cannot decode frame {row}.", row) for row in (2, 5)]
    failures += [ReadFailure("train.csv:3: cannot decode another frame.", 2)]
    loader = MemoryLoader(*random_clips(4), batch_size=2, failures=failures)
    logging.getLogger("slowfast").propagate = True
    with caplog.at_level(logging.WARNING, logger="slowfast"):
        trainer = make_trainer(TinyNet(), loader, num_epochs=3, max_bad_videos=2)
        trainer.train()
    assert len(trainer.bad_videos) == 2
    assert caplog.text.count("Another video took its place") == 2
    assert "Another video took its place. 2 so far, limit DATA.MAX_BAD_VIDEOS=2." in caplog.text
    resumed = make_trainer(TinyNet(), loader, num_epochs=4, max_bad_videos=2)
    resumed.resume(trainer.state_dict())
    assert len(resumed.bad_videos) == 2
    with pytest.raises(TooManyBadVideosError, match=r"2 videos .*DATA.MAX_BAD_VIDEOS=1.*train\.csv:6"):
        make_trainer(TinyNet(), loader, num_epochs=1, max_bad_videos=1).train()


def test_gradients_are_clipped():
    loader = MemoryLoader(*random_clips(2), batch_size=2)
    norms = {}
    for limit in (None, 1e-3):
        torch.manual_seed(0)
        model = TinyNet()
        make_trainer(model, loader, num_epochs=1, step_options=StepOptions(clip_grad_norm=limit)).train()
        norms[limit] = torch.cat([p.grad.flatten() for p in model.parameters()]).norm()
    assert norms[None] > 1e-2
    assert norms[1e-3] <= 1.001e-3
    model = TinyNet()
    make_trainer(model, loader, num_epochs=1, step_options=StepOptions(clip_grad_value=1e-4)).train()
    assert max(p.grad.abs().max() for p in model.parameters()) <= 1e-4


def test_mixed_precision_learns_the_same_up_to_rounding():
    losses = {}
    for dtype in (None, torch.bfloat16):
        torch.manual_seed(0)
        trainer = make_trainer(
            TinyNet(), MemoryLoader(*random_clips(8), batch_size=4), step_options=StepOptions(amp_dtype=dtype)
        )
        seen = []
        step = trainer.train_step
        trainer.train_step = lambda batch, step=step, seen=seen: seen.append(step(batch)) or seen[-1]
        trainer.train()
        losses[dtype] = torch.tensor(seen)
    assert not torch.equal(losses[None], losses[torch.bfloat16])
    torch.testing.assert_close(losses[None], losses[torch.bfloat16], rtol=0.02, atol=0.02)


def test_frozen_batch_norm_keeps_its_statistics_and_learns_its_scale():
    for frozen in (False, True):
        model = TinyNet(norm=True)
        scale = model.bn.weight.detach().clone()
        make_trainer(
            model, MemoryLoader(*random_clips(4), batch_size=2), step_options=StepOptions(freeze_bn=frozen)
        ).train()
        assert (model.bn.running_mean == 0).all() == frozen
        assert not torch.equal(model.bn.weight, scale)


def test_frozen_sub_batch_norm_normalizes_by_its_aggregate_and_learns_its_scale():
    frames, labels = random_clips(3)  # not a multiple of the parts: frozen, these do not matter
    model = TinyNet(norm=True)
    model.bn = SubBatchNorm3d(8, num_splits=2)
    model.bn.split_bn.running_mean.copy_(torch.arange(16.0) / 10)
    before = {name: value.clone() for name, value in model.bn.split_bn.state_dict().items()}
    trainer = make_trainer(model, MemoryLoader(frames, labels, batch_size=3), step_options=StepOptions(freeze_bn=True))
    trainer.set_train_mode()
    x = torch.randn(3, 8, 1, 2, 2)
    mean = torch.arange(8.0) / 10 + 0.4  # of 0 .. 0.7 and 0.8 .. 1.5; their variance is 0.16, beside the parts' own 1
    expected = (x - mean.view(-1, 1, 1, 1)) / (1.16 + 1e-5) ** 0.5
    torch.testing.assert_close(model.bn(x), expected)
    scale = model.bn.weight.detach().clone()
    trainer.train()
    assert all(torch.equal(value, before[name]) for name, value in model.bn.split_bn.state_dict().items())
    assert not torch.equal(model.bn.weight, scale)


def test_precise_statistics_are_those_of_the_whole_set():
    frames, labels = random_clips(8)
    model = TinyNet(norm=True)
    trainer = make_trainer(
        model,
        MemoryLoader(frames, labels, batch_size=2),
        num_epochs=1,
        precise_bn_batches=99,
        validation=Validation(lambda m: {}),
    )
    trainer.train()
    features = model.conv(trainer.preprocess(frames))
    torch.testing.assert_close(model.bn.running_mean, features.mean((0, 2, 3, 4)), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(model.bn.running_var, features.var((0, 2, 3, 4), unbiased=False), rtol=1e-4, atol=1e-5)


def test_evaluation_and_checkpoints_come_when_they_are_due(tmp_path):
    evaluated = []
    trainer = make_trainer(
        TinyNet(),
        MemoryLoader(*random_clips(4), batch_size=2),
        num_epochs=5,
        checkpoints=CheckpointFolder(tmp_path, period=3),
        validation=Validation(lambda model: evaluated.append(trainer.epoch) or {"top1": 1.0}, period=2),
    )
    assert trainer.train() == {"top1": 1.0}
    assert evaluated == [2, 4, 5]  # the last epoch always counts
    names = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert names == ["checkpoint_epoch_00003.pyth", "checkpoint_epoch_00005.pyth"]
    assert read_checkpoint(checkpoint_path(tmp_path, 5))["epoch"] == 4  # from 0, as in PySlowFast


def test_waiting_for_data_is_warned_of_once(caplog, monkeypatch):
    monkeypatch.setattr("slowfast.engine.train_log.TrainMeter.pop", lambda self: dict(record))
    record = {"train/loss": 1.0, "data_seconds": 0.3, "step_seconds": 1.0, "data_share": 0.3, "clips_per_second": 2.0}
    monkeypatch.setattr(logging.getLogger("slowfast"), "propagate", True)
    with caplog.at_level(logging.WARNING, logger="slowfast"):
        make_trainer(TinyNet(), MemoryLoader(*random_clips(8), batch_size=1), log=TrainLog(period=1)).train()
    assert caplog.text.count("30% of the time is spent waiting for data") == 1
    assert "DATA_LOADER.NUM_WORKERS" in caplog.text
