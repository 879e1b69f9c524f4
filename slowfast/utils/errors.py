"""Ends of a run that one line explains, and the exit codes of a run.

====  ===========================================================================================
code  meaning
====  ===========================================================================================
0     done
1     a fault of the program; there is a traceback
2     what was asked for cannot be done; one line says why
70    another process of the job died or hung; one line names it
75    stopped by a signal after the state was saved: the same command goes on where it stopped
130   interrupted by Ctrl-C
====  ===========================================================================================

A second signal ends a process at once, as that signal does by default (143 for SIGTERM in a shell).
"""

from __future__ import annotations

import os

EXIT_USER_ERROR = 2
EXIT_LOST_PROCESS = 70  # EX_SOFTWARE of sysexits.h
EXIT_STOPPED = 75  # EX_TEMPFAIL of sysexits.h: try again later


class RunError(RuntimeError):
    """Ends a run; its message is all a user needs."""

    exit_code = EXIT_USER_ERROR


class StoppedError(RunError):
    """A signal asked for the end, and everything is saved."""

    exit_code = EXIT_STOPPED


class LostProcessError(RunError):
    """Another process of the job died, hung or never arrived."""

    exit_code = EXIT_LOST_PROCESS


class StorageError(RunError):
    """A file of the run cannot be written: the disk is full, the folder read-only, ..."""


class ReportedError(RunError):
    """The cause has been printed already, by a process that this one started."""

    def __init__(self, exit_code: int):
        super().__init__("")
        self.exit_code = exit_code


USER_ERRORS = (RunError, ValueError, FileNotFoundError, PermissionError)


def exit_code_of(error: BaseException) -> int:
    """Exit code of a run that ``error``, one of ``USER_ERRORS``, ends."""
    return error.exit_code if isinstance(error, RunError) else EXIT_USER_ERROR


def wants_traceback() -> bool:
    """Whether even one-line errors should show where they were raised (SLOWFAST_TRACEBACK=1)."""
    return bool(os.environ.get("SLOWFAST_TRACEBACK"))
