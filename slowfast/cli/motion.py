"""``slowfast motion``: writes the Motion data set."""

from __future__ import annotations

import argparse
from collections.abc import Collection, Sequence
from dataclasses import fields
from pathlib import Path

from slowfast.cli.arguments import Parser, command, command_parser
from slowfast.motion.classes import DEFAULT_MOTIONS, DEFAULT_SHAPES, MOTIONS
from slowfast.motion.clips import MotionSpec
from slowfast.motion.detection import MotionAvaSpec
from slowfast.motion.files import MotionSet, SetSpec, write_set
from slowfast.motion.multilabel import MotionCharadesSpec
from slowfast.motion.scene import COLORS, SHAPES
from slowfast.motion.sheet import sample_sheet
from slowfast.utils.progress import WorkProgress

FORMS: dict[str, type[SetSpec]] = {spec.form: spec for spec in (MotionSpec, MotionCharadesSpec, MotionAvaSpec)}
EXAMPLE = """
slowfast motion data/motion --sheet data/motion.png
slowfast motion data/tiny --num-train 32 --num-val 8 --num-test 8 --motions spin-cw spin-ccw
slowfast motion data/motion_charades --form charades
slowfast motion data/motion_ava --form ava --num-train 24 --sheet data/motion_ava.png
"""
HELP = {
    "num_train": "training videos",
    "num_val": "validation videos",
    "num_test": "test videos",
    "num_seconds": "seconds per video; for ava, key seconds per movie",
    "height": "pixels, even",
    "width": "pixels; even, and at least the height",
    "num_frames": "frames per video",
    "fps": "frames per second",
    "seed": "a different seed gives a different set",
    "slow_interval": "source frames between two Slow frames of the model",
}


def build_parser() -> Parser:
    """The command line."""
    parser = command_parser(
        "motion",
        description="Write the Motion data set: H.264 videos each class a shape and a direction of motion, in the "
        "Kinetics layout. Sparse frames show the shape, but only dense ones the direction. Other forms: videos "
        "with several labels in the layout of Charades, and movies with several actors, boxes and labels in the "
        "layout of AVA.",
        example=EXAMPLE,
    )
    parser.add_argument("root", type=Path, help="folder to write; it must be absent, empty, or hold the same set")
    parser.option("--form", "layout (default: clips, the layout of Kinetics)", default="clips", choices=FORMS)
    for name, text in HELP.items():
        parser.add_argument(_flag(name), type=int, metavar="N", help=f"{text} ({_defaults(name)})")
    low, high = MotionSpec.turns_per_interval
    parser.option(
        "--turns-per-interval LOW HIGH",
        "turns per such interval: a range that is one whole turn wide or centered on half a turn, so that Slow "
        f"frames show no direction (default {low} {high})",
        type=float,
    )
    parser.option("--shapes NAME", _choices(SHAPES, DEFAULT_SHAPES), nargs="+")
    parser.option("--motions NAME", _choices(MOTIONS, DEFAULT_MOTIONS), nargs="+")
    parser.option("--colors NAME", f"of {', '.join(COLORS)} (default: any hue)", nargs="+")
    parser.option(
        "--distractors NAME",
        "shapes or colors of no class; each video shows one, with the motion opposite to that of its class "
        "(default none)",
        nargs="+",
    )
    parser.add_workers("threads that write")
    parser.option("--overwrite", "replace a Motion set made with other arguments")
    parser.option("--sheet PNG", "also draw sample frames to this file", type=Path)
    parser.option("--quiet", "print errors only")
    return parser


@command(build_parser)
def main(args: argparse.Namespace) -> int:
    """Writes the set (or says that it already exists) and returns the exit status."""
    spec = _spec(args)
    total = sum(spec.num_videos(split) for split in spec.splits)
    with WorkProgress(total, unit=spec.unit[:-1], name="writing", is_quiet=args.quiet) as progress:
        result = write_set(
            args.root,
            spec,
            num_workers=args.workers or 1,
            overwrite=args.overwrite,
            on_progress=lambda _done, _total: progress.step(),
        )
    if args.sheet:
        sample_sheet(args.root, args.sheet)
    if not args.quiet:
        print(_summary(result))
        if args.sheet:
            print(f"sample frames: {args.sheet}")
    return 0


def _spec(args: argparse.Namespace) -> SetSpec:
    """What to write.

    Raises:
        ValueError: an option that the form does not have, or whose value does not fit.
    """
    spec = FORMS[args.form]
    names = [field.name for field in fields(spec)]
    options = [*HELP, "turns_per_interval", "shapes", "motions", "colors", "distractors"]
    given = {name: getattr(args, name) for name in options if getattr(args, name) is not None}
    for name in given:
        if name not in names:
            flags = ", ".join(map(_flag, names))
            raise ValueError(f"{_flag(name)}: the form {args.form} does not have this option. It has {flags}.")
    return spec(**given)


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _defaults(name: str) -> str:
    """The default of an option, per form if it has several: "default 1280; charades 240; ava 48"."""
    defaults = {form: field.default for form, spec in FORMS.items() for field in fields(spec) if field.name == name}
    if len(defaults) == len(FORMS) and len(set(defaults.values())) == 1:
        return f"default {defaults['clips']}"
    return "; ".join(f"{'default' if form == 'clips' else form} {value}" for form, value in defaults.items())


def _choices(known: Collection[str], default: Sequence[str]) -> str:
    return f"of {', '.join(known)} (default {' '.join(default)})"


def _summary(result: MotionSet) -> str:
    spec = result.spec
    counts = ", ".join(f"{spec.num_videos(split)} {split}" for split in spec.splits)
    what = f"{counts} {spec.unit} of {len(result.class_names)} classes"
    if not result.written:
        return f"{result.root}: there already with these arguments ({what}); nothing to do"
    num_bytes = sum(path.stat().st_size for path in result.root.rglob("*") if path.suffix in (".mp4", ".jpg"))
    return f"{result.root}: wrote {what}, {num_bytes / 2**20:.1f} MiB, in {result.seconds:.0f} s"
