"""Something-Something V2's own annotation files, by their names of 2018 and of 2022.

``labels.json`` is ``{"Putting something near something": "0", ...}``, numbers as strings. ``train.json`` and
``validation.json`` are lists of ``{"id": "901", "template": "Putting [something] near [something]", ...}``; the class
is the label of the template without brackets. ``test.json`` has only ids; their labels are in ``test-answers.csv``, one
``id;label`` per line.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from slowfast.datasets.lists.row_problems import AnnotationError, RowProblems, read_text
from slowfast.utils.logging import count
from slowfast.utils.untrusted import cut, parse_integer, parse_json, quoted, read_json

OLD_PREFIX = "something-something-v2-"
_ID_KEY = re.compile(r'"id"\s*:')


@dataclass(frozen=True, repr=False)
class SomethingAnnotations:
    """The entries of a file.

    Attributes:
        source: name of the file.
        video_ids: all different.
        labels: int64 (N,).
        line_numbers: int32 (N,), from 1, of the ids.
    """

    source: str
    video_ids: list[str]
    labels: np.ndarray
    line_numbers: np.ndarray

    def __repr__(self) -> str:
        return f"SomethingAnnotations({count(len(self.video_ids), 'video')} of {self.source})"


def find_json(folder: Path, name: str) -> Path:
    """``<folder>/<name>.json``, or under its older name."""
    candidates = [folder / f"{name}.json", folder / f"{OLD_PREFIX}{name}.json"]
    found = next((path for path in candidates if path.is_file()), None)
    if found is None:
        raise AnnotationError(
            f"{folder} holds neither {candidates[0].name} nor {candidates[1].name}. "
            "DATA.PATH_TO_DATA_DIR names the folder of Something-Something's JSON files."
        )
    return found


def read_labels(path: Path) -> dict[str, int]:
    """Template without brackets -> class, 0 to K - 1, in the order of classes."""
    content = read_json(path, error=AnnotationError)
    try:
        labels = {name: parse_integer(str(label)) for name, label in content.items()}
    except (AttributeError, ValueError):
        labels = {}
    if not labels or sorted(labels.values()) != list(range(len(labels))):
        raise AnnotationError(
            f'{path}: expected {{"template": "0", ...}} with numbers 0, 1, ... K - 1, each once, in strings.'
        )
    return dict(sorted(labels.items(), key=lambda item: item[1]))


def read_entries(path: Path, labels: dict[str, int]) -> SomethingAnnotations:
    """The videos of train.json or validation.json; ``labels`` as ``read_labels`` gives them."""
    entries, lines = _entries(path)
    problems = RowProblems(path, 'Expected {"id": ..., "template": ...} with a template that the labels file names.')
    classes = []
    for line, entry in zip(lines.tolist(), entries, strict=True):
        template = entry.get("template")
        name = _without_brackets(template) if isinstance(template, str) else None
        if name in labels:
            classes.append(labels[name])
        else:
            found = f"there is no label {quoted(name)}" if name is not None else f"no template in {entry}"
            problems.add(line, f"video {entry['id']}: {found}")
    problems.report(len(entries))
    return _annotations(path, [str(entry["id"]) for entry in entries], classes, lines)


def read_test_entries(path: Path, labels: dict[str, int]) -> SomethingAnnotations:
    """The videos of test.json, with the labels of ``test-answers.csv`` next to it; -1 without that file."""
    entries, lines = _entries(path)
    ids = [str(entry["id"]) for entry in entries]
    answers_path = path.with_name("test-answers.csv")
    if not answers_path.is_file():
        return _annotations(path, ids, [-1] * len(ids), lines)
    answers = _answers(answers_path, labels)
    without = [video_id for video_id in ids if video_id not in answers]
    if without:
        raise AnnotationError(
            f"{answers_path}: {len(without):,} of {len(ids):,} videos of {path.name} have no answer: "
            f"{cut(', '.join(without[:10]))}. Remove the file to test without labels."
        )
    return _annotations(path, ids, [answers[video_id] for video_id in ids], lines)


def _answers(path: Path, labels: dict[str, int]) -> dict[str, int]:
    problems = RowProblems(path, "Expected `id;label` in every line, with a label that the labels file names.")
    answers: dict[str, int] = {}
    rows = [(n, line.strip()) for n, line in enumerate(read_text(path, "the answers").splitlines(), 1) if line.strip()]
    for line_number, line in rows:
        video_id, _, label = line.partition(";")
        label = _without_brackets(label.strip().strip('"'))
        if label in labels:
            answers[video_id.strip()] = labels[label]
        else:
            problems.add(line_number, f"there is no label {quoted(label)}")
    problems.report(len(rows))
    return answers


def _without_brackets(template: str) -> str:
    return template.replace("[", "").replace("]", "")


def _annotations(path: Path, ids: list[str], classes: list[int], lines: np.ndarray) -> SomethingAnnotations:
    first: dict[str, int] = {}
    for video_id, line in zip(ids, lines.tolist(), strict=True):
        if video_id in first:
            raise AnnotationError(f"{path}:{line}: video {cut(video_id)} is already listed on line {first[video_id]}.")
        first[video_id] = line
    return SomethingAnnotations(path.name, ids, np.array(classes, dtype=np.int64), lines)


def _entries(path: Path) -> tuple[list[dict], np.ndarray]:
    """The objects of a JSON list, each with an id, and the lines in which these stand."""
    text = read_text(path, "the annotations")
    entries = parse_json(text, source=path, error=AnnotationError)
    if not isinstance(entries, list) or not all(
        isinstance(entry, dict) and isinstance(entry.get("id"), str | int) for entry in entries
    ):
        raise AnnotationError(f'{path}: expected a list of objects with an "id" each, either text or a number.')
    if not entries:
        raise AnnotationError(f"{path} names no video.")
    newlines = np.array([match.start() for match in re.finditer("\n", text)])
    offsets = [match.start() for match in _ID_KEY.finditer(text)]
    offsets += [len(text)] * (len(entries) - len(offsets))  # keys spelt with escapes
    return entries, (np.searchsorted(newlines, offsets[: len(entries)]) + 1).astype(np.int32)
