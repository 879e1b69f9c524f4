"""``slowfast COMMAND``: all commands behind one name; each module is imported only when it is used."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

import slowfast

# command: (module of this folder, what it does)
COMMANDS = {
    "predict": ("predict", "predict what videos, long videos and cameras show"),
    "features": ("features", "write the features that a layer computes from videos"),
    "run": ("run", "train and test what a config describes"),
    "serve": ("serve", "serve a model as a local page and a JSON API"),
    "submit": ("submit", "submit a run to Slurm and requeue it when it is preempted"),
    "env": ("env", "show versions, devices, codecs and process groups of this machine"),
    "info": ("info", "show parameters, GFLOPs, memory and shapes of a config's model"),
    "motion": ("motion", "write the built-in Motion data set of video files"),
    "ablate": ("ablate", "train and test configs with several seeds, and write one table"),
    "prepare-data": ("prepare.main", "prepare lists, checks, smaller copies and frames of videos"),
    "benchmark": ("benchmark", "measure model steps and data loading on this machine"),
    "convert": ("convert", "convert weights to PySlowFast's naming or ours"),
    "zoo": ("zoo", "list the published weights by name"),
    "eval-ava": ("eval_ava", "compute the frame mAP of AVA detection files and their ensembles"),
    "explain": ("explain", "show where in a video a model finds evidence for a class"),
    "report": ("report", "write one HTML page that compares runs"),
    "ensemble": ("ensemble", "average the scores of several tests"),
    "finetune": ("finetune.main", "train on videos in one folder per class"),
    "folds": ("folds", "average the accuracy over the three splits of UCF101 or HMDB51"),
    "export": ("export", "write a model as a torch.export program and as ONNX"),
    "demo": ("demo", "write Motion, train SlowFast and Slow-only on it, and compare them"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command named first; the exit code."""
    argv = list(sys.argv[1:] if argv is None else argv)
    if not argv or argv[0] in ("-h", "--help"):
        print(usage())
        return 0 if argv else 2
    if argv[0] == "--version":
        print(f"slowfast {slowfast.__version__}")
        return 0
    if argv[0] not in COMMANDS:
        print(f"slowfast: there is no command {argv[0]!r}.\n\n{usage()}", file=sys.stderr)
        return 2
    module = importlib.import_module(f"slowfast.cli.{COMMANDS[argv[0]][0]}")
    return module.main(argv[1:]) or 0


def usage() -> str:
    """The list of commands."""
    lines = [f"  {name:<12} {meaning}" for name, (_, meaning) in COMMANDS.items()]
    return "usage: slowfast COMMAND [ARGUMENTS]\n\n" + "\n".join(lines) + "\n\nslowfast COMMAND --help tells more."


if __name__ == "__main__":
    sys.exit(main())
