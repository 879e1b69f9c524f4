"""Runs a reader over damaged files: it gives a result, or one of its documented errors that names the file.

In this process for a few cases. ``run_isolated`` does many in processes of their own, so that one that crashes, hangs
or fills the memory is one finding.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

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
    """The same in other processes, each of which is started anew after a crash or a hang."""
    parts = [cases[i::num_processes] for i in range(num_processes)]
    return [finding for runner in [_Runner(name, part) for part in parts] for finding in runner.findings()]


class _Runner:
    """A process at work on some cases; it writes a line before each, and one for what it finds."""

    def __init__(self, name: str, cases: range):
        self.name, self.left, self.found = name, list(cases), []
        self._start()

    def _start(self) -> None:
        self.log = tempfile.NamedTemporaryFile("r", suffix=".log")  # noqa: SIM115
        arguments = [self.log.name, self.name, self.left]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.fuzz.harness"], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        self.process.stdin.write(json.dumps(arguments))
        self.process.stdin.close()

    def findings(self) -> list[Finding]:
        while True:
            ended = self._wait()
            text = Path(self.log.name).read_text(encoding="utf-8")
            lines = [json.loads(line) for line in text.split("\n") if line]
            self.found += [Finding(self.name, *line) for line in lines if isinstance(line, list)]
            begun = [line for line in lines if isinstance(line, int)]
            if ended == 0:
                return self.found
            if not begun:
                raise RuntimeError(f"the process for {self.name} did not begin (exit code {ended})")
            self.found.append(Finding(self.name, begun[-1], ended or "hangs"))
            self.left = self.left[self.left.index(begun[-1]) + 1 :]
            self._start()

    def _wait(self) -> int | str:
        """The exit code, or "" for a process that was killed because it did not get on."""
        size, since = -1, time.monotonic()
        while self.process.poll() is None:
            time.sleep(0.2)
            if os.path.getsize(self.log.name) != size:
                size, since = os.path.getsize(self.log.name), time.monotonic()
            elif time.monotonic() - since > 6 * SLOW_SECONDS:
                self.process.kill()
                self.process.wait()
                return ""
        code = self.process.returncode
        return code if code == 0 else f"ended with exit code {code}"


def _serve() -> None:
    """Work for a ``_Runner``."""
    log_path, name, cases = json.loads(sys.stdin.read())
    from tests.fuzz.readers import READERS

    own = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (own + MEMORY_BYTES,) * 2)
    reader = READERS[name]
    with tempfile.TemporaryDirectory() as folder, open(log_path, "a", encoding="utf-8", buffering=1) as log:
        samples = reader.samples(Path(folder))
        for case in cases:
            print(case, file=log)
            finding = check_case(name, reader, Path(folder), samples, case)
            if finding:
                print(json.dumps(finding[1:]), file=log)


if __name__ == "__main__":
    _serve()
