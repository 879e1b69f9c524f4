"""``slowfast features``: the features that a layer computes from videos."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Sequence

from slowfast.cli.arguments import Parser, command, command_parser
from slowfast.cli.pipelines import add_model, load_model
from slowfast.engine.pipeline import Pipeline
from slowfast.prediction.features import UNITS, FeatureChoice, FeatureStore, feature_modules, video_features
from slowfast.prediction.sources import Source, find_sources
from slowfast.utils.logging import count, setup_logging
from slowfast.utils.progress import Progress, print_above
from slowfast.utils.text import printable
from slowfast.video.watch import VideoReadError

DESCRIPTION = (
    "Write the features of a layer for the views of a test to one .npz file: an array (videos, ...) per layer, and "
    '"paths". After a stop, run the command again to continue.'
)
EXAMPLE = """
slowfast features videos/ --checkpoint weights.pyth --output features.npz --layer both
slowfast features list.csv --checkpoint SLOWFAST_8x8_R50 --output clips.npz --layer slow --per clip
slowfast features a.mp4 --checkpoint weights.pyth --output map.npz --layer fast.res4 --map --per view
"""


def build_parser() -> Parser:
    """The command line."""
    parser = command_parser("features", description=DESCRIPTION, example=EXAMPLE, takes_overrides=True)
    parser.add_argument(
        "sources", nargs="*", metavar="SOURCE", help="video file, folder, glob, or list file (as for slowfast predict)"
    )
    add_model(parser)
    parser.add_output("the .npz file", required=True)
    parser.option(
        "--layer NAME",
        "slow, fast or both: the last stage of each pathway; or any module of the model, such as slow.res4",
        required=True,
    )
    parser.option("--per", "mean over all views, over a clip's crops, or none", default="video", choices=UNITS)
    parser.option("--map", "keep maps (C, t, h, w) instead of their mean")
    return parser


def settings_of(pipeline: Pipeline, choice: FeatureChoice) -> dict:
    """Everything that determines the features of a video."""
    return {
        "layer": choice.layer,
        "per": choice.per,
        "map": choice.as_map,
        "weights": pipeline.origin.get("weights"),
        "protocol": pipeline.protocol.as_dict(),
        "dtype": str(pipeline.dtype),
    }


@command(build_parser)
def main(args: argparse.Namespace) -> int:
    """Write the features of all sources; 1 if one could not be read."""
    if not args.sources:
        raise ValueError("no SOURCE: name a video, a folder or a list (slowfast features --help).")
    setup_logging()
    choice = FeatureChoice(args.layer, per=args.per, as_map=args.map)
    sources = find_sources(args.sources)
    streams = [source.path for source in sources if source.is_stream]
    if streams:
        raise ValueError(f"{streams[0]}: features are computed from files. Save the stream to a file first.")
    pipeline = load_model(args)
    feature_modules(pipeline.model, choice.layer)  # before the first video is read
    store = FeatureStore(args.output, settings_of(pipeline, choice))
    done, failed = extract(pipeline, sources, choice, store)
    if not done:
        raise ValueError(f"none of {count(len(sources), 'video')} could be read: {args.output} was not written.")
    shapes = store.finish(done)
    size = os.path.getsize(args.output) / 2**20
    shown = ", ".join(f"{name} {shape}" for name, shape in list(shapes.items())[:4])
    print(
        f"{args.output}: {size:.1f} MiB, {count(len(done), 'video')}; {shown}"
        + (f"; {failed} failed" if failed else "")
    )
    return int(failed > 0)


def extract(
    pipeline: Pipeline, sources: Sequence[Source], choice: FeatureChoice, store: FeatureStore
) -> tuple[list[str], int]:
    """(paths of the videos that are in the store, number of those that cannot be read)."""
    done, failed = [], 0
    with Progress(sources, total=len(sources), name="features", unit="video") as videos:
        for source in videos:
            start = time.perf_counter()
            try:
                if source.failure:
                    raise VideoReadError(source.failure)
                was_there = store.holds(source.path)
                if not was_there:
                    store.add(source.path, video_features(pipeline, source.path, choice))
            except VideoReadError as error:
                failed += 1
                text = f"failed: {error}"
            else:
                done.append(source.path)
                text = "there already" if was_there else f"{time.perf_counter() - start:.2f} s"
            print_above(f"{printable(source.path)}  {printable(text)}")
    return done, failed
