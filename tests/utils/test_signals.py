"""Signals that ask for the end are noted once, and obeyed the second time."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from slowfast.utils.signals import forward_signals, stop_on_signals, stop_requested
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
    assert f"{number.name}: stopping after this step; send it again to exit at once" in capfd.readouterr().err


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
