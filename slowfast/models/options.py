"""Options that several networks share, as small frozen values.

Every field is a plain keyword of the networks that take the value: ``SlowFast(drop_path=0.2)``. A constructor names its
own arguments and collects the rest in ``**options``; ``with_options`` shows the fields in its signature and docstring,
and ``VideoNetwork`` creates the values. So a new option is one field here and the line that reads it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, TypeVar

from torch import nn

from slowfast.models.checks import check_fraction, check_least, check_whole
from slowfast.models.norm import NormLayer
from slowfast.utils.suggest import check_choice

ACTIVATIONS = ("softmax", "sigmoid", "none")
AVERAGES = ("scores", "logits")
NUM_STAGES = 4  # res2 .. res5
Network = TypeVar("Network", bound=type)


@dataclass(frozen=True, kw_only=True)
class ResidualOptions:
    """What every residual block takes.

    Args:
        drop_path: p of dropping the residual of a block, separately for each clip, in train mode.
        norm: from a channel count to a normalization layer.
        recompute: in train mode, keep only the input of every block and recompute its activations for the backward
            pass: less memory, about a third more time.
    """

    drop_path: float = 0.0
    norm: NormLayer = nn.BatchNorm3d
    recompute: bool = False

    def __post_init__(self):
        check_fraction("drop_path", self.drop_path)


@dataclass(frozen=True, kw_only=True)
class BlockOptions(ResidualOptions):
    """What the residual blocks of a ResNet take.

    Args:
        block: "bottleneck_transform" or "basic_transform".
        groups: groups of the 3x3 convolutions; the first bottleneck's inner width is groups * width.
        stride_1x1: stride in the first 1x1 convolution of a bottleneck, not in its 3x3.
    """

    block: str = "bottleneck_transform"
    groups: int = 1
    stride_1x1: bool = False

    def __post_init__(self):
        super().__post_init__()
        check_choice("block", self.block, ("bottleneck_transform", "basic_transform"))
        check_whole("groups", self.groups)


@dataclass(frozen=True, kw_only=True)
class StageOptions:
    """What differs from stage to stage: one entry for each of res2 to res5.

    In a network of two pathways an entry is [slow, fast]; a single number serves both.

    Args:
        num_temporal_blocks: first blocks of the stage that have a temporal kernel; default all.
        spatial_strides: of the stage's first block.
        dilations: of the stage's 3x3 convolutions.
        nonlocal_after: numbers of the blocks, from 0, that a non-local block follows.
        nonlocal_args: arguments of these blocks; default: those of ``NonLocalBlock``.
    """

    num_temporal_blocks: Sequence | None = None
    spatial_strides: Sequence = (1, 2, 2, 2)
    dilations: Sequence = (1, 1, 1, 1)
    nonlocal_after: Sequence = ((), (), (), ())
    nonlocal_args: Sequence | None = None

    def __post_init__(self):
        for field in fields(self):
            entries = getattr(self, field.name)
            if entries is not None and len(entries) != NUM_STAGES:
                raise ValueError(f"{field.name}={entries!r} needs one entry for each of the 4 stages res2 to res5.")

    def of_pathway(self, index: int) -> StageOptions:
        """The options of one pathway of several."""
        picked = {}
        for field in fields(self):
            entries = getattr(self, field.name)
            picked[field.name] = entries and [_pick(entry, index, field.name) for entry in entries]
        return StageOptions(**picked)


def _pick(entry: Any, index: int, name: str) -> Any:
    """The value for pathway ``index`` in the entry of a stage."""
    if isinstance(entry, (int, Mapping)) or not len(entry):
        return entry
    if len(entry) <= index:
        raise ValueError(f"{name}: the entry {entry!r} of a stage needs one value for each pathway, [slow, fast].")
    return entry[index]


@dataclass(frozen=True, kw_only=True)
class HeadOptions:
    """From the features of the last stage to scores of clips.

    Args:
        num_classes: K.
        dropout: p of dropping a feature before the classifier, in train mode.
        activation: "softmax", "sigmoid" or "none"; used in eval mode only.
        pool_size: side of the pooling window in feature-map pixels (training crop / 32), or None for the whole map.
            In time the window is always the pathway's whole length.
        average: what is averaged over the windows of a larger map in eval mode: "scores" (PySlowFast), or "logits"
            before the activation (PyTorchVideo).
        detach_features: only the classifier learns.
    """

    num_classes: int = 400
    dropout: float = 0.5
    activation: str = "softmax"
    pool_size: int | None = 7
    average: str = "scores"
    detach_features: bool = False

    def __post_init__(self):
        check_whole("num_classes", self.num_classes)
        check_fraction("dropout", self.dropout)
        check_choice("activation", self.activation, ACTIVATIONS)
        check_choice("average", self.average, AVERAGES)
        if self.pool_size is not None:
            check_whole("pool_size", self.pool_size, or_else="None for the whole map")


@dataclass(frozen=True, kw_only=True)
class DetectionHeadOptions(HeadOptions):
    """The same for networks that can score boxes instead.

    Args:
        roi_head: arguments of ``RoIHead`` (resolution, spatial_scale, aligned) to score boxes; None to score clips.
    """

    roi_head: Mapping[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class InitOptions:
    """Initial weights; see ``init_weights``.

    Args:
        zero_init_final_bn: the last norm of every block starts at zero, so that the block is the identity.
        zero_init_final_conv: the last convolution of every block starts at zero.
        fc_init_std: standard deviation of the classifier's weights.
    """

    zero_init_final_bn: bool = True
    zero_init_final_conv: bool = False
    fc_init_std: float = 0.01

    def __post_init__(self):
        check_least("fc_init_std", self.fc_init_std, 0)


def with_options(*values: type) -> Callable[[Network], Network]:
    """Class decorator: the fields of ``values`` show in the signature and docstring of a network with ``**options``."""

    def extend(network: Any) -> Any:
        init = network.__init__
        own = inspect.signature(init)
        parameters = [p for p in own.parameters.values() if p.kind is not p.VAR_KEYWORD]
        for value in values:
            parameters += inspect.signature(value).parameters.values()
        init.__signature__ = own.replace(parameters=parameters)
        network.__doc__ = "\n".join([inspect.getdoc(network) or "", *_argument_lines(values)])
        network.option_types = values
        return network

    return extend


def _argument_lines(values: Sequence[type]) -> list[str]:
    """The lines below "Args:" in the docstrings of ``values`` and of what they inherit fields from."""
    lines = []
    for value in values:
        for kind in reversed([base for base in value.__mro__ if base is not object]):
            lines += (inspect.getdoc(kind) or "").partition("Args:\n")[2].splitlines()
    return lines
