"""Errors as a user of the command line sees them: the message, without a traceback."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable

from slowfast.utils.errors import USER_ERRORS, StoppedError, exit_code_of, wants_traceback
from slowfast.utils.text import printable


def report_errors(main: Callable[..., int]) -> Callable[..., int]:
    """``main`` with user errors as one line on standard error and an exit code (``utils/errors.py``).

    With SLOWFAST_TRACEBACK=1 in the environment they keep their traceback; other exceptions always do.
    """

    @functools.wraps(main)
    def wrapped(*args, **kwargs) -> int:
        if wants_traceback():
            return main(*args, **kwargs)
        try:
            return main(*args, **kwargs)
        except StoppedError as error:
            print(error, file=sys.stderr)
            return error.exit_code
        except USER_ERRORS as error:
            if str(error):  # else a process of the job has said it
                message = printable(str(error), keep="\n\t")  # names of files must not steer the terminal
                print(f"error: {message}\n(SLOWFAST_TRACEBACK=1 shows where it was raised)", file=sys.stderr)
            return exit_code_of(error)
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            return 130

    return wrapped
