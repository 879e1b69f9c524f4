"""What the tests of commands share as fixtures; ``runs.py`` has the rest."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest


@pytest.fixture
def refused(capsys) -> Callable[..., str]:
    """``refused(main, argv)``: what a command says on standard error that ends with exit code 2, and no traceback."""

    def run(command: Callable[..., int], *arguments: Any, **options: Any) -> str:
        assert command(*arguments, **options) == 2
        error: str = capsys.readouterr().err
        assert "Traceback" not in error
        return error

    return run
