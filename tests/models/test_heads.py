from __future__ import annotations

import pytest
import torch
from torch import nn

from slowfast.models.heads import ClipHead, activate
from slowfast.models.options import HeadOptions
from tests import reference
from tests.models.toys import seeded


def head(**arguments) -> ClipHead:
    made = seeded(lambda: ClipHead((6, 2), HeadOptions(**{"num_classes": 4, "dropout": 0.0, **arguments})))
    nn.init.normal_(made.classifier.weight, generator=torch.Generator().manual_seed(1))
    return made


def features(height: int, width: int):
    generator = torch.Generator().manual_seed(2)
    return [
        torch.randn(2, 6, 2, height, width, generator=generator),
        torch.randn(2, 2, 8, height, width, generator=generator),
    ]


@pytest.mark.parametrize("height, width", [(7, 7), (8, 8), (7, 10), (9, 8)])
def test_a_larger_map_gives_the_mean_score_of_its_windows(height, width):
    """A 256 crop (8 x 8) through a head trained at 224 (7 x 7) is four windows, each with its own softmax."""
    made, maps = head(pool_size=7).eval(), features(height, width)
    scores = made(maps)
    for clip in range(2):
        expected = reference.fully_convolutional_scores(
            [x[clip] for x in maps], made.classifier.weight, made.classifier.bias, pool_size=7
        )
        assert torch.allclose(scores[clip], expected, atol=1e-6)


def test_train_mode_averages_the_logits_of_several_windows():
    made, maps = head(pool_size=7).train(), features(8, 9)
    pooled = torch.cat([nn.functional.avg_pool3d(x, (x.shape[2], 7, 7), stride=1) for x in maps], dim=1)
    windows = made.classifier(pooled.permute(0, 2, 3, 4, 1)).flatten(1, 3)
    assert windows.shape == (2, 6, 4)
    assert torch.allclose(made(maps), windows.mean(1), atol=1e-6)


def test_a_global_window_takes_the_whole_map():
    maps = features(9, 8)
    pooled = torch.cat([x.mean((2, 3, 4)) for x in maps], dim=1)
    made = head(pool_size=None)
    assert torch.allclose(made.train()(maps), made.classifier(pooled), atol=1e-6)
    assert torch.allclose(made.eval()(maps), made.classifier(pooled).softmax(-1), atol=1e-6)


def test_a_map_smaller_than_the_window_is_taken_whole():
    maps = features(3, 5)
    assert torch.allclose(head(pool_size=7).eval()(maps), head(pool_size=None).eval()(maps), atol=1e-6)


@pytest.mark.parametrize("activation", ["softmax", "sigmoid", "none"])
def test_activations_act_in_eval_mode_alone(activation):
    made, maps = head(pool_size=7, activation=activation), features(7, 7)
    logits = made.train()(maps)
    expected = {"softmax": logits.softmax(-1), "sigmoid": logits.sigmoid(), "none": logits}[activation]
    assert torch.allclose(made.eval()(maps), expected, atol=1e-6)


@pytest.mark.parametrize("dtype, widened", [(torch.bfloat16, torch.float32), (torch.float64, torch.float64)])
def test_scores_are_at_least_float32(dtype, widened):
    for activation in ("softmax", "sigmoid", "none"):
        assert activate(torch.zeros(2, 3, dtype=dtype), activation).dtype == widened


def test_dropout_acts_on_the_pooled_features_in_train_mode_alone():
    made, maps = head(pool_size=7, dropout=0.5), features(7, 7)
    assert not torch.allclose(made.train()(maps), made(maps))
    assert torch.equal(made.eval()(maps), made(maps))
    assert torch.allclose(made(maps), head(pool_size=7).eval()(maps))


def test_detached_features_get_no_gradient():
    maps = [x.requires_grad_() for x in features(7, 7)]
    head(pool_size=7, detach_features=True).train()(maps).sum().backward()
    assert all(x.grad is None for x in maps)
