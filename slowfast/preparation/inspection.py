"""The real content of a video file, found by decoding all of it, and a manifest of many such files."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import astuple, dataclass, fields, replace
from typing import Any

import av
import numpy as np

from slowfast.preparation.files import read_table, write_table
from slowfast.utils.untrusted import cut, parse_integer
from slowfast.video.stream import FrameStream, error_text, upright_size
from slowfast.video.watch import VideoReadError

MOST_VALUES = 8  # lines of a distribution


@dataclass(frozen=True)
class VideoFacts:
    """One row of a manifest. Figures of a file that cannot be read are 0.

    Attributes:
        frames: in the file, as training counts them.
        width, height: pixels of the first frame, upright.
        fps: average frames per second.
        keyframe_interval: average frames from one keyframe to the next.
        variable_rate: whether frame durations differ.
        bytes, mtime_ns: of the file, by which a later run recognizes it.
        error: what is wrong; empty for a good file.
    """

    path: str
    frames: int = 0
    width: int = 0
    height: int = 0
    fps: float = 0.0
    duration_seconds: float = 0.0
    codec: str = ""
    keyframe_interval: float = 0.0
    variable_rate: bool = False
    bytes: int = 0
    mtime_ns: int = 0
    error: str = ""


COLUMNS = tuple(field.name for field in fields(VideoFacts))


def inspect_video(path: str) -> VideoFacts:
    """The content of ``path``; decodes every frame."""
    try:
        status = os.stat(path)
    except OSError as error:
        return VideoFacts(path, error=error_text(error, path))
    file: dict[str, Any] = {"bytes": status.st_size, "mtime_ns": status.st_mtime_ns}
    try:
        with FrameStream(path) as stream:
            return VideoFacts(path, **_figures(stream), **file, error=_fault(stream))
    except (VideoReadError, OSError, av.FFmpegError) as error:
        return VideoFacts(path, **file, error=error_text(error, path))


def _figures(stream: FrameStream) -> dict[str, Any]:
    """The columns of a file that can be opened. Decodes it."""
    height = width = 0
    for _, frame in stream.frames():
        if stream.num_frames == 1:
            height, width = upright_size(frame)
    index = stream.index
    return {
        "frames": index.num_frames,
        "width": width,
        "height": height,
        "fps": round(index.fps, 4),
        "duration_seconds": round(index.num_frames / index.fps, 3),
        "codec": stream.codec,
        "keyframe_interval": round(index.num_frames / max(1, len(index.keyframe_pts)), 1),
        "variable_rate": index.shown is not None,
    }


def _fault(stream: FrameStream) -> str:
    if stream.num_frames:
        return stream.missing()
    return f"no frame can be decoded{f' ({stream.problems[0]})' if stream.problems else ''}"


def refuse_short(facts: VideoFacts, min_frames: int) -> VideoFacts:
    """The same facts, with an error if there are fewer frames than ``min_frames`` and no other error."""
    if facts.error or facts.frames >= min_frames:
        return facts
    return replace(facts, error=f"{facts.frames:,} frames, fewer than {min_frames:,}")


def write_manifest(path: str | os.PathLike, facts: Iterable[VideoFacts]) -> None:
    """Write the table of ``facts`` atomically."""
    write_table(path, COLUMNS, (astuple(video) for video in facts))


def read_manifest(path: str | os.PathLike) -> dict[str, VideoFacts]:
    """The rows of a manifest by path; none if there is no such file.

    Raises:
        ValueError: the file is something else.
    """
    rows = read_table(path)
    if rows and tuple(rows[0]) != COLUMNS:
        raise ValueError(f"{os.fspath(path)} is not a manifest of `check`: its columns are {cut(', '.join(rows[0]))}.")
    try:
        return {row["path"]: _facts(row) for row in rows}
    except ValueError as error:
        problem = cut(str(error))
        raise ValueError(f"{os.fspath(path)} has a row that `check` did not write ({problem}). Delete it.") from error


def _facts(row: dict[str, str]) -> VideoFacts:
    readers: dict[Any, Callable[[str], Any]] = {
        "int": parse_integer, "float": float, "bool": "True".__eq__, "str": str
    }  # fmt: skip
    return VideoFacts(**{field.name: readers[field.type](row[field.name]) for field in fields(VideoFacts)})


def is_unchanged(facts: VideoFacts) -> bool:
    """Whether the file is still the one that was inspected, by size and time of modification."""
    try:
        status = os.stat(facts.path)
    except OSError:
        return False
    return (status.st_size, status.st_mtime_ns) == (facts.bytes, facts.mtime_ns)


def format_summary(facts: Sequence[VideoFacts]) -> str:
    """Tables of counts, faults, rates, sizes, durations and keyframes, for people."""
    good = [video for video in facts if not video.error]
    lines = [f"{len(facts):,} files, {len(good):,} good, {len(facts) - len(good):,} bad"]
    # numbers apart, "3 of 300 frames" and "5 of 280 frames" are one kind of fault
    faults = (re.sub(r"\d[\d,]*", "N", video.error) for video in facts if video.error)
    lines += _distribution("faults", faults)
    if not good:
        return "\n".join(lines)
    lines += _distribution("frames per second", (f"{video.fps:.6g}" for video in good))
    lines += _distribution("width x height", (f"{video.width}x{video.height}" for video in good))
    lines += _distribution("codec", (video.codec for video in good))
    figures: dict[str, list[float]] = {
        "short side, pixels": [min(video.width, video.height) for video in good],
        "duration, seconds": [video.duration_seconds for video in good],
        "frames": [video.frames for video in good],
        "keyframe interval, frames": [video.keyframe_interval for video in good],
        "megabytes": [video.bytes / 1e6 for video in good],
    }
    lines.append(f"{'':<28}" + "".join(f"{name:>10}" for name in ("least", "5 %", "median", "95 %", "most")))
    for name, values in figures.items():
        lines.append(f"{name:<28}" + "".join(f"{x:>10.5g}" for x in np.percentile(values, (0, 5, 50, 95, 100))))
    hours = sum(video.duration_seconds for video in good) / 3600
    variable = sum(video.variable_rate for video in good)
    size = sum(video.bytes for video in good) / 1e9
    lines.append(f"{hours:,.1f} hours in total, {size:,.1f} GB; {variable:,} of variable frame rate")
    return "\n".join(lines)


def _distribution(name: str, values: Iterable[str]) -> list[str]:
    counts = Counter(values).most_common()
    if not counts:
        return []
    lines = [f"{name}:", *(f"{count:>10,}  {value}" for value, count in counts[:MOST_VALUES])]
    rest = sum(count for _, count in counts[MOST_VALUES:])
    return [*lines, f"{rest:>10,}  others ({len(counts) - MOST_VALUES:,} kinds)"] if rest else lines
