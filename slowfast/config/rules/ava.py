"""Rules of action detection on AVA: DETECTION, AVA. They apply with DETECTION.ENABLE."""

from __future__ import annotations

from collections.abc import Iterator

from fvcore.common.config import CfgNode

from slowfast.config.rules.common import above, at_least, fraction


def ava_problems(cfg: CfgNode) -> Iterator[str]:
    """Everything that keeps clips around key frames from being cut, or their boxes from being scored."""
    if not cfg.DETECTION.ENABLE:
        for key in ("TRAIN", "TEST"):
            if cfg[key].ENABLE and cfg[key].DATASET == "ava":
                yield f"{key}.DATASET=ava without DETECTION.ENABLE: its samples are boxes. Set DETECTION.ENABLE True."
        return
    yield from at_least(cfg, 1, "DETECTION.SPATIAL_SCALE_FACTOR", "DETECTION.ROI_XFORM_RESOLUTION")
    if cfg.MODEL.HEAD_ACT == "softmax":
        yield "DETECTION.ENABLE with MODEL.HEAD_ACT='softmax': a person does several things at once. Set sigmoid."
    if cfg.MIXUP.ENABLE:
        yield "DETECTION.ENABLE with MIXUP.ENABLE: boxes of two clips cannot be mixed. Turn one off."
    for key, value in (("SCALES", cfg.TEST.SCALES), ("FLIP", cfg.TEST.FLIP)):
        if value:
            yield f"TEST.{key}={value} applies to tests of clips; for boxes use AVA.TEST_{key}."
    if "ava" not in (cfg.TRAIN.DATASET, cfg.TEST.DATASET):
        return
    yield from fraction(cfg, "AVA.DETECTION_SCORE_THRESH")
    yield from at_least(cfg, 0, "AVA.MOVIE_START_SECONDS", "AVA.FRAMES_START_SECONDS", "AVA.FIRST_SECOND")
    yield from above(cfg, 0, "AVA.FPS")
    if cfg.AVA.LAST_SECOND < cfg.AVA.FIRST_SECOND:
        yield f"AVA.LAST_SECOND={cfg.AVA.LAST_SECOND} is before AVA.FIRST_SECOND={cfg.AVA.FIRST_SECOND}."
    num_frames, rate = cfg.DATA.NUM_FRAMES, cfg.DATA.SAMPLING_RATE
    if num_frames * rate % 2:
        yield (
            f"DATA.NUM_FRAMES={num_frames} times DATA.SAMPLING_RATE={rate} is odd: a clip of AVA reaches as far before "
            "its key frame as after it. Make one of them even."
        )
    if cfg.SLOWFAST.FAST_INPUT == "flow":
        yield "SLOWFAST.FAST_INPUT=flow: the data set ava provides only colors; use another FAST_INPUT."
    if not all(isinstance(side, int) and side >= 1 for side in cfg.AVA.TEST_SCALES):
        yield f"AVA.TEST_SCALES={cfg.AVA.TEST_SCALES}: expected short sides in pixels, integers of at least 1."
    if cfg.AVA.TRAIN_USE_COLOR_AUGMENTATION:
        values, vectors = cfg.DATA.TRAIN_PCA_EIGVAL, cfg.DATA.TRAIN_PCA_EIGVEC
        if len(values) != 3:
            yield f"DATA.TRAIN_PCA_EIGVAL={values} has {len(values)} entries; expected 3."
        if len(vectors) != 3 or any(len(row) != 3 for row in vectors):
            yield f"DATA.TRAIN_PCA_EIGVEC={vectors}: expected three rows of three numbers."
