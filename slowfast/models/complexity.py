"""What a model costs: parameters, multiply-adds, activation memory and intermediate shapes.

Everything is measured on the meta device: nothing is computed and no memory is taken.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from slowfast.models.norm import SubBatchNorm3d


@dataclass
class Complexity:
    """Cost of one view (batch 1).

    Attributes:
        num_parameters: trainable and frozen.
        conv_macs: multiply-adds of the convolutions only, as the paper counts.
        all_macs: multiply-adds of convolutions, linear layers and matrix products.
        activation_bytes: tensors kept for the backward pass of one float32 clip in train mode, without the weights.
        stages: (name, input shape without batch, output shape without batch) in order of execution; a shape is a
            list for modules that take or give several tensors.
    """

    num_parameters: int
    conv_macs: int
    all_macs: int
    activation_bytes: int
    stages: list[tuple[str, tuple, tuple]] = field(default_factory=list)


def clip_channels(model: nn.Module) -> int:
    """Channels of the clips that ``model`` takes: 3 unless it states otherwise (5 with optical flow)."""
    return getattr(model, "clip_channels", 3)


def measure(model: nn.Module, clip_shape: Sequence[int]) -> Complexity:
    """The ``Complexity`` of ``model`` for one clip of ``clip_shape`` = (T, H, W), or (C, T, H, W); the model is not
    changed.

    A detection model gets one box.
    """
    from torch.utils.flop_counter import FlopCounterMode  # imports triton

    if len(clip_shape) == 3:
        clip_shape = (clip_channels(model), *clip_shape)
    model = _copy_on_meta(model).eval()
    inputs = _inputs(model, 1, clip_shape)
    conv_macs, stages = 0, []

    def count_conv(module: nn.Conv3d, _inputs, output: Tensor) -> None:
        nonlocal conv_macs
        conv_macs += output.numel() * module.weight[0].numel()  # all rows: non-local groups make more than one

    def note_stage(name: str):
        return lambda _module, inputs, output: stages.append((name, _shape(inputs), _shape(output)))

    hooks = []
    for name, module in model.named_modules():
        if isinstance(module, (nn.Conv1d, nn.Conv2d, nn.Conv3d)):
            hooks.append(module.register_forward_hook(count_conv))
        if _is_stage(name):
            hooks.append(module.register_forward_hook(note_stage(name)))
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(*inputs)
    for hook in hooks:
        hook.remove()
    return Complexity(
        num_parameters=sum(p.numel() for p in model.parameters()),
        conv_macs=conv_macs,
        all_macs=counter.get_total_flops() // 2,  # the counter has two operations a multiply-add
        activation_bytes=_activation_bytes(model, clip_shape),
        stages=stages,
    )


def _copy_on_meta(model: nn.Module) -> nn.Module:
    """A copy on the meta device, whose batch norms only keep what theirs would."""
    groups = [m.process_group for m in model.modules() if isinstance(m, nn.SyncBatchNorm)]
    model = copy.deepcopy(model, {id(group): group for group in groups}).to("meta")  # groups cannot be copied
    for norm in model.modules():
        if isinstance(norm, SubBatchNorm3d):
            norm.num_splits, norm.split_bn = 1, norm.bn
    for norm in model.modules():
        if isinstance(norm, nn.modules.batchnorm._BatchNorm):
            norm.forward = partial(_normalized, norm)  # type: ignore[method-assign]
    return model


def _normalized(norm: Any, x: Tensor) -> Tensor:
    """The output of a batch norm on the meta device, where torch's own takes 3 ms: ten convolutions.

    It also needs neither other processes nor a batch that can be split.
    """
    if not norm.training:
        return x
    return _KeptByBatchNorm.apply(x, *(y for y in (norm.weight, norm.running_mean, norm.running_var) if y is not None))


class _KeptByBatchNorm(torch.autograd.Function):
    """A tensor like the first, with the backward pass's memory of a batch norm: its arguments and two statistics."""

    @staticmethod
    def forward(ctx, x: Tensor, *kept: Tensor) -> Tensor:
        ctx.save_for_backward(x, *kept, x.new_empty(x.shape[1]), x.new_empty(x.shape[1]))
        return torch.empty_like(x)


def _is_stage(name: str) -> bool:
    """Whether ``name`` is a row of the paper's architecture table: a module of a pathway, a lateral, the head."""
    depth = name.count(".")
    return name == "head" or (depth == 1 and name.split(".")[0] not in ("head", ""))


def _shape(value) -> tuple:
    """Shape of a tensor without batch, or of each of several; values that are not tensors (MViT passes sizes on) are
    skipped."""
    if isinstance(value, Tensor):
        return tuple(value.shape[1:])
    shapes = tuple(shape for x in value if isinstance(x, (Tensor, tuple, list)) and (shape := _shape(x)))
    return shapes[0] if len(shapes) == 1 else shapes


def _activation_bytes(model: nn.Module, clip_shape: Sequence[int]) -> int:
    inputs = _inputs(model, 2, clip_shape)  # one clip may leave batch norm a single value
    parameters = {p.untyped_storage()._cdata for p in model.parameters()}
    saved: dict[int, Tensor] = {}  # by storage; the tensor is held so that its id is not given to another

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()._cdata
        if storage not in parameters:
            saved[storage] = tensor
        return tensor

    def keep_input(_module, inputs: tuple[Tensor, ...]) -> None:
        keep(inputs[0])

    hooks = [  # a block that is computed again keeps its input, and nothing that is saved
        module.register_forward_pre_hook(keep_input)
        for module in model.modules()
        if getattr(module, "recompute", False) is True
    ]
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        model.train()(*inputs)
    for hook in hooks:
        hook.remove()
    return sum(tensor.untyped_storage().nbytes() for tensor in saved.values()) // 2


def _inputs(model: nn.Module, batch: int, clip_shape: Sequence[int]) -> tuple[Tensor, ...]:
    """Clips on the meta device, and a box for each where the model takes boxes."""
    clip = torch.empty((batch, *clip_shape), device="meta")
    return (clip, torch.empty((batch, 5), device="meta")) if getattr(model, "takes_boxes", False) else (clip,)
