"""Video files that tests write, and the slow, obvious way to read them."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image

from slowfast.video.frame_reader import FrameReader

REAL_VIDEOS = Path(__file__).parent / "data" / "videos"
SHARED_VIDEOS = Path(__file__).parents[2] / "shared" / "videos"


class MemoryReader(FrameReader):
    """Frames in memory, uint8 (F, 3, H, W)."""

    def __init__(self, frames: torch.Tensor, fps: float = 30.0):
        self.frames, self.fps, self.num_frames = frames, fps, len(frames)

    def frames_at(self, indices, short_side=None, *, apply=None) -> torch.Tensor:
        frames = self.frames[torch.as_tensor(indices, dtype=torch.int64)]
        return frames if apply is None else apply(frames)


def write_video(
    path: Path,
    *,
    num_frames: int = 60,
    height: int = 48,
    width: int = 64,
    fps: int = 30,
    codec: str = "libx264",
    options: dict | None = None,
    pts: list[int] | None = None,
    rotation: int | None = None,
    format_options: dict | None = None,
) -> Path:
    """A video whose frames all differ: a texture that moves on and brightens. ``pts`` count in 1 / fps seconds."""
    texture = np.random.default_rng(0).integers(0, 128, (height, width, 3), dtype=np.uint8)
    with av.open(str(path), "w", options=format_options or {}) as container:
        stream = container.add_stream(codec, rate=fps, options=options or {})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.time_base = Fraction(1, fps)
        if rotation is not None:
            stream.set_display_rotation(rotation)
        for i in range(num_frames):
            picture = np.roll(texture, 3 * i, axis=1) + np.uint8(2 * i % 128)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts = i if pts is None else pts[i]
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def write_audio(path: Path, *, cover: bool = False) -> Path:
    """A file with sound, and a cover picture, but no video."""
    with av.open(str(path), "w") as container:
        sound = container.add_stream("aac", rate=44100)
        sound.layout = "mono"
        if cover:
            picture = container.add_stream("mjpeg", rate=1)
            picture.width, picture.height, picture.pix_fmt = 32, 32, "yuvj420p"
            picture.disposition = av.stream.Disposition.attached_pic.value
            frame = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8))
            container.mux(picture.encode(frame) + picture.encode())
        for i in range(40):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            frame.sample_rate, frame.pts = 44100, 1024 * i
            container.mux(sound.encode(frame))
        container.mux(sound.encode())
    return path


def decode_all(path: Path) -> np.ndarray:
    """uint8 (N, H, W, 3): every frame in the order of decoding, as the decoder gives it."""
    with av.open(str(path)) as container:
        frames = container.decode(container.streams.best("video"))
        return np.stack([frame.to_ndarray(format="rgb24") for frame in frames])


def real_video(name: str) -> Path:
    """A video of tests/data/videos, or a larger one of ../shared/videos; skips the test where there is none."""
    path = next((folder / name for folder in (REAL_VIDEOS, SHARED_VIDEOS) if (folder / name).is_file()), None)
    return path or pytest.skip(f"needs {SHARED_VIDEOS / name}")


GRAY_STEP = 8  # between the frames of ``write_gray_images`` and ``write_gray_video``: survives compression


def write_gray_images(
    folder: Path, *, num_frames: int, pattern: str = "{:06d}.jpg", height: int = 24, width: int = 32
) -> Path:
    """Images, named by their numbers from 1, of which number n has the gray value GRAY_STEP * (n - 1)."""
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(num_frames):
        Image.new("L", (width, height), GRAY_STEP * i).save(folder / pattern.format(i + 1), quality=95)
    return folder


def write_gray_video(path: Path, *, num_frames: int, fps: int, height: int = 24, width: int = 32) -> Path:
    """A video whose frame n, from 0, has the gray value GRAY_STEP * n."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        codec = "libvpx-vp9" if path.suffix == ".webm" else "libx264"
        stream = container.add_stream(codec, rate=fps, options={"crf": "10"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for i in range(num_frames):
            picture = np.full((height, width, 3), GRAY_STEP * i, dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path


def gray_frame_numbers(frames) -> list[int]:
    """Which frames of such a video ``frames``, uint8 (3, T, H, W), are."""
    return (frames.float().mean((0, 2, 3)) / GRAY_STEP).round().int().tolist()
