"""Config files that are small and endless, or hold values that are none: an error at once, with file and line."""

import re

import pytest

from slowfast.config import get_cfg, load_cfg
from slowfast.config.files import MAX_BYTES, MAX_DEPTH, ConfigError, parse_layer, parse_yaml

BOMB = "DATA:\n  ARGS:\n    a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"    a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 9)
)
MERGES = "m0: &m0 {a: 1, b: 2}\n" + "".join(
    f"m{i}: &m{i} {{<<: [{', '.join([f'*m{i - 1}'] * 9)}]}}\n" for i in range(1, 9)
)


@pytest.mark.parametrize(
    "text, problem",
    [
        (BOMB, r":\d: .*more than 20,000 values, with aliases expanded"),
        (MERGES, r":\d: .*more than 20,000 values"),
        ("a: " + "[" * 100_000, r":1: .*nested more than 40 levels deep"),
        ("a: " + "{a: " * 50_000, r":1: .*nested more than 40 levels deep"),
        ("SOLVER:\n  BASE_LR: 2020-99-99", r":2: .*'2020-99-99' is not a valid timestamp"),
        ("SOLVER:\n  BASE_LR: " + "9" * 5000, r":2: .*is not a valid int of up to 100 digits"),
        ("SOLVER:\n  BASE_LR: 0x" + "f" * 5000, r":2: .*is not a valid int of up to 100 digits"),
        ("SOLVER:\n  BASE_LR: ." + "5" * 5000, r":2: .*is not a valid float of up to 100 digits"),
        ("SOLVER:\n  BASE_LR: !!int x", r":2: .*'x' is not a valid int"),
        ("SOLVER:\n  BASE_LR: !!float x", r":2: .*'x' is not a valid float"),
        ("SOLVER:\n  BASE_LR: !!bool x", r":2: .*'x' is not a valid bool"),
        ("SOLVER:\n  BASE_LR: !!timestamp x", r":2: .*'x' is not a valid timestamp"),
        ("SOLVER:\n  BASE_LR: !!binary \u00e9", r":2: .*"),
        ("SOLVER:\n  BASE_LR: \x07", r":2: not valid YAML: the character '\\x07' is not allowed"),
        ("a: 1\n" * (MAX_BYTES // 4), r"it has 327,680 bytes, more than the 262,144 that are read"),
        ("_BASE_: " + "x" * 5000, r":1: _BASE_ names 'xxx"),
        ("_BASE_: ~nobody/x.yaml", r":1: _BASE_ names '~nobody/x\.yaml'"),
        ('_BASE_: "a\\0b"', r":1: _BASE_ names 'a\\x00b'"),
        ("SOLVER:\n  BASE_LR: [" + "1," * 15_000 + "1]", r":2: SOLVER\.BASE_LR is \[1, 1.*\.\.\."),
    ],
)
def test_a_config_without_end_or_sense_ends_in_one_line(text, problem, tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=rf"a\.yaml.*{problem}") as error:
        load_cfg(path)
    assert len(str(error.value)) < 1000 and "\n" not in str(error.value)


@pytest.mark.parametrize(
    "value", ["0x" + "f" * 5000, "9" * 5000, "[" * 5000, "-" * 5000 + "1", "(" * 100_000, "1e999999"]
)
def test_an_override_without_end_or_sense_ends_in_one_line(value):
    cfg = get_cfg()
    with pytest.raises(ConfigError, match=r"overrides: SOLVER\.MAX_EPOCH is ") as error:
        cfg.merge_from_list(["SOLVER.MAX_EPOCH", value])
    assert len(str(error.value)) < 1000


def test_aliases_and_depth_within_the_limits_are_fine():
    text = "base: &base {a: [1, 2], b: 3}\nother:\n  <<: *base\n  b: 4\nlist: [*base, *base]\n"
    tree = parse_layer(text, source="a.yaml").tree
    assert tree["other"] == {"a": [1, 2], "b": 4} and tree["list"][1]["b"] == 3
    depth = MAX_DEPTH - 2
    assert parse_layer("a: " + "[" * depth + "]" * depth, source="a").tree


def test_yaml_out_of_other_files_has_the_same_limits():
    assert parse_yaml("a: [1, 2]", source="checkpoint") == {"a": [1, 2]}
    assert parse_yaml("", source="checkpoint") is None
    for text in (BOMB, "[" * 10**5, "x: 2020-99-99", "a: b: c", "x" * (MAX_BYTES + 1)):
        with pytest.raises(ConfigError, match=re.escape("checkpoint:")):
            parse_yaml(text, source="checkpoint")
