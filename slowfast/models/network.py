"""What every network of this package offers in addition to ``forward``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from slowfast.models.checks import check_whole
from slowfast.models.heads import RoIHead
from slowfast.models.init import init_weights
from slowfast.models.layers import layer_numbers
from slowfast.models.options import InitOptions, split_options
from slowfast.models.weights.names import accept_pyslowfast_names


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
        """The values of ``option_types`` from plain keywords; the errors of ``options.split_options``."""
        return split_options(cls, options)

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
        """Name of a parameter -> number of its layer from the input, for SOLVER.LAYER_DECAY; see ``layers.py``."""
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
