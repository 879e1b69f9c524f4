"""Keys without effect: one table, a warning with the reason, and no stale entry."""

import pytest

from slowfast.config import CfgNode, assert_and_infer_cfg, get_cfg
from slowfast.config.ignored import ALWAYS_MET, WITHOUT_EFFECT, changed_keys, reason_without_effect
from slowfast.config.merge import key_names
from slowfast.config.refused import REFUSED_KEYS
from slowfast.config.rules.common import value_of


def test_every_entry_is_a_key_or_a_group():
    names = set(key_names(get_cfg()))
    assert {entry.removesuffix(".") for entry in WITHOUT_EFFECT} <= names
    assert names >= REFUSED_KEYS.keys()
    assert names >= ALWAYS_MET.keys()


def test_groups_end_in_a_dot_and_keys_do_not():
    cfg = get_cfg()
    for entry in WITHOUT_EFFECT:
        assert isinstance(value_of(cfg, entry.removesuffix(".")), CfgNode) == entry.endswith(".")


@pytest.mark.parametrize(
    "name, value",
    [
        ("SOLVER.STEP_SIZE", 2),
        ("SOLVER.WARMUP_FACTOR", 0.5),
        ("DATA.PATH_TO_PRELOAD_IMDB", "imdb.pkl"),
        ("DEMO.VIS_MODE", "top-k"),
        ("MULTIGRID.DEFAULT_B", 8),
    ],
)
def test_a_value_there_warns_with_name_value_and_reason(name, value, caplog):
    cfg = get_cfg()
    cfg.merge_from_list([name, value])
    assert_and_infer_cfg(cfg)
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert f"{name}={value!r}" in record.getMessage()
    assert reason_without_effect(name) in record.getMessage()


def test_keys_of_one_reason_share_a_warning(caplog):
    cfg = get_cfg()
    cfg.merge_from_list(["DEMO.VIS_MODE", "top-k", "DEMO.COMMON_CLASS_THRES", 0.5])
    assert_and_infer_cfg(cfg)
    (record,) = caplog.records
    assert "DEMO.VIS_MODE='top-k', DEMO.COMMON_CLASS_THRES=0.5" in record.getMessage()


@pytest.mark.parametrize("backend", ["torchvision", "pyav", "decord"])
def test_every_decoding_backend_means_our_reader(backend, caplog):
    cfg = get_cfg()
    cfg.merge_from_list(["DATA.DECODING_BACKEND", backend])
    assert_and_infer_cfg(cfg)
    assert not caplog.records


def test_default_values_there_say_nothing():
    assert changed_keys(get_cfg(), get_cfg()) == {}


def test_other_keys_have_an_effect():
    assert reason_without_effect("TENSORBOARD.ENABLE") is None
    assert reason_without_effect("SOLVER.BASE_LR") is None
