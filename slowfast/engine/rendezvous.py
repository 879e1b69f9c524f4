"""Which process this is, of how many, and how they find each other: through torchrun, Slurm, or an address."""

from __future__ import annotations

import logging
import os
import re
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import urlsplit

import torch.distributed as dist

from slowfast.utils.errors import LostProcessError

logger = logging.getLogger(__name__)

_POLL_SECONDS = 0.1
_PORTS = range(20_000, 30_000)  # below those that systems hand out for other connections


class LaunchError(ValueError):
    """Processes cannot start as requested; the message says what to change."""


@dataclass(frozen=True)
class Membership:
    """One process of several.

    Attributes:
        rank, world_size: which process of how many.
        local_rank, local_world_size: the same among those of this machine.
        address: tcp://HOST:PORT, where rank 0 listens; "env://" if torchrun does.
    """

    rank: int
    world_size: int
    local_rank: int
    local_world_size: int
    address: str

    @property
    def machine(self) -> int:
        """Number of this machine."""
        return self.rank // self.local_world_size


@dataclass(frozen=True)
class Machine:
    """One of several machines, on which no process has been started yet."""

    shard_id: int
    num_shards: int
    address: str


def from_torchrun(environ: Mapping[str, str]) -> Membership | None:
    """This process according to torchrun's environment variables; None without them."""
    if not {"RANK", "WORLD_SIZE"} <= environ.keys():
        return None
    rank, world_size = int(environ["RANK"]), int(environ["WORLD_SIZE"])
    if environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True":
        address = "env://"
    else:
        address = f"tcp://{environ.get('MASTER_ADDR', '127.0.0.1')}:{environ.get('MASTER_PORT', _PORTS.start)}"
    local_rank, local_world_size = int(environ.get("LOCAL_RANK", 0)), int(environ.get("LOCAL_WORLD_SIZE", 1))
    return Membership(rank, world_size, local_rank, local_world_size, address)


def from_slurm(environ: Mapping[str, str], *, num_gpus: int) -> Membership | Machine | None:
    """This process according to srun; None outside an srun step of several tasks.

    One task per GPU is a process; one task per machine of several GPUs is a machine, which starts them.

    Raises:
        LaunchError: tasks and GPUs do not match.
    """
    num_tasks = int(environ.get("SLURM_STEP_NUM_TASKS", 1))
    if "SLURM_STEP_ID" not in environ or num_tasks == 1:
        return None
    rank, num_nodes = int(environ["SLURM_PROCID"]), int(environ.get("SLURM_STEP_NUM_NODES", 1))
    host = first_host(environ.get("SLURM_STEP_NODELIST", environ.get("SLURM_NODELIST", "localhost")))
    # Steps of one job, and jobs on one machine, must not meet each other.
    port = _PORTS[(int(environ["SLURM_JOB_ID"]) * 37 + int(environ["SLURM_STEP_ID"])) % len(_PORTS)]
    address = f"tcp://{host}:{port}"
    if num_gpus > 1 and num_tasks == num_nodes:
        return Machine(rank, num_tasks, address)
    per_node = num_tasks // num_nodes
    if num_tasks % num_nodes or (num_gpus > 0 and per_node != num_gpus):
        raise LaunchError(
            f"srun started {num_tasks} tasks on {num_nodes} machines, but NUM_GPUS={num_gpus}: start one task per GPU "
            f"(srun --ntasks-per-node {max(1, num_gpus)}) or one per machine (--ntasks-per-node 1)."
        )
    return Membership(rank, num_tasks, int(environ.get("SLURM_LOCALID", 0)), per_node, address)


def first_host(node_list: str) -> str:
    """``node03`` of Slurm's ``node[03-05,09],gpu1``."""
    first = re.split(r",(?![^\[]*\])", node_list)[0]
    return re.sub(r"\[([^\],-]*)[^\]]*\]", r"\1", first)


def meet(member: Membership, *, timeout: float) -> tuple[dist.Store, list[str]]:
    """A store that all processes share, and their names, once all have arrived; until then, missing ones are logged.

    Args:
        timeout: seconds; missing processes are logged after every half of it; after ten times this, the run ends.

    Raises:
        LaunchError: the port is taken, or two processes have one number.
        LostProcessError: a process did not arrive; the message says which ones did.
    """
    end = time.monotonic() + 10 * timeout
    store = _open_store(member, timeout=timeout, end=end)
    own = f"{socket.gethostname()}, process {os.getpid()}"
    if member.address != "env://":  # torchrun numbers its processes itself, and its store outlives them
        other = store.compare_set(f"here/{member.rank}", "", own).decode()
        if other != own:
            raise LaunchError(
                f"two processes are number {member.rank}: {own} and {other}. Every machine needs its own --shard_id, "
                f"or another training is using {member.address}."
            )
    store.set(f"here/{member.rank}", own)
    _wait_for_all(store, member, timeout=timeout, end=end)
    return store, [store.get(f"here/{rank}").decode() for rank in range(member.world_size)]


def _open_store(member: Membership, *, timeout: float, end: float) -> dist.Store:
    if member.address == "env://":
        store, _, _ = next(
            dist.rendezvous("env://", member.rank, member.world_size, timeout=timedelta(seconds=timeout))
        )
        attempt = f"{os.environ.get('TORCHELASTIC_RESTART_COUNT', 0)}/{os.environ.get('MASTER_PORT')}"
        return dist.PrefixStore(f"slowfast/{attempt}/{member.world_size}", store)
    host, port = _host_and_port(member.address)
    is_master = member.rank == 0
    if is_master:
        _check_port(port)
    else:
        _wait_for_port(host, port, member, timeout=timeout, end=end)
    return dist.TCPStore(host, port, None, is_master, timedelta(seconds=timeout), wait_for_workers=False)


def _check_port(port: int) -> None:
    """Check that this machine can listen at ``port``."""
    try:
        with socket.create_server(("", port)):
            pass
    except OSError as error:
        reason = os.strerror(error.errno or 0).lower()
        raise LaunchError(
            f"port {port} of {socket.gethostname()} cannot be opened ({reason}): another training may be using it. "
            f"Choose another port, the same on all machines."
        ) from error


def _wait_for_port(host: str, port: int, member: Membership, *, timeout: float, end: float) -> None:
    """Wait until a process listens there; log every half ``timeout`` that none does."""
    sentence = (
        f"machine 0 does not answer at {member.address} (this is machine {member.machine}, {socket.gethostname()}): "
        "is the process with --shard_id 0 running there, and the port open?"
    )
    warn_at = time.monotonic() + timeout / 2
    while True:
        try:
            with socket.create_connection((host, port), timeout=5):
                return
        except OSError as error:
            now = time.monotonic()
            if now > end:
                raise LostProcessError(sentence) from error
            if now > warn_at:
                warn_at = now + timeout / 2
                if member.local_rank == 0:
                    logger.warning("%s Waiting for it.", sentence)
            time.sleep(_POLL_SECONDS)


def _host_and_port(address: str) -> tuple[str, int]:
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if parts.scheme != "tcp" or not host or not port:
        raise LaunchError(
            f"--init_method {address}: expected tcp://HOST:PORT, e.g. tcp://{socket.gethostname()}:29500."
        )
    return host, port


def _wait_for_all(store: dist.Store, member: Membership, *, timeout: float, end: float) -> None:
    warn_at = time.monotonic() + timeout / 2
    while True:
        missing = [rank for rank in range(member.world_size) if not store.check([f"here/{rank}"])]
        if not missing:
            return
        now = time.monotonic()
        if now > min(warn_at, end):
            sentence = _who_is_here(store, member, missing)
            if now > end:
                raise LostProcessError(sentence)
            if member.local_rank == 0:
                logger.warning("%s Waiting for them.", sentence)
            warn_at = now + timeout / 2
        time.sleep(_POLL_SECONDS)


def _who_is_here(store: dist.Store, member: Membership, missing: list[int]) -> str:
    hosts: dict[str, list[int]] = {}
    for rank in sorted(set(range(member.world_size)) - set(missing)):
        hosts.setdefault(store.get(f"here/{rank}").decode().split(",")[0], []).append(rank)
    here = "; ".join(f"{host}: {', '.join(map(str, ranks))}" for host, ranks in hosts.items())
    machines = sorted({rank // member.local_world_size for rank in missing})
    return (
        f"{len(missing)} of {member.world_size} processes are missing: number {', '.join(map(str, missing))} "
        f"(machine {', '.join(map(str, machines))}). Present: {here}. Start the missing ones with the same "
        "--init_method and NUM_SHARDS, and its own --shard_id."
    )
