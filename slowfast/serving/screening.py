"""An upload is decoded once in a process of its own, with limits, before the server opens it."""

from __future__ import annotations

import logging
import sys
from contextlib import suppress
from functools import partial

from slowfast.preparation.jobs import Crash, run_jobs
from slowfast.serving.jobs import JobError
from slowfast.video.stream import FrameStream
from slowfast.video.watch import VideoReadError

MAX_BYTES = 2 * 2**30  # of memory that decoding may take
BASE_SECONDS = 30.0  # of computing that decoding may take, whatever the video's length ...
PER_SECOND = 2.0  # ... and for each of its seconds

_OUT_OF_MEMORY = f"decoding it takes more than {MAX_BYTES / 2**30:g} GiB of memory"
_BY_SIGNAL = {"SIGXCPU": "decoding it takes too long for its length", "SIGKILL": _OUT_OF_MEMORY}

logger = logging.getLogger(__name__)


def screened_seconds(path: str, *, max_seconds: float) -> float:
    """Duration of a video, seconds, after all of its frames were decoded in another process.

    Args:
        max_seconds: longer videos are not decoded.

    Raises:
        VideoReadError: it is no video.
        JobError: 400 its decoding crashes, takes too much memory or too long.
    """
    ((_, found),) = run_jobs(partial(decode, max_seconds=max_seconds), [path], num_workers=1)
    if isinstance(found, Crash):
        logger.warning("%s is refused: %s", path, found.reason)
        known = [reason for name, reason in _BY_SIGNAL.items() if name in found.reason]
        raise JobError(400, f"this video is refused: {known[0] if known else 'decoding it fails: ' + found.reason}.")
    if isinstance(found, str):
        raise VideoReadError(found)
    if found is None:
        raise JobError(400, f"this video is refused: {_OUT_OF_MEMORY}.")
    return found


def decode(path: str, *, max_seconds: float) -> float | str | None:
    """Decode a whole file within the limits, which hold for this process from now on.

    Returns:
        Its duration in seconds; or why it is not a video; or None if decoding takes too much memory.
    """
    before = limit_memory(2 * MAX_BYTES)
    try:
        found: float | str | None = _decode(path, max_seconds)
    except VideoReadError as error:
        found = str(error)
    except MemoryError:
        return None
    # A decoder that gets no memory calls the file damaged, and this process would have given it more.
    return None if _memory("VmPeak") - before > MAX_BYTES else found


def _decode(path: str, max_seconds: float) -> float:
    with FrameStream(path) as stream:
        seconds = stream.index.num_frames / stream.index.fps
        if seconds <= max_seconds:
            limit_computing(BASE_SECONDS + PER_SECOND * seconds)
            with suppress(VideoReadError):  # a broken frame matters only to those who need it
                for _ in stream.frames():
                    pass
    return seconds


def limit_memory(num_bytes: int) -> int:
    """Limit this process to ``num_bytes`` more memory than it has now; returns what it has now, 0 except on Linux."""
    has = _memory("VmSize")
    if has:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (has + num_bytes, has + num_bytes))
    return has


def _memory(name: str) -> int:
    """A field of /proc/self/status in bytes; 0 except on Linux."""
    if sys.platform != "linux":
        return 0
    with open("/proc/self/status") as file:
        return next((int(line.split()[1]) * 1024 for line in file if line.startswith(f"{name}:")), 0)


def limit_computing(seconds: float) -> None:
    """Limit this process to ``seconds`` more of CPU time (SIGXCPU), except on Windows."""
    if sys.platform != "win32":
        import resource

        used = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
        hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
        resource.setrlimit(resource.RLIMIT_CPU, (int(used + seconds) + 1, hard))
