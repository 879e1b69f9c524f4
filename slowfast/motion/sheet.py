"""A picture of a Motion set.

For the clip form, it has one row of consecutive frames per class with the Slow frames marked; for the forms of AVA and
Charades, one row of pictures per video, with the labels of each.
"""

from __future__ import annotations

import csv
import itertools
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from slowfast.motion.files import read_manifest
from slowfast.video.reader import VideoReader

TILE = 88  # pixels of one frame, cut to its middle square
GAP = 6
LABEL_WIDTH = 164
HEADER_HEIGHT = 112
SHAPE_GAP = 12  # extra space where the next shape begins
MARGIN = 22
SCALE = 2  # drawn pixels per pixel of the other forms
TILE_GAP = 8
TITLE_HEIGHT = 60
TEXT_HEIGHT = 16
TITLES = {"ava": "AVA", "charades": "Charades"}
INK, FAINT, PAPER, MARK = (34, 38, 46), (128, 134, 146), (255, 255, 255), (226, 88, 34)
BOX_COLORS = (MARK, (255, 196, 0), (0, 190, 220))


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
        sheet = _clip_sheet(root, split, manifest["arguments"], num_columns)
    else:
        rows = {"ava": ava_rows, "charades": charades_rows}[form](root, split, num_columns=5)
        sheet = _actor_sheet(rows, title=f"Motion in the layout of {TITLES[form]}, {split}", num_rows=4)
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path, format="PNG", optimize=True)
    return path


def _clip_sheet(root: Path, split: str, arguments: dict, num_columns: int) -> Image.Image:
    class_ids = json.loads((root / "classids.json").read_text(encoding="utf-8"))
    videos = _first_video_per_class(root, split)
    names = [name for name, label in class_ids.items() if label in videos]
    num_columns = min(num_columns, arguments["num_frames"])
    sheet = _empty_sheet(names, num_columns, arguments["slow_interval"])
    for name, top in zip(names, _row_tops(names), strict=True):
        _draw_row(sheet, top, name, _read_frames(videos[class_ids[name]], num_columns), arguments["slow_interval"])
    return sheet


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


@dataclass(frozen=True)
class Tile:
    """One picture: its file, its time, and its actions, with or without a box x1 y1 x2 y2 in [0, 1]."""

    picture: Path
    time: str
    notes: Sequence[tuple[str, Sequence[float] | None]] = field(default_factory=list)


def ava_rows(root: Path, split: str, num_columns: int) -> Iterator[tuple[str, list[Tile]]]:
    """(video, tiles of its first key frames) for every video of a set in AVA form with a true box."""
    maps = (root / "annotations/ava_action_list_v2.2_for_activitynet_2019.pbtxt").read_text(encoding="utf-8")
    names = [line.split('"')[1] for line in maps.splitlines() if "name:" in line]
    with open(root / f"annotations/ava_{split}_v2.2.csv", newline="", encoding="utf-8") as file:
        for video_id, of_video in itertools.groupby(csv.reader(file), key=lambda row: row[0]):
            tiles = []
            for second, of_second in itertools.groupby(of_video, key=lambda row: row[1]):
                picture = f"{video_id}/{video_id}_{30 * (int(second) - 900) + 1:06d}.jpg"
                notes = []
                for box, of_box in itertools.groupby(of_second, key=lambda row: tuple(map(float, row[2:6]))):
                    notes.append((" + ".join(names[int(row[6]) - 1] for row in of_box), box))
                tiles.append(Tile(root / "frames" / picture, f"second {int(second)}", notes))
            yield video_id, tiles[:num_columns]


def charades_rows(root: Path, split: str, num_columns: int) -> Iterator[tuple[str, list[Tile]]]:
    """(video, tiles of frames spread over it) for every video of a set in Charades form."""
    lines = (root / "Charades_v1_classes.txt").read_text(encoding="utf-8").splitlines()
    names = [line.split(" ", 1)[1] for line in lines]
    frame_list = root / "frame_lists" / f"{'train' if split == 'train' else 'val'}.csv"
    rows = [line.split(" ") for line in frame_list.read_text(encoding="utf-8").splitlines()[1:]]
    for video_id, of_video in itertools.groupby(rows, key=lambda row: row[0]):
        frames = list(of_video)
        chosen = [frames[(2 * i + 1) * len(frames) // (2 * num_columns)] for i in range(num_columns)]
        yield (
            video_id,
            [
                Tile(
                    root / "Charades_v1_rgb" / path,
                    f"{(int(number) - 1) / 24:.1f} s",
                    [(names[int(label)], None) for label in labels.strip('"').split(",") if label],
                )
                for _, _, number, path, labels in chosen
            ],
        )


def _actor_sheet(rows: Iterable[tuple[str, list[Tile]]], *, title: str, num_rows: int) -> Image.Image:
    """A picture of the first ``num_rows`` of ``rows``.

    Raises:
        ValueError: there are none.
    """
    rows = list(itertools.islice(rows, num_rows))
    if not rows:
        raise ValueError(f"{title}: this split holds no videos; name another one.")
    with Image.open(rows[0][1][0].picture) as image:
        width, height = image.width * SCALE, image.height * SCALE
    num_lines = 1 + max(len(tile.notes) for _, tiles in rows for tile in tiles)
    row_height = height + num_lines * TEXT_HEIGHT + 2 * TILE_GAP
    num_columns = max(len(tiles) for _, tiles in rows)
    size = (2 * MARGIN + num_columns * (width + TILE_GAP) - TILE_GAP, TITLE_HEIGHT + len(rows) * row_height)
    sheet = Image.new("RGB", size, PAPER)
    ImageDraw.Draw(sheet).text((MARGIN, 16), title, fill=INK, font=ImageFont.load_default(24))
    for row, (video_id, tiles) in enumerate(rows):
        for column, tile in enumerate(tiles):
            place = (MARGIN + column * (width + TILE_GAP), TITLE_HEIGHT + row * row_height)
            _draw_tile(sheet, place, (width, height), tile, heading=f"{video_id}  {tile.time}")
    return sheet


def _draw_tile(sheet: Image.Image, place: tuple[int, int], size: tuple[int, int], tile: Tile, *, heading: str) -> None:
    """Pastes a picture with its boxes at ``place`` and writes its labels below it."""
    (left, top), (width, height) = place, size
    with Image.open(tile.picture) as image:
        sheet.paste(image.convert("RGB").resize(size, Image.Resampling.NEAREST), place)
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(13)
    draw.text((left, top + height + 3), heading, fill=FAINT, font=font)
    for line, ((text, box), color) in enumerate(zip(tile.notes, itertools.cycle(BOX_COLORS)), start=1):
        y = top + height + 3 + line * TEXT_HEIGHT
        x = left
        if box is not None:
            x1, y1, x2, y2 = (round(value * side) for value, side in zip(box, (width, height) * 2, strict=True))
            draw.rectangle((left + x1, top + y1, left + x2 - 1, top + y2 - 1), outline=color, width=2)
            draw.rectangle((left, y + 3, left + 9, y + 12), fill=color)
            x += 14
        draw.text((x, y), text, fill=INK, font=font)
