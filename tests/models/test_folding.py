from __future__ import annotations

import pytest
import torch
from torch import nn

from slowfast.models.folding import fold_batch_norms
from slowfast.models.norm import norm_layer
from tests.models.toys import randomize_batch_norms, seeded, toy_clip, toy_resnet, toy_slowfast, toy_x3d

NETWORKS = {
    "slowfast": lambda: toy_slowfast(),
    "basic": lambda: toy_slowfast(block="basic_transform"),
    "non-local": lambda: toy_slowfast(nonlocal_after=(((), ()), ((1,), ()), ((), (0,)), ((), ()))),
    "i3d": lambda: toy_resnet(arch="i3d"),
    "no fusion": lambda: toy_slowfast(fusion="NoFusion"),
    "softmax": lambda: toy_resnet(nonlocal_after=((), (0,), (), ()), nonlocal_args=[{"instantiation": "softmax"}] * 4),
    "x3d": lambda: toy_x3d(norm_lin5=True),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_scores_stay(name):
    model = seeded(NETWORKS[name])
    nn.init.normal_(model.head.classifier.weight, std=0.5, generator=torch.Generator().manual_seed(0))
    randomize_batch_norms(model)
    model.eval()
    folded = fold_batch_norms(model)
    assert not any(isinstance(module, nn.BatchNorm3d) for module in folded.modules())
    with torch.no_grad():
        scores = model(toy_clip())
        assert torch.allclose(folded(toy_clip()), scores, atol=1e-5)
        assert scores.std() > 1e-3  # scores that say something


def test_the_model_itself_stays_as_it_is():
    model = seeded(toy_slowfast).train()
    randomize_batch_norms(model)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    folded = fold_batch_norms(model)
    assert model.training and not folded.training
    assert model.state_dict().keys() == before.keys()
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_norms_of_other_kinds_stay_and_scores_too():
    model = seeded(lambda: toy_slowfast(norm=norm_layer("sub_batchnorm", num_splits=2)))
    with torch.no_grad():
        model.train()(toy_clip(batch=4))
        folded = fold_batch_norms(model.eval())
        assert torch.allclose(folded(toy_clip()), model(toy_clip()), atol=1e-5)


def test_channels_last_stays_channels_last():
    model = toy_slowfast().to(memory_format=torch.channels_last_3d)
    weight = fold_batch_norms(model).slow.res2.block0.b.weight
    assert weight.is_contiguous(memory_format=torch.channels_last_3d)
