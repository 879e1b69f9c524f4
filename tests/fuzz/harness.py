"""Runs a reader over damaged files: it gives a result, or one of its documented errors that names the file.

In this process for a few cases. ``run_isolated`` does many in processes of their own, so that one that crashes, hangs
or fills the memory is one finding.
"""

from __future__ import annotations

import functools
import resource
import signal
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NamedTuple

from slowfast.preparation.jobs import Crash, run_jobs
from tests.fuzz.mutators import Mutator, mutate

SLOW_SECONDS = 20.0  # of one case, on a busy machine
MEMORY_BYTES = 6 * 2**30  # of address space, beyond what a process has when it begins


@dataclass(frozen=True)
class Reader:
    """One parser of the package.

    Attributes:
        samples: writes valid files into a folder, and gives (the path to damage, what ``read`` takes: the same path as
            a rule, or the folder).
        read: reads one.
        errors: what it may raise.
        mutators: kinds of damage.
        names: names one of which an error must hold; default the damaged file's.
    """

    samples: Callable[[Path], Sequence[Path]]
    read: Callable[[Path], object]
    errors: tuple[type[Exception], ...]
    mutators: tuple[Mutator, ...]
    names: Sequence[str] = field(default=())


class Finding(NamedTuple):
    """A case that went wrong."""

    reader: str
    case: int
    problem: str


def check_case(name: str, reader: Reader, folder: Path, samples: Sequence[Path], case: int) -> Finding | None:
    """Damage one of ``samples``, read it, and write it back as it was."""
    path = samples[case % len(samples)]
    original = path.read_bytes()
    path.write_bytes(mutate(original, reader.mutators, [case, len(original)]))
    start = time.monotonic()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            problem = _problem_of(reader, path)
    finally:
        path.write_bytes(original)
    seconds = time.monotonic() - start
    if not problem and seconds > SLOW_SECONDS:
        problem = f"took {seconds:.0f} seconds"
    return Finding(name, case, f"{path.name}: {problem}") if problem else None


def _problem_of(reader: Reader, path: Path) -> str:
    try:
        reader.read(path)
    except reader.errors as error:
        if not any(name in str(error) for name in reader.names or (path.name,)):
            return f"does not name the file: {type(error).__name__}: {str(error)[:300]}"
        try:
            str(error).encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:
            return f"its message cannot be written: {error!r:.300}"
        if len(str(error)) > 20_000:
            return f"a message of {len(str(error)):,} characters: {str(error)[:300]}"
    except Exception as error:
        import traceback

        place = traceback.extract_tb(error.__traceback__)[-1]
        return f"{type(error).__name__} at {place.filename}:{place.lineno}: {str(error)[:300]}"
    return ""


def run_cases(name: str, reader: Reader, cases: Sequence[int], folder: Path) -> list[Finding]:
    """What goes wrong in ``cases``, in this process."""
    folder.mkdir(parents=True, exist_ok=True)
    samples = reader.samples(folder)
    found = (check_case(name, reader, folder, samples, case) for case in cases)
    return [finding for finding in found if finding]


def run_isolated(name: str, cases: range, *, num_processes: int = 2) -> list[Finding]:
    """The same in other processes, which end with a case that crashes, hangs or fills the memory."""
    results = run_jobs(partial(_isolated_case, name), cases, num_workers=num_processes)
    found = [Finding(name, cases[i], what.reason) if isinstance(what, Crash) else what for i, what in results]
    return sorted(finding for finding in found if finding)


def _isolated_case(name: str, case: int) -> Finding | None:
    reader, folder, samples = _prepared(name)
    signal.alarm(round(6 * SLOW_SECONDS))  # ends the process, even one that holds the interpreter's lock
    try:
        return check_case(name, reader, Path(folder.name), samples, case)
    finally:
        signal.alarm(0)


@functools.cache
def _prepared(name: str) -> tuple[Reader, tempfile.TemporaryDirectory, Sequence[Path]]:
    """A reader with its samples, in a process of limited memory."""
    from tests.fuzz.readers import READERS

    own = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (own + MEMORY_BYTES,) * 2)
    folder = tempfile.TemporaryDirectory()
    return READERS[name], folder, READERS[name].samples(Path(folder.name))
