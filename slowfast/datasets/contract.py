"""What a data set offers to tasks and loaders, as types. Data sets need not derive from them.

The train split gives a ``ClipSample`` for ``(epoch, index)`` (in multigrid training ``(epoch, index, ClipShape)``), the
val split one for ``index``, the test split ``VideoViews`` for ``index``; data sets with boxes give ``DetectionSample``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

SPLITS = ("train", "val", "test")


def check_split(split: str) -> None:
    """Return when there is such a split.

    Raises:
        ValueError: there is none.
    """
    if split not in SPLITS:
        raise ValueError(f'split must be "train", "val" or "test", got {split!r}.')


class VideoDataset(Protocol):
    """What all have.

    Attributes:
        num_videos: entries of the list.
        labels: int64 (N,), -1 where there is none, or multi-hot (N, K).
        paths: names of the entries, as predictions list them.
        class_names: in the order of the labels, or None.
    """

    num_videos: int
    labels: Any
    paths: Sequence[str]
    class_names: Sequence[str] | None

    def __len__(self) -> int: ...

    def __getitem__(self, key: Any) -> Any: ...


class ClipsDataset(VideoDataset, Protocol):
    """Whole clips.

    Attributes:
        num_views: of a test video.
    """

    num_views: int


class KeyFrameDataset(VideoDataset, Protocol):
    """Boxes on key frames.

    Attributes:
        key_frames: (video, second) and boxes of each entry, a ``lists.ava_boxes.KeyFrames``.
    """

    key_frames: Any

    def with_view(self, *, short_side: int | None = None, flip: bool | None = None) -> KeyFrameDataset:
        """The same test set at another scale or mirrored; None keeps the current value."""
        ...
