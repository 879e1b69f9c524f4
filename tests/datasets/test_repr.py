"""What data sets, lists, pipelines and configs show of themselves fits a screen, however long their lists are."""

import importlib
import pkgutil
from dataclasses import fields, is_dataclass

import slowfast.datasets
from slowfast.config import get_cfg, load_cfg
from slowfast.datasets import build_dataset

MOST_CHARACTERS = 600


def test_a_data_set_says_what_it_reads_and_how(tiny_motion):
    cfg = load_cfg("Motion/SLOWFAST_4x4_R18", ["DATA.PATH_TO_DATA_DIR", str(tiny_motion)])
    text = repr(build_dataset(cfg, "test"))
    assert text.startswith("Kinetics(test: VideoList(6 videos of test.csv); 3 clips x 3 crops, ")
    assert len(text) < MOST_CHARACTERS


def test_a_config_says_where_its_values_come_from():
    assert repr(get_cfg()).startswith("Config(defaults; ")
    text = repr(load_cfg("Motion/SLOWFAST_4x4_R18", ["NUM_GPUS", 0]))
    assert "SLOWFAST_4x4_R18.yaml, overrides; " in text and len(text) < MOST_CHARACTERS
    assert "BASE_LR" in str(load_cfg("Motion/SLOWFAST_4x4_R18"))


def classes_of_rows() -> list[type]:
    """Public dataclasses of slowfast.datasets with an array or a tensor among their fields."""
    names = [module.name for module in pkgutil.walk_packages(slowfast.datasets.__path__, "slowfast.datasets.")]
    values = [value for name in names for value in vars(importlib.import_module(name)).values()]
    found = {value for value in values if isinstance(value, type) and is_dataclass(value)}
    long = ("np.ndarray", "Tensor")
    return sorted(
        (c for c in found if not c.__name__.startswith("_") and any(str(f.type).startswith(long) for f in fields(c))),
        key=lambda c: c.__name__,
    )


def test_no_list_and_no_sample_shows_its_rows():
    classes = classes_of_rows()
    assert {"VideoList", "KeyFrames", "ClipSample"} <= {kind.__name__ for kind in classes}
    shown = [kind.__name__ for kind in classes if kind.__dataclass_params__.repr and kind.__name__ != "Run"]
    assert not shown, f"{shown} show all their rows: give them a __repr__ and @dataclass(repr=False)"
