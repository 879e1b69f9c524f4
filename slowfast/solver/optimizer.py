"""Optimizers over parameter groups: batch norm has its own weight decay, and layers may have their own learning
rates."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import nn

from slowfast.utils.suggest import check_choice


class LARS(torch.optim.SGD):
    """Layer-wise adaptive rate scaling (You, Gitman and Ginsburg, 2017, arXiv 1708.03888, algorithm 1), over SGD.

    The gradient of a tensor w, with its weight decay, is multiplied by trust * |w| / (|g| + decay * |w|) before it
    enters the momentum, so that every tensor moves by a similar fraction of itself. Vectors (biases, scales and shifts
    of normalizations) keep the plain rate, as in the large-batch recipes that followed the paper.

    Args:
        trust: the paper's eta; PySlowFast's 0.001.
        options: of ``torch.optim.SGD``.
    """

    def __init__(self, params, *, trust: float = 0.001, **options):
        super().__init__(params, **options)
        self.trust = trust

    @torch.no_grad()
    def step(self, closure: Callable | None = None):
        """One step; it overwrites the gradients."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None and parameter.ndim > 1:
                    self._scale(parameter, parameter.grad, group["weight_decay"])
        super().step()
        return loss

    def _scale(self, parameter: torch.Tensor, grad: torch.Tensor, decay: float) -> None:
        """Change the gradient so that SGD, which adds the weight decay, gets the scaled sum of both."""
        size, gradient = parameter.norm(), grad.norm()
        ratio = self.trust * size / (gradient + decay * size)
        # Tensors of zeros, or without gradient, move as in SGD. No branch: it would wait for the GPU.
        ratio = torch.where((size > 0) & (gradient > 0), ratio, torch.ones_like(ratio))
        grad.add_(parameter, alpha=decay).mul_(ratio).sub_(parameter, alpha=decay)


# Name -> numbers that the optimizer remembers of each weight.
OPTIMIZERS = {"sgd": 1, "adam": 2, "adamw": 2, "mt_adamw": 2}
# Name of an implementation -> torch's arguments; {} leaves the choice to torch.
IMPLEMENTATIONS = {"auto": {}, "fused": {"fused": True}, "foreach": {"foreach": True}, "single": {"foreach": False}}


def parameter_groups(
    model: nn.Module,
    *,
    weight_decay: float,
    bn_weight_decay: float,
    zero_decay_1d: bool = False,
    layer_decay: float = 1.0,
    layers: Mapping[str, int] | None = None,
) -> list[dict]:
    """Groups of the trainable parameters, without empty ones.

    Args:
        bn_weight_decay: for the scales and shifts of every normalization layer.
        zero_decay_1d: no decay for other one-dimensional parameters (biases).
        layer_decay: factor of the learning rate from a layer to the one before it; the last layer has the full rate.
            A group's factor is its ``lr_scale``.
        layers: name of a parameter -> its layer, counted from the input; needed if ``layer_decay`` is not 1.
    """
    norm_types = (nn.modules.batchnorm._BatchNorm, nn.GroupNorm, nn.LayerNorm)
    norm_parameters = {
        id(p)
        for module in model.modules()
        if isinstance(module, norm_types) or hasattr(module, "split_bn")
        for p in module.parameters(recurse=False)
    }
    decays = {"bn": bn_weight_decay, "other": weight_decay, "1d": 0.0}
    scales: dict[str, float] = {}
    if layer_decay != 1:
        assert layers, "layer_decay needs the layers of the parameters"
        last = max(layers.values())
        scales = {name: layer_decay ** (last - layer) for name, layer in layers.items()}
    groups: dict[tuple[str, float], dict] = {}
    for kind, scale in itertools.product(decays, sorted(set(scales.values())) or [1.0]):
        groups[kind, scale] = {"params": [], "weight_decay": decays[kind], **({"lr_scale": scale} if scales else {})}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        is_vector = zero_decay_1d and parameter.ndim == 1
        kind = "bn" if id(parameter) in norm_parameters else "1d" if is_vector else "other"
        groups[kind, scales.get(name, 1.0)]["params"].append(parameter)
    return [group for group in groups.values() if group["params"]]


def make_optimizer(
    groups: list[dict],
    *,
    name: str = "sgd",
    lr: float = 0.1,
    momentum: float = 0.9,
    dampening: float = 0.0,
    nesterov: bool = True,
    betas: Sequence[float] = (0.9, 0.999),
    lars: bool = False,
    implementation: str = "auto",
) -> torch.optim.Optimizer:
    """The optimizer named ``name``: "sgd", "adam", "adamw" ("mt_adamw" is adamw).

    Args:
        lars: "sgd" only: every tensor has its own rate, see ``LARS``.
        implementation: key of IMPLEMENTATIONS; "auto" is "fused" if all parameters are on a GPU.

    Raises:
        ValueError: no optimizer or implementation has that name, or it does not accept these momentum values.
    """
    check_choice("SOLVER.OPTIMIZING_METHOD", name, OPTIMIZERS)
    how = _implementation(groups, implementation)
    if lars and name != "sgd":
        raise ValueError(f"SOLVER.LARS_ON with SOLVER.OPTIMIZING_METHOD={name!r}: it works only with sgd.")
    if name == "sgd":
        if nesterov and (momentum == 0 or dampening):
            raise ValueError(
                f"SOLVER.NESTEROV needs momentum and no dampening, got SOLVER.MOMENTUM={momentum} and "
                f"SOLVER.DAMPENING={dampening}. Set SOLVER.NESTEROV to False, or change them."
            )
        kind = LARS if lars else torch.optim.SGD
        return kind(groups, lr=lr, momentum=momentum, dampening=dampening, nesterov=nesterov, **how)
    if name == "adam":
        return torch.optim.Adam(groups, lr=lr, betas=(betas[0], betas[1]), **how)
    return torch.optim.AdamW(groups, lr=lr, betas=(betas[0], betas[1]), eps=1e-8, **how)


def _implementation(groups: list[dict], name: str) -> dict[str, bool]:
    """Torch's arguments for an implementation of the steps on these groups' device."""
    check_choice("SOLVER.IMPLEMENTATION", name, IMPLEMENTATIONS)
    parameters = [parameter for group in groups for parameter in group["params"]]
    if any(parameter.is_meta for parameter in parameters):  # a model that is only looked at; fused steps need a device
        return {}
    on_gpu = bool(parameters) and all(parameter.is_cuda for parameter in parameters)
    return IMPLEMENTATIONS["fused" if name == "auto" and on_gpu else name]
