"""Activations that are computed again for the backward pass instead of being kept: less memory, more time."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint


def forward_twice(module: nn.Module, compute: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """``compute(x)``, keeping only ``x``: the backward pass recomputes the rest.

    The recomputation draws the same random numbers, and does not change the running statistics of the batch norms in
    ``module``.
    """
    return checkpoint(
        compute, x, use_reentrant=False, context_fn=lambda: (contextlib.nullcontext(), unmoved_statistics(module))
    )


@contextlib.contextmanager
def unmoved_statistics(module: nn.Module) -> Iterator[None]:
    """Batch norms in ``module`` normalize as they do in training, and do not move their running statistics inside.

    Not by ``track_running_stats``: what is saved for the backward pass must be what was saved the first time.
    """
    norms = [m for m in module.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    before = [(norm, norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm, _, count in before:
        norm.momentum, norm.num_batches_tracked = 0.0, None if count is None else count.clone()
    try:
        yield
    finally:
        for norm, momentum, count in before:
            norm.momentum, norm.num_batches_tracked = momentum, count


def recompute(model: nn.Module) -> None:
    """Make every block of ``model`` that can recompute its activations do so."""
    modules: Iterable[Any] = model.modules()
    for module in modules:
        if hasattr(module, "recompute"):
            module.recompute = True


def recomputes(model: nn.Module) -> bool:
    """Whether any block of ``model`` recomputes its activations."""
    return any(getattr(module, "recompute", False) is True for module in model.modules())
