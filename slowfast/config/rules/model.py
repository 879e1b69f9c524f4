"""Rules of the networks: MODEL, SLOWFAST, RESNET, NONLOCAL, BN.

The parts themselves say which names, depths and activations exist, and which labels a loss or a metric takes, before a
run starts (``engine/parts.py``).
"""

from __future__ import annotations

from collections.abc import Iterator

from fvcore.common.config import CfgNode

from slowfast.config.rules.common import above, at_least, fraction

MODEL_KINDS = ("slowfast", "resnet", "x3d", "csn", "r2plus1d")


def model_problems(cfg: CfgNode) -> Iterator[str]:
    """Everything that keeps the network from being built or its scores from meaning something."""
    yield from at_least(cfg, 1, "MODEL.NUM_CLASSES")
    yield from fraction(cfg, "MODEL.DROPOUT_RATE", "MODEL.DROPCONNECT_RATE")
    yield from at_least(cfg, 0, "MODEL.FC_INIT_STD")
    activation = cfg.MODEL.HEAD_ACT
    if cfg.DATA.MULTI_LABEL and activation == "softmax":
        yield (
            "DATA.MULTI_LABEL with MODEL.HEAD_ACT='softmax': the scores of a clip would sum to 1 although "
            "several labels hold at once. Set MODEL.HEAD_ACT to sigmoid."
        )
    if cfg.MODEL.NUM_CLASSES == 1 and activation == "softmax":
        yield "MODEL.NUM_CLASSES=1 with MODEL.HEAD_ACT='softmax': the score is always 1. Use 2, or sigmoid."
    yield from bn_problems(cfg)
    if cfg.MODEL.ACT_CHECKPOINT and cfg.MODEL.COMPILE:
        yield (
            "MODEL.ACT_CHECKPOINT with MODEL.COMPILE: compiled code itself chooses which activations to keep. Turn "
            "one off."
        )
    kind = model_kind(cfg)
    if cfg.SLOWFAST.FAST_INPUT != "rgb" and kind not in ("", "slowfast"):
        yield (
            f"SLOWFAST.FAST_INPUT={cfg.SLOWFAST.FAST_INPUT!r} with MODEL.MODEL_NAME={cfg.MODEL.MODEL_NAME}: "
            "it is for the Fast pathway of SlowFast. Set it to rgb."
        )
    if kind:
        channels, num_pathways = cfg.DATA.INPUT_CHANNEL_NUM, 2 if kind == "slowfast" else 1
        if len(channels) < num_pathways:
            yield (
                f"DATA.INPUT_CHANNEL_NUM={channels} has {len(channels)} entries; "
                f"{cfg.MODEL.MODEL_NAME} has {num_pathways} pathway(s). Set it to {[3] * num_pathways}."
            )
    if kind == "slowfast":
        yield from slowfast_problems(cfg)
    if kind in ("slowfast", "resnet"):
        yield from resnet_problems(cfg)


def model_kind(cfg: CfgNode) -> str:
    """Which network of the package is asked for, one of MODEL_KINDS; empty for anybody else's."""
    kind = cfg.MODEL.MODEL_NAME.lower().removeprefix("ptv")  # PySlowFast's names of PyTorchVideo's networks
    return kind if kind in MODEL_KINDS else ""


def slowfast_problems(cfg: CfgNode) -> Iterator[str]:
    """The two speeds and what joins them."""
    yield from at_least(cfg, 1, "SLOWFAST.ALPHA", "SLOWFAST.FUSION_CONV_CHANNEL_RATIO", "SLOWFAST.FUSION_KERNEL_SZ")
    yield from at_least(cfg, 1, "SLOWFAST.BETA_INV")
    if cfg.SLOWFAST.FAST_INPUT == "flow":
        yield from above(cfg, 0, "FLOW.BOUND")
        if cfg.DATA.RESIZE_IN_DECODER:
            yield (
                "SLOWFAST.FAST_INPUT=flow with DATA.RESIZE_IN_DECODER: flow is computed from frames as stored. Turn "
                "it off."
            )
    if cfg.SLOWFAST.FAST_INPUT in ("flow", "half_resolution") and cfg.DETECTION.ENABLE:
        yield (
            f"SLOWFAST.FAST_INPUT={cfg.SLOWFAST.FAST_INPUT} with DETECTION.ENABLE: boxes are pooled from maps of one "
            f"size, computed from RGB frames. Use rgb, gray or time_difference."
        )
    if cfg.SLOWFAST.FUSION_KERNEL_SZ % 2 == 0:
        yield f"SLOWFAST.FUSION_KERNEL_SZ={cfg.SLOWFAST.FUSION_KERNEL_SZ}: must be odd, centered on a frame."
    alpha, num_frames = cfg.SLOWFAST.ALPHA, cfg.DATA.NUM_FRAMES
    if alpha >= 1 and num_frames >= 1 and num_frames % alpha:
        yield alpha_problem(alpha, num_frames)


def alpha_problem(alpha: int, num_frames: int) -> str:
    """Message for a clip that alpha does not divide, with the nearest values that work."""
    below, over = num_frames // alpha * alpha, -(-num_frames // alpha) * alpha
    lengths = " or ".join(str(length) for length in (below, over) if length)
    *divisors, last = [divisor for divisor in range(1, min(num_frames, 9) + 1) if num_frames % divisor == 0]
    alphas = f"{', '.join(map(str, divisors))} or {last}" if divisors else str(last)
    return (
        f"SLOWFAST.ALPHA={alpha} does not divide the clip length {num_frames}: Slow holds 1 in {alpha} Fast frames. "
        f"Set DATA.NUM_FRAMES to {lengths}, or SLOWFAST.ALPHA to {alphas}."
    )


def resnet_problems(cfg: CfgNode) -> Iterator[str]:
    """Widths and the per-stage lists."""
    yield from at_least(cfg, 1, "RESNET.NUM_GROUPS", "RESNET.WIDTH_PER_GROUP")
    for key in ("NUM_BLOCK_TEMP_KERNEL", "SPATIAL_STRIDES", "SPATIAL_DILATIONS"):
        yield from stage_list_problems(f"RESNET.{key}", cfg.RESNET[key])
    for key in ("LOCATION", "GROUP"):
        yield from stage_list_problems(f"NONLOCAL.{key}", cfg.NONLOCAL[key])


def stage_list_problems(name: str, stages: list) -> Iterator[str]:
    """A list that has no entry for each of the four stages, or in it neither one number nor [slow, fast].

    One number serves every pathway, and a network of one pathway takes the first of two: so the defaults fit
    every network, and the Slow pathway of a SlowFast recipe can be built alone.
    """
    if len(stages) != 4 or not all(isinstance(stage, list) and len(stage) in (1, 2) for stage in stages):
        yield f"{name}={stages}: expected 4 entries (res2 to res5), each with 1 value or 2 ([slow, fast])."


def bn_problems(cfg: CfgNode) -> Iterator[str]:
    """Batch norm."""
    yield from at_least(cfg, 1, "BN.NUM_SPLITS", "BN.NUM_SYNC_DEVICES")
    yield from at_least(cfg, 0, "BN.WEIGHT_DECAY")
    if cfg.BN.USE_PRECISE_STATS:
        yield from above(cfg, 0, "BN.NUM_BATCHES_PRECISE")
    clips = cfg.TRAIN.BATCH_SIZE // max(1, cfg.NUM_GPUS)
    if cfg.BN.NORM_TYPE == "sub_batchnorm" and cfg.TRAIN.ENABLE and clips % max(1, cfg.BN.NUM_SPLITS):
        yield (
            f"BN.NUM_SPLITS={cfg.BN.NUM_SPLITS} does not divide the {clips} clips of a GPU "
            "(TRAIN.BATCH_SIZE / NUM_GPUS), as sub_batchnorm needs."
        )
