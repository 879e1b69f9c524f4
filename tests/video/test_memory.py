"""Frames in memory are read as those of a file are."""

import numpy as np
import pytest
import torch

from slowfast.datasets import Protocol, SecondsSampling
from slowfast.datasets.views import read_views
from slowfast.video.memory import MemoryReader
from slowfast.video.reader import VideoReader, VideoReadError


def test_views_are_those_of_the_file(make_video):
    protocol = Protocol(SecondsSampling(4, 4), num_clips=2, num_crops=3, short_sides=(32,), crop_size=32)
    with VideoReader(make_video(num_frames=30)) as video:
        expected = read_views(video, protocol)
        memory = MemoryReader(video.frames_at(range(30)), video.fps)
    assert (memory.num_frames, memory.height, memory.width) == (30, 48, 64)
    assert torch.equal(read_views(memory, protocol).frames, expected.frames)


def test_frames_that_are_not_there_and_other_tensors_are_refused():
    memory = MemoryReader(torch.zeros(3, 3, 4, 4, dtype=torch.uint8), 25)
    assert memory.frames_at(np.array([2, 0])).shape == (2, 3, 4, 4)
    with pytest.raises(VideoReadError, match="cannot decode 3 frames in memory: wanted frames 0-3, it has 3"):
        memory.frames_at([0, 3])
    for frames, fps, message in (
        (torch.zeros(3, 3, 4, 4), 25, "frames must be uint8"),
        (torch.zeros(0, 3, 4, 4, dtype=torch.uint8), 25, "frames must be uint8"),
        (torch.zeros(1, 3, 4, 4, dtype=torch.uint8), 0, "fps=0: must be above 0"),
    ):
        with pytest.raises(ValueError, match=message):
            MemoryReader(frames, fps)
