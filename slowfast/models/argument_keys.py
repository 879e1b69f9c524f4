"""Which config key sets which argument of a network, for messages: a network knows only its arguments."""

from __future__ import annotations

import re
from collections.abc import Container

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
