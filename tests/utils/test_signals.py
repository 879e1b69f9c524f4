"""Signals that ask for the end are noted once, and obeyed the second time."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from slowfast.utils.signals import end_with_parent, forward_signals, stop_on_signals, stop_requested
from tests.groups import server


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_the_first_is_noted_and_forgotten_afterwards(number, capfd):
    before = signal.getsignal(number)
    with stop_on_signals():
        assert stop_requested() == ""
        os.kill(os.getpid(), number)
        assert stop_requested() == number.name
    assert stop_requested() == ""
    assert signal.getsignal(number) == before
    assert f"{number.name}: stopping after this step; once more to end at once" in capfd.readouterr().err


def ignore_one() -> None:
    with stop_on_signals():
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGTERM)
        os._exit(0)


def test_the_second_ends_the_process():
    process = server().Process(target=ignore_one)
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGTERM


def test_they_can_be_handed_on():
    got = []
    with forward_signals(got.append):
        os.kill(os.getpid(), signal.SIGUSR1)
        assert got == [signal.SIGUSR1] and stop_requested() == ""


def test_a_thread_leaves_them_alone():
    before = signal.getsignal(signal.SIGTERM)

    def work() -> None:
        with stop_on_signals():
            assert signal.getsignal(signal.SIGTERM) == before

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


def start_child(connection) -> None:
    """A process that starts another, tells its number, and waits."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        end_with_parent()
        os.write(write, b"x")
        signal.pause()
    os.read(read, 1)
    connection.send(pid)
    signal.pause()


def test_a_process_ends_with_the_one_that_started_it():
    ours, theirs = server().Pipe()
    process = server().Process(target=start_child, args=(theirs,))
    process.start()
    pid = ours.recv()
    os.kill(pid, 0)
    process.kill()
    process.join()
    for _ in range(1000):
        try:
            os.kill(pid, 0)
            with open(f"/proc/{pid}/stat") as file:
                if file.read().rpartition(")")[2].split()[0] == "Z":
                    break
        except (ProcessLookupError, FileNotFoundError):
            break
        threading.Event().wait(0.01)
    else:
        os.kill(pid, signal.SIGKILL)
        raise AssertionError("it outlives its parent")
