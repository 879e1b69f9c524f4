"""A picture of a Motion set in AVA or Charades form: one row of pictures per video, with the labels of each."""

from __future__ import annotations

import csv
import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

SCALE = 2  # drawn pixels per pixel
GAP = 8
MARGIN = 22
HEADER_HEIGHT = 60
LINE_HEIGHT = 16
INK, FAINT, PAPER = (34, 38, 46), (128, 134, 146), (255, 255, 255)
BOX_COLORS = ((226, 88, 34), (255, 196, 0), (0, 190, 220))


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


def draw_sheet(rows: Iterable[tuple[str, list[Tile]]], path: Path, *, title: str, num_rows: int) -> None:
    """Draws the first ``num_rows`` of ``rows`` into a PNG at ``path``.

    Raises:
        ValueError: there are none.
    """
    rows = list(itertools.islice(rows, num_rows))
    if not rows:
        raise ValueError(f"{title}: this split holds no videos; name another one.")
    with Image.open(rows[0][1][0].picture) as image:
        width, height = image.width * SCALE, image.height * SCALE
    num_lines = 1 + max(len(tile.notes) for _, tiles in rows for tile in tiles)
    row_height = height + num_lines * LINE_HEIGHT + 2 * GAP
    num_columns = max(len(tiles) for _, tiles in rows)
    size = (2 * MARGIN + num_columns * (width + GAP) - GAP, HEADER_HEIGHT + len(rows) * row_height)
    sheet = Image.new("RGB", size, PAPER)
    ImageDraw.Draw(sheet).text((MARGIN, 16), title, fill=INK, font=ImageFont.load_default(24))
    for row, (video_id, tiles) in enumerate(rows):
        for column, tile in enumerate(tiles):
            place = (MARGIN + column * (width + GAP), HEADER_HEIGHT + row * row_height)
            _draw_tile(sheet, place, (width, height), tile, heading=f"{video_id}  {tile.time}")
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path, format="PNG", optimize=True)


def _draw_tile(sheet: Image.Image, place: tuple[int, int], size: tuple[int, int], tile: Tile, *, heading: str) -> None:
    """Pastes a picture with its boxes at ``place`` and writes its labels below it."""
    (left, top), (width, height) = place, size
    with Image.open(tile.picture) as image:
        sheet.paste(image.convert("RGB").resize(size, Image.Resampling.NEAREST), place)
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(13)
    draw.text((left, top + height + 3), heading, fill=FAINT, font=font)
    for line, ((text, box), color) in enumerate(zip(tile.notes, itertools.cycle(BOX_COLORS)), start=1):
        y = top + height + 3 + line * LINE_HEIGHT
        x = left
        if box is not None:
            x1, y1, x2, y2 = (round(value * side) for value, side in zip(box, (width, height) * 2, strict=True))
            draw.rectangle((left + x1, top + y1, left + x2 - 1, top + y2 - 1), outline=color, width=2)
            draw.rectangle((left, y + 3, left + 9, y + 12), fill=color)
            x += 14
        draw.text((x, y), text, fill=INK, font=font)
