"""A picture of a Motion set; for the clip form, one row of consecutive frames per class with the Slow frames marked."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from slowfast.motion.actor_sheet import ava_rows, charades_rows, draw_sheet
from slowfast.motion.files import read_manifest
from slowfast.video.reader import VideoReader

TILE = 88  # pixels of one frame, cut to its middle square
GAP = 6
LABEL_WIDTH = 164
HEADER_HEIGHT = 112
SHAPE_GAP = 12  # extra space where the next shape begins
MARGIN = 22
TITLES = {"ava": "AVA", "charades": "Charades"}
INK, FAINT, PAPER, MARK = (34, 38, 46), (128, 134, 146), (255, 255, 255), (226, 88, 34)


def sample_sheet(root: str | Path, path: str | Path, *, split: str = "train", num_columns: int = 16) -> Path:
    """A PNG at ``path`` that shows videos of the Motion set in ``root``; returns the path.

    For the clip form, it shows the first video of each class: columns are consecutive frames (what Fast sees), and a
    border around some of them marks what Slow sees. For the other forms, it shows the first four videos at several
    times, with their labels.

    Raises:
        ValueError: ``root`` holds no Motion set, or the split no videos.
    """
    root, path = Path(root), Path(path)
    manifest = read_manifest(root)
    if manifest is None:
        raise ValueError(f"{root} holds no Motion set: write it first with slowfast motion.")
    form = manifest.get("form", "clips")
    if form == "clips":
        _clip_sheet(root, path, split, manifest["arguments"], num_columns)
    else:
        rows = {"ava": ava_rows, "charades": charades_rows}[form](root, split, num_columns=5)
        draw_sheet(rows, path, title=f"Motion in the layout of {TITLES[form]}, {split}", num_rows=4)
    return path


def _clip_sheet(root: Path, path: Path, split: str, arguments: dict, num_columns: int) -> None:
    class_ids = json.loads((root / "classids.json").read_text(encoding="utf-8"))
    videos = _first_video_per_class(root, split)
    names = [name for name, label in class_ids.items() if label in videos]
    num_columns = min(num_columns, arguments["num_frames"])
    sheet = _empty_sheet(names, num_columns, arguments["slow_interval"])
    for name, top in zip(names, _row_tops(names), strict=True):
        _draw_row(sheet, top, name, _read_frames(videos[class_ids[name]], num_columns), arguments["slow_interval"])
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path, format="PNG", optimize=True)


def _first_video_per_class(root: Path, split: str) -> dict[int, Path]:
    rows = (root / f"{split}.csv").read_text(encoding="utf-8").splitlines()
    if not rows:
        raise ValueError(f"split {split!r} of {root} holds no videos: name another one.")
    pairs = [row.rsplit(" ", 1) for row in rows]
    return {int(label): root / path for path, label in reversed(pairs)}


def _read_frames(path: Path, num_frames: int) -> list[Image.Image]:
    """The first frames of a video, each cut to its middle square and scaled to a tile."""
    with VideoReader(path) as reader:
        frames = [Image.fromarray(frame.permute(1, 2, 0).numpy()) for frame in reader.frames_at(range(num_frames))]
    width, height = frames[0].size
    left = (width - height) / 2
    return [frame.resize((TILE, TILE), Image.Resampling.BICUBIC, (left, 0, left + height, height)) for frame in frames]


def _row_tops(names: list[str]) -> list[int]:
    """Top of each row, with more space where the shape changes."""
    shapes = np.array([name.split("-")[0] for name in names])
    is_new = np.concatenate([[False], shapes[1:] != shapes[:-1]])
    return (HEADER_HEIGHT + np.arange(len(names)) * (TILE + GAP) + np.cumsum(is_new) * SHAPE_GAP).tolist()


def _column_left(column: int) -> int:
    return MARGIN + LABEL_WIDTH + column * (TILE + GAP)


def _empty_sheet(names: list[str], num_columns: int, slow_interval: int) -> Image.Image:
    """Paper with title, legend and the numbers of the frames."""
    size = (_column_left(num_columns) - GAP + MARGIN, _row_tops(names)[-1] + TILE + MARGIN)
    sheet = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((MARGIN, 16), f"Motion, {len(names)} classes", fill=INK, font=ImageFont.load_default(26))
    draw.rectangle((MARGIN, 56, MARGIN + 14, 70), outline=MARK, width=3)
    text = (
        f"What Slow sees, one frame in {slow_interval}: the shape is plain, but either direction fits. "
        "Fast sees every frame, and each small step tells the direction."
    )
    draw.text((MARGIN + 24, 53), text, fill=INK, font=ImageFont.load_default(16))
    for column in range(num_columns):
        is_slow = column % slow_interval == 0
        place = (_column_left(column) + TILE / 2, HEADER_HEIGHT - 14)
        draw.text(place, str(column), fill=MARK if is_slow else FAINT, font=ImageFont.load_default(14), anchor="mm")
    return sheet


def _draw_row(sheet: Image.Image, top: int, name: str, frames: list[Image.Image], slow_interval: int) -> None:
    draw = ImageDraw.Draw(sheet)
    shape, _, motion = name.partition("-")
    draw.text((MARGIN, top + TILE / 2 - 2), shape, fill=INK, font=ImageFont.load_default(19), anchor="ls")
    draw.text((MARGIN, top + TILE / 2 + 20), motion, fill=FAINT, font=ImageFont.load_default(17), anchor="ls")
    for column, frame in enumerate(frames):
        left = _column_left(column)
        sheet.paste(frame, (left, top))
        if column % slow_interval == 0:
            draw.rectangle((left - 3, top - 3, left + TILE + 2, top + TILE + 2), outline=MARK, width=3)
