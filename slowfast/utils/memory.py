"""The size of main memory."""

from __future__ import annotations

from pathlib import Path

_MEMINFO = Path("/proc/meminfo")
_CGROUP = Path("/sys/fs/cgroup")  # a container's own limit, in version 2 and 1 of the interface
_LIMITS = (("memory.max", "memory.current"), ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"))


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
