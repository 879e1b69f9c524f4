"""Detection tables and files: writing them, merging scores of several models, scales and flips, dropping duplicates."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np

from slowfast.evaluation.ava.table import BoxTable, format_key, number_images
from slowfast.utils.files import atomic_write

BOX_DECIMALS = 6  # boxes that agree in so many are the same box
_ROWS_A_WRITE = 100_000
_SHOWN = 5  # examples in a message


def write_detections(path: str | os.PathLike, table: BoxTable) -> None:
    """Write ``video,second,x1,y1,x2,y2,action_id,score`` rows in table order, without a header.

    Seconds have four digits (``0902``). Boxes and scores have as many digits as they need to be read back as the same
    float64, so evaluating the file gives the same as evaluating the table. The file is written atomically.
    """
    keys = [format_key(image) for image in table.images]
    with (
        atomic_write(path) as draft,
        draft.open("w", encoding="utf-8", errors="surrogateescape", newline="\n") as file,
    ):
        for start in range(0, len(table), _ROWS_A_WRITE):
            rows = slice(start, start + _ROWS_A_WRITE)
            columns = (table.image_index, *table.boxes.T, table.classes, table.scores)
            file.writelines(
                f"{keys[image]},{x1!r},{y1!r},{x2!r},{y2!r},{class_id},{score!r}\n"
                for image, x1, y1, x2, y2, class_id, score in zip(*(c[rows].tolist() for c in columns), strict=True)
            )


def drop_duplicate_rows(table: BoxTable) -> tuple[BoxTable, int]:
    """The table without rows that repeat an earlier one (image, box, class and score), and how many such rows there
    were.

    A sampler that pads the last batch repeats some key frames; their second copies would count as wrong detections.
    """
    _, (image,) = number_images(table)
    _, first = np.unique(_row_ids(image, table.classes, *table.boxes.T, table.scores), return_index=True)
    num_dropped = len(table) - len(first)
    return (table.take(np.sort(first)) if num_dropped else table), num_dropped


def merge_scores(
    tables: Sequence[BoxTable], weights: Sequence[float] | None = None, *, missing: str = "error"
) -> BoxTable:
    """One table with the weighted mean of the scores that several give to the same (image, box, class).

    Boxes are the same if their coordinates agree to six decimals; the first table's coordinates are kept. Rows are in
    the order of their first appearance; the order of tables has no other effect.

    Args:
        tables: of several models, scales or flips on the same boxes.
        weights: one per table, not negative; equal by default.
        missing: "error" refuses rows that are missing from a table, "zero" counts their score there as 0.

    Raises:
        ValueError: a row appears twice in one table, rows are missing, or the weights do not fit.
    """
    table_weights = _checked_weights(weights, len(tables))
    if missing not in ("error", "zero"):
        raise ValueError(f'missing={missing!r} is not "error" or "zero".')
    images, image_columns = number_images(*tables)
    image = np.concatenate(image_columns)
    boxes = np.concatenate([table.boxes for table in tables])
    classes = np.concatenate([table.classes for table in tables])
    ids = _row_ids(image, classes, *np.rint(boxes.T * 10**BOX_DECIMALS))
    _, first, merged_row = np.unique(ids, return_index=True, return_inverse=True)
    parts = np.split(merged_row, np.cumsum([len(table) for table in tables])[:-1])
    _check_repeats(tables, parts, len(first))
    if missing == "error":
        _check_missing(tables, parts, len(first))
    scores = np.zeros(len(first))
    for table, weight, rows in zip(tables, table_weights, parts, strict=True):
        scores[rows] += weight * table.scores
    scores /= table_weights.sum()
    order = np.argsort(first)
    first = first[order]
    source = " + ".join(table.source for table in tables)
    return BoxTable(images, image[first], boxes[first], classes[first], scores[order], source=source)


def _row_ids(*columns: np.ndarray) -> np.ndarray:
    """Numbers that are equal where all columns are: int64 (R,)."""
    order = np.lexsort(columns)
    is_new = np.zeros(len(order), bool)  # the row differs from the one before it in some column
    for column in columns:
        is_new[1:] |= np.diff(column[order]) != 0
    ids = np.empty(len(order), np.int64)
    ids[order] = np.cumsum(is_new)
    return ids


def _checked_weights(weights: Sequence[float] | None, num_tables: int) -> np.ndarray:
    """One weight per table."""
    if not num_tables:
        raise ValueError("there is no table to merge.")
    values = np.ones(num_tables) if weights is None else np.asarray(weights, np.float64)
    if values.shape != (num_tables,) or not (np.isfinite(values) & (values >= 0)).all() or not values.sum() > 0:
        raise ValueError(
            f"weights={weights}: expected {num_tables} numbers, one per table, not negative and not all 0."
        )
    return values


def _check_repeats(tables: Sequence[BoxTable], parts: list[np.ndarray], num_merged: int) -> None:
    for table, rows in zip(tables, parts, strict=True):
        is_repeated = np.bincount(rows, minlength=num_merged)[rows] > 1
        if is_repeated.any():
            raise ValueError(
                f"{table.source}: {int(is_repeated.sum()):,} rows share image, box and class with another row, first "
                f"{_examples(table, np.flatnonzero(is_repeated))}. A box needs one score per class: remove copies with "
                "--deduplicate (drop_duplicate_rows)."
            )


def _check_missing(tables: Sequence[BoxTable], parts: list[np.ndarray], num_merged: int) -> None:
    num_tables_with = np.zeros(num_merged, np.int32)
    for rows in parts:
        num_tables_with[rows] += 1
    for table, rows in zip(tables, parts, strict=True):
        lonely = np.flatnonzero(num_tables_with[rows] < len(tables))
        if len(lonely):
            raise ValueError(
                f"{int((num_tables_with < len(tables)).sum()):,} of {num_merged:,} (image, box, class) are not in all "
                f"of {', '.join(other.source for other in tables)}; {len(lonely):,} of them are in {table.source}, "
                f"such as {_examples(table, lonely)}. Evaluate the same boxes with every model, or take missing scores "
                'as 0 with missing="zero" (--missing zero).'
            )


def _examples(table: BoxTable, rows: np.ndarray) -> str:
    texts = []
    for row in rows[:_SHOWN]:
        box = ",".join(f"{value:g}" for value in table.boxes[row])
        line = f"{table.location(row)}: " if table.line_numbers is not None else ""
        texts.append(f"{line}{format_key(table.images[table.image_index[row]])},{box},{table.classes[row]}")
    return "; ".join(texts) + (f" and {len(rows) - _SHOWN:,} more" if len(rows) > _SHOWN else "")
