"""Models and lateral connections by name, and the model that a config describes.

A registered model is an ``nn.Module`` class with a classmethod ``from_config(cfg)`` that gives its keyword arguments;
a class without one gets ``num_classes`` (when it takes it) and the entries of ``MODEL.ARGS``. It must return logits
(B, K) in train mode and scores (B, K) in eval mode for a clip (B, 3, T, H, W). ``archs``, if it is there, are the
values of MODEL.ARCH that go with it, the one to set first.

A registered fusion takes ``slow_channels``, ``fast_channels`` and ``alpha``, and the entries of
``SLOWFAST.FUSION_ARGS``; it states ``out_channels`` (see fusion.py).
"""

from __future__ import annotations

import re
from collections.abc import Container
from typing import Any

from fvcore.common.config import CfgNode
from torch import nn

from slowfast.models.recompute import recomputes
from slowfast.utils.imports import import_extensions
from slowfast.utils.registry import Registry
from slowfast.utils.signature import check_kwargs, filter_kwargs

KEY_OF = {
    "activation": "MODEL.HEAD_ACT",
    "alpha": "SLOWFAST.ALPHA",
    "arch": "MODEL.ARCH",
    "block": "RESNET.TRANS_FUNC",
    "bottleneck_factor": "X3D.BOTTLENECK_FACTOR",
    "channel_ratio": "SLOWFAST.FUSION_CONV_CHANNEL_RATIO",
    "depth": "RESNET.DEPTH",
    "depth_factor": "X3D.DEPTH_FACTOR",
    "dilations": "RESNET.SPATIAL_DILATIONS",
    "drop_path": "MODEL.DROPCONNECT_RATE",
    "dropout": "MODEL.DROPOUT_RATE",
    "fast_input": "SLOWFAST.FAST_INPUT",
    "fc_init_std": "MODEL.FC_INIT_STD",
    "fusion": "SLOWFAST.FUSION",
    "fusion_channel_ratio": "SLOWFAST.FUSION_CONV_CHANNEL_RATIO",
    "fusion_kernel": "SLOWFAST.FUSION_KERNEL_SZ",
    "groups": "RESNET.NUM_GROUPS",
    "head_channels": "X3D.DIM_C5",
    "instantiation": "NONLOCAL.INSTANTIATION",
    "kernel_size": "SLOWFAST.FUSION_KERNEL_SZ",
    "nonlocal_after": "NONLOCAL.LOCATION",
    "norm_type": "BN.NORM_TYPE",
    "num_classes": "MODEL.NUM_CLASSES",
    "num_groups": "NONLOCAL.GROUP",
    "num_temporal_blocks": "RESNET.NUM_BLOCK_TEMP_KERNEL",
    "resolution": "DETECTION.ROI_XFORM_RESOLUTION",
    "slow_frames": "SLOWFAST.SLOW_FRAMES",
    "spatial_strides": "RESNET.SPATIAL_STRIDES",
    "stem_channels": "X3D.DIM_C1",
    "width": "RESNET.WIDTH_PER_GROUP",
    "width_factor": "X3D.WIDTH_FACTOR",
}


def with_keys(message: str, given: Container[str] = ()) -> str:
    """``RESNET.DEPTH=77 is ...`` of ``depth=77 is ...``; a message that begins otherwise, or names a key, is kept.

    Args:
        given: arguments that came from MODEL.ARGS.
    """
    match = re.match(r"(\w+)(?=[= ])", message)
    name = match[1] if match else ""
    if name in given:
        return f"MODEL.ARGS.{message}"
    key = KEY_OF.get(name)
    if key is None or key in message:
        return message
    return key + message.removeprefix(name)


MODEL_REGISTRY = Registry("model", key="MODEL.MODEL_NAME")
FUSION_REGISTRY = Registry("lateral connection", key="fusion (SLOWFAST.FUSION)")


def build_model(cfg: CfgNode, *, device=None) -> nn.Module:
    """The model of ``MODEL.MODEL_NAME``, freshly initialized, in train mode.

    It works on any machine, whatever NUM_GPUS says; moving it is the caller's choice.

    Args:
        device: where it goes (default: torch's default device; under ``with torch.device("meta")`` the meta device).

    Raises:
        ValueError: unknown name, or arguments that contradict each other.
    """
    import_extensions(cfg.IMPORTS)
    model_class = MODEL_REGISTRY.get(cfg.MODEL.MODEL_NAME)
    _check_arch(cfg, model_class)
    extra = dict(cfg.MODEL.ARGS)
    check_kwargs(model_class, extra, "MODEL.ARGS")
    try:
        if hasattr(model_class, "from_config"):
            arguments = model_class.from_config(cfg)
        else:
            arguments = filter_kwargs(model_class, num_classes=cfg.MODEL.NUM_CLASSES)
        model = model_class(**{**arguments, **extra})
    except ValueError as error:
        raise ValueError(with_keys(str(error), extra)) from error
    if cfg.MODEL.ACT_CHECKPOINT and not recomputes(model):
        raise ValueError(
            f"MODEL.ACT_CHECKPOINT with MODEL.MODEL_NAME={cfg.MODEL.MODEL_NAME}: it has none of this package's "
            f"residual blocks, which can recompute activations. Set it to False."
        )
    if cfg.DETECTION.ENABLE and not getattr(model, "takes_boxes", True):
        raise ValueError(
            f"DETECTION.ENABLE with MODEL.MODEL_NAME={cfg.MODEL.MODEL_NAME}: its head scores only clips. "
            "Use SlowFast or ResNet."
        )
    return model if device is None else model.to(device)


def _check_arch(cfg: CfgNode, model_class: Any) -> None:
    archs, arch = getattr(model_class, "archs", ()), cfg.MODEL.ARCH
    if archs and arch.lower() not in archs:
        raise ValueError(
            f"MODEL.MODEL_NAME={cfg.MODEL.MODEL_NAME} with MODEL.ARCH={arch!r}: set MODEL.ARCH {archs[0]}."
        )
