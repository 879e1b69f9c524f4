"""What every network of this package offers in addition to ``forward``: initial weights, layers, a new classifier."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any

from torch import nn

from slowfast.models.checks import check_whole
from slowfast.models.heads import RoIHead
from slowfast.models.nonlocal_block import NonLocalBlock
from slowfast.models.norm import SubBatchNorm3d
from slowfast.models.options import InitOptions
from slowfast.models.resnet3d import ResidualBlock
from slowfast.models.weights.names import accept_pyslowfast_names
from slowfast.utils.suggest import did_you_mean

_BLOCK = re.compile(r"(?:^|\.)res(\d)\.(?:block|nonlocal)(\d+)\.")
_LATERAL = re.compile(r"^laterals\.(\d+)\.")
_STEM = re.compile(r"(?:^|\.)stem\.")
_FIRST_STAGE = 2  # res2


def layer_numbers(names: Iterable[str]) -> dict[str, int]:
    """Name of a parameter -> number of its layer: 0 for the stem, one for each residual block, the head the last.

    A non-local block belongs to the residual block before it, a lateral connection to the layer that feeds it. If
    pathways differ in depth, each stage begins at the same number in both: that of the deeper pathway.

    Args:
        names: of all parameters of a network of this package.

    Raises:
        ValueError: a name that is not part of the stem, the stages, the laterals or the head.
    """
    names = list(names)
    blocks = {name: (int(found[1]), int(found[2])) for name in names if (found := _BLOCK.search(name))}
    num_blocks = {stage: 1 + max(b for s, b in blocks.values() if s == stage) for stage, _ in blocks.values()}
    starts, total = {}, 1
    for stage in sorted(num_blocks):
        starts[stage] = total
        total += num_blocks[stage]
    numbers = {}
    for name in names:
        lateral = _LATERAL.match(name)
        if name in blocks:
            stage, block = blocks[name]
            numbers[name] = starts[stage] + block
        elif lateral:
            numbers[name] = starts[_FIRST_STAGE + int(lateral[1])] - 1
        elif name.startswith("head."):
            numbers[name] = total
        elif _STEM.search(name):
            numbers[name] = 0
        else:
            raise ValueError(f"{name} belongs to no stem, stage, lateral connection or head, so its layer is unknown.")
    return numbers


def init_weights(
    model: nn.Module, *, fc_std: float = 0.01, zero_final_bn: bool = False, zero_final_conv: bool = False
) -> None:
    """Draw all weights in place.

    Convolutions: normal of He by fan_out. Linear layers: normal(0, ``fc_std``), biases 0. Batch norms: 1 and 0.
    A model on the meta device has no values and stays as it is: there, torch takes 3 ms to draw none.

    Args:
        zero_final_bn: the last norm of every residual and non-local block starts at zero, so the block is the identity.
        zero_final_conv: the last convolution of every residual block starts at zero.
    """
    if all(parameter.is_meta for parameter in model.parameters()):
        return
    for module in model.modules():
        if isinstance(module, nn.Conv3d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=fc_std)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, (nn.modules.batchnorm._BatchNorm, SubBatchNorm3d)) and module.weight is not None:
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)
    for module in model.modules():  # second: what is zero at the start
        if isinstance(module, ResidualBlock):
            if zero_final_bn:
                nn.init.zeros_(getattr(module, f"{module.chain[-1]}_bn").weight)
            if zero_final_conv:
                nn.init.zeros_(getattr(module, module.chain[-1]).weight)
        elif isinstance(module, NonLocalBlock) and zero_final_bn:
            nn.init.zeros_(module.get_parameter("bn.weight"))


class VideoNetwork(nn.Module):
    """Base of the networks: ``forward_features``, then ``head``.

    Attributes:
        archs: values of MODEL.ARCH that go with the network, the one to set first; empty where it is an argument.
        pathway_names: submodules that the clip runs through, as ``forward_features`` orders their maps.
        option_types: values whose fields are keywords of the constructor (``options.with_options``).
        head: from features to logits and scores; its last layer is ``head.classifier``.
    """

    archs: tuple[str, ...] = ()
    pathway_names: tuple[str, ...] = ("pathway",)
    option_types: tuple[type, ...] = ()
    head: Any

    @classmethod
    def split_options(cls, options: Mapping[str, Any]) -> list[Any]:
        """The values of ``option_types`` from plain keywords.

        Raises:
            TypeError: a keyword that the network does not take.
            ValueError: a value that is not accepted; the message names the keyword.
        """
        taken = [{field.name for field in fields(value)} for value in cls.option_types]
        unknown = [name for name in options if not any(name in names for names in taken)]
        if unknown:
            known = list(inspect.signature(cls).parameters)
            near = did_you_mean(unknown[0], known)
            raise TypeError(f"{cls.__name__} takes no argument {unknown[0]!r}.{near} It takes: {', '.join(known)}.")
        values = zip(cls.option_types, taken, strict=True)
        return [value(**{name: options[name] for name in options if name in names}) for value, names in values]

    def finish(self, options: InitOptions) -> None:
        """Draw the initial weights, once all modules are there, and let PySlowFast's state dicts load."""
        self.classifier_std = options.fc_init_std
        init_weights(
            self,
            fc_std=options.fc_init_std,
            zero_final_bn=options.zero_init_final_bn,
            zero_final_conv=options.zero_init_final_conv,
        )
        accept_pyslowfast_names(self)

    @property
    def takes_boxes(self) -> bool:
        """Whether the model is called as ``model(clip, boxes)``."""
        return isinstance(self.head, RoIHead)

    @property
    def num_classes(self) -> int:
        """K, logits of a clip or box."""
        return self.head.classifier.out_features

    def layer_numbers(self) -> dict[str, int]:
        """Name of a parameter -> number of its layer from the input, for SOLVER.LAYER_DECAY; see ``layer_numbers``."""
        return layer_numbers(name for name, _ in self.named_parameters())

    def reset_classifier(self, num_classes: int) -> None:
        """Put a fresh classifier of ``num_classes`` in place of the last layer; all else keeps its weights."""
        check_whole("num_classes", num_classes)
        old = self.head.classifier
        weight = old.weight
        self.head.classifier = nn.Linear(old.in_features, num_classes, device=weight.device, dtype=weight.dtype)
        nn.init.normal_(self.head.classifier.weight, std=self.classifier_std)
        nn.init.zeros_(self.head.classifier.bias)

    def forward_features(self, clip: Any) -> Any:
        """Feature maps of the last stage, one (B, C, T, H, W) tensor, or a list of one for each pathway."""
        raise NotImplementedError
