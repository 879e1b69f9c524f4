"""The defaults: PySlowFast's names and values, one comment each, and a copy for everyone."""

import ast
import json
from pathlib import Path

import pytest

import slowfast.config
import slowfast.config.defaults as defaults
from slowfast.config import CfgNode, get_cfg
from slowfast.config.merge import key_names
from slowfast.config.rules.common import value_of

GOLDEN = json.loads((Path(__file__).parents[1] / "data/golden/config_defaults.json").read_text())
SOURCE = Path(defaults.__file__).read_text()
OWN_KEYS = {
    "BACKEND.CUDNN_BENCHMARK": "auto",
    "BACKEND.TF32": False,
    "BACKEND.DETERMINISTIC": False,
    "SOLVER.IMPLEMENTATION": "auto",
    "IMPORTS": [],
    "MODEL.ARGS": {},
    "MODEL.CHANNELS_LAST": True,
    "MODEL.COMPILE": False,
    "DATA.ARGS": {},
    "DATA.MAX_BAD_VIDEOS": 100,
    "DATA.DECODE_TIMEOUT": 60.0,
    "DATA.CHECK_FILES": "sample",
    "DATA.CLASS_NAMES": "",
    "DATA.RESIZE_IN_DECODER": False,
    "DATA.DECODER_THREADS": 1,
    "DATA_LOADER.PREFETCH_FACTOR": 2,
    "DATA_LOADER.PERSISTENT_WORKERS": True,
    "LOSS.ARGS": {},
    "SLOWFAST.FUSION": "TimeStridedConv",
    "SLOWFAST.FUSION_ARGS": {},
    "SLOWFAST.SLOW_FRAMES": "linspace",
    "TRAIN.CHECKPOINT_MIN_MATCH": 0.5,
    "TRAIN.MIXED_PRECISION_DTYPE": "auto",
    "TEST.MIXED_PRECISION": False,
    "TEST.EVALUATOR": "",
    "TEST.FOLD_BN": False,
    "SLOWFAST.FAST_INPUT": "rgb",
    "FLOW.METHOD": "dis",
    "FLOW.WEIGHTS": "",
    "FLOW.CACHE_DIR": "",
    "FLOW.BOUND": 20.0,
    "AVA.FIRST_SECOND": 902,
    "AVA.LAST_SECOND": 1798,
    "AVA.FRAMES_START_SECONDS": 900.0,
    "AVA.FPS": 30.0,
    "AVA.MOVIE_DIR": "",
    "AVA.MOVIE_START_SECONDS": 0.0,
    "AVA.TEST_SCALES": [],
    "AVA.TEST_FLIP": False,
    "AVA.PROTOCOL": "pyslowfast",
    "AVA.DROP_OUTSIDE_BOXES": False,
    "DATA.FOLD": 1,
    "TRAIN.EMA_DECAY": 0.0,
    "TEST.EMA": False,
    "TEST.FLIP": False,
    "TRAIN.BALANCE_CLASSES": False,
    "LOSS.CLASS_WEIGHTS": "",
    "DIST_TIMEOUT": 60.0,
    "SOLVER.LR_BATCH_SIZE": 0,
    "SOLVER.SCALE_LR_TO_BATCH": False,
    "TRAIN.ACCUMULATE": 1,
    "TRAIN.BEST_FIGURE": "",
    "TRAIN.CHECKPOINT_MINUTES": 30.0,
    "TRAIN.DDP.BUCKET_VIEW": True,
    "TRAIN.DDP.COMPRESSION": "",
    "TRAIN.DDP.STATIC_GRAPH": False,
    "TRAIN.EARLY_STOPPING": 0,
    "TRAIN.KEEP_CHECKPOINTS": 0,
    "TRAIN.TRAINER": "Trainer",
    "TRAIN.TRAINER_ARGS": {},
    "TEST.NUM_WRONG_VIDEOS": 48,
    "TEST.REPORT": True,
    "TEST.SCALES": [],
    "LOG_WRITERS": [],
    "MODEL.FREEZE": [],
}


def assignments() -> list[tuple[str, int, int]]:
    """(dotted key, first line, last line) of every ``_C.X.Y = value``, groups left out."""
    found = []
    for node in ast.parse(SOURCE).body:
        name = ast.unparse(node.targets[0]) if isinstance(node, ast.Assign) else ""
        if name.startswith("_C.") and ast.unparse(node.value) != "CfgNode()":
            found.append((name.removeprefix("_C."), node.lineno, node.end_lineno))
    return found


@pytest.mark.parametrize("name", GOLDEN)
def test_every_key_of_pyslowfast_has_its_name_type_and_default(name):
    value = value_of(get_cfg(), name)
    assert value == GOLDEN[name]
    assert type(value) is type(GOLDEN[name])


def test_keys_of_our_own_are_few_and_have_these_defaults():
    cfg = get_cfg()
    leaves = {name for name in key_names(cfg) if not isinstance(value_of(cfg, name), CfgNode) or "ARGS" in name}
    assert leaves - GOLDEN.keys() == OWN_KEYS.keys()
    assert {name: value_of(cfg, name) for name in OWN_KEYS} == OWN_KEYS


def test_no_key_is_defined_twice():
    names = [name for name, _, _ in assignments()]
    assert sorted(names) == sorted(set(names))


def test_every_key_has_a_comment():
    lines = SOURCE.splitlines()
    silent = [
        name
        for name, first, last in assignments()
        if "  # " not in lines[last - 1] and not lines[first - 2].startswith("# ")
    ]
    assert not silent


def test_own_keys_are_marked_as_such():
    lines = SOURCE.splitlines()
    marked = {
        name
        for name, first, last in assignments()
        if "[own]" in lines[last - 1] or any("[own]" in line for line in lines[max(0, first - 3) : first - 1])
    }
    assert OWN_KEYS.keys() <= marked


def test_a_config_is_a_copy():
    first = get_cfg()
    first.SLOWFAST.ALPHA = 4
    first.DATA.MEAN.append(0.0)
    assert get_cfg().SLOWFAST.ALPHA == 8
    assert get_cfg().DATA.MEAN == [0.45, 0.45, 0.45]


def test_both_places_offer_the_functions():
    assert defaults.get_cfg is slowfast.config.get_cfg
    assert defaults.assert_and_infer_cfg is slowfast.config.assert_and_infer_cfg


def test_the_defaults_pass_the_checks_silently(caplog):
    cfg = get_cfg()
    assert slowfast.config.assert_and_infer_cfg(cfg) is cfg
    assert cfg == get_cfg()
    assert not caplog.records


def test_the_dump_loads_again(tmp_path):
    cfg = get_cfg()
    cfg.merge_from_list(["MODEL.ARGS.width", 16, "SOLVER.CLIP_GRAD_VAL", 1.5])
    (tmp_path / "dump.yaml").write_text(cfg.dump())
    again = get_cfg()
    again.merge_from_file(tmp_path / "dump.yaml")
    assert again == cfg
