"""The lengths of videos, from their packets: nothing is decoded, and a file takes some milliseconds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from slowfast.preparation.jobs import Crash, run_jobs
from slowfast.video.index import read_index
from slowfast.video.watch import VideoReadError


@dataclass(frozen=True)
class VideoLength:
    """The length of one file.

    Attributes:
        fps: frames per second, on average.
        error: why it cannot be read; empty for a file that can.
    """

    path: str
    num_frames: int = 0
    fps: float = 0.0
    error: str = ""

    @property
    def seconds(self) -> float:
        """0 for a file that cannot be read."""
        return self.num_frames / self.fps if self.fps else 0.0


def video_length(path: str) -> VideoLength:
    """The length of the file at ``path``, or what is wrong with it."""
    try:
        index = read_index(path)
    except VideoReadError as error:
        return VideoLength(path, error=str(error))
    return VideoLength(path, index.num_frames, index.fps)


def video_lengths(paths: Sequence[str], *, num_workers: int) -> Iterator[VideoLength]:
    """The length of every file, in the order in which they are known.

    Args:
        num_workers: processes; 0 reads in this process, which a file that crashes the demuxer also ends.
    """
    for index, result in run_jobs(video_length, paths, num_workers=num_workers):
        yield VideoLength(paths[index], error=result.reason) if isinstance(result, Crash) else result
