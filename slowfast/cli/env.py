"""``slowfast env``: what this machine has for training, on one screen; the first thing to send with a question."""

from __future__ import annotations

import argparse
import os
import platform
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import av
import torch
import torch.distributed as dist

from slowfast.cli.arguments import Parser, command, command_parser, write_json
from slowfast.config.files import recipes_root
from slowfast.utils.environment import host_memory, installed_version, num_cores, num_gpus, outdated_packages, versions
from slowfast.utils.known_faults import known_faults

EXTRAS = ("matplotlib", "opencv-python-headless", "onnx", "onnxscript", "onnxruntime", "fastapi", "uvicorn")
DECODERS = ("h264", "hevc", "vp9", "av1", "mpeg4")  # of the data sets' files
ENCODERS = ("libx264",)  # with which videos are resized and Motion is written
LEAST_SHM_GIB = 1.0  # loading workers pass batches through it; Docker gives a container 64 MB
CHECK_SECONDS = 20  # until a process group that does not answer counts as broken


def build_parser() -> Parser:
    """The command line."""
    parser = command_parser(
        "env",
        description="Show versions, devices, codecs, shared memory, and whether processes can communicate.",
        example="slowfast env --json env.json",
    )
    parser.add_json("what is shown")
    return parser


@command(build_parser)
def main(args: argparse.Namespace) -> int:
    """Print the screen; 1 if something will prevent training."""
    found = describe_machine()
    write_json(args.json, found, text=format_screen(found))
    return 1 if found["problems"] else 0


def describe_machine() -> dict[str, Any]:
    """Everything on the screen, as data; ``problems`` has a sentence for each thing to fix."""
    found: dict[str, Any] = {
        "versions": {**versions(), "ffmpeg": av.ffmpeg_version_info, "platform": platform.platform()},
        "extras": {name: installed_version(name) for name in EXTRAS},
        "recipes": str(recipes_root()),
        "cpu": {"name": _cpu_name(), "cores": num_cores(), "torch_threads": torch.get_num_threads()},
        "memory_gib": _memory_gib(),
        "gpus": [_gpu(index) for index in range(num_gpus())],
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
        "decoders": {name: _has_codec(name, "r") for name in DECODERS},
        "encoders": {name: _has_codec(name, "w") for name in ENCODERS},
        "shm_gib": _shm_gib(),
        "process_groups": {"gloo": _outcome(check_gloo), "nccl": _outcome(check_nccl)},
    }
    return {**found, "problems": list(_problems(found))}


def format_screen(found: dict[str, Any]) -> str:
    """The same for a person."""
    packages = dict(found["versions"])
    device, system = packages.pop("device"), packages.pop("platform")
    cpu, memory, shm = found["cpu"], found["memory_gib"], found["shm_gib"]
    lines = {
        "versions": _listed(packages),
        "extras": _listed({name: version or "no" for name, version in found["extras"].items()}),
        "recipes": found["recipes"],
        "system": f"{system}, {cpu['name']}",
        "CPU": f"{cpu['cores']} cores, torch uses {cpu['torch_threads']} threads",
        "memory": f"{memory['total']:.1f} GiB, {memory['available']:.1f} available" if memory else "unknown",
        "GPUs": "; ".join(map(_gpu_text, found["gpus"])) or f"none that torch can use (device: {device})",
        "CUDA": f"{found['cuda'] or 'not in this build of torch'}, cuDNN {found['cudnn'] or 'none'}",
        "decoders": _listed({name: "yes" if has else "NO" for name, has in found["decoders"].items()}),
        "encoders": _listed({name: "yes" if has else "NO" for name, has in found["encoders"].items()}),
        "/dev/shm": f"{shm['total']:.1f} GiB, {shm['free']:.1f} free" if shm else "not on this system",
        **{name: result["detail"] for name, result in found["process_groups"].items()},
    }
    text = "\n".join(f"{name:<10} {value}" for name, value in lines.items())
    return text + "".join(f"\nproblem    {problem}" for problem in found["problems"])


def _listed(pairs: dict[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in pairs.items())


def _problems(found: dict[str, Any]) -> list[str]:
    problems = outdated_packages()
    if found["gpus"]:
        problems += known_faults(
            torch_version=found["versions"]["torch"], cudnn_version=found["cudnn"], half_precision=True
        )
    missing = [name for kind in ("decoders", "encoders") for name, has in found[kind].items() if not has]
    if missing:
        problems.append(f"this PyAV has no {', '.join(missing)}: such videos cannot be read or written.")
    if found["shm_gib"] and found["shm_gib"]["total"] < LEAST_SHM_GIB:
        problems.append(
            f"/dev/shm has {found['shm_gib']['total']:.2f} GiB: loader workers will fail. Start the container with "
            "--shm-size 16g, or set DATA_LOADER.NUM_WORKERS 0."
        )
    problems += [f"{name}: {one['detail']}" for name, one in found["process_groups"].items() if one["ok"] is False]
    return problems


def _cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8", errors="replace").splitlines() if info.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _memory_gib() -> dict[str, float] | None:
    memory = host_memory()
    return {name: size / 2**30 for name, size in memory.items()} if memory else None


def _shm_gib() -> dict[str, float] | None:
    if not os.path.isdir("/dev/shm"):
        return None
    usage = shutil.disk_usage("/dev/shm")
    return {"total": usage.total / 2**30, "free": usage.free / 2**30}


def _gpu(index: int) -> dict[str, Any]:
    properties = torch.cuda.get_device_properties(index)
    return {
        "name": properties.name,
        "memory_gib": properties.total_memory / 2**30,
        "capability": f"{properties.major}.{properties.minor}",
    }


def _gpu_text(gpu: dict[str, Any]) -> str:
    return f"{gpu['name']}, {gpu['memory_gib']:.0f} GiB, capability {gpu['capability']}"


def _has_codec(name: str, mode: Literal["r", "w"]) -> bool:
    try:
        av.codec.Codec(name, mode)
    except ValueError:  # PyAV's UnknownCodecError is one
        return False
    return True


def _outcome(check: Callable[[], str | None]) -> dict[str, Any]:
    """``ok`` (None if there is nothing to check) and ``detail`` of a check; an exception becomes its detail."""
    try:
        detail = check()
    except Exception as error:  # any: the screen is for finding out what is broken
        return {"ok": False, "detail": f"fails: {type(error).__name__}: {' '.join(str(error).split())[:200]}"}
    return {"ok": None if detail is None else True, "detail": detail or "nothing to check"}


def check_gloo() -> str | None:
    """The result of a sum over two ranks of a gloo group, which run in threads, over the network interface."""
    if not dist.is_gloo_available():
        return None
    store = dist.HashStore()

    def sum_of_ranks(rank: int) -> float:
        group: Any = dist.ProcessGroupGloo(store, rank, 2, timedelta(seconds=CHECK_SECONDS))
        value = torch.tensor([rank + 1.0])
        group.allreduce(value).wait()
        return value.item()

    with ThreadPoolExecutor(2) as pool:
        sums = list(pool.map(sum_of_ranks, range(2)))
    if sums != [3.0, 3.0]:
        raise RuntimeError(f"the sum of 1 and 2 over two ranks is {sums}")
    return "works (a sum over two ranks)"


def check_nccl() -> str | None:
    """The result of an NCCL sum over all GPUs of this machine, in this process."""
    if not dist.is_nccl_available() or not num_gpus():
        return None
    values = [torch.full((1,), float(index + 1), device=f"cuda:{index}") for index in range(num_gpus())]
    expected = sum(range(1, len(values) + 1))
    torch.cuda.nccl.all_reduce(values)
    if any(value.item() != expected for value in values):
        raise RuntimeError(f"a sum over {len(values)} GPUs is {[value.item() for value in values]}, not {expected}")
    version = ".".join(map(str, torch.cuda.nccl.version()))
    return f"{version} works (a sum over {len(values)} GPU{'s' * (len(values) > 1)})"
