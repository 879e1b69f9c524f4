"""What each of two processes does in test_distributed.py."""

from __future__ import annotations

import numpy as np
import torch
import torch.distributed as dist
from torch import nn

from slowfast.engine.precise_bn import update_precise_statistics
from slowfast.evaluation import ViewEnsemble
from slowfast.models.norm import norm_layer
from slowfast.utils import distributed
from slowfast.utils.logging import MetricWriter, setup_logging

NUM_VIDEOS, NUM_VIEWS, NUM_CLASSES = 5, 3, 4


def video_scores() -> np.ndarray:
    return np.random.default_rng(0).random((NUM_VIDEOS, NUM_VIEWS, NUM_CLASSES)).astype(np.float32)


def clips() -> torch.Tensor:
    return 3 * torch.randn(8, 3, 2, 4, 4, generator=torch.Generator().manual_seed(0)) + 1


def small_net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv3d(3, 4, 1), nn.BatchNorm3d(4)).train()


def everything(rank: int, _size: int, folder: str) -> dict:
    setup_logging(f"{folder}/logs")
    writer = MetricWriter(f"{folder}/metrics")
    writer.write(rank, {"rank": rank})
    writer.close()
    net = small_net()
    update_precise_statistics(net, clips().split(4)[rank].split(2), net)
    return {
        "who": (distributed.rank(), distributed.world_size(), distributed.is_main()),
        "objects": distributed.all_gather_objects({"rank": rank, "long": "x" * (100 * rank)}),
        "reduced": distributed.all_reduce_sum(torch.tensor([1.0, rank])),
        **{method: _ensemble(rank, method) for method in ("mean", "sum", "max")},
        "statistics": (net[1].running_mean, net[1].running_var),
        **_sync_norms(rank),
    }


def _ensemble(rank: int, method: str) -> dict:
    """Each process has every other video, as EvalSampler deals them; the last one failed."""
    ensemble = ViewEnsemble(num_videos=NUM_VIDEOS, num_views=NUM_VIEWS, num_classes=NUM_CLASSES, method=method)
    for video in range(rank, NUM_VIDEOS, 2):
        if video == NUM_VIDEOS - 1:
            ensemble.fail(video, "broken")
        else:
            ensemble.update(video, range(NUM_VIEWS), video_scores()[video])
    ensemble.gather()
    return {"scores": torch.from_numpy(ensemble.scores()), "failures": ensemble.failures}


def _sync_norms(rank: int) -> dict:
    """Which processes share statistics, for three settings, and what an impossible one says."""
    groups = {}
    for size in (1, 2, 8):
        norm = norm_layer("sync_batchnorm", num_sync_devices=size)(4)
        groups[size] = dist.get_process_group_ranks(norm.process_group)
    shared = dist.get_process_group_ranks(norm_layer("sync_batchnorm", global_sync=True)(4).process_group)
    try:
        norm_layer("sync_batchnorm", num_sync_devices=0)
    except ValueError as error:
        message = str(error)
    return {"groups": groups, "global": shared, "message": message, "kind": type(norm).__name__}
