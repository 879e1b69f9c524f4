"""Rules of clips, crops, views and loading: DATA, DATA_LOADER, TEST, AUG, MIXUP."""

from __future__ import annotations

from collections.abc import Iterator

from fvcore.common.config import CfgNode

from slowfast.config.rules.common import above, at_least, clips_per_video, fraction, one_of, value_of


def data_problems(cfg: CfgNode) -> Iterator[str]:
    """Everything that prevents the requested clips and views."""
    yield from at_least(cfg, 1, "DATA.NUM_FRAMES", "DATA.SAMPLING_RATE", "DATA.TRAIN_CROP_SIZE", "DATA.TEST_CROP_SIZE")
    yield from at_least(cfg, 1, "TEST.NUM_ENSEMBLE_VIEWS", "DATA_LOADER.PREFETCH_FACTOR", "DATA.DECODING_SHORT_SIZE")
    yield from at_least(cfg, 0, "DATA_LOADER.NUM_WORKERS", "DATA.DECODER_THREADS", "DATA.DECODE_TIMEOUT")
    yield from above(cfg, 0, "DATA.TARGET_FPS")
    yield from at_least(cfg, 0, "DATA.TRAIN_JITTER_FPS", "DATA.SKIP_ROWS", "DATA.MAX_BAD_VIDEOS")
    yield from one_of(cfg, "DATA.CHECK_FILES", ("sample", "all", "none"))
    yield from one_of(cfg, "DATA.FOLD", (1, 2, 3))
    if not cfg.DATA.PATH_LABEL_SEPARATOR:
        yield 'DATA.PATH_LABEL_SEPARATOR is empty; set the separator between path and label, e.g. " " or ",".'
    for key in ("MEAN", "STD"):
        values = cfg.DATA[key]
        if len(values) != 3:
            yield f"DATA.{key}={values} has {len(values)} entries; expected 3, one for each of R, G and B."
    if any(value <= 0 for value in cfg.DATA.STD):
        yield f"DATA.STD={cfg.DATA.STD}: every entry must be above 0 because colors are divided by it."
    yield from jitter_problems(cfg)
    counts = cfg.TEST.NUM_TEMPORAL_CLIPS
    if not all(isinstance(count, int) and count >= 1 for count in counts):
        yield f"TEST.NUM_TEMPORAL_CLIPS={counts}: expected numbers of clips, each at least 1."
    if not all(isinstance(side, int) and side >= 1 for side in cfg.TEST.SCALES):
        yield f"TEST.SCALES={cfg.TEST.SCALES}: expected short sides in pixels, integers of at least 1."
    if cfg.TEST.NUM_SPATIAL_CROPS not in (1, 3):
        yield (
            f"TEST.NUM_SPATIAL_CROPS={cfg.TEST.NUM_SPATIAL_CROPS}: use 3 (both ends and the center of the "
            "longer side) or 1 (the center)."
        )
    yield from augmentation_problems(cfg)


def jitter_problems(cfg: CfgNode) -> Iterator[str]:
    """Ranges of training crops that are not ranges, or smaller than the crop."""
    for key in ("TRAIN_JITTER_SCALES", "TRAIN_JITTER_SCALES_RELATIVE", "TRAIN_JITTER_ASPECT_RELATIVE"):
        values = cfg.DATA[key]
        if key != "TRAIN_JITTER_SCALES" and not values:
            continue
        if len(values) != 2 or not 0 < values[0] <= values[1]:
            yield f"DATA.{key}={values}: expected [smallest, largest], both above 0."
    scales = cfg.DATA.TRAIN_JITTER_SCALES
    relative = cfg.DATA.TRAIN_JITTER_SCALES_RELATIVE or cfg.DATA.TRAIN_JITTER_ASPECT_RELATIVE
    if len(scales) == 2 and not relative and min(scales) < cfg.DATA.TRAIN_CROP_SIZE:
        yield (
            f"DATA.TRAIN_JITTER_SCALES={scales}: a frame with a shorter side of {min(scales)} is smaller than "
            f"DATA.TRAIN_CROP_SIZE={cfg.DATA.TRAIN_CROP_SIZE}. Raise the scales or lower the crop."
        )


def augmentation_problems(cfg: CfgNode) -> Iterator[str]:
    """Erasing, mixing, and what is done to single clips."""
    keys = ("DATA.TRAIN_CROP_NUM_TEMPORAL", "DATA.TRAIN_CROP_NUM_SPATIAL", "AUG.NUM_SAMPLE")
    yield from at_least(cfg, 1, *keys)
    if cfg.DETECTION.ENABLE and clips_per_video(cfg) > 1:
        several = " and ".join(f"{key}={value_of(cfg, key)}" for key in keys if value_of(cfg, key) > 1)
        yield f"{several} with DETECTION.ENABLE: a key frame gives one clip. Set them to 1."
    yield from pixel_problems(cfg)
    if cfg.AUG.ENABLE:
        if not 0 <= cfg.AUG.COLOR_JITTER < 1:
            yield f"AUG.COLOR_JITTER={cfg.AUG.COLOR_JITTER}: must be at least 0 and below 1; 0 for none."
        yield from fraction(cfg, "AUG.RE_PROB")
        yield from at_least(cfg, 1, "AUG.RE_COUNT")
    if not cfg.MIXUP.ENABLE:
        return
    yield from fraction(cfg, "MIXUP.PROB", "MIXUP.SWITCH_PROB", "MIXUP.LABEL_SMOOTH_VALUE")
    yield from at_least(cfg, 0, "MIXUP.ALPHA", "MIXUP.CUTMIX_ALPHA")
    if cfg.MIXUP.ALPHA == 0 and cfg.MIXUP.CUTMIX_ALPHA == 0:
        yield "MIXUP.ENABLE with MIXUP.ALPHA=0 and MIXUP.CUTMIX_ALPHA=0 mixes nothing. Set one above 0."
    if cfg.DATA.MULTI_LABEL:
        yield "MIXUP.ENABLE with DATA.MULTI_LABEL: mixing is defined for one label per video. Turn one off."


def pixel_problems(cfg: CfgNode) -> Iterator[str]:
    """Changes of pixels where something else would have to change with them."""
    data, changes = cfg.DATA, cfg.AUG.ENABLE and (cfg.AUG.AA_TYPE or cfg.AUG.COLOR_JITTER)
    if data.TRAIN_JITTER_MOTION_SHIFT:
        if not (data.TRAIN_JITTER_SCALES_RELATIVE and data.TRAIN_JITTER_ASPECT_RELATIVE):
            yield (
                "DATA.TRAIN_JITTER_MOTION_SHIFT moves windows of random area and shape: set "
                "DATA.TRAIN_JITTER_SCALES_RELATIVE, e.g. [0.08, 1.0], and DATA.TRAIN_JITTER_ASPECT_RELATIVE, e.g. "
                "[0.75, 1.33]."
            )
        if cfg.DETECTION.ENABLE or cfg.SLOWFAST.FAST_INPUT == "flow":
            yield "DATA.TRAIN_JITTER_MOTION_SHIFT moves pixels, but neither boxes nor optical flow. Turn it off."
    asked = f"AUG.AA_TYPE={cfg.AUG.AA_TYPE!r} and AUG.COLOR_JITTER={cfg.AUG.COLOR_JITTER}"
    remedy = "Set AUG.AA_TYPE '' and AUG.COLOR_JITTER 0.0"
    if changes and cfg.DETECTION.ENABLE:
        yield (
            f"{asked} with DETECTION.ENABLE: they change clips but not their boxes. {remedy}; "
            "AVA.TRAIN_USE_COLOR_AUGMENTATION changes colors."
        )
    elif changes and cfg.SLOWFAST.FAST_INPUT == "flow":
        yield f"{asked} with SLOWFAST.FAST_INPUT=flow: they change colors, not optical flow. {remedy}."
