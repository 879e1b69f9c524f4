"""Merging: unknown keys and wrong types with their place, decoding, free-form nodes, overrides."""

import re

import pytest

from slowfast.config import CfgNode, ConfigError, get_cfg, load_cfg
from slowfast.config.merge import coerce


@pytest.fixture
def load(tmp_path):
    """Config of a YAML text, in a file mine.yaml."""

    def load_text(text: str, overrides=()):
        path = tmp_path / "mine.yaml"
        path.write_text(text)
        return load_cfg(path, overrides)

    return load_text


# ---- unknown keys ----


@pytest.mark.parametrize(
    "text, message",
    [
        ("\nSLOWFAST:\n  ALPA: 4\n", "mine.yaml:3: SLOWFAST.ALPA is not a config key. Did you mean SLOWFAST.ALPHA?"),
        ("SLOWFST:\n  ALPHA: 4\n", "mine.yaml:1: SLOWFST.ALPHA is not a config key. Did you mean SLOWFAST.ALPHA"),
        ("DATA: {BATCH_SIZE: 4}\n", "DATA.BATCH_SIZE is not a config key. Did you mean TEST.BATCH_SIZE or TRAIN."),
        ("TENSORBOARD: {MODEL_VIS: {ENABL: True}}\n", "Did you mean TENSORBOARD.MODEL_VIS.ENABLE?"),
        ("slowfast: {alpha: 4}\n", "slowfast.alpha is not a config key. Did you mean SLOWFAST.ALPHA?"),
        ("SLOWFAST.ALPHA: 4\n", "mine.yaml:1: SLOWFAST.ALPHA is not a config key as written: in a file, nest it"),
        ("5: 4\n", "mine.yaml:1: 5 is not a config key"),
        ("XYZZY: 4\n", "mine.yaml:1: XYZZY is not a config key."),
        ("RNG_SEED: 1\nMVIT:\n  DEPTH: 16\n  OTHER: 1\n", "mine.yaml:2: MVIT: the MViT family is not part of slowfast"),
    ],
)
def test_unknown_key_names_file_line_and_nearest(load, text, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        load(text)


def test_all_wrong_keys_are_reported_at_once_and_nothing_is_written(tmp_path):
    path, cfg = tmp_path / "mine.yaml", get_cfg()
    path.write_text("SLOWFAST:\n  ALPA: 4\n  BETA_INV: eight\nNUM_GPU: 1\nRNG_SEED: 7\n")
    with pytest.raises(ConfigError) as info:
        cfg.merge_from_file(path)
    assert [line.split("mine.yaml:")[1].split(" ")[:2] for line in str(info.value).splitlines()] == [
        ["2:", "SLOWFAST.ALPA"],
        ["3:", "SLOWFAST.BETA_INV"],
        ["4:", "NUM_GPU"],
    ]
    assert cfg == get_cfg()


# ---- types ----


@pytest.mark.parametrize(
    "text, message",
    [
        ("SLOWFAST: {ALPHA: 4.5}\n", r"mine\.yaml:1: SLOWFAST\.ALPHA is 4\.5 \(float\); expected a whole number"),
        ("SLOWFAST: {ALPHA: four}\n", r"SLOWFAST\.ALPHA is 'four' \(str\); expected a number"),
        ("SLOWFAST: {ALPHA: [4]}\n", r"SLOWFAST\.ALPHA is \[4\] \(list\); expected a number"),
        ("SLOWFAST: {ALPHA: True}\n", r"SLOWFAST\.ALPHA is True \(bool\); expected a number"),
        ("SLOWFAST: {ALPHA: }\n", r"SLOWFAST\.ALPHA is None \(NoneType\); expected a number"),
        ("SOLVER: {BASE_LR: high}\n", r"SOLVER\.BASE_LR is 'high' \(str\); expected a number"),
        ("TRAIN: {ENABLE: 1}\n", r"TRAIN\.ENABLE is 1 \(int\); expected true or false"),
        ("OUTPUT_DIR: 3\n", r"OUTPUT_DIR is 3 \(int\); expected text .* write it in quotes"),
        ("OUTPUT_DIR: [a]\n", r"OUTPUT_DIR is \['a'\] \(list\); expected text"),
        ("OUTPUT_DIR: {a: 1}\n", r"OUTPUT_DIR is \{'a': 1\} \(dict\); expected text"),
        ("DATA: {MEAN: 0.45}\n", r"DATA\.MEAN is 0\.45 \(float\); expected a list"),
        ("DATA: {MEAN: [a, b, c]}\n", r"DATA\.MEAN is .*expected a list of numbers"),
        ("DATA: {MEAN: [0.1, {a: 1}, 0.1]}\n", r"DATA\.MEAN .*inside a list"),
        ("AVA: {TRAIN_LISTS: [1, 2]}\n", r"AVA\.TRAIN_LISTS is \[1, 2\] \(list\); expected a list of text"),
        ("IMPORTS: my_module\n", r"IMPORTS is 'my_module' \(str\); expected a list, e\.g\. \[my_module\]"),
        ("SLOWFAST: 3\n", r"mine\.yaml:1: SLOWFAST is a group of keys, got 3"),
        ("SLOWFAST: [1, 2]\n", r"SLOWFAST is a group of keys, got \[1, 2\]"),
        ("SOLVER: {CLIP_GRAD_VAL: much}\n", r"SOLVER\.CLIP_GRAD_VAL is 'much' \(str\); expected a number or null"),
        ("MODEL: {ARGS: {day: 2024-01-01}}\n", r"MODEL\.ARGS\.day is datetime.*expected text, a number"),
    ],
)
def test_wrong_type_names_key_value_and_expected_type(load, text, message):
    with pytest.raises(ConfigError, match=message):
        load(text)


@pytest.mark.parametrize(
    "value, default, expected",
    [
        (1, 0.5, 1.0),
        ("1e-4", 0.5, 1e-4),
        ("5", 1, 5),
        ("[0, 94]", [], [0, 94]),
        ((1, 2), [1], [1, 2]),
        ([(1, 2), [3]], [], [[1, 2], [3]]),
        ([1, "1e-1", "1e-2"], [], [1, 0.1, 0.01]),
        (["a", "1e-1"], ["b"], ["a", "1e-1"]),
        (None, None, None),
        ("None", None, None),
        ("null", None, None),
        (3, None, 3),
        ("0.5", None, 0.5),
        ("true", False, True),
        ("False", True, False),
        ("2024", "text", "2024"),
        ("001", "text", "001"),
        ("'quoted'", "text", "quoted"),
        ("", "text", ""),
        (None, "text", ""),  # as in PySlowFast's demo files
        ("1e-4", "text", "1e-4"),
    ],
)
def test_what_is_taken_and_how(value, default, expected):
    result = coerce(value, default)
    assert result == expected
    assert type(result) is type(expected)


def test_the_type_is_the_defaults_not_that_of_the_last_value():
    cfg = get_cfg()
    cfg.SOLVER.BASE_LR = 1
    cfg.merge_from_list(["SOLVER.BASE_LR", 0.1])
    assert cfg.SOLVER.BASE_LR == 0.1


# ---- free-form nodes ----


def test_args_take_any_key_and_merge_over_bases(load, tmp_path):
    (tmp_path / "base.yaml").write_text("MODEL: {ARGS: {width: 8, deep: {a: 1, b: 2}}}\n")
    cfg = load(
        "_BASE_: base.yaml\nMODEL:\n  ARGS:\n    width: 1e2\n    deep: {b: 3}\n    name: '5x5'\n    sizes: [1, 1e-1]\n"
    )
    assert cfg.MODEL.ARGS == {"width": 100.0, "deep": {"a": 1, "b": 3}, "name": "5x5", "sizes": [1, 0.1]}
    assert isinstance(cfg.MODEL.ARGS.deep, CfgNode)


@pytest.mark.parametrize("node", ["MODEL.ARGS", "DATA.ARGS", "LOSS.ARGS", "SLOWFAST.FUSION_ARGS"])
def test_args_on_the_command_line(node):
    cfg = get_cfg()
    cfg.merge_from_list([f"{node}.width", [1, 2]])
    cfg.merge_from_list([f"{node}.width", "16", f"{node}.name", "abc", f"{node}.inner.flag", "True"])
    cfg.merge_from_list([node, "{'width': 32, 'more': [1]}"])
    value = cfg
    for part in node.split("."):
        value = value[part]
    assert value == {"width": 32, "name": "abc", "inner": {"flag": True}, "more": [1]}


# ---- overrides ----


def test_overrides_take_text_and_values_in_one_word_or_two_and_the_last_counts(load):
    cfg = load(
        "SLOWFAST: {ALPHA: 2}\n",
        ["SLOWFAST.ALPHA=8", "SLOWFAST.ALPHA", "4", "SOLVER.BASE_LR", 0.2, "TRAIN.ENABLE", False, "OUTPUT_DIR=a=b",
         "MODEL.ARGS.width=12", "DATA.MEAN", (0.1, 0.2, 0.3)],
    )  # fmt: skip
    assert (cfg.SLOWFAST.ALPHA, cfg.SOLVER.BASE_LR, cfg.TRAIN.ENABLE, cfg.DATA.MEAN) == (4, 0.2, False, [0.1, 0.2, 0.3])
    assert (cfg.OUTPUT_DIR, cfg.MODEL.ARGS.width) == ("a=b", 12)


@pytest.mark.parametrize("num_gpus", [0, 2])
def test_auto_is_the_number_of_gpus(load, monkeypatch, num_gpus):
    monkeypatch.setattr("torch.cuda.device_count", lambda: num_gpus)
    assert load("NUM_GPUS: auto\n").NUM_GPUS == num_gpus
    assert load("", ["NUM_GPUS=auto"]).NUM_GPUS == num_gpus
    with pytest.raises(ConfigError, match="NUM_SHARDS is 'auto'"):
        load("NUM_SHARDS: auto\n")


@pytest.mark.parametrize("value", ["/data/my videos", "a=b", "0123", "s3://x", "(", "[half", "'"])
def test_any_text_can_be_a_path(load, value):
    assert load("", ["OUTPUT_DIR", value]).OUTPUT_DIR == value


@pytest.mark.parametrize(
    "overrides, message",
    [
        (["SLOWFAST.ALPA", 4], r"overrides: SLOWFAST\.ALPA is not a config key\. Did you mean SLOWFAST\.ALPHA\?"),
        (["SLOWFAST.ALPHA"], r"overrides: SLOWFAST\.ALPHA has no value\. Write KEY value or KEY=value"),
        (["SLOWFAST.ALPHA", "4", "5"], r"overrides: expected a key, got '5'\. Write KEY"),
        (["SOLVER.STEPS", "[0,", "94]"], r"expected a key, got '94\]'.* quote a value that holds spaces"),
        ("SLOWFAST.ALPHA 4", "expected pairs of KEY value, got the text 'SLOWFAST.ALPHA 4'"),
        ([4, "SLOWFAST.ALPHA"], r"overrides: expected a key, got 4"),
        (["SLOWFAST", 4], "overrides: SLOWFAST is a group of keys, got 4"),
        (["SLOWFAST.ALPHA.X", 4], r"SLOWFAST\.ALPHA is \{'X': 4\} \(dict\); expected a number"),
        (["MVIT.DEPTH", 4], "MVIT.* not part of slowfast"),
        (["_BASE_", "a.yaml"], "_BASE_ is not a config key"),
    ],
)
def test_bad_overrides(overrides, message):
    with pytest.raises(ConfigError, match=message):
        get_cfg().merge_from_list(overrides)


# ---- PySlowFast's way ----


def test_merge_from_file_in_a_notebook(tmp_path):
    cfg = get_cfg()
    node = cfg.SLOWFAST  # stays the same object
    cfg.merge_from_file("Kinetics/SLOWFAST_8x8_R50")
    assert (node.ALPHA, node.FUSION_KERNEL_SZ) == (4, 7)
    path = tmp_path / "mine.yaml"
    path.write_text("SLOWFAST: {ALPHA: 2}\n")
    cfg.merge_from_file(str(path))
    assert (node.ALPHA, node.FUSION_KERNEL_SZ) == (2, 7)
    with pytest.raises(ValueError, match="allow_unsafe=True"):
        cfg.merge_from_file(path, allow_unsafe=True)


def test_a_loaded_config_is_frozen():
    cfg = load_cfg("Kinetics/SLOWFAST_8x8_R50")
    with pytest.raises(AttributeError, match="ALPHA"):
        cfg.SLOWFAST.ALPHA = 8
    with pytest.raises(AttributeError, match="ALPHA"):
        cfg.merge_from_list(["SLOWFAST.ALPHA", 8])
    with pytest.raises(AttributeError):
        cfg.MODEL.ARGS.width = 3
