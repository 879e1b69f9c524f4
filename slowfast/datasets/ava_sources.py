"""The source of the frames around AVA's key frames: folders of extracted frames, or the movies themselves.

Both use the time scale of the annotations: AVA's are in seconds from the start of the movie, and its frames were
extracted at 30 per second from second 900 on, so frame 30 * (t - 900) of a list, from 0, shows second t. Other sets may
use other time scales.
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
from slowfast.datasets.lists.path_labels import looked_at
from slowfast.datasets.lists.row_problems import AnnotationError
from slowfast.utils.untrusted import MAX_REPORTED, read_json
from slowfast.video.files import VIDEO_ENDINGS
from slowfast.video.reader import FrameFolderReader, FrameReader, VideoReadError, open_video_file

logger = logging.getLogger(__name__)

CHECKED_MOVIES = 3  # looked into at the start; the index of a whole movie takes seconds to read


class FrameFolders:
    """Frames that were extracted at a constant rate, as frame lists name them.

    Args:
        fps: frames per second.
        start_seconds: time of the first frame of every list, seconds.
    """

    def __init__(self, lists: FrameLists, *, fps: float = 30.0, start_seconds: float = 900.0):
        self.lists = lists
        self.video_ids = lists.video_ids
        self.fps = fps
        self.start_seconds = start_seconds

    def open(self, video_id: str) -> FrameReader:
        """The frames of a video."""
        return FrameFolderReader(self.lists.frame_paths(self.lists.index_of(video_id)), self.fps)

    def check_lengths(self, key_frames: Iterable[tuple[str, int]]) -> None:
        """Check that the frames show most key frames; log a warning if some are missing.

        Raises:
            AnnotationError: most key frames lie outside, so the config must have the wrong time scale.
        """
        seconds = _seconds_by_video(key_frames)
        spans = {video_id: self._span(video_id) for video_id in seconds}
        outside = [
            (video_id, second)
            for video_id, (first, last) in spans.items()
            for second in seconds[video_id]
            if not first <= second <= last
        ]
        if not outside:
            return
        video_id, second = outside[0]
        first, last = spans[video_id]
        counts = f"{len(outside):,} of {sum(map(len, seconds.values())):,} key frames of "
        counts += f"{len({video_id for video_id, _ in outside}):,} of {len(seconds):,} videos"
        shown = f"first: {video_id},{second:04d}; its frames show the seconds {first:.1f} to {last:.1f}"
        if 2 * len(outside) > sum(map(len, seconds.values())):
            raise AnnotationError(
                f"{counts} lie outside their frame lists ({shown}). Set AVA.FRAMES_START_SECONDS (now "
                f"{self.start_seconds:g}) to the second that the first frame of a list shows, and AVA.FPS (now "
                f"{self.fps:g}) to its frames per second. DATA.CHECK_FILES none starts without looking."
            )
        logger.warning("%s lie outside their frame lists (%s). Their clips show the nearest frame.", counts, shown)

    def _span(self, video_id: str) -> tuple[float, float]:
        """The seconds of the first and the last frame of a video."""
        num_frames = len(self.lists.frame_paths(self.lists.index_of(video_id)))
        return self.start_seconds, self.start_seconds + (num_frames - 1) / self.fps


def _seconds_by_video(key_frames: Iterable[tuple[str, int]]) -> dict[str, list[int]]:
    seconds: dict[str, list[int]] = defaultdict(list)
    for video_id, second in key_frames:
        seconds[video_id].append(second)
    return seconds


class MovieFiles:
    """Frames of movie files of any frame rate, by the time at which they are visible.

    The indices of some hundred 15-minute files are cached, but only those of a few whole movies, which take seconds to
    read: for training, cut the movies to the annotated 15 minutes.

    Args:
        paths: of the movies by id.
        start_seconds: time in the movie at which the files begin, seconds: 0 for whole movies, 900 for cut ones.
        num_threads: of one movie's decoder.
    """

    def __init__(self, paths: Mapping[str, str], *, start_seconds: float = 0.0, num_threads: int = 1):
        self.paths = dict(paths)
        self.video_ids = list(self.paths)
        self.start_seconds = start_seconds
        self.num_threads = num_threads

    def open(self, video_id: str) -> FrameReader:
        """The frames of a movie."""
        return open_video_file(self.paths[video_id], num_threads=self.num_threads)

    def check_lengths(self, key_frames: Iterable[tuple[str, int]]) -> None:
        """Check that a few movies, spread over the key frames, show theirs; log a warning if some are missing.

        Raises:
            AnnotationError: a movie lacks most of its key frames, so AVA.MOVIE_START_SECONDS must be wrong.
        """
        seconds = _seconds_by_video(key_frames)
        video_ids = list(seconds)
        looked = [video_ids[i] for i in looked_at(len(video_ids), "sample", most=CHECKED_MOVIES)]
        lacking = {video_id: self._outside(video_id, seconds[video_id]) for video_id in looked}
        num_lacking = sum(map(len, lacking.values()))
        if num_lacking:
            video_id = next(video_id for video_id, outside in lacking.items() if outside)
            logger.warning(
                "%s of %s key frames of %d inspected movies (of %s) lie outside their files (first: %s,%04d). "
                "Their clips show the file's first or last frame.",
                *(f"{num_lacking:,}", f"{sum(len(seconds[video_id]) for video_id in looked):,}", len(looked)),
                *(f"{len(video_ids):,}", video_id, lacking[video_id][0]),
            )

    def _outside(self, video_id: str, seconds: list[int]) -> list[int]:
        """Those of ``seconds`` that the file of a movie does not show; errors as for ``check_lengths``."""
        try:
            with self.open(video_id) as video:
                numbers = frames_on_screen(torch.tensor(seconds) - self.start_seconds, video.fps).tolist()
        except VideoReadError as error:
            logger.warning("%s: %s Its key frames will count as unreadable.", video_id, error)
            return []
        outside = [second for second, i in zip(seconds, numbers, strict=True) if not 0 <= i < video.num_frames]
        if 2 * len(outside) > len(seconds):
            length, start = video.num_frames / video.fps, self.start_seconds
            raise AnnotationError(
                f"{self.paths[video_id]} lasts {length:.1f} seconds, so with AVA.MOVIE_START_SECONDS={start:g} it "
                f"shows the seconds {start:.1f} to {start + length:.1f}. {len(outside):,} of the {len(seconds):,} key "
                f"frames of {video_id}, which are at {min(seconds)} to {max(seconds)} seconds, lie outside. "
                "Set AVA.MOVIE_START_SECONDS 900 for files of AVA cut to the annotated 15 minutes, 0 for whole movies. "
                "DATA.CHECK_FILES none starts without looking."
            )
        return outside


def check_extraction(folder: str | os.PathLike, *, fps: float) -> None:
    """Check that frames were extracted at ``fps`` per second, as far as ``prepare-data frames`` left its settings.

    Raises:
        AnnotationError: they were extracted at another rate.
    """
    settings = Path(folder).parent / "frames.json"
    content = read_json(settings, error=AnnotationError) if settings.is_file() else None
    made = content.get("fps") if isinstance(content, dict) else None
    if isinstance(made, int | float) and made != fps:
        raise AnnotationError(
            f"{settings}: these frames were extracted at {made:g} per second, but AVA.FPS is {fps:g}. Set "
            f"AVA.FPS {made:g}, or DATA.CHECK_FILES none to start without looking."
        )


def check_movies(folder: str | os.PathLike, missing: Sequence[str], *, num_found: int) -> None:
    """Check that no movie with boxes is missing in AVA.MOVIE_DIR.

    Raises:
        AnnotationError: some are; names the first.
    """
    if missing:
        named = "\n".join(f"  {os.path.join(folder, video_id)}.*" for video_id in missing[:MAX_REPORTED])
        raise AnnotationError(
            f"{len(missing):,} of the {len(missing) + num_found:,} movies with boxes are missing:\n{named}\n"
            "Put them into AVA.MOVIE_DIR, or set DATA.CHECK_FILES none to start without them."
        )


def find_movies(folder: str | os.PathLike) -> dict[str, str]:
    """Path by id, sorted, of the movies ``<folder>/<id>.<any video extension>``."""
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
