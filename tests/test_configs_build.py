"""Every recipe of the package makes a model, and a protocol that files give back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from slowfast.config import find, load_cfg
from slowfast.datasets.build import build_protocol
from slowfast.datasets.protocol import Protocol
from slowfast.losses import build_loss
from slowfast.models import build_model
from slowfast.models.complexity import clip_channels
from slowfast.solver import build_optimizer, build_schedule
from tests.meta import shapes_only

ROOT = find("Kinetics/SLOWFAST_4x16_R50").parents[1]
LEAVES = sorted(path.relative_to(ROOT) for path in ROOT.rglob("*.yaml") if "_base_" not in path.parts)


def test_there_are_recipes():
    assert len(LEAVES) >= 26
    assert Path("Kinetics/SLOWFAST_8x8_R50.yaml") in LEAVES


@pytest.mark.parametrize("leaf", LEAVES, ids=str)
def test_a_recipe_has_a_network_an_optimizer_a_schedule_a_protocol_and_a_loss(leaf):
    cfg = load_cfg(ROOT / leaf)
    with shapes_only():
        model = build_model(cfg)
        channels, num_frames = clip_channels(model), cfg.DATA.NUM_FRAMES
        boxes = [torch.empty(2, 5)] if cfg.DETECTION.ENABLE else []
        for mode, crop in ((True, cfg.DATA.TRAIN_CROP_SIZE), (False, cfg.DATA.TEST_CROP_SIZE)):
            clip = torch.empty(2, channels, num_frames, crop, crop)
            assert model.train(mode)(clip, *boxes).shape == (2, cfg.MODEL.NUM_CLASSES)
    grouped = [id(p) for group in build_optimizer(cfg, model).param_groups for p in group["params"]]
    assert sorted(grouped) == sorted(id(p) for p in model.parameters() if p.requires_grad)
    for split in ("val", "test"):
        protocol = build_protocol(cfg, split)
        assert Protocol.from_dict(json.loads(json.dumps(protocol.as_dict()))) == protocol
    schedule = build_schedule(cfg)
    assert 0 < schedule(0.9 * schedule.max_epoch) <= schedule.base_lr
    labels = torch.zeros(2, cfg.MODEL.NUM_CLASSES) if cfg.DATA.MULTI_LABEL else torch.zeros(2, dtype=torch.long)
    assert torch.isfinite(build_loss(cfg)(torch.randn(2, cfg.MODEL.NUM_CLASSES), labels))
