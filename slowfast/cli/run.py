"""``slowfast run``: train and test what a config describes."""

from __future__ import annotations

import argparse
import logging
import shlex
from collections.abc import Sequence
from pathlib import Path

from slowfast.cli.arguments import Parser, command, command_parser, config_overrides, whole
from slowfast.cli.configs import check_output_folders, load_config
from slowfast.cli.demo_keys import predict_arguments
from slowfast.cli.drawings import check_drawings, draw_run, draws_alone, train_and_draw
from slowfast.cli.machine import check_gpus_of
from slowfast.cli.predict import main as predict
from slowfast.config import CfgNode, ConfigError, get_cfg, warnings_of
from slowfast.config.files import existing_config
from slowfast.config.merge import key_names
from slowfast.config.origins import inferred
from slowfast.config.rules.common import value_of
from slowfast.engine.backends import Backends, faults_here
from slowfast.engine.launch import launch
from slowfast.engine.parts import check_parts
from slowfast.engine.tasks import test
from slowfast.utils import distributed
from slowfast.utils.environment import outdated_packages, versions
from slowfast.visualization.report.page import write_report

logger = logging.getLogger(__name__)

EXAMPLE = """
slowfast run --cfg Kinetics/SLOWFAST_8x8_R50 DATA.PATH_TO_DATA_DIR /data/k400
slowfast run --cfg Kinetics/SLOWFAST_8x8_R50 --checkpoint weights.pyth TRAIN.ENABLE False
slowfast run --cfg a.yaml b.yaml --gpus 0          (two jobs, one after the other)
torchrun --nproc-per-node 8 -m slowfast run --cfg a.yaml
"""
# What a run does, in this order: the key that asks for it, and what does it.
STEPS = {"TRAIN.ENABLE": train_and_draw, "TEST.ENABLE": test}


def build_parser() -> Parser:
    """The command line."""
    parser = command_parser(
        "run",
        description="Train and test the model that a config describes. The flags set config keys; the log names the "
        "folder with the results.",
        example=EXAMPLE,
        takes_overrides=True,
    )
    add_run_arguments(parser)
    # With underscores, as PySlowFast spells them; other commands have no such flags.
    parser.option("--num-shards --num_shards N", "machines (NUM_SHARDS)", type=whole(1))
    parser.option("--shard-id --shard_id N", "index of this machine, from 0 (SHARD_ID)", type=whole(0))
    parser.option(
        "--init-method --init_method URL",
        "address where the processes meet, tcp://HOST:PORT (default: a free port on this machine)",
        default="",
    )
    return parser


def add_run_arguments(parser: Parser) -> None:
    """The arguments of a run, for `slowfast run` and for commands that start it elsewhere."""
    parser.add_cfg(several="several run one after the other")
    parser.add_output("folder for checkpoints, logs and results (OUTPUT_DIR; default: outputs/ and the recipe's name)")
    parser.add_checkpoint(
        "weights to start training from, or to test without training: a file, a URL or a name that `slowfast zoo` "
        "lists (TRAIN.CHECKPOINT_FILE_PATH, TEST.CHECKPOINT_FILE_PATH)",
    )
    parser.add_gpus("GPUs on this machine (NUM_GPUS)")
    parser.option("--workers N", "loader processes per GPU (DATA_LOADER.NUM_WORKERS)", type=whole(0))


def check_config_names(names: Sequence[str]) -> None:
    """Check that none of ``names`` is a config key, in lower case or with a colon; else end as a parser does."""
    parser, keys = build_parser(), key_names(get_cfg())
    for name in names:
        if existing_config(name, folder=Path()) is not None:
            continue
        key, colon, value = name.partition(":")
        if colon and key.upper() in keys:
            parser.error(f"{name!r} is not a config. Write {key.upper()}={value or 'VALUE'} or {key.upper()} VALUE.")
        if name.partition("=")[0].upper() in keys:
            parser.error(f"{name!r} is not a config. Keys are upper case: {name.upper()}.")


def overrides_of(args: argparse.Namespace, **more: str) -> list:
    """The config keys that the command line sets, by flags or KEY value pairs.

    Args:
        more: additional flags -> their keys.
    """
    keys = {"output": "OUTPUT_DIR", "gpus": "NUM_GPUS", "workers": "DATA_LOADER.NUM_WORKERS"}
    return config_overrides(args, **keys, num_shards="NUM_SHARDS", shard_id="SHARD_ID", **more)


def load_job(name: str, args: argparse.Namespace) -> CfgNode:
    """The config of one job."""
    cfg = load_config(name, overrides_of(args))
    if args.checkpoint:
        group = "TRAIN" if cfg.TRAIN.ENABLE else "TEST"
        cfg = load_config(name, overrides_of(args, checkpoint=f"{group}.CHECKPOINT_FILE_PATH"))
    check_has_steps(cfg, name)
    check_parts(cfg)
    check_drawings(cfg)
    return cfg


def check_has_steps(cfg: CfgNode, name: str) -> None:
    """Check that a run of ``cfg`` does anything.

    Raises:
        ConfigError: it would do nothing; the message says what to set.
    """
    if cfg.DEMO.ENABLE or has_job(cfg):
        return
    advice = "Set one of them True."
    if cfg.TENSORBOARD.ENABLE:
        advice = (
            "TENSORBOARD.ENABLE: TensorBoard shows what training and tests write. Alone, it draws an earlier test "
            "(TENSORBOARD.PREDICTIONS_PATH) or a model at work (TENSORBOARD.MODEL_VIS.ENABLE)."
        )
    raise ConfigError(f"{name} has nothing to run: {' and '.join(STEPS)} are False. {advice}")


def has_job(cfg: CfgNode) -> bool:
    """Whether anything is trained or tested, or drawn without either."""
    return any(value_of(cfg, key) for key in STEPS) or draws_alone(cfg)


def run_job(cfg: CfgNode) -> None:
    """Train, then test, as the config says; in one process of a job."""
    if distributed.is_main():
        Path(cfg.OUTPUT_DIR, "config.yaml").write_text(cfg.dump(), encoding="utf-8")
        _log_start(cfg)
    for key, step in STEPS.items():
        if value_of(cfg, key):
            step(cfg)
    if cfg.TEST.ENABLE and cfg.TEST.REPORT and distributed.is_main():
        path = Path(cfg.OUTPUT_DIR, "report.html")
        write_report([cfg.OUTPUT_DIR], path)
        logger.info("wrote %s", path)
    draw_run(cfg)


def _log_start(cfg: CfgNode) -> None:
    """Log the environment of the run, what was chosen for its user, and which settings have no effect."""
    found = versions()
    logger.info(
        "slowfast %s on %s; the whole config is in %s/config.yaml",
        found.pop("slowfast"),
        found.pop("device"),
        cfg.OUTPUT_DIR,
    )
    logger.info("%s", ", ".join(f"{name} {version}" for name, version in found.items()))
    for setting, because in inferred(cfg).items():
        logger.info("%s (%s)", setting, because)
    if cfg.NUM_GPUS:
        logger.info("%s", Backends.from_config(cfg))
    for sentence in (*outdated_packages(), *faults_here(cfg), *warnings_of(cfg)):
        logger.warning(sentence)


@command(build_parser)
def main(args: argparse.Namespace) -> int:
    """Run all jobs of the command line."""
    check_config_names(args.cfg)
    configs = [load_job(name, args) for name in args.cfg]  # all of them before the first job starts
    check_output_folders(configs, args.cfg)
    for cfg in configs:
        check_gpus_of(cfg, command="run", argv=args.argv)
    demos = [demo_words(cfg, name, args) for cfg, name in zip(configs, args.cfg, strict=True) if cfg.DEMO.ENABLE]
    for cfg in configs:
        if has_job(cfg):
            launch(run_job, cfg, init_method=args.init_method)
    return max((_run_demo(words) for words in demos), default=0)


def demo_words(cfg: CfgNode, name: str, args: argparse.Namespace) -> list[str]:
    """The arguments of ``slowfast predict`` for the DEMO keys of a job: with the weights that it trains, or
    --checkpoint."""
    tests = {} if cfg.TRAIN.ENABLE or not args.checkpoint else {"checkpoint": "TEST.CHECKPOINT_FILE_PATH"}
    return predict_arguments(cfg, name, overrides_of(args, **tests))


def _run_demo(words: Sequence[str]) -> int:
    """Do what the DEMO keys say, and print the equivalent command."""
    print(f"DEMO.ENABLE: slowfast predict {shlex.join(words)}", flush=True)
    return predict(words)
