"""Keys that nothing reads, or whose part does not exist: refused, with what to do instead."""

import pytest

from slowfast.config import ConfigError, assert_and_infer_cfg, get_cfg, warnings_of
from slowfast.config.merge import key_names
from slowfast.config.refused import INSTEAD, REFUSED_KEYS
from slowfast.config.rules.common import value_of


def checked(*words):
    cfg = get_cfg()
    cfg.merge_from_list(list(words))
    return assert_and_infer_cfg(cfg)


def another(value):
    """A value of the same type that is not ``value``."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, str):
        return f"{value}x"
    if value is None:
        return 1
    return [*value, 1.0] if isinstance(value, list) else value + 1


@pytest.mark.parametrize("name", [*REFUSED_KEYS, *INSTEAD])
def test_another_value_than_the_default_is_refused(name):
    assert name in set(key_names(get_cfg()))
    value = another(value_of(get_cfg(), name))
    with pytest.raises(ConfigError) as caught:
        checked(name, value)
    assert f"{name}={value!r}: {INSTEAD.get(name, REFUSED_KEYS.get(name))}" in str(caught.value)


@pytest.mark.parametrize(
    "note, setting, value",
    [
        ("MULTIGRID.DEFAULT_T", "DATA.NUM_FRAMES", 32),
        ("MULTIGRID.DEFAULT_S", "DATA.TRAIN_CROP_SIZE", 160),
        ("MULTIGRID.LONG_CYCLE_SAMPLING_RATE", "DATA.SAMPLING_RATE", 4),
    ],
)
def test_notes_of_multigrid_may_repeat_the_recipe_and_nothing_else(note, setting, value):
    """As PySlowFast's checkpoints of a last stage have them; an earlier stage's clips are others than the recipe's."""
    checked(note, value, setting, value, "MULTIGRID.DEFAULT_B", 64)
    with pytest.raises(ConfigError, match=f"{note}={value}, but {setting}={value * 2}: .* set {note} 0"):
        checked(note, value, setting, value * 2)


@pytest.mark.parametrize("backend", ["torchvision", "pyav", "decord"])
def test_every_decoding_backend_means_our_reader(backend):
    assert warnings_of(checked("DATA.DECODING_BACKEND", backend)) == []
