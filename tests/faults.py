"""Faults for tests of what survives them: killed processes, slow ones, full disks, torn files.

``run_job`` runs the command line in a process of its own that is forked from one where everything is imported already,
and ends, slows or starves it where the fault says.
"""

from __future__ import annotations

import importlib
import json
import multiprocessing
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

import slowfast
from tests.groups import server

_PACKAGE = str(Path(slowfast.__file__).parent)
# What runs while a job trains and tests: calls of these, and of torch's file format, are the moments of a kill.
_PLACES = (
    *(f"{_PACKAGE}/{name}/" for name in ("engine", "evaluation", "datasets", "utils")),
    torch.serialization.__file__,
)


STARTED: list = []


@dataclass(frozen=True)
class Fault:
    """What goes wrong in a process.

    Attributes:
        kill_at_call: SIGKILL when this many calls were counted (``_CallCounter``); 0: never.
        signal_at_call: the same number for ``signal``, which the process sends itself.
        at_step: training step, from 1, before which ``action`` happens on ``rank``: "kill", "hang", "raise", or the
            name of a signal.
        file_size_limit: bytes after which a file cannot grow, as on a full disk; 0: none.
        patches: "module.name" -> value, set before the job begins.
    """

    kill_at_call: int = 0
    signal_at_call: int = 0
    signal: int = signal.SIGTERM
    action: str = ""
    at_step: int = 0
    rank: int = 0
    file_size_limit: int = 0
    patches: dict[str, object] = field(default_factory=dict)

    def install(self, count_file: str = "") -> None:
        """Have it happen in this process."""
        for name, value in self.patches.items():
            module, _, attribute = name.rpartition(".")
            setattr(importlib.import_module(module), attribute, value)
        if self.file_size_limit:
            resource.setrlimit(resource.RLIMIT_FSIZE, (self.file_size_limit, resource.RLIM_INFINITY))
        if self.kill_at_call or self.signal_at_call or count_file:
            sys.setprofile(_CallCounter(self, count_file))
        if self.action:
            _act_in_step(self)


class _CallCounter:
    """Counts calls from the beginning of the training on: the moments that a kill can fall on."""

    def __init__(self, fault: Fault, count_file: str):
        self.fault, self.count_file = fault, count_file
        self.count, self.in_file, self.is_counting = 0, 0, False

    def __call__(self, frame, event: str, _argument) -> None:
        code = frame.f_code
        if event != "call" or not code.co_filename.startswith(_PLACES):
            return
        self.is_counting = self.is_counting or (
            code.co_name == "train" and code.co_filename.endswith("engine/trainer.py")
        )
        if not self.is_counting:
            return
        if code.co_filename == torch.serialization.__file__:  # one of 50: it calls itself for every tensor
            self.in_file += 1
            if self.in_file % 50:
                return
        self.count += 1
        if self.count == self.fault.kill_at_call:
            os.kill(os.getpid(), signal.SIGKILL)
        if self.count == self.fault.signal_at_call:
            os.kill(os.getpid(), self.fault.signal)


def _act_in_step(fault: Fault) -> None:
    """Wrap ``Trainer.train_step``."""
    from slowfast.engine.trainer import Trainer
    from slowfast.utils import distributed

    original = Trainer.train_step

    def train_step(trainer, batch):
        if trainer.step + 1 == fault.at_step and distributed.rank() == fault.rank:
            act(fault.action)
        return original(trainer, batch)

    Trainer.train_step = train_step


def act(action: str) -> None:
    """Do to this process what ``Fault.action`` says."""
    if action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif action == "hang":
        time.sleep(10_000)
    elif action == "raise":
        raise RuntimeError("an injected fault")
    else:
        os.kill(os.getpid(), getattr(signal, action))


def tear(path: Path, *, keep: float = 0.5) -> None:
    """Cut a file, as a crash of the machine may."""
    os.truncate(path, int(keep * path.stat().st_size))


def flip_bit(path: Path, position: float) -> None:
    """Turn over one bit at a fraction of the file's length."""
    content = bytearray(path.read_bytes())
    content[int(position * len(content))] ^= 1
    path.write_bytes(content)


def _child(argv: list[str], fault: Fault, log: str, count_file: str, environ: dict[str, str]) -> None:
    os.environ |= environ
    multiprocessing.set_start_method("fork", force=True)  # as where a command runs; here it would be the server's
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    from slowfast.cli.run import main

    fault.install(count_file)
    code = main(argv)
    counter = sys.getprofile()
    sys.setprofile(None)
    if count_file:
        Path(count_file).write_text(json.dumps(counter.count))
    sys.stdout.flush()
    sys.exit(code)


def run_job(argv: Sequence, *, log: Path, fault: Fault | None = None, count_file: Path | None = None) -> int:
    """Exit code of ``slowfast run`` with ``argv``, negative for a signal; what it prints goes to ``log``."""
    process = start_job(argv, log=log, fault=fault, count_file=count_file)
    process.join()
    return process.exitcode


def start_job(
    argv: Sequence,
    *,
    log: Path,
    fault: Fault | None = None,
    count_file: Path | None = None,
    environ: Mapping[str, str] | None = None,
):
    """The process of ``run_job``, running."""
    arguments = (list(map(str, argv)), fault or Fault(), str(log), str(count_file or ""), dict(environ or {}))
    process = server().Process(target=_child, args=arguments)
    process.start()
    STARTED.append(process)
    return process


def end_all() -> None:
    """Kill what ``start_job`` started and still runs."""
    for process in STARTED:
        if process.is_alive():
            process.kill()
        process.join()
    STARTED.clear()


def free_port() -> int:
    """A port of this machine that is not in use."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start_group(argv: Sequence, *, log: Path, size: int, fault: Fault | None = None, of_machine: int = 1) -> list:
    """``size`` processes that form one group, ``of_machine`` of them on each machine; logs are ``log`` and a rank."""
    where = {"WORLD_SIZE": str(size), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    where["LOCAL_WORLD_SIZE"] = str(of_machine)
    ranks = [{"RANK": str(rank), "LOCAL_RANK": str(rank % of_machine)} for rank in range(size)]
    return [start_job(argv, log=Path(f"{log}{rank['RANK']}"), fault=fault, environ={**where, **rank}) for rank in ranks]
