"""``slowfast prepare-data ava-boxes``: boxes of people, found by a detector, in AVA's format."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from pathlib import Path

import torch

from slowfast.cli.arguments import whole
from slowfast.cli.machine import one_device
from slowfast.cli.prepare.common import add_command, add_shard, finish, first_of_each, video_id
from slowfast.datasets.lists.ava_boxes import FIRST_SECOND, LAST_SECOND
from slowfast.preparation.files import check_or_write_settings, find_files
from slowfast.preparation.person_boxes import (
    DETECTORS,
    KeyFrameJob,
    PersonBox,
    decoded_ahead,
    detect_people,
    key_seconds,
    load_detector,
    merge_boxes,
    write_boxes,
)
from slowfast.utils.progress import WorkProgress
from slowfast.video.stream import error_text
from slowfast.video.watch import VideoReadError

EXAMPLE = """\
  slowfast prepare-data ava-boxes data/mine/videos data/mine/boxes.csv --gpus 1 \\
      --checkpoint fasterrcnn_resnet50_fpn_v2_coco-dd69338a.pth --movie-start-seconds 900"""


def add_parser(commands) -> None:
    """Add the command line of ``ava-boxes``."""
    parser = add_command(
        commands,
        "ava-boxes",
        run,
        summary="person boxes for key frames, by torchvision's Faster R-CNN",
        description="Find the people in one frame of every second and write them as rows `video,second,x1,y1,x2,y2,,"
        "score` with corners as fractions of the frame (AVA.TEST_PREDICT_BOX_LISTS). Key frames are the seconds "
        f"{FIRST_SECOND} to {LAST_SECOND} of AVA's clock; --movie-start-seconds says where on it a file begins. A set "
        "of your own counts from 0: --first-second 0 --movie-start-seconds 0. Boxes of each video are kept in "
        "OUT.parts/; a later run detects in the other videos only.",
        example=EXAMPLE,
    )
    parser.add_argument("videos", type=Path, help="folder of videos, searched to its depths; names are ids")
    parser.add_argument("out", type=Path, help="CSV file to write")
    parser.add_checkpoint("torchvision's file of the detector, on disk", required=True)
    best = "fasterrcnn_resnet50_fpn_v2"
    parser.option("--detector NAME", " or ".join(DETECTORS), default=best, choices=DETECTORS)
    parser.option(
        "--threshold P",
        "least score of a box to be written (default 0.5; AVA.DETECTION_SCORE_THRESH chooses among these later)",
        type=float,
        default=0.5,
    )
    parser.option(
        "--movie-start-seconds S",
        "AVA's clock at the start of a file (AVA.MOVIE_START_SECONDS): 900 for short videos and for cut movies, 0 "
        "for whole movies",
        type=float,
        default=900.0,
    )
    for end, default in (("first", FIRST_SECOND), ("last", LAST_SECOND)):
        parser.add_argument(
            f"--{end}-second",
            type=whole(0),
            default=default,
            metavar="S",
            help=f"{end} key frame, if the file shows it (AVA.{end.upper()}_SECOND; default %(default)s)",
        )
    parser.add_gpus("GPUs that the detector runs on, one at most", default="0")
    parser.option("--batch N", "frames at a time", type=whole(1), default=4)
    add_shard(parser, "which writes OUT")
    parser.add_workers("threads that decode ahead")


def run(args: argparse.Namespace) -> int:
    """Detect and write; 1 if a video failed."""
    model = load_detector(args.detector, args.checkpoint, one_device(args.gpus))
    parts = args.out.with_name(args.out.name + ".parts")
    if args.last_second < args.first_second:
        raise ValueError(f"--last-second {args.last_second} lies before --first-second {args.first_second}.")
    settings = {"detector": args.detector, "threshold": args.threshold}
    settings |= {"first_second": args.first_second, "last_second": args.last_second}
    check_or_write_settings(parts / "settings.json", {**settings, "movie_start_seconds": args.movie_start_seconds})
    paths = sorted(find_files(args.videos)[0], key=lambda path: os.fsencode(os.path.basename(path)))
    videos, failures = first_of_each(
        [str(args.videos / path) for path in paths],
        lambda path: parts / "boxes" / f"{video_id(path)}.csv",
        "its id is that of {first}",
    )
    videos = dict(args.shard.of(list(videos.items())))
    with WorkProgress(sum(not part.exists() for part in videos)) as progress:
        for part, path, boxes in _detect(videos, model, args):
            if isinstance(boxes, str):
                failures.append((path, boxes))
            else:
                write_boxes(part, part.stem, boxes)
            progress.step(failed=isinstance(boxes, str))
    done = [part for part in videos if part.exists()]
    if args.shard.count > 1:  # OUT is of all parts
        summary = f"{parts}: {len(done):,} of {len(videos):,} videos, in {progress.seconds:.0f} s"
    else:
        num_boxes = merge_boxes(done, args.out)
        summary = f"{args.out}: {num_boxes:,} boxes of {len(done):,} videos, in {progress.seconds:.0f} s"
    return finish(summary, failures, args.shard.table(parts / "failed.csv"))


def _detect(
    videos: dict[Path, str], model: torch.nn.Module, args: argparse.Namespace
) -> Iterator[tuple[Path, str, list[PersonBox] | str]]:
    """(file to write, video, its boxes or why there are none) of every video that has no file yet."""
    device = next(model.parameters()).device
    for part, path in videos.items():
        if part.exists():
            continue
        boxes: list[PersonBox] = []
        try:
            clock = {"start_seconds": args.movie_start_seconds, "first": args.first_second, "last": args.last_second}
            seconds = key_seconds(path, **clock)
            if not seconds:
                raise VideoReadError(f"cannot decode {path}: it shows none of the seconds of the key frames.")
            jobs = [KeyFrameJob(path, seconds[i : i + args.batch]) for i in range(0, len(seconds), args.batch)]
            for job, frames in decoded_ahead(jobs, start_seconds=args.movie_start_seconds, num_workers=args.workers):
                if isinstance(frames, VideoReadError):
                    raise frames
                boxes += detect_people(model, frames, job.seconds, threshold=args.threshold, device=device)
        except VideoReadError as error:
            yield part, path, error_text(error, path)
            continue
        yield part, path, boxes
