"""Errors as a user of the command line sees them: the message, without a traceback."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable

from slowfast.engine.trainer import NonFiniteLossError, TooManyBadVideosError
from slowfast.utils.text import printable

_FOR_USERS = (ValueError, NonFiniteLossError, TooManyBadVideosError, FileNotFoundError, PermissionError)


def report_errors(main: Callable[..., int]) -> Callable[..., int]:
    """``main`` whose user errors become one line on standard error and exit code 2.

    With SLOWFAST_TRACEBACK=1 in the environment they keep their traceback; other exceptions always do.
    """

    @functools.wraps(main)
    def wrapped(*args, **kwargs) -> int:
        if os.environ.get("SLOWFAST_TRACEBACK"):
            return main(*args, **kwargs)
        try:
            return main(*args, **kwargs)
        except _FOR_USERS as error:
            message = printable(str(error), keep="\n\t")  # names of files must not steer the terminal
            print(f"error: {message}\n(SLOWFAST_TRACEBACK=1 shows where it was raised)", file=sys.stderr)
            return 2
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            return 130

    return wrapped
