"""torchvision's video networks as "torchvision/r3d_18", ..., for comparison in the same trainer and tester.

The networks are torchvision's own, so their parameters have torchvision's names and its weight files load as they are.
Two hooks make them behave as every model here does: a clip of a wrong shape gives a clear error, and eval mode returns
scores. Their classes are torchvision's with two more methods (torchvision_networks.py).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import Tensor, nn

from slowfast.models.build import MODEL_REGISTRY
from slowfast.models.checks import check_whole, dtype_of
from slowfast.models.heads import activate
from slowfast.models.options import ACTIVATIONS
from slowfast.models.pathways import single_clip
from slowfast.utils.suggest import check_choice

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Family:
    """What networks of one kind have in common.

    Attributes:
        classifier: name of the layer that gives the logits.
        features: name of the layer whose output is the last features.
        has_dropout: before the classifier.
        has_batch_norm: false for transformers.
        drop_path: p of dropping the residual of the last block, where torchvision's network does so; else 0.
        least_clip: the smallest (frames, side in pixels) that the network takes; a transformer with a table of
            positions takes exactly this size (``is_fixed``).
    """

    classifier: str
    features: str
    has_dropout: bool = False
    has_batch_norm: bool = False
    drop_path: float = 0.0
    least_clip: tuple[int, int] = (1, 1)
    is_fixed: bool = False

    def size_problem(self, num_frames: int, height: int, width: int) -> str:
        """Why a clip of that size does not fit; empty if it does."""
        frames, side = self.least_clip
        if self.is_fixed and (num_frames, height, width) != (frames, side, side):
            return f"takes clips of exactly {frames} frames of {side}x{side} pixels"
        if num_frames < frames or min(height, width) < side:
            return f"takes clips of at least {frames} frames of {side}x{side} pixels"
        return ""


_RESNET = _Family("fc", "layer4", has_batch_norm=True)
_S3D = _Family("classifier.1", "features", has_dropout=True, has_batch_norm=True, least_clip=(14, 224))
_MVIT = _Family("head.1", "norm", has_dropout=True, drop_path=0.2, least_clip=(16, 224), is_fixed=True)
_SWIN = _Family("head", "norm", drop_path=0.1)
FAMILIES = {
    "r3d_18": _RESNET,
    "mc3_18": _RESNET,
    "r2plus1d_18": _RESNET,
    "s3d": _S3D,
    "mvit_v1_b": _MVIT,
    "mvit_v2_s": _MVIT,
    "swin3d_t": _SWIN,
    "swin3d_s": _SWIN,
    "swin3d_b": _SWIN,
}


def _scale_drop_path(model: nn.Module, factor: float) -> None:
    """Multiply every block's p of dropping its residual; not all of torchvision's builders take it as an argument."""
    from torchvision.ops import StochasticDepth

    for module in model.modules():
        if isinstance(module, StochasticDepth):
            module.p *= factor


def _check_clip(module: nn.Module, inputs: tuple[Tensor | Sequence[Tensor]], *, name: str) -> tuple[Tensor]:
    if len(inputs) > 1:
        raise ValueError(
            f"torchvision/{name} was called with {len(inputs)} inputs: torchvision networks score only clips; "
            f"DETECTION.ENABLE needs SlowFast or ResNet."
        )
    clip = single_clip(inputs[0], in_channels=3, dtype=dtype_of(module))
    problem = FAMILIES[name].size_problem(*clip.shape[2:])
    if problem:
        raise ValueError(f"torchvision/{name} {problem}; received {tuple(clip.shape)}.")
    return (clip,)


def _scores_in_eval_mode(module: nn.Module, _inputs, logits: Tensor, *, activation: str) -> Tensor:
    return logits if module.training else activate(logits, activation)


class TorchvisionBuilder:
    """The registry's entry for one of ``FAMILIES``: called with keyword arguments, it makes the network."""

    def __init__(self, name: str):
        self.name = name
        self.family = FAMILIES[name]
        self.__name__ = self.__qualname__ = f"torchvision/{name}"

    def __call__(
        self,
        *,
        num_classes: int = 400,
        dropout: float | None = None,
        drop_path: float | None = None,
        activation: str = "softmax",
        detach_features: bool = False,
    ) -> nn.Module:
        """The network, freshly initialized as torchvision does it, in train mode.

        It takes a clip (B, 3, T, H, W) and gives logits (B, K) in train mode, scores (B, K) in eval mode. Over a clip
        larger than that of training, S3D averages logits of several positions, then activates.

        Args:
            dropout: p of dropping a feature before the classifier (S3D, MViT); default torchvision's.
            drop_path: p of dropping a residual in the last block, less in earlier ones (MViT, Swin); default
                torchvision's.
            activation: "softmax", "sigmoid" or "none".
            detach_features: only the classifier learns.

        Raises:
            ValueError: an argument that the network does not have.
        """
        from torchvision.models import get_model  # a second of imports that other models do without

        from slowfast.models.torchvision_networks import with_methods

        name, family = self.name, self.family
        check_whole("num_classes", num_classes)
        check_choice("activation", activation, ACTIVATIONS)
        if dropout is not None and not family.has_dropout:
            raise ValueError(f"torchvision/{name} has no dropout before its classifier, got dropout={dropout}.")
        if drop_path is not None and not family.drop_path:
            raise ValueError(f"torchvision/{name} drops no residuals, got drop_path={drop_path}.")
        options = {} if dropout is None else {"dropout": dropout}
        model: Any = with_methods(get_model(name, weights=None, num_classes=num_classes, **options))
        model.classifier_name, model.features_name, model.detaches = family.classifier, family.features, detach_features
        if drop_path is not None:
            _scale_drop_path(model, drop_path / family.drop_path)
        model.register_forward_pre_hook(partial(_check_clip, name=name))
        model.register_forward_hook(partial(_scores_in_eval_mode, activation=activation))
        model.detach_if_asked()
        return model

    def from_config(self, cfg) -> dict:
        """Keyword arguments for the config's MODEL keys.

        Raises:
            ValueError: clips, channels or batch norms that the network does not take.
        """
        self._check(cfg)
        self._check_multigrid(cfg)
        arguments = {
            "num_classes": cfg.MODEL.NUM_CLASSES,
            "activation": cfg.MODEL.HEAD_ACT,
            "detach_features": cfg.MODEL.DETACH_FINAL_FC,
        }
        for argument, key, value, is_there in (
            ("dropout", "DROPOUT_RATE", cfg.MODEL.DROPOUT_RATE, self.family.has_dropout),
            ("drop_path", "DROPCONNECT_RATE", cfg.MODEL.DROPCONNECT_RATE, self.family.drop_path > 0),
        ):
            if is_there:
                arguments[argument] = value
            elif value:
                logger.warning("MODEL.%s=%s has no effect on %s, which has none.", key, value, self.__name__)
        return arguments

    def _check(self, cfg) -> None:
        for key, crop in (
            ("TRAIN_CROP_SIZE", cfg.DATA.TRAIN_CROP_SIZE),
            ("TEST_CROP_SIZE", cfg.DATA.TEST_CROP_SIZE),
        ):
            problem = self.family.size_problem(cfg.DATA.NUM_FRAMES, crop, crop)
            if problem:
                frames, side = self.family.least_clip
                raise ValueError(
                    f"DATA.NUM_FRAMES={cfg.DATA.NUM_FRAMES}, DATA.{key}={crop}: {self.__name__} {problem}. Set "
                    f"DATA.NUM_FRAMES {frames}, DATA.TRAIN_CROP_SIZE {side} and DATA.TEST_CROP_SIZE {side}."
                )
        if cfg.DATA.INPUT_CHANNEL_NUM[0] != 3:
            raise ValueError(
                f"DATA.INPUT_CHANNEL_NUM={list(cfg.DATA.INPUT_CHANNEL_NUM)}: {self.__name__} takes 3 color channels."
            )
        if cfg.BN.NORM_TYPE != "batchnorm":
            raise ValueError(
                f"BN.NORM_TYPE={cfg.BN.NORM_TYPE!r}: {self.__name__} is torchvision's network and has its norms. "
                "Set BN.NORM_TYPE batchnorm."
            )

    def _check_multigrid(self, cfg) -> None:
        """Refuse multigrid training on clips that are too small; warn if batch norm cannot follow it."""
        keys = [f"MULTIGRID.{key}" for key in ("SHORT_CYCLE", "LONG_CYCLE") if cfg.MULTIGRID[key]]
        if not keys:
            return
        frames, crop = _smallest_training_clip(cfg)
        problem = self.family.size_problem(frames, crop, crop)
        if problem:
            raise ValueError(
                f"{' and '.join(keys)}: {self.__name__} {problem}, but multigrid training has clips with as few as "
                f"{frames} frames and {crop}x{crop} pixels. Set {' and '.join(keys)} False."
            )
        if self.family.has_batch_norm:
            logger.warning(
                "MULTIGRID.BN_BASE_SIZE=%d has no effect: %s has torchvision's batch norms, whose statistics cover "
                "all clips of a process.",
                cfg.MULTIGRID.BN_BASE_SIZE,
                self.__name__,
            )


def _smallest_training_clip(cfg) -> tuple[int, int]:
    """The smallest number of frames and the smallest crop, in pixels, of any clips in multigrid training."""
    multigrid, num_frames, crop = cfg.MULTIGRID, cfg.DATA.NUM_FRAMES, cfg.DATA.TRAIN_CROP_SIZE
    stages = list(multigrid.LONG_CYCLE_FACTORS) if multigrid.LONG_CYCLE else [[1, 1]]
    crops = [factor for _, factor in stages] + (list(multigrid.SHORT_CYCLE_FACTORS) if multigrid.SHORT_CYCLE else [])
    return round(num_frames * min(factor for factor, _ in stages)), round(crop * min(crops))


for _name in FAMILIES:
    MODEL_REGISTRY.register(f"torchvision/{_name}")(TorchvisionBuilder(_name))
