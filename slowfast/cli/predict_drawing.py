"""What ``slowfast predict`` draws on videos: which classes, and on which frames."""

from __future__ import annotations

import argparse

from slowfast.cli.arguments import Parser, fraction, whole
from slowfast.engine.pipeline import Pipeline
from slowfast.utils.suggest import did_you_mean
from slowfast.visualization.results import Drawing


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
