"""A summary of a data set's content, short enough for every report: different data often explains missed accuracies."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from slowfast.datasets.contract import VideoDataset


@dataclass(frozen=True)
class Fingerprint:
    """The rows of one split's lists.

    Attributes:
        file: the list, as messages call it.
        rows: videos, or key frames.
        classes: those that the model distinguishes if labels are rows of 0 and 1, else those that occur; 0 without
            labels.
        missing: annotated videos that were skipped because they do not exist.
        sha256: of names and labels in their order. Names are relative to the common folder of all videos and have no
            extension, so copies of a data set in other places or formats have the same hash.
    """

    file: str
    rows: int
    classes: int
    missing: int
    sha256: str

    def as_dict(self) -> dict[str, Any]:
        """For JSON and checkpoints."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Fingerprint:
        """What ``as_dict`` gave."""
        return cls(**data)

    def differences(self, other: Fingerprint) -> list[str]:
        """What differs, such as ``rows 19,796 -> 19,404``; the file's name does not count."""
        found = [
            f"{name} {getattr(self, name):,} -> {getattr(other, name):,}"
            for name in ("rows", "classes", "missing")
            if getattr(self, name) != getattr(other, name)
        ]
        if self.sha256 != other.sha256:
            found.append(f"sha256 {self.sha256[:8]} -> {other.sha256[:8]}")
        return found


def fingerprint_of(dataset: VideoDataset) -> Fingerprint:
    """The fingerprint of a data set's rows: its own method ``fingerprint()``, or of its ``paths`` and ``labels``."""
    if hasattr(dataset, "fingerprint"):
        return dataset.fingerprint()
    return of_rows(type(dataset).__name__, dataset.paths, np.asarray(dataset.labels))


def of_rows(
    file: str, names: Sequence[str], labels: np.ndarray, *, missing: int = 0, more: Iterable[bytes] = ()
) -> Fingerprint:
    """The fingerprint of rows.

    Args:
        names: of the videos, with or without folders.
        labels: (N,), -1 where there is none, or (N, K) of 0 and 1.
        more: additional content of the rows.
    """
    digest = hashlib.sha256()
    folder = _shared_folder(names)
    for name in names:
        digest.update(os.fsencode(os.path.splitext(name[len(folder) :])[0]) + b"\n")
    digest.update(np.ascontiguousarray(labels).astype("<i8" if labels.ndim == 1 else "u1").tobytes())
    for part in more:
        digest.update(part)
    classes = labels.shape[1] if labels.ndim == 2 else len(np.unique(labels[labels >= 0]))
    return Fingerprint(file, len(names), classes, missing, digest.hexdigest())


def _shared_folder(names: Sequence[str]) -> str:
    """The folder that all names begin with, its slash included; empty without one."""
    if not len(names):
        return ""
    # What the first and the last by the alphabet share, all others do. Letters are compared, and cut at a slash.
    shared = os.path.commonprefix([min(names), max(names)])  # noqa: RUF071
    return shared[: shared.rfind("/") + 1]


def differences(stored: Mapping[str, Any] | None, present: Mapping[str, Any] | None) -> list[str]:
    """How the fingerprints of two reports differ, split by split; splits that only one of them has are skipped.

    Args:
        stored, present: ``lists`` of a results.json or a checkpoint: split -> ``Fingerprint.as_dict()``.
    """
    stored, present = stored or {}, present or {}
    return [
        f"{split}: {', '.join(changes)}"
        for split in stored
        if split in present
        and (changes := Fingerprint.from_dict(stored[split]).differences(Fingerprint.from_dict(present[split])))
    ]
