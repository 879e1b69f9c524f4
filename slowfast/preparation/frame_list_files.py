"""Frame lists (``original_vido_id video_id frame_id path labels``) of folders of frames."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path

from slowfast.datasets.lists.charades import TimedActions, read_charades_csv
from slowfast.datasets.lists.frame_lists import HEADER, frame_list_row
from slowfast.preparation.files import TEXT
from slowfast.utils.files import atomic_write
from slowfast.utils.untrusted import csv_rows, open_text

NUM_CHARADES_CLASSES = 157


def write_frame_list(
    path: str | os.PathLike,
    counts: dict[str, int],
    *,
    name: str,
    first_id: int,
    labels_of: Callable[[str, int], Iterable[int]] = lambda video_id, frame: (),
) -> None:
    """Write the frame list of some videos atomically.

    Args:
        counts: frames of each video by its id, in the order of the list.
        name: of the image files, with ``{id}`` and ``{number}``; they are in a folder named after the id.
        first_id: first ``frame_id``: 0 in AVA's lists, 1 in those of Charades.
        labels_of: labels from 0 of a frame, by video id and frame number from 1.

    Raises:
        ValueError: an id contains spaces or quotes, which the format does not allow.
    """
    odd = [video_id for video_id in counts if re.search(r'[\s"]', video_id) or not video_id]
    if odd:
        raise ValueError(
            f"{os.fspath(path)}: frame lists cannot contain spaces or quotes, which {len(odd)} video ids have, such as "
            f"{odd[0]!r}. Rename those files and their folders of frames."
        )
    with atomic_write(path) as draft, open(draft, "w", **TEXT) as file:
        file.write(f"{HEADER}\n")
        for video_index, (video_id, count) in enumerate(counts.items()):
            for frame in range(1, count + 1):
                image = f"{video_id}/{name.format(id=video_id, number=frame)}"
                labels = labels_of(video_id, frame)
                file.write(frame_list_row(video_id, video_index, frame - 1 + first_id, image, labels))


def read_video_ids(path: str | os.PathLike) -> list[str]:
    """Video ids in order of first appearance: of an AVA or Charades CSV file (its first column), or one per line.

    File names are ids with an extension, which is removed; the header of Charades' file is skipped.

    Raises:
        ValueError: no such file, or nothing in it.
    """
    try:
        with open_text(path) as file:
            rows = csv_rows(file, source=path, error=ValueError)
            names = [row[0].strip() for _, row in rows if row[0].strip()]
    except OSError as error:
        raise ValueError(f"cannot read the video ids {os.fspath(path)}: {error.strerror}.") from error
    names = names[1:] if names[:1] == ["id"] else names
    if not names:
        raise ValueError(f"{os.fspath(path)} names no video: expected one id per line, or a CSV file of ids.")
    return list(dict.fromkeys(re.sub(r"\.[A-Za-z0-9]{2,5}$", "", name) for name in names))


def charades_labels(
    path: str | os.PathLike, *, fps: float, start_seconds: float = 0.0
) -> Callable[[str, int], list[int]]:
    """A function that gives a frame's labels, ascending, by video id and frame number from 1, of Charades_v1_*.csv.

    Frame n shows second start_seconds + (n - 1) / fps; both ends of an action belong to it.
    """
    annotations = read_charades_csv(Path(path), NUM_CHARADES_CLASSES)
    shifted = [
        [(k, start - start_seconds, end - start_seconds) for k, start, end in row] for row in annotations.actions
    ]
    actions = TimedActions(shifted, fps)
    index_of = {video_id: index for index, video_id in enumerate(annotations.video_ids)}
    return lambda video_id, frame: sorted(actions.between(index_of[video_id], frame - 1, frame - 1))
