"""Releases of torch and cuDNN in which 3D convolutions are known to be wrong or slow: one table.

A release is a tuple of numbers; "from" is the first bad one, "before" the first good one. Delete a row when the oldest
torch of ``OLDEST`` (utils/environment.py) is newer than what it names.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

Version = tuple[int, ...]
Span = tuple[Version, Version]  # (from, before)


@dataclass(frozen=True)
class KnownFault:
    """The affected releases, the consequence of a fault, and the remedy.

    Attributes:
        torch, cudnn: releases that have it; None for any.
        needs: "half" or "tf32": it affects only runs that compute in 16 bits, or in TF32.
        reports: where it is described.
    """

    consequence: str
    remedy: str
    needs: str
    torch: Span | None = None
    cudnn: Span | None = None
    reports: str = ""


KNOWN_FAULTS = (
    KnownFault(
        torch=((2, 9), (2, 10)),
        cudnn=((0,), (9, 15)),
        needs="half",
        consequence="torch 2.9 does not use cuDNN for 3D convolutions in 16 bits but a slow dilated kernel: 4 to 20 "
        "times the time, several times the memory",
        remedy="Use torch 2.10 or newer, 2.8 or older, or 2.9.1 with cuDNN 9.15 or newer",
        reports="pytorch issues 166122, 166643, 174051",
    ),
    KnownFault(
        torch=((2, 9, 0), (2, 9, 1)),
        cudnn=((9, 15), (99,)),
        needs="half",
        consequence="torch 2.9.0 does not use cuDNN for 3D convolutions in 16 bits, whatever its release: 4 times the "
        "time, several times the memory",
        remedy="Use torch 2.9.1 or newer",
        reports="pytorch issues 166122, 166643",
    ),
    KnownFault(
        torch=((0,), (2, 9)),
        cudnn=((9, 8), (9, 15)),
        needs="half",
        consequence="cuDNN 9.8 to 9.14 computes large 3D convolutions in bfloat16 wrongly, without an error",
        remedy="Install nvidia-cudnn 9.15 or newer, or set TRAIN.MIXED_PRECISION and TEST.MIXED_PRECISION False",
        reports="pytorch issue 163539",
    ),
    KnownFault(
        torch=((2, 10), (99,)),
        cudnn=((9, 8), (9, 15)),
        needs="half",
        consequence="cuDNN 9.8 to 9.14 computes large 3D convolutions in bfloat16 wrongly or, if torch avoids it, "
        "with three times the memory",
        remedy="Install nvidia-cudnn 9.15 or newer, or set TRAIN.MIXED_PRECISION and TEST.MIXED_PRECISION False",
        reports="pytorch issues 163539, 166643",
    ),
    KnownFault(
        cudnn=((9, 10, 2), (9, 16)),
        needs="tf32",
        consequence="cuDNN 9.10.2 to 9.15 has a broken kernel for 3D convolutions in TF32",
        remedy="Set BACKEND.TF32 False, or install nvidia-cudnn 9.16 or newer",
        reports="pytorch pull request 167024",
    ),
)


def known_faults(
    *, torch_version: str, cudnn_version: int | None, half_precision: bool = False, tf32: bool = False
) -> list[str]:
    """One sentence for each row of KNOWN_FAULTS that applies to this pair of releases and this use.

    Args:
        torch_version: as ``torch.__version__``, such as "2.9.1+cu128".
        cudnn_version: as ``torch.backends.cudnn.version()``, such as 91002 for 9.10.2; None without cuDNN.
        half_precision, tf32: whether the run computes in 16 bits, or its float32 in TF32.
    """
    if cudnn_version is None:
        return []
    torch_release, cudnn_release = release(torch_version), cudnn_numbers(cudnn_version)
    shown = {"half": half_precision, "tf32": tf32}
    pair = f"torch {'.'.join(map(str, torch_release))} with cuDNN {'.'.join(map(str, cudnn_release))}"
    return [
        f"{pair}: {fault.consequence} ({fault.reports}). {fault.remedy}."
        for fault in KNOWN_FAULTS
        if shown[fault.needs] and _within(torch_release, fault.torch) and _within(cudnn_release, fault.cudnn)
    ]


def release(version: str) -> Version:
    """(2, 9, 1) of "2.9.1+cu128"; an empty tuple for anything that is not a version."""
    match = re.match(r"\d+(\.\d+)*", version)
    return tuple(map(int, match[0].split("."))) if match else ()


def cudnn_numbers(version: int) -> Version:
    """(9, 10, 2) of 91002; (8, 9, 7) of 8907, as cuDNN counted before 9."""
    thousands = 10_000 if version >= 90_000 else 1_000
    return version // thousands, version % thousands // 100, version % 100


def _within(version: Version, span: Span | None) -> bool:
    return span is None or span[0] <= version < span[1]
