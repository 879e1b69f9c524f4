"""Counts the training videos that cannot be read, each once, over all processes and restarts."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

from slowfast.utils import distributed
from slowfast.utils.errors import RunError

logger = logging.getLogger(__name__)


class TooManyBadVideosError(RunError):
    """More videos than allowed could not be decoded."""


class BadVideos:
    """The rows of the training list that could not be read so far, the same on every process.

    Args:
        limit: DATA.MAX_BAD_VIDEOS.
    """

    def __init__(self, limit: int):
        self.limit = limit
        self._reasons: dict[str, str] = {}  # by row of the list, or, of data sets that name none, by the reason itself

    def __len__(self) -> int:
        return len(self._reasons)

    def new_among(self, failures: Iterable[str]) -> dict[str, str]:
        """Those of ``failures`` (reasons; see ``ReadFailure``) that are not counted yet."""
        found = {str(getattr(failure, "row", failure)): str(failure) for failure in failures}
        return {row: reason for row, reason in found.items() if row not in self._reasons}

    def add(self, new: dict[str, str]) -> None:
        """Count and log what any process has newly found; every process must call it.

        Raises:
            TooManyBadVideosError: there are more than the limit, on every process.
        """
        for found in distributed.all_gather_objects(new):
            for row, reason in found.items():
                if row not in self._reasons:
                    self._reasons[row] = reason
                    self._log(reason)
        if len(self) > self.limit:
            last = next(reversed(self._reasons.values()))
            raise TooManyBadVideosError(
                f"{len(self)} videos could not be decoded, more than DATA.MAX_BAD_VIDEOS={self.limit}; the last: "
                f"{last} Check the data, or raise the limit."
            )

    def _log(self, reason: str) -> None:
        logger.warning(
            "%s Another video took its place. %d so far, limit DATA.MAX_BAD_VIDEOS=%d.", reason, len(self), self.limit
        )

    def state_dict(self) -> dict[str, Any]:
        return {"reasons": dict(self._reasons)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._reasons = dict(state["reasons"])
