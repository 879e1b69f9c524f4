"""Small stand-ins for the engine's tests: a net, a loader over tensors in memory, a trainer of both."""

from __future__ import annotations

import torch
from torch import nn

from slowfast.datasets.samples import ClipBatch
from slowfast.engine.inputs import ClipPreprocessor
from slowfast.engine.trainer import Trainer
from slowfast.losses.build import CrossEntropy


class TinyNet(nn.Module):
    """One convolution and a classifier: logits in train mode, scores in eval mode; with or without batch norm."""

    def __init__(self, num_classes: int = 4, *, norm: bool = False, dropout: float = 0.0):
        super().__init__()
        self.conv = nn.Conv3d(3, 8, 3, stride=2)
        self.bn = nn.BatchNorm3d(8) if norm else nn.Identity()
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(8, num_classes)

    def forward(self, clip):
        logits = self.classifier(self.dropout(self.bn(self.conv(clip)).relu().mean((2, 3, 4))))
        return logits if self.training else logits.softmax(1)


class MemorySampler:
    """Batches of positions in an order drawn from (seed, epoch), like TrainSampler."""

    def __init__(self, num_samples: int, batch_size: int):
        self.num_samples, self.batch_size = num_samples, batch_size
        self.set_epoch(0)

    def set_epoch(self, epoch: int, start_batch: int = 0) -> None:
        order = torch.randperm(self.num_samples, generator=torch.Generator().manual_seed(epoch)).tolist()
        self.batches = [order[i : i + self.batch_size] for i in range(0, self.num_samples, self.batch_size)][
            start_batch:
        ]

    def num_batches(self, epoch: int) -> int:
        return self.num_samples // self.batch_size

    def __len__(self) -> int:
        return self.num_batches(0)


class MemoryLoader:
    """Yields a ``ClipBatch`` for each batch of the sampler."""

    def __init__(self, frames, labels, *, batch_size: int, failures=()):
        self.frames, self.labels, self.failures = frames, labels, tuple(failures)
        self.batch_sampler = MemorySampler(len(frames), batch_size)

    def __iter__(self):
        for rows in self.batch_sampler.batches:
            yield ClipBatch(
                frames=self.frames[rows],
                labels=self.labels[rows],
                video_indices=torch.tensor(rows),
                is_valid=torch.ones(len(rows), dtype=torch.bool),
                failures=self.failures,
            )

    def __len__(self) -> int:
        return len(self.batch_sampler)


def random_clips(num_clips: int, *, num_frames: int = 4, size: int = 32, num_classes: int = 4, seed: int = 0):
    generator = torch.Generator().manual_seed(seed)
    frames = torch.randint(0, 256, (num_clips, 3, num_frames, size, size), dtype=torch.uint8, generator=generator)
    return frames, torch.arange(num_clips) % num_classes


def make_trainer(model: nn.Module, loader, *, trainer_class: type[Trainer] = Trainer, **options) -> Trainer:
    settings = {
        "loss_fn": CrossEntropy(),
        "optimizer": torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9),
        "schedule": lambda epoch: 0.05,
        "preprocess": ClipPreprocessor(device=torch.device("cpu")),
        "num_epochs": 2,
    }
    return trainer_class(model=model, train_loader=loader, **{**settings, **options})
