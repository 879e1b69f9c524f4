"""``slowfast prepare-data frames``: videos as folders of JPEG files, and their lists."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

from slowfast.cli.arguments import whole
from slowfast.cli.prepare.common import add_command, add_shard, finish, first_of_each, video_id
from slowfast.preparation.files import check_or_write_settings, find_files, write_table
from slowfast.preparation.frame_list_files import charades_labels, read_video_ids, write_frame_list
from slowfast.preparation.frames import LAYOUTS, Extraction, FrameLayout, frames_job
from slowfast.preparation.jobs import Crash, run_jobs
from slowfast.utils.progress import WorkProgress

EXAMPLE = """\
  slowfast prepare-data frames data/ava/videos data/ava --dataset ava \\
      --train data/ava/annotations/ava_train_v2.2.csv --val data/ava/annotations/ava_val_v2.2.csv
  slowfast prepare-data frames Charades_v1_480 data/charades --dataset charades \\
      --train Charades_v1_train.csv --val Charades_v1_test.csv"""


def add_parser(commands) -> None:
    """Add the command line of ``frames``."""
    parser = add_command(
        commands,
        "frames",
        run,
        summary="frames of AVA (30 fps, 15 minutes) or Charades (24 fps), and their lists",
        description="Write OUT/frames/<id>/ with the frames of every video, and OUT/frame_lists/{train,val}.csv. AVA: "
        "from second 900, 901 s, 30 a second, full size, <id>_%06d.jpg. Charades: 24 a second, long side 320, "
        "<id>-%06d.jpg. Image n shows what is on the screen (n - 1) / fps seconds after the start of the cut: the last "
        "frame whose time has come. A video is done when its folder is there; a later run makes the others.",
        example=EXAMPLE,
    )
    parser.add_argument("videos", type=Path, help="folder of videos, searched to its depths; names are ids")
    parser.add_argument("out", type=Path, help="folder to write")
    parser.option("--dataset", "decides the defaults below", required=True, choices=LAYOUTS)
    parser.option(
        "--train FILE",
        "the videos of frame_lists/train.csv: ava_train_v2.2.csv, Charades_v1_train.csv (with its labels), or one "
        "id per line",
        type=Path,
    )
    parser.option("--val FILE", "as --train, for frame_lists/val.csv", type=Path)
    parser.option(
        "--start-seconds S",
        "where to begin: 0 for files that are cut already (default: ava 900, charades 0)",
        type=float,
    )
    parser.option("--duration-seconds S", "how much; 0: all (default: ava 901)", type=float)
    parser.option("--fps N", "images per second (default: ava 30, charades 24)", type=float)
    parser.option("--long-side N", "scale down to this; 0 keeps the size (default: ava 0, charades 320)", type=whole(0))
    parser.option("--quality 1-100", "of the JPEG files (default: ava 95, charades 87)", type=whole(1, 100))
    parser.option("--min-frames N", "a video with fewer is reported (default: ava 27000, charades 1)", type=whole(1))
    add_shard(parser, "which writes the lists")
    parser.add_workers()


def run(args: argparse.Namespace) -> int:
    """Write frames and lists; 1 if a video failed or is too short."""
    names = ("start_seconds", "duration_seconds", "fps", "long_side", "quality", "min_frames")
    given = {name: getattr(args, name) for name in names if getattr(args, name) is not None}
    layout = replace(LAYOUTS[args.dataset], **given)
    lists = {split: path for split in ("train", "val") if (path := getattr(args, split)) is not None}
    listed = {s: (read_video_ids(path), _labels_of(args.dataset, path, layout)) for s, path in lists.items()}
    folder = args.out / "frames"
    check_or_write_settings(args.out / "frames.json", {"dataset": args.dataset, **asdict(layout)})
    paths = [os.path.join(args.videos, path) for path in find_files(args.videos)[0]]
    videos, failures = first_of_each(paths, video_id, "its id is that of {first}")
    videos = dict(args.shard.of(list(videos.items())))
    left = [(path, str(folder / name)) for name, path in videos.items() if not (folder / name).is_dir()]
    with WorkProgress(len(left)) as progress:
        for index, result in run_jobs(partial(frames_job, layout=layout), left, num_workers=args.workers):
            result = Extraction(0, result.reason) if isinstance(result, Crash) else result
            if result.problem:
                failures.append((left[index][0], result.problem))
            progress.step(failed=bool(result.problem))
    counts = {name: _count_images(folder / name) for name in videos if (folder / name).is_dir()}
    flagged = {path for path, _ in failures}
    for name, count in counts.items():  # also those of earlier runs
        if count < layout.min_frames and videos[name] not in flagged:
            failures.append((videos[name], f"{count:,} frames, expected at least {layout.min_frames:,}"))
    if args.shard.count == 1:  # the lists are of all parts
        _write_frame_lists(args, listed, counts, layout)
    summary = (
        f"{folder}: {sum(counts.values()):,} frames of {len(counts):,} videos, "
        f"{sum(os.path.basename(job[1]) in counts for job in left):,} of them written now, in {progress.seconds:.0f} s"
    )
    return finish(summary, failures, args.shard.table(args.out / "failed.csv"))


def _labels_of(dataset: str, path: Path, layout: FrameLayout) -> Callable[[str, int], list[int]]:
    """A function that gives the labels of a frame of a video of a list."""
    with open(path, encoding="utf-8-sig", errors="surrogateescape") as file:
        has_actions = dataset == "charades" and "actions" in file.readline()
    if has_actions:
        return charades_labels(path, fps=layout.fps, start_seconds=layout.start_seconds)
    return lambda _video_id, _frame: []


def _count_images(folder: Path) -> int:
    return sum(entry.name.endswith(".jpg") for entry in os.scandir(folder))


def _write_frame_lists(
    args: argparse.Namespace, listed: dict[str, tuple[list[str], Callable]], counts: dict[str, int], layout: FrameLayout
) -> None:
    """Write the list of each split, and say which of its videos have no frames."""
    first_id = 0 if args.dataset == "ava" else 1
    missing = []
    for split, (video_ids, labels_of) in listed.items():
        path = args.out / "frame_lists" / f"{split}.csv"
        there = {name: counts[name] for name in video_ids if name in counts}
        missing += [(split, name) for name in video_ids if name not in counts]
        write_frame_list(path, there, name=layout.name, first_id=first_id, labels_of=labels_of)
        print(f"{path}: {sum(there.values()):,} frames of {len(there):,} videos")
    if not missing:
        (args.out / "missing.csv").unlink(missing_ok=True)  # of an earlier run
    else:
        write_table(args.out / "missing.csv", ("split", "video_id"), missing)
        print(f"{len(missing):,} videos of these lists have no frames: {args.out / 'missing.csv'}")
    if not listed:
        print("no frame list was written: --train and --val say which videos belong to it")
