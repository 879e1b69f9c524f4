"""The defaults: PySlowFast's names and values, one comment each, and a copy for everyone."""

import ast
import json
from pathlib import Path

import slowfast.config
import slowfast.config.defaults as defaults
from slowfast.config import get_cfg
from slowfast.config.rules.common import value_of

GOLDEN = json.loads((Path(__file__).parents[1] / "data/golden/config_defaults.json").read_text())
SOURCE = Path(defaults.__file__).read_text()


def assignments() -> list[tuple[str, int, int]]:
    """(dotted key, first line, last line) of every ``_C.X.Y = value``, groups left out."""
    found = []
    for node in ast.parse(SOURCE).body:
        name = ast.unparse(node.targets[0]) if isinstance(node, ast.Assign) else ""
        if name.startswith("_C.") and ast.unparse(node.value) != "CfgNode()":
            found.append((name.removeprefix("_C."), node.lineno, node.end_lineno))
    return found


def test_every_key_of_pyslowfast_has_its_name_type_and_default():
    cfg = get_cfg()
    found = {name: value_of(cfg, name) for name in GOLDEN}
    assert found == GOLDEN
    assert [type(value) for value in found.values()] == [type(value) for value in GOLDEN.values()]


def test_every_key_stands_there_once_with_a_comment_that_marks_our_own():
    lines = SOURCE.splitlines()
    names = [name for name, _, _ in assignments()]
    assert sorted(names) == sorted(set(names))
    for name, first, last in assignments():
        assert "  # " in lines[last - 1] or lines[first - 2].startswith("# "), name
        near = [lines[last - 1], *lines[max(0, first - 3) : first - 1]]
        assert name in GOLDEN or any("[own]" in line for line in near), name


def test_a_config_is_a_copy():
    first = get_cfg()
    first.SLOWFAST.ALPHA = 4
    first.DATA.MEAN.append(0.0)
    assert get_cfg().SLOWFAST.ALPHA == 8
    assert get_cfg().DATA.MEAN == [0.45, 0.45, 0.45]


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
