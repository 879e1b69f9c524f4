"""Frozen parameters, chosen by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from torch import nn

from slowfast.models.norm import SubBatchNorm3d
from slowfast.utils.suggest import did_you_mean


@dataclass(frozen=True)
class Frozen:
    """What ``freeze`` did, in numbers.

    Attributes:
        num_tensors, all_tensors: frozen parameters, and all parameters.
        num_values, all_values: the numbers in them.
    """

    num_tensors: int
    all_tensors: int
    num_values: int
    all_values: int

    def __str__(self) -> str:
        share = f"{self.num_values / 1e6:.2f} of {self.all_values / 1e6:.2f} million values"
        return f"{self.num_tensors} of {self.all_tensors} tensors ({share}) do not learn"


def freeze(model: nn.Module, patterns: Sequence[str]) -> Frozen:
    """Turn off the gradients of the parameters of ``model`` that match any of ``patterns``; returns their numbers.

    A normalization whose scale and shift are both frozen also keeps its running statistics: see ``hold_statistics``.

    Args:
        patterns: names of parameters or modules ("slow.stem"), with the wildcards of file names ("*.res[23].*").

    Raises:
        ValueError: a pattern that names nothing, or nothing is left to learn.
    """
    parameters = dict(model.named_parameters())
    for pattern in patterns:
        found = [name for name in parameters if _matches(name, pattern)]
        if not found:
            modules = [name for name, _ in model.named_modules() if name]
            raise ValueError(
                f"MODEL.FREEZE: {pattern!r} names no parameter of the model.{did_you_mean(pattern, modules)} Its parts "
                f"are {', '.join(name for name in modules if '.' not in name)}."
            )
        for name in found:
            parameters[name].requires_grad_(False)
    frozen = [p for p in parameters.values() if not p.requires_grad]
    if len(frozen) == len(parameters):
        raise ValueError(f"MODEL.FREEZE={list(patterns)} leaves nothing to learn: all {len(frozen)} tensors match.")
    values = [sum(p.numel() for p in group) for group in (frozen, parameters.values())]
    return Frozen(len(frozen), len(parameters), *values)


def _matches(name: str, pattern: str) -> bool:
    return fnmatchcase(name, pattern) or fnmatchcase(name, f"{pattern}.*")


def hold_statistics(model: nn.Module, *, of_all: bool = False) -> None:
    """Put frozen batch norms of ``model``, or all of them, into eval mode: their running statistics stay."""
    for module in model.modules():
        is_norm = isinstance(module, (nn.modules.batchnorm._BatchNorm, SubBatchNorm3d))
        if is_norm and (of_all or _is_frozen(module)):
            module.eval()


def _is_frozen(norm: nn.Module) -> bool:
    """Whether a normalization has a scale and shift, and neither of them learns."""
    parameters = list(norm.parameters(recurse=False))
    return bool(parameters) and not any(p.requires_grad for p in parameters)
