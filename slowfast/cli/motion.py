"""``slowfast motion`` and ``tools/make_motion.py``: writes the Motion data set."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from tqdm import tqdm

from slowfast.cli.errors import report_errors
from slowfast.datasets.motion import (
    DEFAULT_MOTIONS,
    DEFAULT_SHAPES,
    MOTIONS,
    SPLITS,
    MotionSet,
    MotionSpec,
    write_motion,
)
from slowfast.datasets.motion_scene import SHAPES
from slowfast.datasets.motion_sheet import sample_sheet

EXAMPLE = """example:
  slowfast motion data/motion --sheet data/motion.png
  python tools/make_motion.py data/tiny --num-train 32 --num-val 8 --num-test 8 --motions spin-cw spin-ccw
"""
HELP = {
    "num_train": "training videos",
    "num_val": "validation videos",
    "num_test": "test videos",
    "height": "pixels, even",
    "width": "pixels, even, at least the height",
    "num_frames": "frames per video",
    "fps": "frames per second",
    "seed": "another seed gives another set",
    "slow_interval": "source frames between two Slow frames of the model",
}


@report_errors
def main(argv: Sequence[str] | None = None) -> int:
    """Writes the set (or says that it is there already) and returns the exit status."""
    args = build_parser().parse_args(argv)
    options = {field.name: getattr(args, field.name) for field in fields(MotionSpec)}
    with _Progress(quiet=args.quiet) as progress:
        result = write_motion(
            args.root, **options, num_workers=args.num_workers, overwrite=args.overwrite, on_progress=progress
        )
    if args.sheet:
        sample_sheet(args.root, args.sheet)
    if not args.quiet:
        print(_summary(result))
        if args.sheet:
            print(f"sample frames: {args.sheet}")
    return 0


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="slowfast motion",
        description="Write the Motion data set: H.264 videos whose class is a shape and a direction of motion, in the "
        "Kinetics layout. Sparse frames show the shape, only dense ones the direction.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("root", type=Path, help="folder to write; it must be absent, empty, or hold the same set")
    defaults = MotionSpec()
    for name, text in HELP.items():
        default = getattr(defaults, name)
        flag = "--" + name.replace("_", "-")
        parser.add_argument(flag, type=int, default=default, metavar="N", help=f"{text} (default {default})")
    low, high = defaults.turns_per_interval
    parser.add_argument(
        "--turns-per-interval",
        type=float,
        nargs=2,
        default=(low, high),
        metavar=("LOW", "HIGH"),
        help="turns made in one such interval: a range one whole turn wide, or centred on half a turn, so that Slow "
        f"frames show no direction (default {low} {high})",
    )
    parser.add_argument("--shapes", nargs="+", default=DEFAULT_SHAPES, metavar="NAME", help=f"of {', '.join(SHAPES)}")
    parser.add_argument(
        "--motions", nargs="+", default=DEFAULT_MOTIONS, metavar="NAME", help=f"of {', '.join(MOTIONS)}"
    )
    parser.add_argument("--num-workers", type=int, default=None, metavar="N", help="threads (default: one per core)")
    parser.add_argument("--overwrite", action="store_true", help="replace a Motion set made with other arguments")
    parser.add_argument(
        "--sheet", type=Path, metavar="PNG", help="also draw sample frames of every class into this file"
    )
    parser.add_argument("--quiet", action="store_true", help="print errors only")
    return parser


class _Progress:
    """Called with (done, total): a bar with the time left on a terminal, a line every tenth elsewhere."""

    def __init__(self, *, quiet: bool):
        self._bar = None
        self._on_terminal = sys.stderr.isatty()
        self._quiet = quiet

    def __call__(self, done: int, total: int) -> None:
        if self._quiet:
            return
        if self._on_terminal:
            self._bar = self._bar or tqdm(total=total, desc="writing", unit="video", leave=False, dynamic_ncols=True)
            self._bar.update(1)
        elif done * 10 // total > (done - 1) * 10 // total:
            print(f"{done} of {total} videos", flush=True)

    def __enter__(self) -> _Progress:
        return self

    def __exit__(self, *_) -> None:
        if self._bar is not None:
            self._bar.close()


def _summary(result: MotionSet) -> str:
    counts = ", ".join(f"{result.spec.num_videos(split)} {split}" for split in SPLITS)
    what = f"{counts} videos of {len(result.class_names)} classes"
    if not result.written:
        return f"{result.root}: there already with these arguments ({what}); nothing to do"
    num_bytes = sum(path.stat().st_size for path in result.root.rglob("*.mp4"))
    return f"{result.root}: wrote {what}, {num_bytes / 2**20:.1f} MiB, in {result.seconds:.0f} s"


if __name__ == "__main__":
    sys.exit(main())
