"""A GPU that is not there: torch checks devices, dtypes and shapes of every operation and computes nothing.

Tensors are torch's fake ones on "cuda:0". An operation on tensors of two devices raises as it would on a GPU, so a
step that passes here has everything it needs on the device. Where the CPU would have to wait for the GPU (``item``,
``tolist``, a branch on a value, a copy to the CPU), the place is noted in ``waits``; the value read is 0. Kernels,
numbers, memory and streams are not covered: those need a GPU.
"""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from unittest import mock

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

import slowfast
from slowfast.engine.inputs import place_model

# Kernels that update a list of tensors in place; torch has no fake ones for them.
_WITHOUT_FAKES = ("aten::_fused_sgd_", "aten::_fused_adam", "aten::_amp_foreach_non_finite")
_PACKAGE = str(Path(slowfast.__file__).parent)


class FakeGpu:
    """What the block of ``fake_gpu`` works with.

    Attributes:
        waits: the line of the package, as "file: code", for every time the CPU waited.
    """

    def __init__(self, mode: FakeTensorMode):
        self._mode = mode
        self.device = torch.device("cuda", 0)
        self.waits: list[str] = []

    def fake(self, value):
        """Tensors, and those in sequences and dataclasses, as fake ones on the CPU: what a loader hands over."""
        if isinstance(value, Tensor):
            return self._mode.from_tensor(value)
        if isinstance(value, (list, tuple)):
            return type(value)(self.fake(item) for item in value)
        if is_dataclass(value):
            for field in fields(value):
                object.__setattr__(value, field.name, self.fake(getattr(value, field.name)))
        return value

    def note_wait(self) -> None:
        """Remember which line of the package waits; one that reads several values of a tensor waits once."""
        frames = [frame for frame in traceback.extract_stack() if frame.filename.startswith(_PACKAGE)]
        where = f"{Path(frames[-1].filename).name}: {frames[-1].line}" if frames else "torch"
        if self.waits[-1:] != [where]:
            self.waits.append(where)


def _check_devices(function, args) -> None:
    """What the kernel checks of its tensors; it changes them in place and returns nothing."""
    tensors = [leaf for leaf in torch.utils._pytree.tree_leaves(args) if isinstance(leaf, Tensor)]
    devices = {str(tensor.device) for tensor in tensors}
    if len(devices) > 1:
        raise RuntimeError(f"{function.name()}: tensors are on {' and '.join(sorted(devices))}.")


class _Waits(TorchDispatchMode):
    """Answers for values that a fake tensor does not have, and notes copies to the CPU."""

    def __init__(self, gpu: FakeGpu):
        super().__init__()
        self._gpu = gpu

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        tensor = next((arg for arg in args if isinstance(arg, Tensor)), None)
        on_gpu = isinstance(tensor, FakeTensor) and tensor.fake_device.type == "cuda"
        if function is torch.ops.aten._local_scalar_dense.default and isinstance(tensor, FakeTensor):
            if on_gpu:
                self._gpu.note_wait()
            return tensor.dtype.is_floating_point and 0.0
        if function.name().startswith(_WITHOUT_FAKES):
            return _check_devices(function, args)
        result = function(*args, **(kwargs or {}))
        if on_gpu and isinstance(result, FakeTensor) and result.fake_device.type == "cpu":
            self._gpu.note_wait()
        return result


def _backward(loss: Tensor) -> None:
    """Zeros for the gradient of every leaf: autograd's engine would ask the driver for a stream."""
    pending, seen = [loss.grad_fn], set()
    while pending:
        node = pending.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            node.variable.grad = torch.zeros_like(node.variable)
        pending.extend(following for following, _ in node.next_functions)


def _to(module: nn.Module, device=None, *, memory_format=torch.preserve_format) -> nn.Module:
    """``module.to`` parameter by parameter: torch's own swaps tensors, which fake ones do not allow."""
    for part in module.modules():
        for name, parameter in list(part._parameters.items()):
            if parameter is not None:
                part._parameters[name] = nn.Parameter(_moved(parameter.detach(), device, memory_format))
                part._parameters[name].requires_grad_(parameter.requires_grad)
        for name, value in list(part._buffers.items()):
            if value is not None:
                part._buffers[name] = _moved(value, device, memory_format)
    return module


def _moved(value: Tensor, device, memory_format) -> Tensor:
    has_format = memory_format is torch.channels_last_3d and value.dim() == 5
    return value.to(device=device or value.device, **({"memory_format": memory_format} if has_format else {}))


@contextlib.contextmanager
def fake_gpu() -> Iterator[FakeGpu]:
    """In this block tensors are fake, and torch believes in one GPU."""
    mode = FakeTensorMode()
    gpu = FakeGpu(mode)
    answers = {
        "torch.cuda.is_initialized": lambda: False,  # no random state to save
        "torch.cuda.device_count": lambda: 1,
        "torch.cuda.set_device": lambda device: None,
        "torch.cuda.is_bf16_supported": lambda **options: True,
        "torch.cuda.amp.common.amp_definitely_not_available": lambda: False,
        "torch.nn.Module.to": _to,
        "torch.Tensor.backward": _backward,
    }
    with contextlib.ExitStack() as stack:
        for name, answer in answers.items():
            stack.enter_context(mock.patch(name, answer))
        # Copies of a model stay on this GPU.
        stack.enter_context(mock.patch.object(FakeTensorMode, "__deepcopy__", lambda self, memo: self, create=True))
        stack.enter_context(mode)
        stack.enter_context(_Waits(gpu))
        yield gpu


def needs_driver() -> bool:
    """Whether this torch asks the driver even for fake tensors, as 2.8 does for a change of memory format."""
    with fake_gpu() as gpu:
        try:
            place_model(nn.Conv3d(2, 2, 3), gpu.device)
        except RuntimeError:
            return True
    return False
