"""``slowfast prepare-data lists``: the lists that training reads."""

from __future__ import annotations

import argparse
from pathlib import Path

from slowfast.cli.prepare.common import add_command
from slowfast.datasets.contract import SPLITS
from slowfast.datasets.lists.path_labels import read_class_names
from slowfast.preparation.folder_lists import folder_lists
from slowfast.preparation.kinetics_lists import kinetics_lists
from slowfast.preparation.list_files import DatasetLists, write_lists

EXAMPLE = """\
  slowfast prepare-data lists data/k400/videos data/k400 --annotations data/k400/annotations/*.csv --test-from-val
  slowfast prepare-data lists data/pets/videos data/pets --split 0.8 0.1 0.1"""


def add_parser(commands) -> None:
    """Add the command line of ``lists``."""
    parser = add_command(
        commands,
        "lists",
        run,
        summary="train.csv, val.csv, test.csv, class names, and what is missing",
        description="Write train.csv, val.csv and test.csv (rows `path label`), classids.json, missing.csv (annotated "
        "videos that are not there) and unlisted.csv (files that are in no list). With --annotations, videos are found "
        "by Kinetics' names in any layout of folders. Without, folders are classes, below train/, val/, test/ or "
        "divided by --split. Labels are the ranks of class names in byte-wise order, as in Kinetics.",
        example=EXAMPLE,
    )
    parser.add_argument("videos", type=Path, help="folder of the videos")
    parser.add_argument("out", type=Path, help="folder to write the lists into (DATA.PATH_TO_DATA_DIR)")
    parser.option("--annotations FILE", "Kinetics' CSV or JSON files", type=Path, nargs="+")
    parser.option(
        "--classes FILE",
        "class names in the order of labels: .json or one per line. Default: all names there are, sorted",
        type=Path,
    )
    parser.add_split()
    parser.option("--test-from-val", "make test.csv a copy of val.csv, as is usual where test labels are held back")
    parser.option(
        "--relative-to DIR",
        "folder that paths are relative to (DATA.PATH_PREFIX). Default: OUT for videos below it; others get "
        "absolute paths",
        type=Path,
    )
    parser.option(
        "--separator SEPARATOR", "between path and label (DATA.PATH_LABEL_SEPARATOR; default one space)", default=" "
    )
    parser.option("--overwrite", "replace lists with other content")


def run(args: argparse.Namespace) -> int:
    """Write the lists and print what is in them."""
    names = None if args.classes is None else read_class_names(args.classes)
    if args.annotations is None:
        lists = folder_lists(args.videos, fractions=args.split, seed=args.seed, class_names=names)
    elif args.split is not None:
        raise ValueError("--split is for folders of classes; the annotations say which split a video belongs to.")
    else:
        lists = kinetics_lists(args.annotations, args.videos, class_names=names)
    if args.test_from_val:
        if not lists.rows["val"]:
            raise ValueError("--test-from-val: there is no video in val to copy.")
        lists.rows["test"] = list(lists.rows["val"])
    write_lists(lists, args.out, separator=args.separator, relative_to=args.relative_to, overwrite=args.overwrite)
    print(_summary(lists, args.out))
    return 0 if any(lists.rows.values()) else 1


def _summary(lists: DatasetLists, out: Path) -> str:
    counts = ", ".join(f"{len(lists.rows[split]):,} {split}" for split in SPLITS)
    lines = [*lists.notes]
    if lists.missing:
        lines.append(f"missing videos are listed in {out / 'missing.csv'}")
    if lists.unlisted:
        lines.append(f"{len(lists.unlisted):,} files are in no list: {out / 'unlisted.csv'} says why")
    unlabeled = sum(label is None for label in (row[1] for rows in lists.rows.values() for row in rows))
    if unlabeled:
        lines.append(f"{unlabeled:,} rows have no label: the annotations hold it back")
    absent = [f"{split}.csv" for split in SPLITS if not lists.rows[split]]
    if absent:
        lines.append(f"not written, for want of videos: {', '.join(absent)}")
    lines.append(f"{out}: {counts} videos of {len(lists.class_names):,} classes (MODEL.NUM_CLASSES)")
    return "\n".join(lines)
