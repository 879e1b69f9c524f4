"""``slowfast finetune``: from folders of videos to a model that knows their classes, in one command.

It measures the videos, makes choices, prints each with its reason, writes them to a YAML file, and runs that, as
``slowfast run --cfg OUTPUT/finetune.yaml`` does.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from slowfast.cli.arguments import Parser, command, command_parser, config_overrides, typed_line
from slowfast.cli.configs import load_config
from slowfast.cli.finetune.plan import (
    Machine,
    Setting,
    batch_settings,
    clip_settings,
    counts_table,
    freezing_settings,
    imbalance_advice,
    merged,
    recipe_text,
    schedule_settings,
    task_settings,
)
from slowfast.cli.finetune.start import Start, find_start
from slowfast.cli.finetune.videos import Videos, find_videos
from slowfast.cli.run import run_job
from slowfast.config import CfgNode, with_overrides
from slowfast.config.files import parse_yaml
from slowfast.config.merge import leaves, override_layers
from slowfast.config.rules.common import value_of
from slowfast.datasets.contract import SPLITS
from slowfast.engine.checkpoint import BEST_NAME
from slowfast.engine.launch import check_gpus, launch
from slowfast.engine.training_memory import TrainingMemory, free_memory
from slowfast.preparation.list_files import write_lists
from slowfast.utils.environment import num_gpus
from slowfast.utils.untrusted import read_json, read_text
from slowfast.visualization.report.page import write_report

RECIPE = "finetune.yaml"
EXAMPLE = """
slowfast finetune pets --from SLOWFAST_8x8_R50 --output outputs/pets
slowfast finetune pets --from outputs/mine/checkpoints/best.pyth --output outputs/pets --dry-run
slowfast finetune motion --from none --cfg Motion/SLOWFAST_4x4_R18 --output outputs/motion
"""


def build_parser() -> Parser:
    """The command line."""
    parser = command_parser(
        "finetune",
        description="Train on videos in one folder per class: split them, fit clips, batch and learning "
        "rate to them and to this machine, train from given weights, keep the best checkpoint, test it. All choices "
        "are printed with their reasons and written as a config; KEY value pairs replace them.",
        example=EXAMPLE,
        takes_overrides=True,
    )
    parser.add_argument(
        "videos", type=Path, metavar="VIDEOS_BY_CLASS", help="folder of CLASS/VIDEO, or of train, val and test above"
    )
    parser.option(
        "--from NAME",
        "a name that `slowfast zoo` lists, a file of weights, or none: from zero",
        dest="weights",
        required=True,
    )
    parser.add_cfg(required=False)
    parser.add_output("folder for lists, config, checkpoints and results", required=True)
    parser.add_split(default=" (default 0.7 0.15 0.15, where the folders do not say)")
    parser.add_gpus(default="auto")
    parser.add_workers()
    parser.option("--dry-run", "write lists and config, print the rest, train nothing")
    parser.option("--overwrite", "replace lists with other content")
    return parser


def make_plan(
    start: Start, videos: Videos, machine: Machine, *, overrides: Sequence[Any], output: Path
) -> dict[str, list[Setting]]:
    """Heading -> settings over ``start``, in reading order: for the network, the videos, the machine; ``overrides``."""
    given = _given(start.cfg, overrides)
    machine = replace(machine, num_gpus=given.get("NUM_GPUS", machine.num_gpus))
    cfg = with_overrides(start.cfg, overrides)
    num_train = len(videos.lists.rows["train"])
    from_weights = bool(start.weights)
    sections: dict[str, list[Setting]] = {}

    def choose(heading: str, settings: Iterable[Setting]) -> CfgNode:
        """The config with settings that the user left open."""
        sections[heading] = [setting for setting in settings if setting.key not in given]
        flat = [entry for setting in sections[heading] for entry in (setting.key, setting.value)]
        return with_overrides(cfg, flat)

    cfg = choose("the task", task_settings(cfg, videos.class_names))
    cfg = choose("clips", clip_settings(cfg, videos.seconds()))
    if from_weights:
        sizes = {"num_train": num_train, "num_classes": len(videos.class_names)}
        cfg = choose("what learns", freezing_settings(cfg, **sizes))
    if machine.num_gpus:
        cfg = choose("precision", [Setting("TRAIN.MIXED_PRECISION", True, "16 bit: less memory, faster")])
    memory = TrainingMemory.from_config(cfg)
    fitted = batch_settings(cfg, machine, num_train=num_train, memory=memory, from_weights=from_weights)
    cfg = choose("batch", fitted)
    schedule = schedule_settings(
        start.cfg,
        batch=cfg.TRAIN.BATCH_SIZE,
        num_train=num_train,
        from_weights=from_weights,
        keeps_rate=start.keeps_rate or cfg.MODEL.DETACH_FINAL_FC,
        norm_frozen=cfg.MODEL.FROZEN_BN,
        rate=given.get("SOLVER.BASE_LR"),
        epochs=given.get("SOLVER.MAX_EPOCH"),
    )
    choose("schedule", schedule)
    sections["files"] = list(_file_settings(start, output))
    sections["as you said"] = [Setting(key, value, "as you said") for key, value in given.items()]
    return sections


def _given(cfg: CfgNode, overrides: Sequence[Any]) -> dict[str, Any]:
    """Key -> value that the user set."""
    changed = with_overrides(cfg, overrides)
    keys = [key for layer in override_layers(overrides) for key, _ in leaves(layer.tree)]
    return {key: value_of(changed, key) for key in keys}


def _file_settings(start: Start, output: Path) -> Iterator[Setting]:
    output = output.resolve()
    yield Setting("OUTPUT_DIR", str(output), "checkpoints, logs, results")
    yield Setting("DATA.PATH_TO_DATA_DIR", str(output / "lists"), "train.csv, val.csv, test.csv, classids.json")
    yield Setting("TEST.CHECKPOINT_FILE_PATH", str(output / "checkpoints" / BEST_NAME), "the best weights are tested")
    if start.weights != start.cfg.TRAIN.CHECKPOINT_FILE_PATH:
        yield Setting("TRAIN.CHECKPOINT_FILE_PATH", start.weights, start.origin)


def describe_videos(videos: Videos, root: Path) -> str:
    """Classes, splits, and how many videos each has."""
    counts = videos.counts()
    of_splits = ", ".join(f"{len(videos.lists.rows[split]):,} {split}" for split in SPLITS)
    lines = [f"videos: {of_splits} of {len(counts)} classes in {root}; for training"]
    lines += counts_table(videos.class_names, counts)
    lines += [f"  {text}" for text in (*videos.lists.notes, *imbalance_advice(counts))]
    return "\n".join(lines)


def describe_plan(plan: Mapping[str, Sequence[Setting]]) -> str:
    """Every setting with its reason, below its heading."""
    parts = {heading: "".join(f"\n  {setting}" for setting in settings) for heading, settings in plan.items()}
    return "\n".join(f"{heading}:{lines}" for heading, lines in parts.items() if lines)


def write_recipe(path: Path, text: str, *, overwrite: bool) -> None:
    """Write the config. An existing one with the same settings, whatever its comments, is accepted: a stopped run
    resumes.

    Raises:
        ValueError: a different one exists.
    """
    settings = partial(parse_yaml, source=str(path))
    if path.is_file() and not overwrite and settings(read_text(path)) != settings(text):
        raise ValueError(
            f"{path} has other settings: nothing was written. Run it as it is (slowfast run --cfg "
            f"{shlex.quote(str(path))}), name another --output, or replace it with --overwrite."
        )
    path.write_text(text, encoding="utf-8")


@command(build_parser)
def main(args: argparse.Namespace) -> int:
    """Plan, write, train, test."""
    config_overrides(args, output="OUTPUT_DIR", gpus="NUM_GPUS")  # refuses a flag together with its key
    start = find_start(args.weights, args.cfg)
    machine = _machine(args)
    videos = find_videos(args.videos, split=args.split, seed=args.seed, num_workers=args.workers)
    print(describe_videos(videos, args.videos), flush=True)
    plan = make_plan(start, videos, machine, overrides=args.opts, output=args.output)
    print(describe_plan(plan), flush=True)
    recipe = args.output / RECIPE
    _write(args, start, videos, merged(plan.values()))
    print(f"lists: {args.output / 'lists'}\nconfig: {recipe}; `slowfast run --cfg {shlex.quote(str(recipe))}` runs it")
    if args.dry_run:
        return 0
    sys.stdout.flush()
    launch(run_job, load_config(recipe))
    print(finish(args.output))
    return 0


def _machine(args: argparse.Namespace) -> Machine:
    gpus = num_gpus() if args.gpus in (None, "auto") else args.gpus
    check_gpus(gpus)
    return Machine(gpus, args.workers, free_memory(gpus))


def _write(args: argparse.Namespace, start: Start, videos: Videos, settings: Mapping[str, Setting]) -> None:
    args.output.mkdir(parents=True, exist_ok=True)
    text = recipe_text(
        settings.values(),
        base=start.base,
        others={key: value for key, value in start.settings.items() if key not in settings},
        header=[f"Written by: {typed_line('finetune', args.argv)}", f"From: {start.origin}."],
    )
    separator = value_of(start.cfg, "DATA.PATH_LABEL_SEPARATOR")
    write_lists(videos.lists, args.output / "lists", separator=separator, overwrite=args.overwrite)
    write_recipe(args.output / RECIPE, text, overwrite=args.overwrite)


def finish(output: Path) -> str:
    """Write the report; the figures of the test, where it is, and how to use the model, in words."""
    lines = []
    if (output / "results.json").is_file():  # TEST.ENABLE False leaves none
        figures = read_json(output / "results.json")["figures"]
        shown = ", ".join(f"{name} {value:.1f}" for name, value in figures.items() if isinstance(value, float))
        lines.append(f"tested: {shown} (results.json and predictions.csv in {output})")
    report = output / "report.html"
    write_report([output], report)
    best = shlex.quote(str(output / "checkpoints" / BEST_NAME))
    return "\n".join([*lines, f"report: {report}", f"predict: slowfast predict VIDEO --checkpoint {best}"])
