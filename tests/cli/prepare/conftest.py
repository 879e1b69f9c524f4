"""Small videos for the commands to work on."""

from pathlib import Path

import numpy as np
import pytest

from slowfast.motion.files import write_video


@pytest.fixture
def make_video():
    """``make_video(path, num_frames=..., height=..., width=..., fps=...)``: writes a file, and folders above it."""

    def make(path: Path, *, num_frames: int = 12, height: int = 32, width: int = 40, fps: int = 30) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(0).integers(0, 128, (height, width, 3), dtype=np.uint8)
        write_video(
            path, np.stack([np.roll(noise, 3 * i, axis=1) + np.uint8(i % 100) for i in range(num_frames)]), fps=fps
        )
        return path

    return make
