"""Keys that are accepted without effect: the one table, and what to say when a value stands there."""

from __future__ import annotations

from fvcore.common.config import CfgNode

_MULTIGRID = "PySlowFast writes it during training; here a stage is not a setting"
_DEMO_CLASSES = "videos show the best classes: `slowfast predict VIDEO --top K --save-video FILE`"
_DEMO_DETECTRON = "there is no Detectron2: `slowfast predict VIDEO --detector NAME --detector-weights FILE`"
_BENCHMARK = "`slowfast benchmark` has its own flags"

# A key, or a group with a dot at its end -> why a value there changes nothing.
WITHOUT_EFFECT = {
    "BENCHMARK.": _BENCHMARK,
    "DATA.DUMMY_LOAD": "`slowfast benchmark` times each part",
    "DATA.LOADER_CHUNK_OVERALL_SIZE": "lists are read whole",
    "DATA.LOADER_CHUNK_SIZE": "lists are read whole",
    "DATA.PATH_TO_PRELOAD_IMDB": "PySlowFast does not read it either",
    "DATA_LOADER.ENABLE_MULTI_THREAD_DECODE": "set DATA.DECODER_THREADS",
    "DEMO.CLIP_VIS_SIZE": "boxes are drawn until halfway to the next key frame: `slowfast predict --boxes FILE`",
    "DEMO.COMMON_CLASS_NAMES": _DEMO_CLASSES,
    "DEMO.COMMON_CLASS_THRES": _DEMO_CLASSES,
    "DEMO.DETECTRON2_CFG": _DEMO_DETECTRON,
    "DEMO.DETECTRON2_WEIGHTS": _DEMO_DETECTRON,
    "DEMO.UNCOMMON_CLASS_THRES": _DEMO_CLASSES,
    "DEMO.VIS_MODE": _DEMO_CLASSES,
    "MULTIGRID.DEFAULT_B": _MULTIGRID,
    "MULTIGRID.DEFAULT_S": _MULTIGRID,
    "MULTIGRID.DEFAULT_T": _MULTIGRID,
    "MULTIGRID.LONG_CYCLE_SAMPLING_RATE": _MULTIGRID,
    "SOLVER.STEP_SIZE": "PySlowFast does not read it either; set SOLVER.STEPS and SOLVER.LRS",
    "SOLVER.WARMUP_FACTOR": "PySlowFast does not read it either; set SOLVER.WARMUP_START_LR",
    "TRAIN.CHECKPOINT_IN_INIT": "weights are always read after the model is built",
}

# Keys without effect whose every value gets what it asks for: nothing to warn of.
ALWAYS_MET = {
    "AVA.IMG_PROC_BACKEND": "there is one way to read and resize images",
    "DATA.DECODING_BACKEND": "there is only one reader; every old value selects it",
    "DEMO.FPS": "the frame rate is read from the video",
    "DEMO.INPUT_FORMAT": "frames are RGB; the model gets the channel order that it was trained with",
    "DEMO.NUM_VIS_INSTANCES": "drawing takes one process; the pictures are the same",
    "DEMO.THREAD_ENABLE": "cameras are always read in a thread",
    "MODEL.MULTI_PATHWAY_ARCH": "a model knows how many pathways it has",
    "MODEL.SINGLE_PATHWAY_ARCH": "a model knows how many pathways it has",
    "RESNET.INPLACE_RELU": "results are the same; activations are overwritten where that is safe",
    "TEST.CHECKPOINT_TYPE": "the format is detected from the content",
    "TRAIN.CHECKPOINT_TYPE": "the format is detected from the content",
}


def reason_without_effect(name: str) -> str | None:
    """Why the key ``name`` does not do what it says, or None when there is nothing to warn of."""
    if name in ALWAYS_MET:
        return None
    groups = [name[: index + 1] for index, letter in enumerate(name) if letter == "."]
    return next((WITHOUT_EFFECT[entry] for entry in (name, *groups) if entry in WITHOUT_EFFECT), None)


def changed_keys(cfg: CfgNode, defaults: CfgNode, prefix: str = "") -> dict[str, object]:
    """Dotted name -> value of every key whose value is not its default."""
    changed: dict[str, object] = {}
    for key, default in defaults.items():
        value = cfg.get(key, default)
        if isinstance(default, CfgNode):
            changed |= changed_keys(value, default, f"{prefix}{key}.") if isinstance(value, CfgNode) else {}
        elif value != default:
            changed[prefix + key] = value
    return changed


def ignored_settings(cfg: CfgNode, defaults: CfgNode) -> list[str]:
    """One sentence for every reason for which keys that were set change nothing."""
    by_reason: dict[str, list[str]] = {}
    for name, value in changed_keys(cfg, defaults).items():
        reason = reason_without_effect(name)
        if reason:
            by_reason.setdefault(reason, []).append(f"{name}={value!r}")
    return [f"No effect here: {', '.join(settings)} ({reason})." for reason, settings in by_reason.items()]
