"""The frames of videos named by an id: image files from frame lists, folders of images, or video files.

All of them are opened as a ``FrameReader`` at the data set's frame rate: frame n is the frame visible n / fps seconds
after the first. Images are assumed to have that rate; a video file is resampled to it.
"""

from __future__ import annotations

import itertools
import logging
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from slowfast.datasets.lists.frame_lists import FrameLists
from slowfast.datasets.lists.path_labels import PackedStrings, looked_at
from slowfast.datasets.lists.row_problems import AnnotationError
from slowfast.utils.logging import count
from slowfast.utils.untrusted import MAX_REPORTED
from slowfast.video.files import IMAGE_ENDINGS, VIDEO_ENDINGS
from slowfast.video.frame_reader import ResampledReader
from slowfast.video.reader import FrameFolderReader, FrameReader, VideoReadError, open_video_file

logger = logging.getLogger(__name__)

_SAME_RATE = 1e-3  # relative difference of frame rates that are taken for equal


@dataclass(frozen=True, repr=False)
class FrameSource:
    """Where the frames of a list of videos are.

    Attributes:
        kind: what was found, in words.
        paths: one per video: a video file, or the folder of its images.
        fps: frame rate at which frames are counted.
        lists: frame lists that name the images, or None.
        list_indices: int64 (N,), indices of the videos in ``lists``.
    """

    kind: str
    paths: Sequence[str]
    fps: float
    lists: FrameLists | None = None
    list_indices: np.ndarray | None = None

    def __repr__(self) -> str:
        return f"FrameSource({self.kind}: {count(len(self.paths), 'video')} at {self.fps:g} frames per second)"

    def open(self, index: int, *, num_threads: int = 1) -> FrameReader:
        """The frames of a video at ``fps``."""
        if self.lists is not None and self.list_indices is not None:
            return FrameFolderReader(self.lists.frame_paths(int(self.list_indices[index])), self.fps)
        return open_frames(self.paths[index], self.fps, image_fps=self.fps, num_threads=num_threads)


def open_frames(
    path: str | os.PathLike, fps: float | None = None, *, image_fps: float | None = None, num_threads: int = 1
) -> FrameReader:
    """The frames of a video file or of a folder of images.

    Args:
        fps: frame rate to which a file is resampled; None: its own.
        image_fps: frame rate that a folder of images is assumed to have.
        num_threads: of the decoder of a video file.
    """
    if os.path.isdir(path):
        if image_fps is None:
            raise VideoReadError(
                f"cannot open {path}: a folder of images has no frame rate, but the length of clips is in seconds."
            )
        return FrameFolderReader(image_files(path), image_fps)
    video = open_video_file(path, num_threads=num_threads)
    return video if fps is None or abs(video.fps / fps - 1) < _SAME_RATE else ResampledReader(video, fps)


def listed_source(lists: FrameLists, video_ids: Iterable[str], fps: float) -> FrameSource:
    """The frame source of some videos of frame lists.

    Raises:
        KeyError: a video that is in no list.
    """
    indices = np.array([lists.index_of(video_id) for video_id in video_ids], dtype=np.int64)
    first_frames = [lists.frame_paths(int(index))[0] for index in indices]
    folders = [os.path.dirname(path) for path in first_frames]
    # Where all images lie in one folder, a video is called by its first one.
    paths = folders if len(set(folders)) == len(folders) else first_frames
    return FrameSource("frame lists", PackedStrings(paths), fps, lists, indices)


def find_source(
    video_ids: Sequence[str],
    roots: Sequence[str | os.PathLike],
    *,
    fps: float,
    source: str,
    check: str = "sample",
) -> tuple[FrameSource, np.ndarray]:
    """The folders ``<root>/<id>/`` of images, or the files ``<root>/<id>.<ending>``, of videos.

    Args:
        video_ids: of all videos that the annotations name.
        roots: folders; the first that holds any of the videos is used.
        fps: frame rate at which frames are counted; folders of images must have it.
        source: the annotation file, for messages.
        check: "all": every video must exist; "sample" and "none": missing ones are skipped with a warning. "all" and
            "sample" also check folders of images for gaps in the numbering.

    Returns:
        The frame source of the videos that exist, and their indices in ``video_ids``, int64.

    Raises:
        AnnotationError: no video exists, or with ``check`` "all" some are missing.
    """
    folders = [os.fspath(root) for root in roots]
    for root in folders:
        entries = _videos_in(root)
        present = np.array([i for i, video_id in enumerate(video_ids) if video_id in entries], dtype=np.int64)
        if len(present):
            break
    else:
        looked = ", ".join(folders)
        raise AnnotationError(
            f"{source} names {len(video_ids):,} videos, but none of them is in {looked}: neither a folder of images "
            f"such as {video_ids[0]}/ nor a file such as {video_ids[0]}.mp4. DATA.PATH_PREFIX names the folder."
        )
    missing = [video_id for video_id in video_ids if video_id not in entries]
    if missing and check == "all":
        raise AnnotationError(
            f"{source}: {len(missing):,} of its {len(video_ids):,} videos are not in {root}: {_first_of(missing)}. "
            "DATA.CHECK_FILES sample continues with the others."
        )
    warn_of_missing(missing, source, root)
    names = [entries[video_ids[i]] for i in present]
    folders = [name for name in names if os.path.splitext(name)[1].lower() not in VIDEO_ENDINGS]
    kinds = {"folders of images": len(folders), "video files": len(names) - len(folders)}
    kind = " and ".join(f"{count:,} {name}" for name, count in kinds.items() if count)
    logger.info("%s: %s in %s", source, kind, root)
    _check_numbering([os.path.join(root, name) for name in folders], check)
    return FrameSource(kind, PackedStrings(os.path.join(root, name) for name in names), fps), present


def _videos_in(root: str) -> dict[str, str]:
    """Video id -> name in the folder ``root``; a folder takes precedence over a file with the same id."""
    if not os.path.isdir(root):
        return {}
    with os.scandir(root) as entries:
        names = sorted((not entry.is_dir(), entry.name) for entry in entries if not entry.name.startswith("."))
    found: dict[str, str] = {}
    for is_file, name in names:
        stem, ending = os.path.splitext(name) if is_file else (name, "")
        if not is_file or ending.lower() in VIDEO_ENDINGS:
            found.setdefault(stem, name)
    return found


def warn_of_missing(video_ids: Sequence[str], source: str, place: str) -> None:
    """Log the number and names of the videos of ``source`` that ``place`` lacks, if any."""
    if video_ids:
        text = "%s: %s of its videos are not in %s and are skipped: %s. Figures cover only the others."
        logger.warning(text, source, f"{len(video_ids):,}", place, _first_of(video_ids))


def _first_of(video_ids: Sequence[str]) -> str:
    return ", ".join(video_ids[:MAX_REPORTED]) + (", ..." if len(video_ids) > MAX_REPORTED else "")


def image_files(folder: str | os.PathLike) -> list[str]:
    """The image files of a folder in order of their numbers, so that 2.jpg precedes 10.jpg."""
    folder = os.fspath(folder)
    try:
        names = [name for name in os.listdir(folder) if not name.startswith(".")]
        names = [name for name in names if os.path.splitext(name)[1].lower() in IMAGE_ENDINGS]
    except OSError as error:
        raise VideoReadError(f"cannot open {folder}: {error.strerror}.") from error
    if not names:
        raise VideoReadError(f"cannot open {folder}: it holds no image ({', '.join(sorted(IMAGE_ENDINGS))}).")
    # Names of one length sort by their numbers as they are, in a tenth of the time.
    names.sort(key=None if len({len(name) for name in names}) == 1 else _by_numbers)
    return [os.path.join(folder, name) for name in names]


def _by_numbers(name: str) -> list[str | int]:
    return [int(part) if part.isdecimal() else part for part in re.split(r"([0-9]+)", name)]


def _check_numbering(folders: list[str], check: str) -> None:
    """Warn of folders, all or a sample of them, in which frames are missing or that hold none."""
    looked = [folders[i] for i in looked_at(len(folders), check, most=100)]
    odd = []
    for folder in looked:
        try:
            hole = _hole_in([os.path.basename(path) for path in image_files(folder)])
        except VideoReadError:
            hole = "no image"
        if hole:
            odd.append(f"{folder}: {hole}")
    if odd:
        logger.warning(
            "%d of %d inspected folders of images have gaps (first: %s). Frames count by their position, so the "
            "frames after a gap count as earlier than they were.",
            *(len(odd), len(looked), odd[0]),
        )


def _hole_in(names: list[str]) -> str:
    """The first position where the last number in the names does not continue the count; "" if there is none."""
    found = [re.findall(r"[0-9]+", os.path.splitext(name)[0]) for name in names]
    for (name, after), (numbers, next_ones) in zip(itertools.pairwise(names), itertools.pairwise(found), strict=True):
        if numbers and next_ones and int(next_ones[-1]) != int(numbers[-1]) + 1:
            return f"after {name} comes {after}"
    return ""
