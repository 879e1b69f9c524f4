"""Every config key has a reader in the package, or stands in a table that says why it has none."""

import ast
import re
from pathlib import Path

import pytest

import slowfast
from slowfast.cli import demo_keys
from slowfast.config import CfgNode, get_cfg
from slowfast.config.merge import key_names
from slowfast.config.refused import INSTEAD, REFUSED_KEYS
from slowfast.config.rules.common import value_of

PACKAGE = Path(slowfast.__file__).parent
# Read where the config itself is made: refused or inferred there.
READ_IN_CONFIG = {
    *("TASK", "SOLVER.BASE_LR_SCALE_NUM_SHARDS"),
    *("MULTIGRID.DEFAULT_T", "MULTIGRID.DEFAULT_S", "MULTIGRID.LONG_CYCLE_SAMPLING_RATE"),
}
READ_BY_NAME = {f"DEMO.{key}" for key in demo_keys.REFUSED}
# Read by nothing, for every value gets what it asks for.
ALWAYS_MET = {
    "AVA.IMG_PROC_BACKEND": "there is one way to read and resize images",
    "DATA.DECODING_BACKEND": "there is only one reader; every old value selects it",
    "DEMO.DETECTRON2_CFG": "without DEMO.PREDS_BOXES, which stands for it, DEMO is refused for boxes",
    "DEMO.DETECTRON2_WEIGHTS": "without DEMO.PREDS_BOXES, which stands for it, DEMO is refused for boxes",
    "DEMO.FPS": "the frame rate is read from the video",
    "DEMO.INPUT_FORMAT": "frames are RGB; the model gets the channel order that it was trained with",
    "DEMO.NUM_VIS_INSTANCES": "drawing takes one process; the pictures are the same",
    "DEMO.THREAD_ENABLE": "cameras are always read in a thread",
    "MODEL.MULTI_PATHWAY_ARCH": "a model knows how many pathways it has",
    "MODEL.SINGLE_PATHWAY_ARCH": "a model knows how many pathways it has",
    "MULTIGRID.DEFAULT_B": "PySlowFast writes it, and its batch is nobody's",
    "RESNET.INPLACE_RELU": "results are the same; activations are overwritten where that is safe",
    "TEST.CHECKPOINT_TYPE": "the format is detected from the content",
    "TRAIN.CHECKPOINT_TYPE": "the format is detected from the content",
}


def keys_read_in(source: str, groups: set[str]) -> set[str]:
    """Dotted keys that a module reads as ``cfg.GROUP.KEY``, or as ``name.KEY`` after ``name = cfg.GROUP``."""
    text = ast.unparse(ast.parse(source))  # one statement a line, no comments
    for names, values in re.findall(r"^ *\(?([\w, ]+?)\)? = \(?(.*?)\)?$", text, re.MULTILINE):
        for name, value in zip(names.split(", "), values.split(", "), strict=False):
            group = value.rpartition("cfg.")[2]
            if group in groups and "cfg." in value:
                text = re.sub(rf"(?<![\w.]){name}\.", f"cfg.{group}.", text)
    read = [dotted.split(".") for dotted in re.findall(r"\bcfg\.([\w.]+)", text)]
    return {".".join(parts[:length]) for parts in read for length in range(1, len(parts) + 1)}


def readable_names() -> list[str]:
    """All keys; of the free-form groups their own name."""
    cfg = get_cfg()
    return [name for name in key_names(cfg) if not isinstance(value_of(cfg, name), CfgNode) or name.endswith("ARGS")]


@pytest.fixture(scope="module")
def keys_read() -> set[str]:
    """Keys that some module outside slowfast/config reads."""
    cfg = get_cfg()
    groups = {name for name in key_names(cfg) if isinstance(value_of(cfg, name), CfgNode)}
    modules = [path for path in PACKAGE.rglob("*.py") if "config" not in path.relative_to(PACKAGE).parts]
    return set().union(*(keys_read_in(path.read_text(), groups) for path in modules))


def test_every_key_has_a_reader_or_a_reason(keys_read):
    explained = READ_IN_CONFIG | READ_BY_NAME | ALWAYS_MET.keys() | REFUSED_KEYS.keys() | INSTEAD.keys()
    assert not [name for name in readable_names() if name not in keys_read and name not in explained]


def test_no_key_with_a_reader_is_called_refused_or_met(keys_read):
    without_reader = ALWAYS_MET.keys() | REFUSED_KEYS.keys() | INSTEAD.keys()
    assert without_reader <= set(readable_names())
    assert not without_reader & keys_read


def test_modules_read_no_key_that_does_not_exist(keys_read):
    cfg = get_cfg()
    names = set(key_names(cfg))
    capitals = {key for key in keys_read if key.split(".")[0].isupper() and key.split(".")[-1].isupper()}
    assert not sorted(capitals - names)


def test_the_search_follows_names_of_groups():
    source = "s = cfg.SOLVER\nf(s.GAMMA, cfg.DATA.MEAN, self.cfg.TASK, other.THING)"
    assert keys_read_in(source, {"SOLVER", "DATA"}) == {"SOLVER", "SOLVER.GAMMA", "DATA", "DATA.MEAN", "TASK"}
