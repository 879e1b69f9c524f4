"""What is not a setting here: unknown keys, and parts of PySlowFast that slowfast does not have."""

from __future__ import annotations

from difflib import SequenceMatcher
from typing import Any

from slowfast.utils.suggest import did_you_mean

_SELF_SUPERVISED = "self-supervised training is"

_STILL_IMAGES = "training on still images is"
_MVIT = "the MViT family is"

# Groups of PySlowFast whose subject does not exist here.
REFUSED_GROUPS = dict.fromkeys(("CONTRASTIVE", "MASK", "VIS_MASK", "SSL"), _SELF_SUPERVISED) | {"MVIT": _MVIT}

# Keys that exist with their default value only: any other asks for a part that does not exist here.
_MASKS = ("GEN_MASK_LOADER", "MASK_TUBE", "MASK_FRAMES", "MASK_WINDOW_SIZE", "MASK_RATIO", "MAX_MASK_PATCHES_PER_BLOCK")
_VIEWS = (
    *("SSL_COLOR_JITTER", "SSL_COLOR_BRI_CON_SAT", "SSL_COLOR_HUE", "SSL_MOCOV2_AUG", "SSL_BLUR_SIGMA_MIN"),
    *("SSL_BLUR_SIGMA_MAX", "TIME_DIFF_PROB", "COLOR_RND_GRAYSCALE"),
)
_IMAGES = ("IN22K_TRAINVAL", "IN22k_VAL_IN1K", "IN_VAL_CROP_RATIO", "PATH_TO_PRELOAD_IMDB")
REFUSED_KEYS = {
    **{f"AUG.{key}": _SELF_SUPERVISED for key in _MASKS},
    **{f"DATA.{key}": _SELF_SUPERVISED for key in _VIEWS},
    **{f"DATA.{key}": _STILL_IMAGES for key in _IMAGES},
}

_BENCHMARK = "no run reads it; `slowfast benchmark --parts loading throughput --steps N` times loading and training"
_CHUNKS = "an epoch is the whole list here; write a shorter list, or change SOLVER.MAX_EPOCH"
_UNREAD = "nothing reads it, nor does PySlowFast"

# Keys that exist with their default value only: any other would silently be ignored. What to do instead.
INSTEAD = {
    "BENCHMARK.NUM_EPOCHS": _BENCHMARK,
    "BENCHMARK.LOG_PERIOD": _BENCHMARK,
    "BENCHMARK.SHUFFLE": _BENCHMARK,
    "DATA.DUMMY_LOAD": "one clip would be trained on again and again; `slowfast benchmark` times each part",
    "DATA.LOADER_CHUNK_SIZE": _CHUNKS,
    "DATA.LOADER_CHUNK_OVERALL_SIZE": _CHUNKS,
    "SOLVER.STEP_SIZE": f"{_UNREAD}; set SOLVER.STEPS and SOLVER.LRS",
    "SOLVER.WARMUP_FACTOR": f"{_UNREAD}; set SOLVER.WARMUP_START_LR",
    "TRAIN.CHECKPOINT_IN_INIT": "TRAIN.CHECKPOINT_INFLATE is what takes the weights of an image network",
}

# Values that ask for such a part, per key; compared without regard to case.
REFUSED_VALUES = {
    "TASK": {"ssl": _SELF_SUPERVISED},
    "MODEL.ARCH": {"mvit": _MVIT, "maskmvit": _SELF_SUPERVISED},
    "MODEL.MODEL_NAME": {"mvit": _MVIT, "maskmvit": _SELF_SUPERVISED, "contrastivemodel": _SELF_SUPERVISED},
    "MODEL.LOSS_FUNC": dict.fromkeys(("contrastive_loss", "mse", "multi_mse"), _SELF_SUPERVISED),
    "TRAIN.DATASET": {"imagenet": _STILL_IMAGES},
    "TEST.DATASET": {"imagenet": _STILL_IMAGES},
}


def unknown_key(key_path: tuple[str, ...], value: Any, names: list[str]) -> str:
    """Message for a key that does not exist: why it is refused, or which key may be meant.

    Args:
        key_path: where the tree of settings leaves the known keys.
        value: what stands there; a mapping of one key lengthens the name.
        names: dotted names of all keys and groups.
    """
    while isinstance(value, dict) and len(value) == 1:
        ((key, value),) = value.items()
        key_path = (*key_path, str(key))
    name, last = ".".join(key_path), key_path[-1]
    if key_path[0] in REFUSED_GROUPS:
        reason = f"{REFUSED_GROUPS[key_path[0]]} not part of slowfast"
        return f"{name}: {reason}; remove the group {key_path[0]}, or use PySlowFast for it."
    if any("." in part for part in key_path):
        return (
            f"{name} is not a config key as written: in a file, nest it instead of using a dot: `GROUP: "
            f"{{KEY: value}}`."
        )
    namesakes = [known for known in names if known.rpartition(".")[2] == last]
    if namesakes:
        namesakes.sort(key=lambda known: -SequenceMatcher(None, name, known).ratio())
        return f"{name} is not a config key. Did you mean {' or '.join(namesakes[:3])}?"
    return f"{name} is not a config key.{did_you_mean(name, names)}"
