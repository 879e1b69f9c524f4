"""``slowfast predict`` on live sources: cameras, streams, files played at their own frame rate."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack

import numpy as np

from slowfast.cli.predict_output import CsvOutput, best_classes, clock, drawing_of, output_paths, write_records
from slowfast.engine.pipeline import Pipeline, takes_boxes
from slowfast.prediction.live import LivePredictor, LiveScores, open_live
from slowfast.prediction.predictor import Look, window_entry
from slowfast.prediction.records import failed_record, video_record
from slowfast.prediction.segments import Segment, WindowSegments
from slowfast.prediction.sources import Source
from slowfast.prediction.windows import ScoresSoFar, Smoothing, WindowCut
from slowfast.utils.text import printable
from slowfast.video.watch import VideoReadError
from slowfast.visualization.overlay import Caption, VideoWriter, draw_caption
from slowfast.visualization.results import Drawing
from slowfast.visualization.screen import Screen

LIVE_SMOOTHING = 3  # windows that live scores are averaged over, where --smooth does not say


class LivePicture:
    """Every frame with the newest caption: the newest as ``frame``, all to ``writer``, if there is one.

    Called in the thread that reads frames.
    """

    def __init__(self, writer: VideoWriter | None, *, size: tuple[int, int] | None):
        self.caption = Caption()
        self.frame: np.ndarray | None = None
        self._writer, self._size = writer, size

    def __call__(self, seconds: float, frame: np.ndarray) -> None:
        self.frame = draw_caption(frame, self.caption, size=self._size)
        if self._writer is not None:
            self._writer.write(seconds, self.frame)


class LiveSession:
    """The results of a live source from its first window to its end, or to Ctrl-C.

    Args:
        picture: that shows the newest classes, or None.
        drawing: which classes it shows.
        table: that takes the segments, or None.
        is_silent: print nothing.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        source: Source,
        look: Look,
        *,
        picture: LivePicture | None,
        drawing: Drawing,
        table: CsvOutput | None,
        is_silent: bool,
    ):
        self.pipeline, self.source, self.look = pipeline, source, look
        self.picture, self.drawing, self.table, self.is_silent = picture, drawing, table, is_silent
        self.segments: list[Segment] = []
        self.windows: list[dict] = []
        self._smooth = Smoothing(look.smooth)
        assert look.cut is not None  # live_look sets it
        self.cut = look.cut
        self._merger = WindowSegments(self.cut.stride_seconds, look.threshold, pipeline.class_names)
        self._so_far = ScoresSoFar()
        self._start = time.perf_counter()
        self._overwrites = sys.stdout.isatty()

    def take(self, live: LiveScores) -> None:
        """Show and record one window."""
        self._so_far.add(live.window.prediction)
        window = self._smooth(live.window)
        self.windows.append(window_entry(window, self.look.num_top))
        self._note(self._merger.add(window.start, window.end, window.prediction.mean_scores))
        state = f"{live.latency_seconds:.2f} s late, {live.fps:.1f} frames/s, {live.num_dropped} windows dropped"
        if self.picture is not None:
            best = self.drawing.classes(window.prediction.mean_scores, self.pipeline.class_names)
            self.picture.caption = Caption(f"{clock(window.end)}  {live.latency_seconds:.2f} s late", best)
        classes = printable(best_classes(window.prediction, self.look.num_top))
        self._print(f"{clock(window.start)} - {clock(window.end)}  {classes}  ({state})", passes=True)

    def finish(self, failure: str | None) -> dict:
        """The entry of the source in the JSON of predictions."""
        self._note(self._merger.finish())
        seconds = time.perf_counter() - self._start
        if self._so_far.prediction is None:
            return failed_record(self.source.path, failure or "it ended before the first window.", seconds=seconds)
        record = video_record(
            self.source.path,
            self._so_far.prediction,
            seconds=seconds,
            num_top=self.look.num_top,
            segments=[segment.as_dict() for segment in self.segments],
            failure=failure,
        )
        return record | {"windows": self.windows}

    def _note(self, segments: Sequence[Segment]) -> None:
        for segment in segments:
            self.segments.append(segment)
            span = f"{clock(segment.start)} - {clock(segment.end)}"
            self._print(f"segment {span}  {printable(segment.label)} {segment.score:.3f}")
            if self.table is not None:
                self.table.segment(self.source.path, segment)

    def _print(self, line: str, *, passes: bool = False) -> None:
        """One line; on a terminal one that ``passes`` is overwritten by the next."""
        if self.is_silent:
            return
        if self._overwrites:
            print(f"\r\x1b[K{line}", end="" if passes else "\n", flush=True)
        else:
            print(line, flush=True)


def live_look(args: argparse.Namespace, pipeline: Pipeline) -> Look:
    """The options of a live source, from the flags.

    Raises:
        ValueError: the model does not support one.
    """
    if takes_boxes(pipeline.model):
        raise ValueError(
            "this is a detection model, which needs a file. Record the source, then use --boxes or --detector."
        )
    if pipeline.flow is not None:
        raise ValueError("this model needs optical flow, which is computed from files. Record the source first.")
    cut = WindowCut.of(pipeline.protocol, args.window, args.stride)
    return Look(num_top=args.top, cut=cut, threshold=args.threshold, smooth=args.smooth or LIVE_SMOOTHING)


def predict_live(args: argparse.Namespace, pipeline: Pipeline, source: Source) -> int:
    """Predict a live source until it ends, Ctrl-C, or q in its window; 1 if it broke off."""
    look, drawing = live_look(args, pipeline), drawing_of(args, pipeline)
    size = tuple(reversed(args.frame_size)) if args.frame_size else None
    failure = None
    with ExitStack() as stack:
        screen = stack.enter_context(Screen(f"slowfast: {source.path}")) if args.show else None
        table = stack.enter_context(CsvOutput(args.csv, look)) if args.csv else None
        writer = None
        if args.save_video:
            writer = stack.enter_context(VideoWriter(output_paths(args.save_video, [source], ".mp4")[0], fps=30))
        picture = LivePicture(writer, size=size) if writer is not None or screen is not None else None
        shown = {"picture": picture, "drawing": drawing, "table": table, "is_silent": args.json == "-"}
        session = LiveSession(pipeline, source, look, **shown)
        try:
            _run(session, screen)
        except VideoReadError as error:
            failure = str(error)
            print(f"{printable(source.path)}  failed: {printable(failure)}", file=sys.stderr)
        except KeyboardInterrupt:
            pass  # how a camera is stopped
        record = session.finish(failure)
    write_records(args.json, pipeline, [record])
    return int(record["failure"] is not None)


def _run(session: LiveSession, screen: Screen | None) -> None:
    picture = session.picture

    def show() -> None:
        if screen is not None and picture is not None and picture.frame is not None:
            screen.show(picture.frame)

    reader = open_live(session.pipeline, session.source, on_frame=picture)
    with LivePredictor(session.pipeline, reader, session.cut, idle=show) as predictor:
        for live in predictor:
            session.take(live)
            show()
            if screen is not None and screen.is_closed:
                return
