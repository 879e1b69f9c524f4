"""Class names out of AVA's label maps."""

import re
from pathlib import Path

import pytest

from slowfast.evaluation.ava.label_map import names_of_labels, read_label_map

GOLDEN = Path(__file__).parents[2] / "data" / "golden" / "ava"  # sources: tests/data/README.md
ITEMS = 'item {\n  name: "bend/bow (at the waist)"\n  id: 1\n}\nitem {\n  name: "crouch/kneel"\n  id: 3\n}\n'
LABELS = (
    'label {\n  name: "bend/bow (at the waist)"\n  label_id: 1\n  label_type: PERSON_MOVEMENT\n}\n'
    'label {\n  name: "crouch/kneel"\n  label_id: 3\n  label_type: PERSON_MOVEMENT\n}\n'
)


@pytest.mark.parametrize(
    "text",
    [
        ITEMS,
        LABELS,
        ITEMS.replace("  ", "\t"),
        ITEMS.replace("  ", "").replace(": ", ":"),
        ITEMS.replace("\n", " "),
        ITEMS.replace('"', "'"),
        ITEMS.replace("\n", "\r\n"),
        "\ufeff# classes\n" + ITEMS,
    ],
)
def test_both_dialects_of_label_maps(tmp_path, text):
    path = tmp_path / "map.pbtxt"
    path.write_bytes(text.encode())
    assert list(read_label_map(path).items()) == [(1, "bend/bow (at the waist)"), (3, "crouch/kneel")]
    assert names_of_labels(path, 4) == ["bend/bow (at the waist)", "class 2", "crouch/kneel", "class 4"]
    assert names_of_labels(tmp_path / "none.pbtxt", 4) is None
    with pytest.raises(ValueError, match=r"map\.pbtxt names class 3 \(crouch/kneel\), but .*MODEL\.NUM_CLASSES = 2"):
        names_of_labels(path, 2)


def test_the_evaluated_classes_of_ava():
    """60 of AVA's 80 classes are evaluated; these are not."""
    absent = {2, 16, 18, 19, 21, 23, 25, 31, 32, 33, 35, 39, 40, 42, 44, 50, 53, 55, 71, 75}
    assert set(read_label_map(GOLDEN / "label_map.pbtxt")) == set(range(1, 81)) - absent


@pytest.mark.parametrize(
    "text, problem",
    [
        ("", "map.pbtxt: no class"),
        ("stand\nsit\n", r"map.pbtxt:1: expected `item {` or `label {`, got 'stand sit'"),
        ('item {\n name: "a"\n}\n', "map.pbtxt:1: a class needs a name and an id"),
        ("item {\n id: 1\n}\n", "map.pbtxt:1: a class needs a name and an id"),
        ('item {\n name: "a"\n id: one\n}\n', "map.pbtxt:1: class id 'one' is not an integer"),
        ('item {\n name "a"\n}\n', 'map.pbtxt:2: expected `field: value`, got \'name"a"'),
        ('item {\n name: "a\n id: 1\n}\n', "map.pbtxt:2: expected `field: value`"),
        ('item {\n name: "a"\n id: 1\n', "map.pbtxt:1: this `item {` is never closed"),
        (ITEMS + 'item { name: "c" id: 3 }', r"map.pbtxt:9: class 3 'c': its id or its name appears twice"),
        (ITEMS + 'item { name: "crouch/kneel" id: 4 }', r"map.pbtxt:9: class 4 'crouch/kneel': its id or its name"),
        (b"\x89PNG\xff", "cannot read the label map"),
    ],
)
def test_what_is_no_label_map(tmp_path, text, problem):
    (tmp_path / "map.pbtxt").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ValueError, match=re.escape(problem)):
        read_label_map(tmp_path / "map.pbtxt")
