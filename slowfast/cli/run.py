"""Train and test: ``python tools/run_net.py --cfg configs/Kinetics/SLOWFAST_8x8_R50.yaml KEY value ...``."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from slowfast.cli.errors import report_errors
from slowfast.config import CfgNode, find, load_cfg
from slowfast.engine.build_trainer import train
from slowfast.engine.launch import launch
from slowfast.engine.tasks import test
from slowfast.utils import distributed
from slowfast.utils.environment import versions

logger = logging.getLogger(__name__)

_EPILOG = """
examples:
  python tools/run_net.py --cfg configs/Kinetics/SLOWFAST_8x8_R50.yaml DATA.PATH_TO_DATA_DIR /data/k400
  python tools/run_net.py --cfg configs/Kinetics/SLOWFAST_8x8_R50.yaml TRAIN.ENABLE False \\
      TEST.CHECKPOINT_FILE_PATH weights.pyth
  python tools/run_net.py --cfg A.yaml B.yaml NUM_GPUS 0      (two jobs, one after the other)
  torchrun --nproc_per_node 8 tools/run_net.py --cfg A.yaml
"""


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parsed arguments: ``cfg_files`` and ``opts`` (KEY value pairs) beside the flags.

    The first token after --cfg that ends in neither .yaml nor .yml starts the overrides, with --opts or without.
    """
    parser = argparse.ArgumentParser(
        prog="run_net.py",
        description="Train and test what a config describes.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--cfg",
        dest="cfg_files",
        nargs="+",
        required=True,
        metavar="FILE.yaml",
        help="configs; several are jobs run in turn",
    )
    parser.add_argument(
        "--opts",
        nargs=argparse.REMAINDER,
        default=[],
        metavar="KEY value",
        help="overrides; the word --opts may be left out",
    )
    parser.add_argument("--num_shards", type=int, help="number of machines (NUM_SHARDS)")
    parser.add_argument("--shard_id", type=int, help="number of this machine, from 0 (SHARD_ID)")
    parser.add_argument(
        "--init_method", default="", help="where the processes meet, tcp://HOST:PORT; default a free port here"
    )
    args = parser.parse_args(argv)
    is_yaml = [token.endswith((".yaml", ".yml")) for token in args.cfg_files]
    num_files = is_yaml.index(False) if False in is_yaml else len(is_yaml)
    if num_files == 0:
        parser.error(f"--cfg needs a .yaml file first, got {args.cfg_files[0]!r}")
    args.opts = args.cfg_files[num_files:] + args.opts
    args.cfg_files = args.cfg_files[:num_files]
    for flag, key in (("num_shards", "NUM_SHARDS"), ("shard_id", "SHARD_ID")):
        if getattr(args, flag) is not None:
            args.opts += [key, getattr(args, flag)]
    return args


def run_job(cfg: CfgNode) -> None:
    """Train, then test, as the config says; in one process of a job."""
    if distributed.is_main():
        Path(cfg.OUTPUT_DIR, "config.yaml").write_text(cfg.dump(), encoding="utf-8")
    found = ", ".join(f"{name} {version}" for name, version in versions().items())
    logger.info("%s; the whole config is in %s", found, Path(cfg.OUTPUT_DIR, "config.yaml"))
    if cfg.TRAIN.ENABLE:
        train(cfg)
    if cfg.TEST.ENABLE:
        test(cfg)


@report_errors
def main(argv: Sequence[str] | None = None) -> int:
    """Run all jobs of the command line."""
    args = parse_args(argv)
    paths = [Path(name) if Path(name).is_absolute() or Path(name).exists() else find(name) for name in args.cfg_files]
    configs = [load_cfg(path, overrides=args.opts) for path in paths]  # all of them before the first job starts
    for cfg in configs:
        launch(run_job, cfg, init_method=args.init_method)
    return 0


if __name__ == "__main__":
    sys.exit(main())
