"""The environment in which a result is computed: versions, cores, GPUs, memory."""

from __future__ import annotations

import os
import platform
import subprocess
from functools import partial
from importlib import metadata
from pathlib import Path

import torch

import slowfast
from slowfast.utils.known_faults import release

_PACKAGES = ("torch", "torchvision", "av", "numpy", "fvcore")
# The oldest versions with which all tests pass (`make test-oldest`); setup.py asks for them.
OLDEST = {"torch": "2.8", "torchvision": "0.23", "av": "17"}
_MEMINFO = Path("/proc/meminfo")
_CGROUP = Path("/sys/fs/cgroup")  # a container's own limit, in version 2 and 1 of the interface
_LIMITS = (("memory.max", "memory.current"), ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"))


def num_cores() -> int:
    """Number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that affect a result, the device, and the commit of a git checkout."""
    found = {"slowfast": slowfast.__version__, "python": platform.python_version()}
    found |= {name: installed_version(name) or "not installed" for name in _PACKAGES}
    found["torch"] = str(torch.__version__)  # with the CUDA version it was built for
    found["device"] = torch.cuda.get_device_name() if torch.cuda.is_available() else platform.processor() or "cpu"
    commit = git_commit()
    return {**found, **({"commit": commit} if commit else {})}


def installed_version(name: str) -> str | None:
    """Version of an installed package; None where it is not installed."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def outdated_packages() -> list[str]:
    """One sentence if installed packages are older than the oldest ones that the tests pass with, else nothing."""
    found = versions()
    older = [
        f"{name} {found[name]} (oldest tested: {oldest})"
        for name, oldest in OLDEST.items()
        if release(found[name]) < release(oldest)
    ]
    return [f"Older than the oldest tested versions: {', '.join(older)}. Expect failures."] if older else []


def num_gpus() -> int:
    """GPUs that torch can use on this machine (CUDA_VISIBLE_DEVICES may hide some)."""
    return torch.cuda.device_count()


def git_commit() -> str:
    """Short hash of the checkout that contains this package, with ``+`` if it was changed; empty outside a checkout."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return ""
    try:
        run = partial(subprocess.run, cwd=root, capture_output=True, text=True, timeout=10, check=True)
        commit = run(["git", "rev-parse", "--short", "HEAD"]).stdout.strip()
        changed = run(["git", "status", "--porcelain", "-uno"]).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""
    return commit + ("+" if changed else "")


def host_memory() -> dict[str, int] | None:
    """``{"total", "available"}`` of the machine, bytes; None if the system does not report it (not Linux)."""
    if not _MEMINFO.is_file():
        return None
    kib = {line.split(":")[0]: int(line.split()[1]) for line in _MEMINFO.read_text().splitlines()}
    return {"total": kib["MemTotal"] * 2**10, "available": kib.get("MemAvailable", 0) * 2**10}


def available_memory() -> int | None:
    """Bytes that this process may still use: those available on the machine, or fewer if a container has a limit."""
    host = host_memory()
    if host is None:
        return None
    left = [_number(limit) - _number(usage) for limit, usage in _LIMITS if _number(limit) and _number(usage)]
    return max(0, min([host["available"], *left]))


def _number(name: str) -> int:
    """The number in a file of the control group; 0 without a limit ("max")."""
    try:
        text = (_CGROUP / name).read_text().strip()
    except OSError:
        return 0
    return int(text) if text.isdecimal() else 0
