"""One training at a time in a folder, on one machine and across those that share its file system."""

from __future__ import annotations

import errno
import json
import os
import socket
import threading
import time
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

from slowfast.utils.errors import RunError

fcntl: ModuleType | None
try:
    import fcntl
except ImportError:  # no POSIX system: the file alone says who holds the folder
    fcntl = None

_BEAT_SECONDS = 30.0
_STALE_SECONDS = 3 * _BEAT_SECONDS  # another machine's lock without a sign of life for so long is nobody's
_UNSUPPORTED = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL}
_held: set[Path] = set()  # a process does not exclude itself by the system's lock


class FolderInUseError(RunError):
    """Another run holds the folder."""


class FolderLock:
    """Holds ``folder``/.lock from its creation to ``release``; the holder's end, of any kind, also frees it.

    Processes of one machine exclude each other by a lock of the operating system, which ends with its process. A
    network file system may not pass this on to other machines: there, the file says who holds it, and its holder
    touches it every half minute. A lock that was not touched for a minute and a half is taken over; that of an earlier
    start of the same Slurm job, at once.

    Raises:
        FolderInUseError: names the holder's machine, process and start.
    """

    def __init__(self, folder: str | Path):
        self.path = Path(folder).resolve() / ".lock"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if self.path in _held:
            raise FolderInUseError(self._message(_self_description()))
        self._file = self._open_locked()
        _held.add(self.path)
        self._released = threading.Event()
        threading.Thread(target=self._beat, name="folder lock", daemon=True).start()

    def _open_locked(self):
        while True:
            # Append mode: what the holder wrote is still there to read.
            file = open(self.path, "a+", encoding="utf-8")  # noqa: SIM115 (held until release)
            try:
                system_lock = _try_system_lock(file)
                if not self._is_current(file):  # released and removed between opening and locking
                    file.close()
                    continue
                holder = _read_description(file)
                if system_lock is False or self._is_held(file, holder, system_lock=system_lock):
                    raise FolderInUseError(self._message(holder))
                file.seek(0)
                file.truncate()
                json.dump(_self_description(), file)
                file.flush()
                os.fsync(file.fileno())
                return file
            except BaseException:
                file.close()
                raise

    def _is_current(self, file) -> bool:
        try:
            return os.path.samestat(os.fstat(file.fileno()), os.stat(self.path))
        except FileNotFoundError:
            return False

    def _is_held(self, file, holder: dict[str, Any], *, system_lock: bool | None) -> bool:
        """Whether the holder is alive, judging by the file."""
        if not holder:
            return False
        own = _self_description()
        if holder["host"] == own["host"]:
            return system_lock is None and _is_alive(holder)
        same_job = own["slurm_job"] and holder.get("slurm_job") == own["slurm_job"]
        if same_job and holder.get("slurm_restart") != own["slurm_restart"]:
            return False
        return self._now_of_file_system() - os.fstat(file.fileno()).st_mtime < _STALE_SECONDS

    def _now_of_file_system(self) -> float:
        """The server's clock, to which the lock's modification time refers."""
        probe = self.path.with_name(f".lock-{socket.gethostname()}-{os.getpid()}")
        probe.touch()
        try:
            return probe.stat().st_mtime
        finally:
            probe.unlink(missing_ok=True)

    def _message(self, holder: dict[str, Any]) -> str:
        who = "another run"
        if holder:
            who = f"process {holder['pid']} on {holder['host']}, started {holder['started']}"
        return (
            f"{self.path.parent} is in use by {who}: two trainings in one OUTPUT_DIR would overwrite each other. "
            f"Choose another OUTPUT_DIR, or end that process. (If you are certain that none is running, delete "
            f"{self.path}.)"
        )

    def _beat(self) -> None:
        while not self._released.wait(_BEAT_SECONDS):
            with suppress(OSError):  # the run will find out by itself when it writes
                os.utime(self.path)

    def release(self) -> None:
        """Free the folder; a second call does nothing."""
        if self._released.is_set():
            return
        self._released.set()
        _held.discard(self.path)
        with suppress(OSError):
            self.path.unlink()
        self._file.close()

    def __enter__(self) -> FolderLock:
        return self

    def __exit__(self, *_) -> None:
        self.release()


def _try_system_lock(file) -> bool | None:
    """True if this process has it now, False if another has it, None if the file system has no such locks."""
    if fcntl is None:
        return None
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return None if error.errno in _UNSUPPORTED else False
    return True


def _self_description() -> dict[str, Any]:
    return {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "started": time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(_start_of(os.getpid()) or time.time())),
        "slurm_job": os.environ.get("SLURM_JOB_ID", ""),
        "slurm_restart": os.environ.get("SLURM_RESTART_COUNT", "0"),
    }


def _read_description(file) -> dict[str, Any]:
    file.seek(0)
    try:
        content = json.load(file)
    except ValueError:  # empty, or a holder died while it wrote
        return {}
    return content if isinstance(content, dict) and {"host", "pid", "started"} <= content.keys() else {}


def _is_alive(holder: dict[str, Any]) -> bool:
    """Whether the process of this machine that ``holder`` describes is alive, and not a later one with the same
    number."""
    try:
        os.kill(int(holder["pid"]), 0)
    except ProcessLookupError:
        return False
    except (PermissionError, ValueError, OverflowError):
        pass
    start = _start_of(holder["pid"])
    return start is None or time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(start)) == holder["started"]


def _start_of(pid: int) -> float | None:
    """When a process started, in seconds since 1970; None if /proc does not say."""
    try:
        ticks = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
        boot = next(int(line.split()[1]) for line in Path("/proc/stat").read_text().splitlines() if "btime" in line)
        return boot + ticks // os.sysconf("SC_CLK_TCK")
    except (OSError, StopIteration, IndexError, ValueError):
        return None
