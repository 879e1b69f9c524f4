"""torchvision's video networks as classes that also give features and take a new classifier.

Imported when such a network is built: torchvision's models take a second to import.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models.video import S3D, MViT, VideoResNet
from torchvision.models.video.swin_transformer import SwinTransformer3d

from slowfast.models.checks import check_whole


class _Methods(nn.Module):
    """What ``network.VideoNetwork`` offers, for torchvision's networks.

    Attributes:
        classifier_name: of the layer that gives the logits.
        features_name: of the layer whose output are the last features.
        detaches: only the classifier learns.
    """

    classifier_name: str
    features_name: str
    detaches: bool
    pathway_names = ("pathway",)
    takes_boxes = False

    @property
    def num_classes(self) -> int:
        """K, logits of a clip."""
        layer: Any = self.get_submodule(self.classifier_name)
        return layer.out_channels if isinstance(layer, nn.Conv3d) else layer.out_features

    def reset_classifier(self, num_classes: int) -> None:
        """Put a fresh classifier of ``num_classes`` in place of the last layer; all else keeps its weights."""
        check_whole("num_classes", num_classes)
        old: Any = self.get_submodule(self.classifier_name)
        place = {"device": old.weight.device, "dtype": old.weight.dtype}
        is_conv = isinstance(old, nn.Conv3d)
        if is_conv:
            new: Any = nn.Conv3d(old.in_channels, num_classes, old.kernel_size, old.stride, **place)
        else:
            new = nn.Linear(old.in_features, num_classes, **place)
        nn.init.normal_(new.weight, std=0.01)
        nn.init.zeros_(new.bias)
        parent, _, name = self.classifier_name.rpartition(".")
        setattr(self.get_submodule(parent), name, new)
        self.detach_if_asked()

    def detach_if_asked(self) -> None:
        """Keep gradients from passing the classifier, if only that learns."""
        if self.detaches:
            self.get_submodule(self.classifier_name).register_forward_pre_hook(_detach)

    def forward_features(self, clip: Tensor | Sequence[Tensor]) -> Tensor:
        """The last features as a map (B, C, T', H', W'): of a transformer, its tokens without the class token."""
        seen: dict[str, Any] = {}
        watched = [self.features_name, *(["blocks"] if isinstance(self, MViT) else [])]
        hooks = []
        for name in watched:
            layer: Any = self.get_submodule(name)
            layer = layer[-1] if isinstance(layer, nn.ModuleList) else layer
            hooks.append(layer.register_forward_hook(lambda _m, _i, output, name=name: seen.__setitem__(name, output)))
        try:
            self(clip)
        finally:
            for hook in hooks:
                hook.remove()
        features = seen[self.features_name]
        assert isinstance(features, torch.Tensor)
        if isinstance(self, MViT):
            _tokens, size = seen["blocks"]
            return features[:, 1:].transpose(1, 2).unflatten(2, tuple(size))
        return features.permute(0, 4, 1, 2, 3) if isinstance(self, SwinTransformer3d) else features


def _detach(_module: nn.Module, inputs: tuple[Tensor]) -> tuple[Tensor]:
    return (inputs[0].detach(),)


class TorchvisionResNet(_Methods, VideoResNet):
    """R3D, MC3, R(2+1)D of 18 layers."""


class TorchvisionS3D(_Methods, S3D):
    """S3D."""


class TorchvisionMViT(_Methods, MViT):
    """MViT."""


class TorchvisionSwin(_Methods, SwinTransformer3d):
    """Video Swin Transformers."""


_CLASSES: dict[type, type] = {
    VideoResNet: TorchvisionResNet,
    S3D: TorchvisionS3D,
    MViT: TorchvisionMViT,
    SwinTransformer3d: TorchvisionSwin,
}


def with_methods(model: nn.Module) -> nn.Module:
    """``model`` itself, turned into the matching class of this module, because torchvision's builders return their own
    class."""
    model.__class__ = _CLASSES[type(model)]
    return model
