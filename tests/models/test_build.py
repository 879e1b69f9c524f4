from __future__ import annotations

import pytest
import torch
from torch import nn

from slowfast.config import load_cfg
from slowfast.models import FUSION_REGISTRY, MODEL_REGISTRY, SlowFast, build_model

SMALL = ["RESNET.DEPTH", 18, "RESNET.WIDTH_PER_GROUP", 8, "RESNET.NUM_BLOCK_TEMP_KERNEL", [[2, 2]] * 4]


def small(*overrides):
    return load_cfg("Kinetics/SLOWFAST_4x16_R50", [*SMALL, *overrides])


def test_a_model_is_fresh_and_in_train_mode_whatever_the_number_of_gpus():
    model = build_model(small("NUM_GPUS", 8))
    assert isinstance(model, SlowFast)
    assert model.training
    assert {p.device.type for p in model.parameters()} == {"cpu"}
    assert all(p.requires_grad for p in model.parameters())


def test_the_device_is_the_callers_choice():
    assert {p.device.type for p in build_model(small(), device="meta").parameters()} == {"meta"}
    with torch.device("meta"):
        assert {p.device.type for p in build_model(small()).parameters()} == {"meta"}


def test_model_args_go_to_the_class_and_win():
    assert build_model(small("MODEL.ARGS.beta", 0.25)).fast.stem.conv.out_channels == 2
    assert build_model(small("MODEL.ARGS.pool_size", 3)).head.pool_size == 3


def test_an_unknown_model_argument():
    with pytest.raises(ValueError, match=r"MODEL\.ARGS: SlowFast takes no argument 'betta'\. Did you mean beta\?"):
        build_model(small("MODEL.ARGS.betta", 0.25))


def test_fusion_args_go_to_the_fusion():
    assert build_model(small("SLOWFAST.FUSION_ARGS.kernel_size", 7)).laterals[0].conv.kernel_size == (7, 1, 1)
    with pytest.raises(ValueError, match=r"SLOWFAST\.FUSION_ARGS: TimeStridedConv takes no argument 'size'"):
        build_model(small("SLOWFAST.FUSION_ARGS.size", 7))


def test_fusion_keys_reach_the_default_fusion():
    model = build_model(small("SLOWFAST.FUSION_KERNEL_SZ", 3, "SLOWFAST.FUSION_CONV_CHANNEL_RATIO", 1))
    assert model.laterals[0].conv.weight.shape == (1, 1, 3, 1, 1)


def test_a_class_without_from_config_gets_the_class_count_and_its_args(monkeypatch):
    class Tiny(nn.Module):
        def __init__(self, *, num_classes, scale=1.0):
            super().__init__()
            self.num_classes, self.scale = num_classes, scale

    monkeypatch.setattr(MODEL_REGISTRY, "_entries", {**MODEL_REGISTRY._entries, "tiny": ("Tiny", Tiny)})
    model = build_model(small("MODEL.MODEL_NAME", "Tiny", "MODEL.NUM_CLASSES", 7, "MODEL.ARGS.scale", 2.0))
    assert (model.num_classes, model.scale) == (7, 2.0)


def test_a_fusion_without_norm_is_not_offered_one(monkeypatch):
    seen = []

    class Spy(nn.Module):
        def __init__(self, *, slow_channels, fast_channels, alpha, kernel_size):
            super().__init__()
            seen.append((slow_channels, fast_channels, alpha, kernel_size))
            self.out_channels = slow_channels

        def forward(self, slow, fast):
            return slow

    monkeypatch.setattr(FUSION_REGISTRY, "_entries", {**FUSION_REGISTRY._entries, "spy": ("Spy", Spy)})
    build_model(small("SLOWFAST.FUSION", "spy", "SLOWFAST.BETA_INV", 4))
    assert seen == [(8, 2, 8, 5), (32, 8, 8, 5), (64, 16, 8, 5), (128, 32, 8, 5)]


def test_frames_of_the_config_are_checked_per_stage_lists():
    cfg = small().clone()
    cfg.defrost()
    cfg.RESNET.SPATIAL_STRIDES = [[1], [2], [2]]
    with pytest.raises(ValueError, match=r"RESNET\.SPATIAL_STRIDES=\[\[1\], \[2\], \[2\]\] needs one entry for each"):
        build_model(cfg)
    cfg.RESNET.SPATIAL_STRIDES = [[1], [2], [2], [2]]
    cfg.DATA.INPUT_CHANNEL_NUM = []
    with pytest.raises(ValueError, match=r"DATA\.INPUT_CHANNEL_NUM=\[\] needs one value for each of the 2 pathways"):
        build_model(cfg)
