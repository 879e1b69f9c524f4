"""Frame lists of AVA, Charades and Something-Something: which image files are the frames of which video.

A list is a text file; its first line is ``original_vido_id video_id frame_id path labels`` (spelt so), and every other
line is one frame, five fields without spaces in them::

    Q7ZZ1 0 1 Q7ZZ1/Q7ZZ1-000001.jpg "15"
    Q7ZZ1 0 2 Q7ZZ1/Q7ZZ1-000002.jpg "15,61"
    Q7ZZ1 0 3 Q7ZZ1/Q7ZZ1-000003.jpg ""

The first field groups the frames, in the order of the file; the second and third fields are not needed.
AVA's lists have 8 million rows: they are read block by block, and numbered paths are kept as a pattern with numbers.
"""

from __future__ import annotations

import itertools
import logging
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np

from slowfast.datasets.lists.numbered_paths import Run, join_runs, run_of
from slowfast.datasets.lists.path_labels import looked_at
from slowfast.datasets.lists.row_problems import AnnotationError, RowProblems
from slowfast.utils.untrusted import MAX_REPORTED, cut, file_status, quoted

logger = logging.getLogger(__name__)

T = TypeVar("T")
HEADER = "original_vido_id video_id frame_id path labels"
BLOCK_BYTES = 4 * 2**20  # of a list that are parsed at a time
MAX_LINE_BYTES = 2**20

_LABELS = re.compile(rb"[0-9]{1,18}(,[0-9]{1,18})*")


def frame_list_row(video_id: str, video_index: int, frame_id: int, path: str, labels: Iterable[int] = ()) -> str:
    """One line of a frame list, its line end included."""
    return f'{video_id} {video_index} {frame_id} {path} "{",".join(map(str, labels))}"\n'


class FrameLists:
    """The frames of videos, as one or several frame lists give them.

    Attributes:
        sources: names of the files.
        video_ids: first field of the rows, in order of first appearance.
    """

    def __init__(self, sources: Sequence[str], videos: dict[str, _Video], label_sets: list[tuple[int, ...]]):
        self.sources = list(sources)
        self.video_ids = list(videos)
        self._videos = list(videos.values())
        self._label_sets = label_sets
        self._index_of = {video_id: index for index, video_id in enumerate(self.video_ids)}

    def __len__(self) -> int:
        """Videos."""
        return len(self.video_ids)

    def __contains__(self, video_id: object) -> bool:
        return video_id in self._index_of

    @property
    def num_frames(self) -> int:
        """Frames of all videos."""
        return sum(len(video.paths) for video in self._videos)

    def index_of(self, video_id: str) -> int:
        """Index of a video in ``video_ids``; KeyError if it is in no list."""
        return self._index_of[video_id]

    def frame_paths(self, video_index: int) -> Sequence[str]:
        """The image files of a video in the order of the list, with the prefix."""
        return self._videos[video_index].paths

    def labels(self, video_index: int) -> list[tuple[int, ...]]:
        """The labels of every frame of a video, from 0; an empty tuple where the list gives none."""
        video = self._videos[video_index]
        if video.label_codes is None:
            return [()] * len(video.paths)
        return [self._label_sets[code] for code in video.label_codes.tolist()]

    def between(self, video_index: int, first: int, last: int) -> set[int]:
        """Labels of any of the frames ``first`` to ``last`` (both included, counted from 0) of a video."""
        return set().union(*self.labels(video_index)[first : last + 1])

    @property
    def line_numbers(self) -> np.ndarray:
        """int32 (N,), from 1, of the first frame of every video."""
        return np.array([video.line_number for video in self._videos], dtype=np.int32)

    def location(self, video_index: int) -> str:
        """``train.csv:12``, where the first frame of a video stands."""
        video = self._videos[video_index]
        return f"{video.source}:{video.line_number}"


@dataclass
class _Video:
    """The frames and labels of one video.

    ``label_codes`` are indices into the table of label sets, one per frame, or None when no frame has a label.
    """

    source: str
    line_number: int
    paths: Sequence[str]
    label_codes: np.ndarray | None


def read_frame_lists(paths: Sequence[str | os.PathLike], *, prefix: str = "") -> FrameLists:
    """The videos of one or several frame lists.

    Blank lines are skipped, and so are a byte-order mark and carriage returns. Rows of one video need not be adjacent.
    Frames count by their order in the list, as in PySlowFast; a video with frame numbers (third field) that are not
    consecutive causes a warning, because its times are then wrong.

    Args:
        paths: the files; each video may be in only one of them.
        prefix: folder that relative paths start in.
    """
    if isinstance(paths, (str, os.PathLike)) or not paths:
        raise ValueError(f"paths must be a list of frame lists with at least one entry, got {paths!r}.")
    label_codes = _LabelCodes()
    videos: dict[str, _Video] = {}
    for path in map(Path, paths):
        reader = _ListReader(path, label_codes)
        for video_id, video in reader.read(prefix).items():
            if video_id in videos:
                first = videos[video_id]
                raise AnnotationError(
                    f"{path.name}:{video.line_number}: video {video_id} is already listed in "
                    f"{first.source}:{first.line_number}. "
                    "Each video must be in exactly one frame list; is a list named twice?"
                )
            videos[video_id] = video
    lists = FrameLists([Path(path).name for path in paths], videos, label_codes.label_sets)
    logger.info("%s: %s frames of %s videos", ", ".join(lists.sources), f"{lists.num_frames:,}", f"{len(lists):,}")
    return lists


class _LabelCodes(dict):
    """Field of labels -> index in ``label_sets``; -1 for a field that holds no labels."""

    def __init__(self):
        super().__init__()
        self.label_sets: list[tuple[int, ...]] = [()]
        self._codes: dict[tuple[int, ...], int] = {(): 0}

    def __missing__(self, token: bytes) -> int:
        text = token.replace(b'"', b"")
        code = -1
        if not text or _LABELS.fullmatch(text):
            labels = tuple(int(label) for label in text.split(b",")) if text else ()
            code = self._codes.setdefault(labels, len(self.label_sets))
            if code == len(self.label_sets):
                self.label_sets.append(labels)
        self[token] = code
        return code


@dataclass
class _Frames:
    """Frames of one video, collected from blocks of a file."""

    line_number: int
    runs: list[Run] = field(default_factory=list)
    label_codes: list[np.ndarray | int] = field(default_factory=list)  # an integer: so many frames without label
    next_frame_id: int | None = None


class _ListReader:
    """Reads one file, and collects what is wrong with it."""

    def __init__(self, path: Path, label_codes: _LabelCodes):
        self.path = path
        self.label_codes = label_codes
        self.frames: dict[bytes, _Frames] = {}
        hint = f"Expected `{HEADER}` in every row, five fields without spaces in them."
        self.problems = RowProblems(path, hint)
        self.num_rows = 0
        self.jumps: dict[bytes, tuple[int, str]] = {}  # video -> (line, what) where its frame numbers jump

    def read(self, prefix: str) -> dict[str, _Video]:
        for first_line, block in self._blocks():
            self._add_block(first_line, block)
        self.problems.report(self.num_rows)
        if not self.frames:
            raise AnnotationError(f"{self.path} names no frame: it has only a header.")
        if self.jumps:
            self._warn_of_jumps()
        return {os.fsdecode(name): self._video(frames, prefix) for name, frames in self.frames.items()}

    def _blocks(self) -> Iterator[tuple[int, bytes]]:
        """(number of its first line, whole lines) of all that follows the header."""
        try:
            file_status(self.path)
            with open(self.path, "rb") as file:
                header = file.readline(MAX_LINE_BYTES)
                found = header.decode("utf-8-sig", errors="replace").split()
                if found != HEADER.split():
                    shown = " ".join(found)[:120]
                    raise AnnotationError(f"{self.path}:1: expected the header `{HEADER}`, found `{shown}`.")
                line_number, rest = 2, b""
                while block := file.read(BLOCK_BYTES):
                    block, newline, rest = (rest + block).rpartition(b"\n")
                    if newline:
                        yield line_number, block + newline
                        line_number += block.count(b"\n") + 1
                    elif len(rest) > MAX_LINE_BYTES:
                        raise AnnotationError(f"{self.path}:{line_number}: a line of over {MAX_LINE_BYTES:,} bytes.")
                if rest:
                    yield line_number, rest + b"\n"
        except OSError as error:
            raise AnnotationError(f"cannot read the frame list {self.path}: {error.strerror}.") from error

    def _add_block(self, first_line: int, block: bytes) -> None:
        block = block.replace(b"\r\n", b"\n")
        line_numbers: Sequence[int]
        if _is_regular(block):
            tokens = block.split()
            line_numbers = range(first_line, first_line + len(tokens) // 5)
        else:
            tokens, line_numbers = self._split_lines(first_line, block)
        self.num_rows += len(line_numbers)
        names, frame_ids, paths, labels = tokens[0::5], tokens[2::5], tokens[3::5], tokens[4::5]
        for name, rows in _rows_by_name(names).items():
            lines = _take(line_numbers, rows)
            frames = self.frames.setdefault(name, _Frames(lines[0]))
            frames.runs.append(run_of(_take(paths, rows)))
            self._add_labels(frames, _take(labels, rows), lines)
            self._follow_frame_ids(name, frames, _take(frame_ids, rows), lines)

    def _split_lines(self, first_line: int, block: bytes) -> tuple[list[bytes], list[int]]:
        """Fields of all rows in one list, five per row, and their lines; for blocks with blank or bad lines."""
        tokens, line_numbers = [], []
        for line_number, line in enumerate(block[:-1].split(b"\n"), first_line):
            fields = line.split()
            if len(fields) == 5:
                tokens += fields
                line_numbers.append(line_number)
            elif fields:
                self.num_rows += 1
                self.problems.add(line_number, f"{len(fields)} fields instead of 5: {_shown(line)}")
        return tokens, line_numbers

    def _add_labels(self, frames: _Frames, tokens: Sequence[bytes], lines: Sequence[int]) -> None:
        if tokens.count(b'""') == len(tokens):
            frames.label_codes.append(len(tokens))
            return
        codes = np.fromiter(map(self.label_codes.__getitem__, tokens), dtype=np.int32, count=len(tokens))
        for row in np.flatnonzero(codes < 0).tolist():
            found = _shown(tokens[row])
            self.problems.add(lines[row], f'labels {found} are not integers from 0 such as "15,61"')
        frames.label_codes.append(codes if codes.any() else len(codes))

    def _follow_frame_ids(self, name: bytes, frames: _Frames, tokens: Sequence[bytes], lines: Sequence[int]) -> None:
        """Note where the frame numbers of a video do not count up by one."""
        if name in self.jumps:
            return
        first = _number(tokens[0])
        expected = first if frames.next_frame_id is None else frames.next_frame_id
        frames.next_frame_id = expected + len(tokens)
        if first == expected >= 0 and tokens == _decimals(first, first + len(tokens)):
            return
        for row, token in enumerate(tokens):
            if _number(token) != expected + row:
                what = f"{cut(token.decode(errors='replace'))} where {expected + row} is expected"
                self.jumps[name] = (lines[row], what)
                return

    def _warn_of_jumps(self) -> None:
        name, (line, what) = next(iter(self.jumps.items()))
        logger.warning(
            "%s: the frame numbers of %s of %s videos are not consecutive (first: %s:%d, video %s, %s). Frames count "
            "by their order in the list, as in PySlowFast: a missing row shifts the times of all later frames.",
            self.path.name,
            f"{len(self.jumps):,}",
            f"{len(self.frames):,}",
            *(self.path.name, line, os.fsdecode(name), what),
        )

    def _video(self, frames: _Frames, prefix: str) -> _Video:
        paths = join_runs(frames.runs, prefix)
        codes = None
        if not all(isinstance(part, int) for part in frames.label_codes):
            parts = [np.zeros(p, dtype=np.int32) if isinstance(p, int) else p for p in frames.label_codes]
            codes = np.concatenate(parts)
        return _Video(self.path.name, frames.line_number, paths, codes)


def _is_regular(block: bytes) -> bool:
    """Whether every line consists of five fields with one space between them."""
    if any(blank in block for blank in (b"\t", b"\r", b"\v", b"\f", b"  ", b" \n", b"\n ")) or block[:1] in b" \n":
        return False
    characters = np.frombuffer(block, dtype=np.uint8)
    ends, spaces = np.flatnonzero(characters == ord("\n")), np.flatnonzero(characters == ord(" "))
    if len(spaces) != 4 * len(ends):
        return False
    of_lines = spaces.reshape(-1, 4)
    return bool((of_lines[:, 3] < ends).all() and (of_lines[1:, 0] > ends[:-1]).all())


def _rows_by_name(names: list[bytes]) -> dict[bytes, list[range]]:
    """For every name the stretches of ``names`` that it fills."""
    rows: dict[bytes, list[range]] = {}
    start = 0
    for name, group in itertools.groupby(names):
        end = start + sum(1 for _ in group)
        rows.setdefault(name, []).append(range(start, end))
        start = end
    return rows


def _take(values: Sequence[T], rows: list[range]) -> Sequence[T]:
    """The values at ``rows``."""
    parts = [values[stretch.start : stretch.stop] for stretch in rows]
    return parts[0] if len(parts) == 1 else list(itertools.chain(*parts))


def _number(token: bytes) -> int:
    """A frame number; -1 for anything else."""
    return int(token) if token.isdigit() and len(token) < 19 else -1


_known_decimals: list[bytes] = []


def _decimals(start: int, stop: int) -> list[bytes]:
    """[b"5", b"6", ...]; small numbers are cached, because they occur in every video."""
    if stop > 1_000_000:
        return [b"%d" % number for number in range(start, stop)]
    _known_decimals.extend(b"%d" % number for number in range(len(_known_decimals), stop))
    return _known_decimals[start:stop]


def _shown(text: bytes) -> str:
    return quoted(text.decode(errors="replace"))


def check_frame_files(lists: FrameLists, which: str = "sample", *, hint: str = "") -> None:
    """Check that the image files of frame lists exist.

    Args:
        which: "all", a "sample" (the first frame of up to 1,000 videos, evenly spread; lists may be a frame or two
            longer than their folders), or "none"; see ``looked_at``.
        hint: last sentence of the message; names the config keys that say where the files are.

    Raises:
        AnnotationError: some are missing: how many, and the first ten.
    """
    missing, num_looked_for = [], 0
    for video_index in looked_at(len(lists), which):
        paths = lists.frame_paths(video_index)
        for path in paths if which == "all" else paths[:1]:
            num_looked_for += 1
            if not os.path.exists(path):
                missing.append(f"  {lists.location(video_index)}: {path}")
    if missing:
        raise AnnotationError(
            f"{', '.join(lists.sources)}: {len(missing):,} of {num_looked_for:,} frames checked (of "
            f"{lists.num_frames:,}) are missing:\n" + "\n".join(missing[:MAX_REPORTED]) + (f"\n{hint}" if hint else "")
        )
