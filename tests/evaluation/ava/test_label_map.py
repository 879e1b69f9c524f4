"""Class names out of AVA's label maps."""

import pytest

from slowfast.evaluation.ava.label_map import names_of_labels


@pytest.mark.parametrize(
    "text",
    [
        'item {\n  name: "bend/bow (at the waist)"\n  id: 1\n}\nitem {\n  name: "stand"\n  id: 3\n}\n',
        'label {\n  name: "bend/bow (at the waist)"\n  label_id: 1\n  label_type: PERSON_MOVEMENT\n}\n'
        "label { name: 'stand' label_id: 3 label_type: PERSON_MOVEMENT }",
    ],
)
def test_both_dialects(tmp_path, text):
    path = tmp_path / "map.pbtxt"
    path.write_text(text)
    assert names_of_labels(path, 4) == ["bend/bow (at the waist)", "class 2", "stand", "class 4"]


def test_no_map_no_names(tmp_path):
    assert names_of_labels(tmp_path / "none.pbtxt", 4) is None


def test_a_map_of_more_classes_is_an_error(tmp_path):
    path = tmp_path / "map.pbtxt"
    path.write_text('item { name: "stand" id: 12 }')
    with pytest.raises(ValueError, match=r"map\.pbtxt names class 12 \(stand\), but .*MODEL\.NUM_CLASSES = 3"):
        names_of_labels(path, 3)
