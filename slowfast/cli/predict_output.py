"""What ``slowfast predict`` prints, writes as tables and draws: which classes, and on which frames."""

from __future__ import annotations

import argparse
import csv
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import simplejson

from slowfast.cli.arguments import Parser, fraction, whole
from slowfast.engine.pipeline import Pipeline
from slowfast.engine.prediction import Prediction
from slowfast.prediction.boxes import KeyFramePrediction
from slowfast.prediction.predictor import Look, VideoResult
from slowfast.prediction.records import predictions_document
from slowfast.prediction.segments import Segment
from slowfast.prediction.sources import Source, output_names
from slowfast.prediction.windows import WindowScores
from slowfast.utils.files import atomic_write
from slowfast.utils.logging import format_seconds
from slowfast.utils.progress import Progress, print_above
from slowfast.utils.suggest import did_you_mean
from slowfast.utils.text import printable, spreadsheet_cell
from slowfast.visualization.results import Drawing


def output_paths(target: Path | None, sources: Sequence[Source], ending: str) -> dict[int, Path]:
    """The file of each source, by its position: ``target`` itself if it has that extension and there is one source,
    else a file in it.

    Raises:
        ValueError: several sources, and ``target`` is one file.
    """
    if target is None:
        return {}
    if target.suffix.lower() == ending:
        if len(sources) > 1:
            raise ValueError(f"{target} is one file, but there are {len(sources)} videos: name a folder.")
        target.parent.mkdir(parents=True, exist_ok=True)
        return {0: target}
    target.mkdir(parents=True, exist_ok=True)
    return {index: target / name for index, name in enumerate(output_names(sources, ending))}


class _Steps:
    """A progress bar that is moved by hand."""

    def __init__(self, total: int, *, name: str, unit: str):
        self.bar = Progress(range(total), total=total, name=printable(name), unit=unit)
        self._steps = iter(self.bar)
        self.next()

    def next(self) -> None:
        """Begin the next step; the first has begun."""
        next(self._steps, None)


class Terminal:
    """A line for every video, and for every segment as soon as it ends; below them a bar, on a terminal."""

    def __init__(self, sources: Sequence[Source], look: Look, *, is_silent: bool = False):
        self.look, self.is_silent = look, is_silent
        self._videos = _Steps(len(sources), name="predicting", unit="video")
        self._windows: _Steps | None = None  # of a long video
        self._width = max((len(printable(source.path)) for source in sources), default=0)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *error) -> None:
        self._end_windows()
        self._videos.bar.close()

    def windows(self, path: str, total: int | None) -> None:
        """A long video begins."""
        self._windows = None if total is None else _Steps(total, name=os.path.basename(path), unit="window")

    def window(self, path: str, window) -> None:
        """Show how far it has come."""
        steps = self._windows or self._videos
        steps.bar.note(at=format_seconds(window.end if isinstance(window, WindowScores) else window.seconds))
        if self._windows is not None:
            self._windows.next()

    def _end_windows(self) -> None:
        if self._windows is not None:
            self._windows.bar.close()
        self._windows = None

    def segment(self, path: str, segment: Segment) -> None:
        """Print a segment of a video."""
        track = "" if segment.track is None else f"  track {segment.track}"
        span = f"{clock(segment.start)} - {clock(segment.end)}"
        self._print(f"{printable(path)}  {span}{track}  {printable(segment.label)} {segment.score:.3f}")

    def end(self, result: VideoResult) -> None:
        """Print the line of a video that is done."""
        record = result.record
        if record["failure"] is not None:
            text = f"failed: {record['failure']}"
        else:
            text = f"{record['seconds']:6.2f} s  {self._summary(result)}"
        self._print(f"{printable(result.source.path):<{min(self._width, 60)}}  {printable(text)}")
        self._end_windows()
        self._videos.next()

    def _summary(self, result: VideoResult) -> str:
        record = result.record
        if self.look.boxes is not None:
            frames = record["key_frames"]
            return f"{len(frames)} key frames, {sum(len(frame['boxes']) for frame in frames)} boxes"
        return "" if result.whole is None else best_classes(result.whole, self.look.num_top)

    def _print(self, line: str) -> None:
        if not self.is_silent:
            print_above(line)
            sys.stdout.flush()


def best_classes(prediction: Prediction, k: int) -> str:
    """``spin-cw 0.912, spin-ccw 0.050``."""
    return ", ".join(f"{name} {score:.3f}" for name, score in prediction.top(k))


def clock(seconds: float) -> str:
    """``1:02:03.4`` or ``2:03.4``."""
    tenths = round(seconds * 10)
    return f"{format_seconds(tenths // 10)}.{tenths % 10}"


class CsvOutput:
    """A table that grows as results arrive. Use as a context manager.

    ``video,start,end,label,score,failure`` of windows; ``video,seconds,track,x1,y1,x2,y2,label,score,failure`` of
    boxes; else ``video,top1,score1,...,failure``.
    """

    def __init__(self, path: str, look: Look):
        self.path, self.look = path, look

    def __enter__(self) -> CsvOutput:
        Path(self.path).parent.mkdir(parents=True, exist_ok=True)
        self._file = open(self.path, "w", newline="", encoding="utf-8", errors="surrogateescape")
        self._writer = csv.writer(self._file)
        self._writer.writerow([*self._header(), "failure"])
        return self

    def __exit__(self, *error) -> None:
        self._file.close()

    def _header(self) -> list[str]:
        if self.look.boxes is not None:
            return ["video", "seconds", "track", "x1", "y1", "x2", "y2", "label", "score"]
        if self.look.cut is not None:
            return ["video", "start", "end", "label", "score"]
        ranks = range(1, self.look.num_top + 1)
        return ["video", *(f"{what}{rank}" for rank in ranks for what in ("top", "score"))]

    def segment(self, path: str, segment: Segment) -> None:
        """Append a segment of a video as it ends; segments of boxes are not written."""
        if self.look.boxes is None:
            self._row(path, [segment.start, segment.end, segment.label, segment.score])

    def window(self, path: str, key_frame) -> None:
        """Append a row for each of the best classes of each box of a key frame; windows are not written."""
        if not isinstance(key_frame, KeyFramePrediction):
            return
        rows = zip(key_frame.boxes, key_frame.tracks, key_frame.prediction.top(self.look.num_top), strict=True)
        for box, track, top in rows:
            for name, score in top:
                self._row(path, [key_frame.seconds, track, *box, name, score])

    def end(self, result: VideoResult) -> None:
        """Append the results at the end of a video: its best classes, if it was scored as a whole, or a failure."""
        record = result.record
        if record["failure"] is not None:
            self._row(result.source.path, [], failure=record["failure"])
        elif self.look.cut is None and self.look.boxes is None:
            self._row(result.source.path, [value for top in record["top"] for value in (top["name"], top["score"])])

    def _row(self, path: str, values: Sequence, failure: str = "") -> None:
        cells = [spreadsheet_cell(value) if isinstance(value, str) else f"{value:.6g}" for value in values]
        empty = [""] * (len(self._header()) - 1 - len(cells))
        self._writer.writerow([spreadsheet_cell(path), *cells, *empty, spreadsheet_cell(failure)])
        self._file.flush()


def write_records(target: str | None, pipeline: Pipeline, records: Sequence[dict]) -> None:
    """Write the JSON document into the file that --json names, or print it (``-``)."""
    if not target:
        return
    text = _as_json(predictions_document(pipeline, records))
    if target == "-":
        sys.stdout.write(text)
        return
    with atomic_write(target) as draft:
        draft.write_text(text, encoding="utf-8")


def _as_json(document: dict) -> str:
    """JSON with one line per video: 400 scores on separate lines would be unreadable."""
    videos = ",\n".join(simplejson.dumps(record, ignore_nan=True) for record in document["videos"])
    rest = {name: value for name, value in document.items() if name != "videos"}
    return f'{simplejson.dumps(rest, ignore_nan=True)[:-1]}, "videos": [\n{videos}\n]}}\n'


def add_drawing(parser: Parser) -> None:
    """--draw-top, --draw-from, --draw-class, --draw-frames: what is drawn on videos."""
    one = parser.add_mutually_exclusive_group()
    parser.option("--draw-top K", "draw the K best classes (default: three, or --top)", group=one, type=whole(1))
    parser.option("--draw-from P", "draw all classes with at least this score instead", group=one, type=fraction)
    parser.option(
        "--draw-class CLASS P",
        "with --draw-from: another score for this class; may be repeated",
        default=[],
        action="append",
    )
    parser.option(
        "--draw-frames N",
        "label N frames before and after a window's middle, or a key frame (default: as far as the next)",
        type=whole(0),
    )


def check_drawing(args: argparse.Namespace, *, is_live: bool) -> None:
    """Return when something is drawn that the flags apply to.

    Raises:
        ValueError: nothing is.
    """
    given = args.draw_class or any(x is not None for x in (args.draw_top, args.draw_from, args.draw_frames))
    if given and not (args.save_video or args.show):
        raise ValueError("--draw-... says what is drawn, and nothing is. Add --save-video PATH.")
    if args.draw_class and args.draw_from is None:
        raise ValueError("--draw-class: the best classes have no least score. Add --draw-from P for the others.")
    if args.draw_frames is None:
        return
    if is_live:
        raise ValueError("--draw-frames is for files: on a live source, labels stay until the next window's.")
    if not (args.window or args.stride or args.boxes or args.detector):
        raise ValueError("--draw-frames: a video that is looked at as a whole has one label. Add --window S.")


def drawing_of(args: argparse.Namespace, pipeline: Pipeline) -> Drawing:
    """What the flags draw.

    Raises:
        ValueError: a class that the model does not have, or a score that is none.
    """
    names = pipeline.class_names
    for name, _ in args.draw_class:
        if names is not None and name not in names:
            raise ValueError(f"--draw-class {name!r}: the model has no such class.{did_you_mean(name, names)}")
    return Drawing(
        top=args.draw_top or min(3, args.top),
        least=args.draw_from,
        least_of={name: _score(name, text) for name, text in args.draw_class},
        reach=args.draw_frames,
    )


def _score(name: str, text: str) -> float:
    try:
        return fraction(text)
    except argparse.ArgumentTypeError as error:
        raise ValueError(f"--draw-class {name!r}: {error}.") from None
