"""Where the frames around a key frame of AVA come from: folders of extracted frames, or the movies themselves.

Both count in AVA's time: seconds from the start of the movie, 30 frames a second. Frames were cut from second 900 on,
so that frame 30 * (t - 900) of a list, from 0, shows second t.
"""

from __future__ import annotations

import logging
import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import torch

from slowfast.datasets.clip_sampling import frames_on_screen
from slowfast.datasets.lists.frame_lists import FrameLists
from slowfast.datasets.lists.path_labels import MAX_REPORTED, AnnotationError
from slowfast.video.files import VIDEO_ENDINGS
from slowfast.video.reader import FrameFolderReader, FrameReader, VideoReader, VideoReadError

logger = logging.getLogger(__name__)

FPS = 30  # of extracted frames, and so of sampling rates
FIRST_FRAME_SECOND = 900  # of the movie, shown by the first frame of a list
CHECKED_MOVIES = 3  # looked into at the start; the index of a whole movie takes seconds to read


class FrameFolders:
    """Frames that were extracted at 30 a second from second 900 on, as frame lists name them."""

    start_seconds = FIRST_FRAME_SECOND

    def __init__(self, lists: FrameLists):
        self.lists = lists
        self.video_ids = lists.video_ids

    def open(self, video_id: str) -> FrameReader:
        """The frames of a video."""
        return FrameFolderReader(self.lists.frame_paths(self.lists.index_of(video_id)), FPS)

    def warn_of_short_videos(self, key_frames: Iterable[tuple[str, int]]) -> None:
        """Log a warning if videos end before some of their key frames: the clips there show the last frame alone."""
        num_frames = {video_id: len(self.lists.frame_paths(i)) for i, video_id in enumerate(self.video_ids)}
        last_seconds = {video_id: FIRST_FRAME_SECOND + (count - 1) / FPS for video_id, count in num_frames.items()}
        late = [(video_id, second) for video_id, second in key_frames if second > last_seconds[video_id]]
        if late:
            video_id, second = late[0]
            logger.warning(
                "%s key frames of %s videos lie beyond the last frame of their frame list (first: %s,%04d; it has %s "
                "frames, the last at %.1f seconds). Their clips show the last frame. A whole cut has 27,000 or more.",
                *(f"{len(late):,}", f"{len({video_id for video_id, _ in late}):,}", video_id, second),
                *(f"{num_frames[video_id]:,}", last_seconds[video_id]),
            )


class MovieFiles:
    """Frames of movie files of any frame rate, by the time that they are on the screen.

    The index of a file is remembered for some hundred files of 15 minutes, but only for a few whole movies, and takes
    seconds to read there: for training, cut the movies to the annotated 15 minutes.

    Args:
        paths: of the movies by id.
        start_seconds: second of the movie that the files begin at: 0 for whole movies, 900 for cut ones.
        num_threads: of one movie's decoder.
    """

    def __init__(self, paths: Mapping[str, str], *, start_seconds: float = 0.0, num_threads: int = 1):
        self.paths = dict(paths)
        self.video_ids = list(self.paths)
        self.start_seconds = start_seconds
        self.num_threads = num_threads

    def open(self, video_id: str) -> FrameReader:
        """The frames of a movie."""
        return VideoReader(self.paths[video_id], num_threads=self.num_threads)

    def check_lengths(self, key_frames: Iterable[tuple[str, int]]) -> None:
        """Return when a few movies, spread over the key frames, show theirs; log a warning if they lack some.

        Raises:
            AnnotationError: a movie lacks most of its key frames, so that AVA.MOVIE_START_SECONDS must be wrong.
        """
        seconds: dict[str, list[int]] = defaultdict(list)
        for video_id, second in key_frames:
            seconds[video_id].append(second)
        video_ids = list(seconds)
        num_looked = min(CHECKED_MOVIES, len(video_ids))
        looked = [video_ids[i * len(video_ids) // num_looked] for i in range(num_looked)]
        lacking = {video_id: self._outside(video_id, seconds[video_id]) for video_id in looked}
        num_lacking = sum(map(len, lacking.values()))
        if num_lacking:
            video_id = next(video_id for video_id, outside in lacking.items() if outside)
            logger.warning(
                "%s of %s key frames of the %d movies looked into (of %s) lie outside their files (first: %s,%04d). "
                "Their clips show the file's first or last frame.",
                *(f"{num_lacking:,}", f"{sum(len(seconds[video_id]) for video_id in looked):,}", num_looked),
                *(f"{len(video_ids):,}", video_id, lacking[video_id][0]),
            )

    def _outside(self, video_id: str, seconds: list[int]) -> list[int]:
        """Those of ``seconds`` that the file of a movie does not show; errors as for ``check_lengths``."""
        try:
            with self.open(video_id) as video:
                numbers = frames_on_screen(torch.tensor(seconds) - self.start_seconds, video.fps).tolist()
        except VideoReadError as error:
            logger.warning("%s: %s Its key frames will count as not readable.", video_id, error)
            return []
        outside = [second for second, i in zip(seconds, numbers, strict=True) if not 0 <= i < video.num_frames]
        if 2 * len(outside) > len(seconds):
            length, start = video.num_frames / video.fps, self.start_seconds
            raise AnnotationError(
                f"{self.paths[video_id]} lasts {length:.1f} seconds, so with AVA.MOVIE_START_SECONDS={start:g} it "
                f"shows the seconds {start:.1f} to {start + length:.1f}. {len(outside):,} of the {len(seconds):,} key "
                f"frames of {video_id}, which are at {min(seconds)} to {max(seconds)} seconds, lie outside. "
                "Set AVA.MOVIE_START_SECONDS 900 for files cut to the annotated 15 minutes, 0 for whole movies. "
                "DATA.CHECK_FILES none starts without looking."
            )
        return outside


def check_movies(folder: str | os.PathLike, missing: Sequence[str], *, num_found: int) -> None:
    """Return when no movie with boxes is missing in AVA.MOVIE_DIR.

    Raises:
        AnnotationError: some are; names the first.
    """
    if missing:
        named = "\n".join(f"  {os.path.join(folder, video_id)}.*" for video_id in missing[:MAX_REPORTED])
        raise AnnotationError(
            f"{len(missing):,} of the {len(missing) + num_found:,} movies with boxes are missing:\n{named}\n"
            "Put them into AVA.MOVIE_DIR, or set DATA.CHECK_FILES none to go without them."
        )


def find_movies(folder: str | os.PathLike) -> dict[str, str]:
    """Path by id, sorted, of the movies ``<folder>/<id>.<any ending of a video file>``.

    Raises:
        AnnotationError: no such folder, no video in it, or two of one id.
    """
    folder = Path(folder)
    try:
        files = sorted(path for path in folder.iterdir() if path.suffix.lower() in VIDEO_ENDINGS)
    except OSError as error:
        raise AnnotationError(f"cannot read AVA.MOVIE_DIR {folder}: {error.strerror}.") from error
    movies: dict[str, str] = {}
    for path in files:
        if path.stem in movies:
            raise AnnotationError(f"two files for the movie {path.stem}: {movies[path.stem]} and {path}. Keep one.")
        movies[path.stem] = str(path)
    if not movies:
        raise AnnotationError(f"AVA.MOVIE_DIR {folder} holds no video file ({', '.join(sorted(VIDEO_ENDINGS))}).")
    return movies
