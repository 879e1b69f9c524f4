"""Maps of a model over the frames of a clip: frames, videos and contact sheets with heatmaps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from slowfast.motion.files import write_video

# From nothing to all, in equal steps: dark blue, violet, red, orange, light yellow.
_HEAT = np.array([[10, 20, 90], [110, 20, 150], [210, 40, 70], [250, 140, 30], [255, 250, 160]], dtype=np.float32)
_LEAST_HEIGHT = 160  # pixels at which a frame is shown
_MARGIN, _LINE = 8, 20
_BACK, _INK = (250, 250, 249), (29, 33, 38)


def heat_colors(values: np.ndarray) -> np.ndarray:
    """RGB colors float32 (..., 3) in [0, 255] of values in [0, 1]."""
    places = np.clip(values, 0, 1) * (len(_HEAT) - 1)
    return np.stack([np.interp(places, np.arange(len(_HEAT)), channel) for channel in _HEAT.T], axis=-1)


def with_heat(frames: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """Frames uint8 (..., H, W, 3) under a map (..., H, W) in [0, 1]: the hotter, the less of the frame is visible."""
    share = 0.75 * np.clip(heat, 0, 1)[..., None]
    gray = frames.mean(-1, keepdims=True)  # so that the heat alone has color
    return ((1 - share) * gray + share * heat_colors(heat)).round().astype(np.uint8)


def write_overlay(path: Path, columns: Mapping[str, np.ndarray], *, titles: Sequence[str], fps: float) -> None:
    """Write a video with the columns side by side and their names above them.

    Args:
        columns: name -> frames uint8 (N, T, H, W, 3); the N clips follow each other.
        titles: of the N clips, one line each.
        fps: frames per second.
    """
    frames = [
        _in_row({name: clips[i][t] for name, clips in columns.items()}, title)
        for i, title in enumerate(titles)
        for t in range(next(iter(columns.values())).shape[1])
    ]
    width = max(frame.width for frame in frames)
    canvases = []
    for frame in frames:  # H.264 takes even sides
        canvas = Image.new("RGB", (width + width % 2, frame.height + frame.height % 2), _BACK)
        canvas.paste(frame)
        canvases.append(np.asarray(canvas))
    write_video(path, np.stack(canvases), fps=Fraction(fps).limit_denominator(1000))


def _in_row(pictures: Mapping[str, np.ndarray], title: str) -> Image.Image:
    shown = {name: _enlarged(picture) for name, picture in pictures.items()}
    width, height = next(iter(shown.values())).size
    canvas = Image.new("RGB", (_MARGIN + len(shown) * (width + _MARGIN), height + 2 * _LINE + 2 * _MARGIN), _BACK)
    pen = ImageDraw.Draw(canvas)
    _write(pen, (_MARGIN, 4), title, canvas.width - 2 * _MARGIN)
    for column, (name, picture) in enumerate(shown.items()):
        left = _MARGIN + column * (width + _MARGIN)
        _write(pen, (left, _LINE + 4), name, width)
        canvas.paste(picture, (left, 2 * _LINE + 4))
    return canvas


def contact_sheet(rows: Mapping[str, np.ndarray], *, titles: Sequence[str]) -> Image.Image:
    """One picture: for each clip a block with a title, and in it eight frames, evenly spread, for each name.

    Args:
        rows: name -> frames uint8 (N, T, H, W, 3).
    """
    count = next(iter(rows.values())).shape[1]
    places = np.linspace(0, count - 1, min(count, 8)).round().astype(int)
    blocks = [
        {name: [_enlarged(clips[i][t]) for t in places] for name, clips in rows.items()} for i in range(len(titles))
    ]
    width, height = next(iter(blocks[0].values()))[0].size
    band = max(60, *(_text_width(name) for name in rows)) + 2 * _MARGIN
    block_height = _LINE + len(rows) * (height + 4) + _MARGIN
    sheet = Image.new(
        "RGB", (band + len(places) * (width + 4) + _MARGIN, len(blocks) * block_height + 2 * _MARGIN), _BACK
    )
    pen = ImageDraw.Draw(sheet)
    for number, (title, block) in enumerate(zip(titles, blocks, strict=True)):
        top = _MARGIN + number * block_height
        _write(pen, (_MARGIN, top), title, sheet.width - 2 * _MARGIN)
        for line, (name, pictures) in enumerate(block.items()):
            y = top + _LINE + line * (height + 4)
            _write(pen, (_MARGIN, y + height // 2 - 8), name, band)
            for column, picture in enumerate(pictures):
                sheet.paste(picture, (band + column * (width + 4), y))
    return sheet


def with_boxes(frames: np.ndarray, boxes_xyxy: np.ndarray) -> np.ndarray:
    """Copies of frames uint8 (N, T, H, W, 3) with box n drawn on all frames of clip n; (N, 4) in pixels."""
    drawn = []
    for clip, box in zip(frames, boxes_xyxy.tolist(), strict=True):
        for frame in clip:
            picture = Image.fromarray(frame)
            ImageDraw.Draw(picture).rectangle(box, outline=(80, 220, 120), width=max(1, round(frame.shape[0] / 120)))
            drawn.append(np.asarray(picture))
    return np.stack(drawn).reshape(frames.shape)


def _enlarged(frame: np.ndarray) -> Image.Image:
    """A frame uint8 (H, W, 3), enlarged by a whole factor if it is too small to see."""
    factor = -(-_LEAST_HEIGHT // frame.shape[0])
    return Image.fromarray(np.repeat(np.repeat(frame, factor, 0), factor, 1))


def _font() -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    return ImageFont.load_default(size=13)


def _text_width(text: str) -> int:
    return round(_font().getlength(text))


def _write(pen: ImageDraw.ImageDraw, place: tuple[int, int], text: str, width: int) -> None:
    """``text`` in one line, cut where it would be wider than ``width``."""
    while text and _text_width(text) > width:
        text = text[:-2].rstrip("…") + "…" if len(text) > 2 else ""
    pen.text(place, text, fill=_INK, font=_font())
