"""What networks read from a config, as plain keyword arguments."""

from __future__ import annotations

from collections.abc import Sequence

from slowfast.models.fixed_size_norm import fixed_size_norm
from slowfast.models.norm import NormLayer, norm_layer


def per_pathway(values: Sequence, num_pathways: int, key: str) -> list:
    """The first ``num_pathways`` of ``values``; a single value serves all.

    PySlowFast's defaults hold one value where recipes for two pathways hold two, and vice versa.
    """
    values = list(values)
    if len(values) == 1:
        return values * num_pathways
    if len(values) < num_pathways:
        raise ValueError(f"{key}={values} needs one value for each of the {num_pathways} pathways.")
    return values[:num_pathways]


def norm_from_config(cfg) -> NormLayer:
    """The normalization of the BN keys; in multigrid training the one that keeps MULTIGRID.BN_BASE_SIZE."""
    if cfg.MULTIGRID.LONG_CYCLE or cfg.MULTIGRID.SHORT_CYCLE:
        return fixed_size_norm(cfg.MULTIGRID.BN_BASE_SIZE)
    return norm_layer(
        cfg.BN.NORM_TYPE.removesuffix("_apex"),  # sync_batchnorm_apex: torch has its own by now
        num_splits=cfg.BN.NUM_SPLITS,
        num_sync_devices=cfg.BN.NUM_SYNC_DEVICES,
        global_sync=cfg.BN.GLOBAL_SYNC,
    )


def resnet_arguments(cfg, *, num_pathways: int) -> dict:
    """Keyword arguments that SlowFast and ResNet share; lists per stage hold one value per pathway."""

    def stages(values: Sequence, key: str) -> list[list]:
        if len(values) != 4:
            raise ValueError(f"{key}={list(values)} needs one entry for each of the 4 stages res2 to res5.")
        return [per_pathway(stage, num_pathways, key) for stage in values]

    return {
        **shared_arguments(cfg),
        "depth": cfg.RESNET.DEPTH,
        "width": cfg.RESNET.WIDTH_PER_GROUP,
        "groups": cfg.RESNET.NUM_GROUPS,
        "block": cfg.RESNET.TRANS_FUNC,
        "stride_1x1": cfg.RESNET.STRIDE_1X1,
        "num_temporal_blocks": stages(cfg.RESNET.NUM_BLOCK_TEMP_KERNEL, "RESNET.NUM_BLOCK_TEMP_KERNEL"),
        "spatial_strides": stages(cfg.RESNET.SPATIAL_STRIDES, "RESNET.SPATIAL_STRIDES"),
        "dilations": stages(cfg.RESNET.SPATIAL_DILATIONS, "RESNET.SPATIAL_DILATIONS"),
        "nonlocal_after": stages(cfg.NONLOCAL.LOCATION, "NONLOCAL.LOCATION"),
        "nonlocal_args": _nonlocal_args(cfg, stages),
        "roi_head": _roi_head(cfg),
    }


def shared_arguments(cfg) -> dict:
    """Keyword arguments that networks share: of the head, the blocks and the initial weights."""
    return {
        "num_classes": cfg.MODEL.NUM_CLASSES,
        "dropout": cfg.MODEL.DROPOUT_RATE,
        "activation": cfg.MODEL.HEAD_ACT,
        "detach_features": cfg.MODEL.DETACH_FINAL_FC,
        # A global pool for the short cycle of multigrid training, whose crops change from batch to batch.
        "pool_size": None if cfg.MULTIGRID.SHORT_CYCLE else max(1, cfg.DATA.TRAIN_CROP_SIZE // 32),
        "zero_init_final_bn": cfg.RESNET.ZERO_INIT_FINAL_BN,
        "zero_init_final_conv": cfg.RESNET.ZERO_INIT_FINAL_CONV,
        "fc_init_std": cfg.MODEL.FC_INIT_STD,
        "drop_path": cfg.MODEL.DROPCONNECT_RATE,
        "recompute": cfg.MODEL.ACT_CHECKPOINT,
        "norm": norm_from_config(cfg),
    }


def _roi_head(cfg) -> dict | None:
    """Arguments of ``RoIHead``, or None if clips are scored."""
    if not cfg.DETECTION.ENABLE:
        return None
    return {
        "resolution": cfg.DETECTION.ROI_XFORM_RESOLUTION,
        "spatial_scale": 1 / cfg.DETECTION.SPATIAL_SCALE_FACTOR,
        "aligned": cfg.DETECTION.ALIGNED,
    }


def _nonlocal_args(cfg, stages) -> list[list[dict]]:
    pools = stages(cfg.NONLOCAL.POOL, "NONLOCAL.POOL")
    groups = stages(cfg.NONLOCAL.GROUP, "NONLOCAL.GROUP")
    return [
        [
            {"instantiation": cfg.NONLOCAL.INSTANTIATION, "pool": tuple(pool), "num_groups": group}
            for pool, group in zip(stage_pools, stage_groups, strict=True)
        ]
        for stage_pools, stage_groups in zip(pools, groups, strict=True)
    ]
