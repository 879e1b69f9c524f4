"""Which process this is, by torchrun's or Slurm's word, and who is missing where they meet."""

from __future__ import annotations

import logging
import os
import socket
import threading

import pytest

from slowfast.engine.launch import _check_gpus_of
from slowfast.engine.rendezvous import (
    LaunchError,
    Machine,
    Membership,
    first_host,
    from_slurm,
    from_torchrun,
    meet,
)
from slowfast.utils.errors import LostProcessError


def test_torchrun_numbers_its_processes():
    environ = {"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "4"}
    assert from_torchrun({"RANK": "5"}) is None
    agent = {**environ, "TORCHELASTIC_USE_AGENT_STORE": "True"}
    assert from_torchrun(agent) == Membership(5, 8, 1, 4, "env://")
    assert from_torchrun(agent).machine == 1
    own = {**environ, "MASTER_ADDR": "node1", "MASTER_PORT": "29500"}
    assert from_torchrun(own).address == "tcp://node1:29500"


SRUN = {
    "SLURM_JOB_ID": "1234",
    "SLURM_STEP_ID": "0",
    "SLURM_STEP_NUM_TASKS": "16",
    "SLURM_STEP_NUM_NODES": "2",
    "SLURM_PROCID": "9",
    "SLURM_LOCALID": "1",
    "SLURM_STEP_NODELIST": "gpu[07-08]",
}


def test_srun_with_a_task_for_each_gpu_gives_processes():
    member = from_slurm(SRUN, num_gpus=8)
    assert (member.rank, member.world_size, member.local_rank, member.local_world_size) == (9, 16, 1, 8)
    assert member.address.startswith("tcp://gpu07:2")
    assert from_slurm({**SRUN, "SLURM_PROCID": "3"}, num_gpus=8).address == member.address
    assert from_slurm({**SRUN, "SLURM_STEP_ID": "1"}, num_gpus=8).address != member.address
    assert from_slurm({**SRUN, "SLURM_JOB_ID": "1235"}, num_gpus=8).address != member.address
    assert from_slurm(SRUN, num_gpus=0).local_world_size == 8  # on CPUs


def test_srun_with_a_task_for_each_machine_gives_machines():
    machine = from_slurm({**SRUN, "SLURM_STEP_NUM_TASKS": "2", "SLURM_PROCID": "1"}, num_gpus=8)
    assert machine == Machine(1, 2, machine.address) and machine.address.startswith("tcp://gpu07:2")


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"SLURM_JOB_ID": "1", "SLURM_PROCID": "0", "SLURM_NTASKS": "8"},  # a batch script, not a step
        {**SRUN, "SLURM_STEP_NUM_TASKS": "1"},  # srun --pty bash
    ],
)
def test_outside_of_a_step_of_several_tasks_slurm_says_nothing(environ):
    assert from_slurm(environ, num_gpus=8) is None


def test_tasks_that_do_not_go_with_the_gpus_are_refused():
    with pytest.raises(LaunchError, match=r"16 tasks on 2 machines, but NUM_GPUS=4: .*--ntasks-per-node 4"):
        from_slurm(SRUN, num_gpus=4)


@pytest.mark.parametrize(
    "node_list, host",
    [
        ("gpu7", "gpu7"),
        ("gpu[07-08,11]", "gpu07"),
        ("gpu[3,5]-ib", "gpu3-ib"),
        ("a1,b[2-3]", "a1"),
        ("rack[1-2]n[04-05],x", "rack1n04"),
    ],
)
def test_the_first_host_of_a_list_of_nodes(node_list, host):
    assert first_host(node_list) == host


def test_every_gpu_has_its_process(monkeypatch):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    member = Membership(0, 2, 0, 2, "env://")
    _check_gpus_of(member, 2)  # Slurm shows each process its own GPU alone
    _check_gpus_of(member, 0)
    with pytest.raises(LaunchError, match=r"NUM_GPUS=1, but 2 processes were started .*Set NUM_GPUS to 2"):
        _check_gpus_of(member, 1)


# --- meeting ---


def free_address() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"tcp://127.0.0.1:{probe.getsockname()[1]}"


def meet_in_threads(members: list[Membership], timeout: float) -> list:
    """What each of ``members`` finds, or the error."""
    found: list = [None] * len(members)

    def work(place: int) -> None:
        try:
            found[place] = meet(members[place], timeout=timeout)
        except Exception as error:
            found[place] = error

    threads = [threading.Thread(target=work, args=(place,)) for place in range(len(members))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def test_all_who_come_know_each_other():
    address = free_address()
    found = meet_in_threads([Membership(rank, 3, rank, 3, address) for rank in range(3)], timeout=20)
    for _, names in found:
        assert names == [f"{socket.gethostname()}, process {os.getpid()}"] * 3


def test_a_missing_machine_is_named_on_the_others(caplog):
    address = free_address()
    logging.getLogger("slowfast").propagate = True
    first, third = meet_in_threads([Membership(0, 3, 0, 1, address), Membership(2, 3, 0, 1, address)], timeout=0.1)
    for error in (first, third):
        assert isinstance(error, LostProcessError)
        assert "1 of 3 processes are missing: number 1 (machine 1)." in str(error)
        assert f"Present: {socket.gethostname()}: 0, 2." in str(error)
    assert "Waiting for them." in caplog.text


def test_a_missing_first_machine_is_named(caplog):
    logging.getLogger("slowfast").propagate = True
    (error,) = meet_in_threads([Membership(1, 2, 0, 1, free_address())], timeout=0.1)
    assert isinstance(error, LostProcessError)
    assert "machine 0 does not answer at tcp://127.0.0.1:" in str(error) and "--shard_id 0" in str(error)
    assert "Waiting for it." in caplog.text


def test_two_of_one_number_are_told_apart():
    address = free_address()
    found = meet_in_threads([Membership(rank, 2, 0, 1, address) for rank in (0, 1)], timeout=20)
    store, _ = found[0]
    store.set("here/1", "another, process 3")
    with pytest.raises(LaunchError, match=r"two processes are number 1: .* and another, process 3\. .*--shard_id"):
        meet(Membership(1, 2, 0, 1, address), timeout=5)


def test_a_port_that_is_taken_is_named():
    with socket.create_server(("", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(LaunchError, match=rf"port {port} of \S+ cannot be opened \(address already in use\)"):
            meet(Membership(0, 2, 0, 1, f"tcp://127.0.0.1:{port}"), timeout=1)


@pytest.mark.parametrize("address", ["tcp://", "tcp://host", "tcp://host:x", "tcp://host:99999", "host:1", "file:///x"])
def test_an_address_that_is_none_is_refused(address):
    with pytest.raises(LaunchError, match=r"expected tcp://HOST:PORT"):
        meet(Membership(0, 2, 0, 1, address), timeout=1)
