"""Small networks on a device, and a training of one."""

from __future__ import annotations

import torch

from slowfast.engine.inputs import ClipPreprocessor, place_model
from slowfast.engine.trainer import Trainer
from slowfast.models import SlowFast
from slowfast.solver.optimizer import make_optimizer
from tests.engine.toys import MemoryLoader, make_trainer, random_clips
from tests.models.toys import randomize_batch_norms, seeded, toy_slowfast

NUM_CLASSES = 4


def slowfast(seed: int = 0, **options) -> SlowFast:
    """A SlowFast of 8 channels with seeded weights."""
    settings = {"alpha": 2, "num_classes": NUM_CLASSES, "zero_init_final_bn": True, **options}
    return seeded(lambda: toy_slowfast(**settings), seed)


def with_statistics(model: SlowFast) -> SlowFast:
    """``model`` with the running statistics and scales of one that was trained: none of them 0 or 1."""
    randomize_batch_norms(model)
    return model


def trainer_on(device: torch.device, model: SlowFast, *, num_clips: int = 8, **options) -> Trainer:
    """A training of ``model`` on ``device`` on random clips, with the optimizer that a run there has."""
    frames, labels = random_clips(num_clips, num_classes=NUM_CLASSES)
    model = place_model(model, device)
    groups = [{"params": list(model.parameters())}]
    settings = {
        "optimizer": make_optimizer(groups, name="sgd", lr=0.05, momentum=0.9),
        "preprocess": ClipPreprocessor(device=device),
        "schedule": lambda epoch: 0.02,
        "num_epochs": 2,
    }
    return make_trainer(model, MemoryLoader(frames, labels, batch_size=4), **{**settings, **options})


def weights_of(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """A copy of the state dict on the CPU."""
    return {name: value.detach().cpu().clone() for name, value in model.state_dict().items()}
