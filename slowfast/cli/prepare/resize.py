"""``slowfast prepare-data resize``: smaller copies of videos, from which clips can be read fast."""

from __future__ import annotations

import argparse
import os
from functools import partial
from pathlib import Path

from slowfast.cli.arguments import whole
from slowfast.cli.prepare.common import add_command, add_shard, finish, first_of_each
from slowfast.preparation.files import check_or_write_settings, find_files
from slowfast.preparation.jobs import Crash, run_jobs
from slowfast.preparation.resize import resize_job
from slowfast.utils.environment import num_cores
from slowfast.utils.progress import WorkProgress

PRESETS = ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow")
EXAMPLE = "  slowfast prepare-data resize data/k400/original data/k400/videos --short-side 256"


def add_parser(commands) -> None:
    """Add the command line of ``resize``."""
    parser = add_command(
        commands,
        "resize",
        run,
        summary="copies with a short side of 256 or 320, H.264 with many keyframes, no sound",
        description="Copy a folder of videos to one of .mp4 files of the same names: H.264, short side as given, sides "
        "even, many keyframes, no sound, every frame at its time, upright. A copy appears once it holds as many frames "
        "as its source. Videos that cannot be decoded whole are listed in OUT/failed.csv. A later run makes "
        "what is missing, and anew what is older than its source.",
        example=EXAMPLE,
    )
    parser.add_argument("videos", type=Path, help="folder of videos, searched to its depths")
    parser.add_argument("out", type=Path, help="folder to write")
    parser.option(
        "--short-side N",
        "pixels (default 256; 320 keeps all that scale jitter up to 320 uses); smaller videos keep their size",
        type=whole(1),
        default=256,
    )
    parser.option("--keyframe-interval N", "most frames from one keyframe to the next", type=whole(1), default=32)
    parser.option("--crf 0-51", "quality of x264; smaller is better", type=whole(0, 51), default=20)
    parser.option("--preset", "effort of x264", default="fast", choices=PRESETS)
    add_shard(parser, "which tries again what failed and says how it ended")
    parser.add_workers()


def run(args: argparse.Namespace) -> int:
    """Make the copies; 1 if one failed."""
    if args.videos.resolve() == args.out.resolve():
        raise ValueError(f"{args.out} is the folder of the videos itself: name another one for the copies.")
    videos, others = find_files(args.videos)
    options = {"short_side": args.short_side, "keyframe_interval": args.keyframe_interval, "crf": args.crf}
    options["preset"] = args.preset
    check_or_write_settings(args.out / "resize.json", options)
    why = "its copy would be called {key}, as that of {first}"
    targets, clashes = first_of_each(videos, lambda video: os.path.splitext(video)[0] + ".mp4", why)
    failures = [(str(args.videos / video), why) for video, why in clashes]
    jobs = [(str(args.videos / source), str(args.out / target)) for target, source in targets.items()]
    jobs = args.shard.of(jobs)
    left = [job for job in jobs if not _is_done(*job)]
    # with few and long videos, the cores left over help each of them
    threads = max(1, num_cores() // max(1, min(args.workers, len(left))))
    with WorkProgress(len(left)) as progress:
        for index, result in run_jobs(
            partial(resize_job, num_threads=threads, **options), left, num_workers=args.workers
        ):
            why = result.reason if isinstance(result, Crash) else result
            if why:
                failures.append((left[index][0], why))
            progress.step(failed=bool(why))
    done = [job for job in jobs if _is_done(*job)]
    before, after = (sum(os.path.getsize(job[side]) for job in done) for side in (0, 1))
    ignored = f"; {len(others):,} files that are no videos were left" if others else ""
    summary = (
        f"{args.out}: {len(done):,} of {len(jobs):,} videos, {len(left) - progress.num_failed:,} of them now, in "
        f"{progress.seconds:.0f} s; {before / 1e6:,.1f} MB became {after / 1e6:,.1f}{ignored}"
    )
    return finish(summary, sorted(failures), args.shard.table(args.out / "failed.csv"))


def _is_done(source: str, target: str) -> bool:
    try:
        return os.path.getmtime(target) >= os.path.getmtime(source)
    except OSError:
        return False
