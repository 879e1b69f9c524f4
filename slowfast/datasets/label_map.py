"""Names of AVA's classes, out of its label maps (text format of protocol buffers)."""

from __future__ import annotations

import re
from pathlib import Path

from slowfast.datasets.annotations import AnnotationError

_ENTRY = re.compile(r"\{([^{}]*)\}")
_NAME, _ID = re.compile(r"""\bname:\s*(["'])(.*?)\1"""), re.compile(r"\b(?:label_)?id:\s*(\d+)")


def class_names_of_map(path: Path, num_classes: int) -> list[str] | None:
    """Names of labels 1 to K in order, ``class 12`` where the map has none; None if there is no such file.

    Reads both dialects, ``item { name: "stand" id: 12 }`` and ``label { name: "stand" label_id: 12 ... }``. The map of
    the evaluation, which checks what it reads, is ``slowfast.evaluation.ava_files.read_label_map``.

    Raises:
        AnnotationError: the map names a label that is not in 1 to K.
    """
    if not path.is_file():
        return None
    names = [f"class {label}" for label in range(1, num_classes + 1)]
    for entry in _ENTRY.findall(path.read_text(encoding="utf-8-sig")):
        name, label = _NAME.search(entry), _ID.search(entry)
        if not (name and label):
            continue
        if not 1 <= int(label[1]) <= num_classes:
            raise AnnotationError(
                f"{path} names class {label[1]} ({name[2]}), but labels are 1 to MODEL.NUM_CLASSES = {num_classes}."
            )
        names[int(label[1]) - 1] = name[2]
    return names
