"""``slowfast prepare-data check``: decodes every file and says which are bad."""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

from slowfast.cli.arguments import whole
from slowfast.cli.prepare.common import Shard, add_command, add_list_format, add_shard, read_list
from slowfast.preparation.files import TEXT, find_files, write_table
from slowfast.preparation.inspection import (
    VideoFacts,
    format_summary,
    inspect_video,
    is_unchanged,
    read_manifest,
    refuse_short,
    write_manifest,
)
from slowfast.preparation.jobs import Crash, run_jobs
from slowfast.utils.files import atomic_write
from slowfast.utils.progress import WorkProgress
from slowfast.video.files import VIDEO_ENDINGS

SAVE_SECONDS = 60.0  # between two writings of the manifest
EXAMPLE = """\
  slowfast prepare-data check data/k400/videos --output data/k400/check
  slowfast prepare-data check --output data/k400/check --clean-list data/k400/train.csv data/k400/train_clean.csv"""


def add_parser(commands) -> None:
    """Add the command line of ``check``."""
    parser = add_command(
        commands,
        "check",
        run,
        summary="decode every video: a manifest, and the bad ones with reasons",
        description="Decode every frame of videos. In OUTPUT, manifest.csv says of each what it holds, bad.csv which "
        "are bad and why: empty, truncated, no video at all, frames that cannot be decoded or that the header "
        "announces in vain. A later run looks only at files that are new or changed since.",
        example=EXAMPLE,
    )
    parser.add_argument("sources", nargs="*", metavar="SOURCE", help="folder of videos, list of videos, or one video")
    parser.add_output("folder of manifest.csv and bad.csv", required=True)
    parser.option("--min-frames N", "fewer are bad", type=whole(1), default=1)
    parser.option(
        "--clean-list LIST CLEAN",
        "check the videos of LIST and write its good rows to CLEAN; may be given again",
        default=[],
        action="append",
    )
    add_list_format(parser)
    add_shard(parser, "which puts the parts together")
    parser.add_workers()


def run(args: argparse.Namespace) -> int:
    """Check, write the tables, print the summary; 1 if a video is bad."""
    lists = {path: read_list(path, args) for path, _ in args.clean_list}
    paths = [path for source in args.sources for path in _paths(source, args)]
    paths += [os.path.abspath(path) for videos in lists.values() for path in videos.paths]
    paths = list(dict.fromkeys(paths))
    if not paths:
        raise ValueError("nothing to check: name a folder, a list or a video, or give --clean-list.")
    if args.shard.count > 1 and args.clean_list:
        raise ValueError(
            "--clean-list with --shard: a clean list is of all parts. Write it in the run without --shard."
        )
    start = time.monotonic()
    paths = args.shard.of(paths)
    known = _known(args.output, args.shard)
    bad_table = args.shard.table(args.output / "bad.csv")
    found = [refuse_short(facts, args.min_frames) for facts in _inspect(paths, known, args)]
    bad = [(video.path, video.error) for video in found if video.error]
    write_table(bad_table, ("path", "reason"), bad)
    for path, clean in args.clean_list:
        _write_clean_list(path, clean, lists[path], {path for path, _ in bad})
    print(format_summary(found))
    print(
        f"{args.shard.table(args.output / 'manifest.csv')}: {len(found):,} videos, in {time.monotonic() - start:.0f} s"
    )
    if bad:
        print(f"{len(bad):,} are bad: {bad_table} says which and why")
    return 1 if bad else 0


def _paths(source: str, args: argparse.Namespace) -> list[str]:
    """Absolute paths of the videos that an argument stands for."""
    if os.path.isdir(source):
        return [os.path.abspath(os.path.join(source, path)) for path in find_files(source)[0]]
    if os.path.splitext(source)[1].lower() in VIDEO_ENDINGS:
        return [os.path.abspath(source)]
    return [os.path.abspath(path) for path in read_list(source, args).paths]


def _inspect(paths: list[str], known: dict[str, VideoFacts], args: argparse.Namespace) -> list[VideoFacts]:
    """The facts of all ``paths``; those of other files stay in the manifest. Ctrl-C keeps what was found."""
    found = {path: known[path] for path in paths if path in known and is_unchanged(known[path])}
    if found:
        print(f"{len(found):,} videos are known and unchanged", flush=True)
    left = [path for path in paths if path not in found]
    saved = time.monotonic()
    try:
        with WorkProgress(len(left)) as progress:
            for index, result in run_jobs(inspect_video, left, num_workers=args.workers):
                facts = VideoFacts(left[index], error=result.reason) if isinstance(result, Crash) else result
                found[facts.path] = facts
                progress.step(failed=bool(facts.error))
                if time.monotonic() - saved > SAVE_SECONDS:
                    _save(args, known, found)
                    saved = time.monotonic()
    finally:
        _save(args, known, found)
    return [found[path] for path in paths]


def _known(out: Path, shard: Shard) -> dict[str, VideoFacts]:
    """The results of earlier runs: for one part, its own; for the whole, also those of all parts."""
    paths = [out / "manifest.csv"]
    paths += [shard.table(paths[0])] if shard.count > 1 else sorted(out.glob("manifest.*-of-*.csv"))
    return {path: facts for manifest in paths for path, facts in read_manifest(manifest).items()}


def _save(args: argparse.Namespace, known: dict[str, VideoFacts], found: dict[str, VideoFacts]) -> None:
    videos = {**known, **found} if args.shard.count == 1 else found
    write_manifest(
        args.shard.table(args.output / "manifest.csv"), (videos[path] for path in sorted(videos, key=os.fsencode))
    )


def _write_clean_list(path: str, clean: str, videos, bad: set[str]) -> None:
    """Copy the list ``path`` to ``clean`` without the rows of bad videos; everything else stays unchanged."""
    dropped = {
        int(line)
        for line, video in zip(videos.line_numbers, videos.paths, strict=True)
        if os.path.abspath(video) in bad
    }
    with open(path, **TEXT) as file:
        lines = file.read().split("\n")
    with atomic_write(clean) as draft, open(draft, "w", **TEXT) as file:
        file.write("\n".join(line for number, line in enumerate(lines, 1) if number not in dropped))
    print(f"{clean}: {len(videos) - len(dropped):,} of {len(videos):,} videos of {path}")
