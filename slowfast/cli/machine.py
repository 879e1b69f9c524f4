"""The GPUs of this machine: what --gpus means, and the command line to use when a config asks for more."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from slowfast.cli.arguments import typed_line
from slowfast.config import CfgNode
from slowfast.engine.launch import LaunchError, check_gpus
from slowfast.utils.environment import num_gpus


def check_gpus_of(cfg: CfgNode, *, command: str, argv: Sequence[str]) -> None:
    """Check that this machine has NUM_GPUS.

    Raises:
        LaunchError: it has fewer; the message repeats ``argv`` with settings that fit.
    """
    present = num_gpus()
    if cfg.NUM_GPUS <= present:
        return
    line = typed_line(command, [*_without_gpus(argv), *settings_for(cfg, present)])
    raise LaunchError(
        f"NUM_GPUS={cfg.NUM_GPUS}, but torch sees {present} GPU{'s' * (present != 1)} here. "
        f"{f'With {present}' if present else 'On the CPU'}:\n  {line}"
    )


def one_device(gpus: int | str | None) -> torch.device:
    """The CPU for --gpus 0 or none at all, else the first GPU; "auto" uses one if there is one.

    Raises:
        LaunchError: more than one is requested, or there is none.
    """
    if gpus not in (None, 0, 1, "auto"):
        raise LaunchError(f"--gpus {gpus}: this command uses at most one GPU.")
    wanted = min(1, num_gpus()) if gpus == "auto" else int(gpus or 0)
    check_gpus(wanted)
    return torch.device("cuda", 0) if wanted else torch.device("cpu")


def settings_for(cfg: CfgNode, num_gpus: int) -> list[str]:
    """Overrides that run ``cfg`` on ``num_gpus`` GPUs (0: the CPU) with as many clips each as it has now.

    Learning rates scale with the batch (the linear rule).
    """
    processes, wanted = max(1, num_gpus), max(1, cfg.NUM_GPUS)
    settings: dict[str, int | str] = {"NUM_GPUS": num_gpus}
    if cfg.TRAIN.ENABLE:
        batch = max(1, cfg.TRAIN.BATCH_SIZE // wanted) * processes
        settings["TRAIN.BATCH_SIZE"] = batch
        warm_up = ["WARMUP_START_LR"] if cfg.SOLVER.WARMUP_EPOCHS else []
        for key in ("BASE_LR", *warm_up, "COSINE_END_LR"):
            if cfg.SOLVER[key]:
                settings[f"SOLVER.{key}"] = f"{cfg.SOLVER[key] * batch / cfg.TRAIN.BATCH_SIZE:.6g}"
    if cfg.TEST.ENABLE:
        settings["TEST.BATCH_SIZE"] = max(1, cfg.TEST.BATCH_SIZE // wanted) * processes
    return [str(part) for pair in settings.items() for part in pair]


def _without_gpus(argv: Sequence[str]) -> list[str]:
    """``argv`` without --gpus, which NUM_GPUS replaces."""
    kept, tokens = [], iter(argv)
    for token in tokens:
        if token == "--gpus":
            next(tokens, None)
        elif not token.startswith("--gpus="):
            kept.append(token)
    return kept
