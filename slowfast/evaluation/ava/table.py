"""Boxes with a class and a score on key frames of videos, as columns. R rows, K classes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from numbers import Real

import numpy as np

ImageKey = tuple[str, float]  # (video, second); 902 and 902.0 are the same key


@dataclass(frozen=True, eq=False)
class BoxTable:
    """One row per (box, class). The order of rows matters: it is the file order of the protocols, and breaks ties.

    ``BoxTable([("a", 902), ("a", 903)], image_index=[0, 0, 1], boxes=..., classes=[1, 12, 4], scores=[.9, .2, .7])``

    Attributes:
        images: (video, second) of key frames, seconds as numbers. An image may have no row, and a key may appear twice.
        image_index: int32 (R,), position in ``images``.
        boxes: float64 (R, 4), x1, y1, x2, y2 as fractions of the frame. Any order of the corners is accepted here.
        classes: int32 (R,), ids of the label map (1-80 in AVA).
        scores: float64 (R,); 1 where not given (ground truth).
        line_numbers: int32 (R,) from 1 if the rows come from a file, else None.
        source: name of the file in messages.

    Raises:
        ValueError: columns of other shapes, an index outside ``images``, a coordinate or score that is not finite.
    """

    images: Sequence[ImageKey]
    image_index: np.ndarray
    boxes: np.ndarray
    classes: np.ndarray
    scores: np.ndarray = None  # type: ignore[assignment]  # ones after __post_init__
    line_numbers: np.ndarray | None = None
    source: str = "boxes"

    def __post_init__(self):
        num_rows = len(self.image_index)
        self._set("images", self.images if isinstance(self.images, list) else list(self.images))
        self._set("image_index", _column(self.image_index, np.int32, (num_rows,), "image_index"))
        self._set("boxes", _column(self.boxes, np.float64, (num_rows, 4), "boxes"))
        self._set("classes", _column(self.classes, np.int32, (num_rows,), "classes"))
        scores = np.ones(num_rows) if self.scores is None else self.scores
        self._set("scores", _column(scores, np.float64, (num_rows,), "scores"))
        if self.line_numbers is not None:
            self._set("line_numbers", _column(self.line_numbers, np.int32, (num_rows,), "line_numbers"))
        self._check_images()
        self._check_values()

    @classmethod
    def from_score_matrix(
        cls,
        images: Sequence[ImageKey],
        image_index: np.ndarray,
        boxes: np.ndarray,
        scores: np.ndarray,
        *,
        source: str = "detections",
    ) -> BoxTable:
        """The table of a model's output: R boxes (R, 4) with scores (R, K) become R * K rows, box by box.

        Column j holds the class of id j + 1, as in AVA.
        """
        scores = np.asarray(scores, np.float64)
        num_boxes, num_classes = scores.shape
        return cls(
            images=images,
            image_index=np.repeat(np.asarray(image_index, np.int32), num_classes),
            boxes=np.repeat(np.asarray(boxes, np.float64), num_classes, axis=0),
            classes=np.tile(np.arange(1, num_classes + 1, dtype=np.int32), num_boxes),
            scores=scores.reshape(-1),
            source=source,
        )

    def __len__(self) -> int:
        return len(self.image_index)

    def __repr__(self) -> str:
        return f"BoxTable({self.source!r}: {len(self):,} rows on {len(self.images):,} images)"

    def take(self, rows: np.ndarray) -> BoxTable:
        """The table of the rows selected by numbers or by a mask. All images stay, even without a row left."""
        return replace(self, **{name: getattr(self, name)[rows] for name in self._row_columns()})

    def every_nth_second(self, divisor: int) -> BoxTable:
        """The images whose second is a multiple of ``divisor``, and their rows.

        PySlowFast validates while training on ``divisor=4``, boxes and ground truth alike.
        """
        return self._images_of(lambda second: second % divisor == 0)

    def within_seconds(self, first: float, last: float) -> BoxTable:
        """The images of the seconds ``first`` to ``last``, both included, and their rows."""
        return self._images_of(lambda second: first <= second <= last)

    def _images_of(self, is_wanted: Callable[[float], bool]) -> BoxTable:
        """The images at the selected seconds, and their rows."""
        is_kept = np.array([is_wanted(second) for _, second in self.images], dtype=bool)
        rows = is_kept[self.image_index]
        columns = {name: getattr(self, name)[rows] for name in self._row_columns()}
        columns["image_index"] = (np.cumsum(is_kept) - 1)[columns["image_index"]]
        kept_images = [image for image, kept in zip(self.images, is_kept, strict=True) if kept]
        return replace(self, images=kept_images, **columns)

    def location(self, row: int) -> str:
        """The location of a row, such as ``groundtruth.csv:12``, for messages."""
        if self.line_numbers is not None:
            return f"{self.source}:{self.line_numbers[row]}"
        return f"{self.source}, row {row} (image {format_key(self.images[self.image_index[row]])})"

    def _row_columns(self) -> list[str]:
        return [field.name for field in fields(self) if isinstance(getattr(self, field.name), np.ndarray)]

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)  # the dataclass is frozen

    def _check_images(self) -> None:
        for video, second in {(type(video), type(second)) for video, second in self.images}:
            if not (issubclass(video, str) and issubclass(second, Real)):
                raise ValueError(
                    f"{self.source}: an image is (video, second), a string and a number, such as ('vid000', 902); "
                    f"got ({video.__name__}, {second.__name__})."
                )
        if len(self) and not (0 <= self.image_index.min() and self.image_index.max() < len(self.images)):
            raise ValueError(
                f"{self.source}: image_index runs from {self.image_index.min()} to {self.image_index.max()}, "
                f"but there are {len(self.images):,} images (0 to {len(self.images) - 1})."
            )

    def _check_values(self) -> None:
        is_wrong = ~(np.isfinite(self.boxes).all(1) & np.isfinite(self.scores))
        if is_wrong.any():
            row = int(np.argmax(is_wrong))
            raise ValueError(
                f"{self.location(row)}: box {self.boxes[row].tolist()} with score {self.scores[row]} holds a value "
                f"that is not finite ({int(is_wrong.sum()):,} such rows). Boxes and scores must be numbers; those of a "
                "model that diverged are not."
            )


def _column(values: np.ndarray, dtype: type, shape: tuple[int, ...], name: str) -> np.ndarray:
    array = np.asarray(values)
    if array.size == 0 and shape[0] == 0:
        return np.zeros(shape, dtype)  # an empty list has no dtype of its own
    if array.shape != shape:
        raise ValueError(f"{name} has shape {array.shape}; with {shape[0]:,} rows in image_index it must be {shape}.")
    if np.issubdtype(dtype, np.integer) and not np.issubdtype(array.dtype, np.integer):
        raise ValueError(f"{name} must be integers, got {array.dtype}.")
    if np.issubdtype(dtype, np.integer) and np.abs(array).max() > np.iinfo(dtype).max:
        raise ValueError(f"{name} holds {np.abs(array).max()}, more than {np.dtype(dtype)} can.")
    return array.astype(dtype, copy=False)


def number_images(*tables: BoxTable) -> tuple[list[ImageKey], list[np.ndarray]]:
    """One numbering for the images of several tables: distinct keys, and for each table int32 (R,) into them."""
    numbers: dict[ImageKey, int] = {}
    columns = []
    for table in tables:
        own = np.array([numbers.setdefault(key, len(numbers)) for key in table.images], dtype=np.int32)
        columns.append(own[table.image_index])
    return list(numbers), columns


def format_key(image: ImageKey) -> str:
    """``video,0902``; a fraction of a second keeps six decimals."""
    video, second = image
    return f"{video},{int(second):04d}" if second == int(second) else f"{video},{second:.6f}"
