"""A GPU computes what the CPU computes: scores, statistics, boxes, and the memory format of every layer."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from slowfast.config import load_cfg
from slowfast.datasets.clip_sampling import SecondsSampling
from slowfast.datasets.protocol import Protocol
from slowfast.engine.inputs import place_model
from slowfast.engine.pipeline import Pipeline
from slowfast.engine.precise_bn import update_precise_statistics
from slowfast.models import build_model
from tests.engine.toys import random_clips
from tests.gpu.nets import slowfast, trainer_on, weights_of, with_statistics

PROTOCOL = Protocol(SecondsSampling(8, 2), short_sides=(32,), crop_size=32)
BOXES = torch.tensor([[0, 2.0, 3, 20, 30], [1, 0, 0, 32, 32], [1, 8, 8, 24, 16], [0, 1, 1, 9, 9]])


def boxed() -> nn.Module:
    return slowfast(roi_head={"resolution": 3, "spatial_scale": 1 / 32}, activation="sigmoid")


@pytest.mark.parametrize("fold_bn", [False, True])
@pytest.mark.parametrize("channels_last", [False, True])
def test_scores_are_the_cpus(device, channels_last, fold_bn):
    frames, _ = random_clips(3, num_frames=8)
    expected = Pipeline(with_statistics(slowfast()), PROTOCOL, channels_last=False).scores(frames)
    pipeline = Pipeline(
        with_statistics(slowfast()), PROTOCOL, device=device, channels_last=channels_last, fold_bn=fold_bn
    )
    assert next(pipeline.model.parameters()).device == device
    assert expected.std() > 0.01  # not all the same
    torch.testing.assert_close(pipeline.scores(frames), expected, atol=1e-4, rtol=1e-4)


def test_scores_of_boxes_are_the_cpus(device):
    frames, _ = random_clips(2, num_frames=8)
    expected = Pipeline(with_statistics(boxed()), PROTOCOL).scores(frames, BOXES)
    found = Pipeline(with_statistics(boxed()), PROTOCOL, device=device).scores(frames, BOXES)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", ["Kinetics/SLOWFAST_8x8_R50", "Kinetics/SLOWFAST_NLN_8x8_R50", "Kinetics/X3D_M"])
def test_scores_of_whole_recipes_are_the_cpus(gpu, name):
    cfg = load_cfg(name)
    torch.manual_seed(0)
    model = build_model(cfg)
    frames, _ = random_clips(1, num_frames=cfg.DATA.NUM_FRAMES, size=224)
    protocol = Protocol(SecondsSampling(cfg.DATA.NUM_FRAMES, 2))
    expected = Pipeline(model, protocol, device="cpu").scores(frames)
    torch.testing.assert_close(Pipeline(model, protocol, device=gpu).scores(frames), expected, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("dtype, tolerance", [(torch.bfloat16, 0.05), (torch.float16, 0.01)])
def test_scores_in_16_bits_are_near(gpu, dtype, tolerance):
    frames, _ = random_clips(3, num_frames=8)
    expected = Pipeline(with_statistics(slowfast()), PROTOCOL).scores(frames)
    found = Pipeline(with_statistics(slowfast()), PROTOCOL, device=gpu, dtype=dtype).scores(frames)
    assert found.dtype is torch.float32
    torch.testing.assert_close(found, expected, atol=tolerance, rtol=0)


def channels_last_clip(device) -> torch.Tensor:
    """16 clips: with fewer of them and a single thread, torch's CPU takes a contiguous path for kernels below 4."""
    clip = torch.randn(16, 3, 8, 64, 64, device=device)
    return clip.contiguous(memory_format=torch.channels_last_3d)


@pytest.mark.parametrize("train", [True, False])
def test_every_layer_keeps_channels_last(device, train):
    """One layer that does not costs two copies of its map; nothing else would show it."""
    model = place_model(slowfast(), device, channels_last=True).train(train)
    broken, seen = [], []

    def look(name):
        def hook(_module, _inputs, output):
            if isinstance(output, torch.Tensor) and output.ndim == 5:
                seen.append(name)
                if not output.is_contiguous(memory_format=torch.channels_last_3d):
                    broken.append(name)

        return hook

    for name, module in model.named_modules():
        if not list(module.children()):
            module.register_forward_hook(look(name))
    model(channels_last_clip(device))
    assert len(seen) > 100 and not broken


def test_gradients_keep_channels_last(device):
    model = place_model(slowfast(), device, channels_last=True).train()
    model(channels_last_clip(device)).sum().backward()
    kernels = {name: p for name, p in model.named_parameters() if p.ndim == 5}
    assert len(kernels) > 50
    # Strides of dimensions of size 1 say nothing, and is_contiguous does not look at them.
    for name, kernel in kernels.items():
        assert kernel.grad.is_contiguous(memory_format=torch.channels_last_3d), name


def test_precise_statistics_are_the_cpus(device):
    frames, _ = random_clips(12, num_frames=8)

    def statistics(where):
        model = place_model(slowfast(), where).train()
        prepare = Pipeline(model, PROTOCOL, device=where).prepare
        batches = [frames[:5], frames[5:6], frames[6:]]
        assert update_precise_statistics(model, batches, lambda batch: model(prepare(batch))) == 3
        return {name: value for name, value in weights_of(model).items() if "running" in name}

    found, expected = statistics(device), statistics(torch.device("cpu"))
    assert found.keys() == expected.keys() and len(found) > 100
    for name in found:
        torch.testing.assert_close(found[name], expected[name], atol=1e-4, rtol=1e-3, msg=name)


def test_the_first_loss_is_the_cpus(device):
    def first_loss(where):
        trainer = trainer_on(where, slowfast(), num_epochs=1)
        batch = next(iter(trainer.train_loader))
        trainer.model.train()
        logits = trainer.model(trainer.preprocess(batch.frames))
        return trainer.loss_fn(logits, batch.labels.to(where)).item()

    assert first_loss(device) == pytest.approx(first_loss(torch.device("cpu")), abs=1e-4)
