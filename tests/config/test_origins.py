"""Who set a key: a default, a recipe, a file of the user or an override."""

import pickle

import pytest

from slowfast.config import get_cfg, load_cfg, warnings_of, with_overrides
from slowfast.config.origins import is_set, is_set_by_user, setters


@pytest.fixture
def leaf(tmp_path):
    path = tmp_path / "leaf.yaml"
    path.write_text("_BASE_: Kinetics/SLOWFAST_4x16_R50\nLOG_PERIOD: 5\n")
    return path


def test_defaults_recipes_files_and_overrides_are_told_apart(leaf):
    cfg = load_cfg(leaf, ["RNG_SEED", 3, "TRAIN.ENABLE", True])
    assert not is_set(cfg, "OUTPUT_DIR") and is_set(cfg, "TRAIN.ENABLE")  # though to its default
    assert is_set(cfg, "MODEL.NUM_CLASSES") and not is_set_by_user(cfg, "MODEL.NUM_CLASSES")
    assert is_set_by_user(cfg, "LOG_PERIOD") and is_set_by_user(cfg, "RNG_SEED")
    assert [layer.source for layer in setters(cfg, "LOG_PERIOD")] == [str(leaf)]


def test_copies_and_processes_know_it_too(leaf):
    cfg = load_cfg(leaf)
    changed = with_overrides(cfg, ["LOG_PERIOD=9"])
    assert (cfg.LOG_PERIOD, changed.LOG_PERIOD) == (5, 9) and cfg.is_frozen() and changed.is_frozen()
    for copy in (cfg.clone(), pickle.loads(pickle.dumps(cfg)), changed):
        assert is_set_by_user(copy, "LOG_PERIOD") and not is_set(copy, "OUTPUT_DIR")
    assert not get_cfg().layers  # each config has its own


@pytest.mark.parametrize(
    "overrides, rate",
    [
        (["TRAIN.BATCH_SIZE", "8"], "0.0125"),
        (["TRAIN.BATCH_SIZE", "128"], "0.2"),
        (["SOLVER.BASE_LR", "0.4", "TRAIN.BATCH_SIZE", "8"], None),
        (["TRAIN.BATCH_SIZE", "8", "SOLVER.BASE_LR", "0.4"], None),
        (["TRAIN.BATCH_SIZE", "8", "SOLVER.OPTIMIZING_METHOD", "adamw"], None),
        (["TRAIN.BATCH_SIZE", "8", "TRAIN.ENABLE", "False"], None),
        (["TRAIN.BATCH_SIZE", "64"], None),
        (["TRAIN.BATCH_SIZE", "8", "SOLVER.SCALE_LR_TO_BATCH", "True"], None),
        ([], None),
    ],
)
def test_another_batch_at_the_old_learning_rate_is_said_aloud(leaf, overrides, rate):
    expected = [f"The linear rule (SOLVER.SCALE_LR_TO_BATCH True) gives SOLVER.BASE_LR {rate}."] if rate else []
    assert [sentence.split(". ")[-1] for sentence in warnings_of(load_cfg(leaf, overrides))] == expected


def test_warnings_can_be_left_to_the_run(leaf, caplog):
    overrides = ["SOLVER.WARMUP_EPOCHS", 500]
    cfg = load_cfg(leaf, overrides, warn=False)
    assert not caplog.records
    (sentence,) = warnings_of(cfg)
    assert "SOLVER.WARMUP_EPOCHS=500" in sentence
    load_cfg(leaf, overrides)
    assert [record.getMessage() for record in caplog.records] == [sentence]
