"""Videos with a model's predictions drawn on their frames."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from slowfast.utils.text import printable
from slowfast.video.container import create_video
from slowfast.video.reader import FrameReader
from slowfast.video.stream import FrameStream, upright_rgb

Best = Sequence[tuple[str, float]]  # classes and their scores, the best first
LEAST_SIDE = 256  # pixels: frames whose shorter side is less are enlarged by a whole factor, so that text can be read
CLOCK = 90_000  # ticks per second of written videos, as of MPEG: holds all usual rates
BAR = (86, 180, 233)
TRACK_COLORS = ((230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (213, 94, 0), (204, 121, 167))


@dataclass(frozen=True)
class BoxLabel:
    """A box to draw: x1 y1 x2 y2 as fractions of the frame, its track and its best classes."""

    box: Sequence[float]
    track: int
    best: Best


@dataclass(frozen=True)
class Caption:
    """What to write on a frame: a headline, the best classes of the whole, boxes."""

    headline: str = ""
    best: Best = ()
    boxes: Sequence[BoxLabel] = ()


def display_size(height: int, width: int, size: tuple[int, int] | None = None) -> tuple[int, int]:
    """(height, width), both even, at which a frame is shown.

    Args:
        size: the requested size; default that of the frame, enlarged if it is small.
    """
    if size is None:
        factor = max(1, round(LEAST_SIDE / min(height, width)))
        size = height * factor, width * factor
    return max(2, size[0] // 2 * 2), max(2, size[1] // 2 * 2)


def draw_caption(frame: np.ndarray, caption: Caption, *, size: tuple[int, int] | None = None) -> np.ndarray:
    """The frame, uint8 (H, W, 3) RGB, at its display size, with the caption on it.

    Args:
        size: (height, width) to show it at; see ``display_size``.
    """
    height, width = frame.shape[:2]
    height, width = display_size(height, width, size)
    picture = Image.fromarray(frame)
    if picture.size != (width, height):
        picture = picture.resize((width, height), Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(picture, "RGBA")
    font = ImageFont.load_default(size=max(11, round(min(height, width) / 20)))
    for box in caption.boxes:
        _draw_box(draw, font, box, width, height)
    _draw_lines(draw, font, caption, width)
    return np.asarray(picture)


def _draw_lines(draw: ImageDraw.ImageDraw, font, caption: Caption, width: int) -> None:
    line = round(font.size * 1.35)
    y = 4
    if caption.headline:
        _plate(draw, font, (4, y), caption.headline, (0, 0, 0, 150))
        y += line
    for name, score in caption.best:
        room = min(width - 8, font.size * 16)
        draw.rectangle((4, y, 4 + room, y + line - 2), fill=(0, 0, 0, 130))
        draw.rectangle((4, y, 4 + room * float(np.clip(score, 0, 1)), y + line - 2), fill=(*BAR, 150))
        draw.text((8, y + line / 2 - 1), f"{score:.2f} {printable(name)}", font=font, fill="white", anchor="lm")
        y += line


def _draw_box(draw: ImageDraw.ImageDraw, font, label: BoxLabel, width: int, height: int) -> None:
    color = TRACK_COLORS[label.track % len(TRACK_COLORS)]
    x1, y1, x2, y2 = (float(value) for value in np.clip(label.box, 0, 1) * [width, height, width, height])
    draw.rectangle((x1, y1, x2, y2), outline=color, width=max(2, round(min(height, width) / 150)))
    line = round(font.size * 1.3)
    y = max(0, y1 - line * len(label.best))
    for name, score in label.best:
        _plate(draw, font, (x1, y), f"{score:.2f} {printable(name)}", (*(part // 2 for part in color), 200))
        y += line


def _plate(draw: ImageDraw.ImageDraw, font, corner: tuple[float, float], text: str, color) -> None:
    """Text on a plate, moved to the left if it would leave the picture."""
    x, y = corner
    text_width = draw.textlength(text, font=font)
    x = max(0, min(x, draw.im.size[0] - text_width - 6))
    draw.rectangle((x, y, x + text_width + 6, y + font.size * 1.25), fill=color)
    draw.text((x + 3, y + font.size * 0.62), text, font=font, fill="white", anchor="lm")


class VideoWriter:
    """An H.264 file of frames with their times; complete when the block ends. Use as a context manager.

    Args:
        path: of an .mp4 file (or another container that holds H.264).
        fps: nominal frames per second.
    """

    def __init__(self, path: str | os.PathLike, fps: float):
        self.path = os.fspath(path)
        self._rate = Fraction(fps).limit_denominator(1001)
        self._stack = ExitStack()
        self._stream: av.VideoStream | None = None
        self._last = -1

    def __enter__(self) -> VideoWriter:
        self._container = self._stack.enter_context(create_video(self.path))
        return self

    def __exit__(self, *error) -> None:
        with self._stack:
            if self._stream is not None:
                self._container.mux(self._stream.encode())

    def write(self, seconds: float, frame: np.ndarray) -> None:
        """Append a frame, uint8 (H, W, 3) RGB with even sides, all of one size, shown from ``seconds`` on."""
        if self._stream is None:
            self._stream = self._add_stream(*frame.shape[:2])
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
        self._last = max(self._last + 1, round(seconds * CLOCK))
        picture.pts, picture.time_base = self._last, Fraction(1, CLOCK)
        self._container.mux(self._stream.encode(picture))

    def _add_stream(self, height: int, width: int) -> av.VideoStream:
        options = {"preset": "veryfast", "crf": "20"}
        stream = self._container.add_stream("libx264", rate=self._rate, options=options)
        stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"
        stream.codec_context.time_base = Fraction(1, CLOCK)
        return stream


def frames_of(video: str | FrameReader, *, num_threads: int = 1) -> Iterator[tuple[float, np.ndarray]]:
    """(seconds since the first frame, uint8 (H, W, 3) RGB) of every frame of a file, or of a reader of images.

    Raises:
        VideoReadError: it cannot be read.
    """
    if isinstance(video, FrameReader):
        for number in range(video.num_frames):
            yield number / video.fps, video.frames_at([number])[0].permute(1, 2, 0).numpy()
        return
    with FrameStream(video, num_threads=num_threads) as stream:
        first = None
        for seconds, frame in stream.frames():
            first = seconds if first is None else first
            yield seconds - first, upright_rgb(frame)


def write_captioned(
    path: str | os.PathLike,
    frames: Iterable[tuple[float, np.ndarray]],
    fps: float,
    caption_at: Callable[[float], Caption],
    *,
    size: tuple[int, int] | None = None,
) -> None:
    """Write a video of ``frames``, each with the caption of its time.

    Args:
        size: (height, width) of the video; see ``display_size``.
    """
    with VideoWriter(path, fps) as writer:
        for seconds, frame in frames:
            writer.write(seconds, draw_caption(frame, caption_at(seconds), size=size))
