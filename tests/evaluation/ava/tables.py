"""What a test sees of a table."""

from __future__ import annotations

from slowfast.evaluation.ava.table import BoxTable


def rows_of(table: BoxTable) -> list[tuple]:
    """The table as tuples: video, second, x1, y1, x2, y2, class, score."""
    return [
        (*table.images[image], *box, class_id, score)
        for image, box, class_id, score in zip(
            table.image_index, table.boxes.tolist(), table.classes.tolist(), table.scores.tolist(), strict=True
        )
    ]
