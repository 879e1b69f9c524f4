"""What every test needs: the package's logger as it was, so that caplog sees its records whatever ran before."""

from __future__ import annotations

import logging

import pytest


@pytest.fixture(autouse=True)
def package_logger():
    """``setup_logging`` (any command called in-process) turns propagation off; here it ends with its test."""
    logger = logging.getLogger("slowfast")
    before = logger.propagate, logger.level, list(logger.handlers)
    yield logger
    for handler in logger.handlers:
        if handler not in before[2]:
            handler.close()
    logger.propagate, logger.level, logger.handlers[:] = before
