"""``slowfast predict``: predictions for videos, long videos, cameras and boxes."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from slowfast.cli.arguments import Parser, command, command_parser, positive, whole
from slowfast.cli.pipelines import add_detector, add_model, detected_boxes, load_model
from slowfast.cli.predict_live import predict_live
from slowfast.cli.predict_output import (
    CsvOutput,
    Terminal,
    add_drawing,
    check_drawing,
    drawing_of,
    output_paths,
    write_records,
)
from slowfast.engine.pipeline import Pipeline
from slowfast.prediction.boxes import DetectedBoxes, ListedBoxes
from slowfast.prediction.predictor import Look, VideoPredictor
from slowfast.prediction.sources import Source, find_sources
from slowfast.prediction.windows import WindowCut
from slowfast.utils.logging import setup_logging
from slowfast.visualization.results import plot_result, save_captioned_video

DESCRIPTION = (
    "Predict what videos show: one line each, with the best classes. The scores equal those of a test. Unreadable "
    "videos are reported and the others still predicted; the exit code is then 1."
)
EXAMPLE = """
slowfast predict video.mp4 --checkpoint outputs/mine/checkpoints/checkpoint_epoch_00196.pyth
slowfast predict videos/ "more/*.webm" list.txt --checkpoint SLOWFAST_8x8_R50 --json predictions.json
slowfast predict match.mp4 --checkpoint weights.pyth --window 4 --stride 1 --csv segments.csv --plot scores.png
slowfast predict 0 --checkpoint weights.pyth --show                        (camera 0)
slowfast predict movie.mp4 --checkpoint ava.pyth --boxes boxes.csv --save-video labeled.mp4
"""
NOTES = "docs/PREDICT.md in the repository describes all files."
SOURCES = (
    "video file; folder (all videos below it); glob; list file (.txt, .csv: one path per line); - for standard input; "
    "camera number; rtsp:// or http:// address of a stream"
)


def build_parser() -> Parser:
    """The command line."""
    parser = command_parser("predict", description=DESCRIPTION, example=EXAMPLE, takes_overrides=True, notes=NOTES)
    parser.add_argument("sources", nargs="*", metavar="SOURCE", help=SOURCES)
    add_model(parser)
    parser.option("--top K", "number of classes to show, best first", type=whole(1), default=5)
    parser.add_json("all scores and segments")
    parser.option("--csv FILE", "write the best classes or segments as a table")
    parser.option("--save-video PATH", "write the video with its labels drawn; a folder for several", type=Path)
    parser.option("--plot PATH", "write scores over time as PNG; a folder for several videos", type=Path)
    parser.option("--frame-size W H", "size of saved videos and windows, pixels", type=whole(2))
    add_drawing(parser)
    parser.option("--window S", "slide along the video in windows of S seconds, for long videos", type=positive)
    parser.option(
        "--stride S",
        "seconds between windows (default: half a window), or between key frames (default: 1)",
        type=positive,
    )
    parser.option("--threshold P", "minimum score of a class in a segment", type=positive, default=0.5)
    parser.option("--smooth N", "average the newest N windows (default 1; live 3)", type=whole(1))
    parser.option("--live", "play files at their own frame rate, like a camera: late windows are dropped")
    parser.option("--show", "show a live source in a window (OpenCV, with a display)")
    parser.option("--boxes FILE", "boxes in key frames, for detection models: lines video,second,x1,y1,x2,y2")
    parser.option(
        "--movie-start-seconds S",
        "time in --boxes at the start of a video (default 0; AVA's movies: 900)",
        type=float,
        default=0.0,
    )
    add_detector(parser)
    return parser


def look_of(args: argparse.Namespace, pipeline: Pipeline) -> Look:
    """The options of every video, from the flags.

    Raises:
        ValueError: they contradict each other or the model.
    """
    if args.boxes and args.detector:
        raise ValueError("--boxes and --detector: give only one of them.")
    boxes: ListedBoxes | DetectedBoxes | None = None
    if args.boxes:
        boxes = ListedBoxes(args.boxes, start_second=args.movie_start_seconds, least_score=args.least_detection)
    elif args.detector:
        boxes = detected_boxes(args, pipeline, stride_seconds=args.stride or 1.0)
    asks_for_windows = args.window or (args.stride and boxes is None)
    cut = WindowCut.of(pipeline.protocol, args.window, args.stride) if asks_for_windows else None
    num_top = args.top if pipeline.class_names is None else min(args.top, len(pipeline.class_names))
    return Look(num_top=num_top, cut=cut, threshold=args.threshold, smooth=args.smooth or 1, boxes=boxes)


@command(build_parser)
def main(args: argparse.Namespace) -> int:
    """Predict all sources; 1 if one could not be read."""
    if not args.sources:
        raise ValueError("no SOURCE: name a video, a folder, a list, - or a camera (slowfast predict --help).")
    if args.json != "-":  # which prints JSON alone; warnings then go to standard error
        setup_logging()
    sources = find_sources(args.sources)
    live = [source for source in sources if args.live or source.is_live]
    check_flags(args, sources, live)
    pipeline = load_model(args)
    if live:
        return predict_live(args, pipeline, live[0])
    results = predict_all(args, pipeline, sources)
    return int(any(record["failure"] for record in results))


def check_flags(args: argparse.Namespace, sources: Sequence[Source], live: Sequence[Source]) -> None:
    """Check that the flags and the sources go together.

    Raises:
        ValueError: they do not; says why.
    """
    if live and len(sources) > 1:
        raise ValueError(f"{live[0].path} is live, so it must be the only source: start one command for each.")
    if live and (args.boxes or args.detector):
        raise ValueError(f"{live[0].path} is live: boxes are scored only in files. Record it first (--save-video).")
    if live and args.plot:
        raise ValueError(f"{live[0].path} is live: --plot works only for files. --json and --csv write its segments.")
    if args.show and not live:
        raise ValueError("--show works for cameras and live streams; to show a file, add --live.")
    check_drawing(args, is_live=bool(live))


def predict_all(args: argparse.Namespace, pipeline: Pipeline, sources: Sequence[Source]) -> list[dict]:
    """Predict the sources one after the other and write the requested files; returns their entries."""
    look, drawing = look_of(args, pipeline), drawing_of(args, pipeline)
    draws = args.save_video is not None or args.plot is not None
    videos = output_paths(args.save_video, sources, ".mp4")
    plots = output_paths(args.plot, sources, ".png")
    size = tuple(reversed(args.frame_size)) if args.frame_size else None
    records: list[dict] = []
    with ExitStack() as stack:
        terminal = stack.enter_context(Terminal(sources, look, is_silent=args.json == "-"))
        table = stack.enter_context(CsvOutput(args.csv, look)) if args.csv else None
        stack.callback(lambda: write_records(args.json, pipeline, records))  # also of what was done before Ctrl-C
        watchers = [watcher for watcher in (terminal, table) if watcher is not None]
        predictor = VideoPredictor(
            pipeline,
            look,
            on_windows=terminal.windows,
            on_segment=lambda path, segment: [watcher.segment(path, segment) for watcher in watchers],
            on_window=lambda path, window: [watcher.window(path, window) for watcher in watchers],
            keeps_moments=draws,
        )
        for index, source in enumerate(sources):
            result = predictor(source)
            records.append(result.record)
            for watcher in watchers:
                watcher.end(result)
            if result.record["failure"] is not None:
                continue
            if index in videos and not source.is_stream:
                save_captioned_video(videos[index], pipeline, result, drawing=drawing, size=size)
            if index in plots:
                plot_result(plots[index], result, pipeline.class_names, k=args.top)
    return records
