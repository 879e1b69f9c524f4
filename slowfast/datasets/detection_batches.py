"""Batches of key frames whose clips have one size although movies differ."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch.utils.data import Sampler

from slowfast.datasets.samplers import EvalSampler


class VideoBatches(Sampler):
    """Every key frame of this process once, in batches of up to ``batch_size`` of one video.

    Frames of a test are not cropped, so only those of one video are sure to have one size. Where one of its clips
    cannot be read, ``collate_detections`` gives it the size of the others.

    Args:
        key_frames: (video, second) by place, those of a video next to each other.
        rank, world_size: which process this is, of how many.
    """

    def __init__(self, key_frames: Sequence[tuple[str, int]], batch_size: int, rank: int = 0, world_size: int = 1):
        self.batches: list[list[int]] = []
        video = None
        for index in EvalSampler(len(key_frames), rank, world_size):
            if key_frames[index][0] != video or len(self.batches[-1]) == batch_size:
                self.batches.append([])
            video = key_frames[index][0]
            self.batches[-1].append(index)

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[list[int]]:
        return iter(self.batches)
