from __future__ import annotations

import math

import pytest
import torch

from slowfast.config import load_cfg
from slowfast.losses import LOSS_REGISTRY, build_loss

LOGITS = torch.tensor([[2.0, 0.0, -1.0], [0.5, 1.5, 0.0]])


def loss(name: str, **options):
    return LOSS_REGISTRY.get(name)(**options)


def log_probabilities(row) -> list[float]:
    total = math.log(sum(math.exp(x) for x in row))
    return [x - total for x in row]


def by_hand(labels) -> float:
    """Mean over the clips of -sum(label * log p)."""
    rows = [log_probabilities(row) for row in LOGITS.tolist()]
    return -sum(sum(y * p for y, p in zip(ys, ps, strict=True)) for ys, ps in zip(labels, rows, strict=True)) / 2


def bce_by_hand(labels) -> float:
    """Mean over all decisions of -log of the probability given to what is true."""
    terms = [
        -math.log(1 / (1 + math.exp(-x)) if y == 1 else 1 / (1 + math.exp(x)))
        for xs, ys in zip(LOGITS.tolist(), labels, strict=True)
        for x, y in zip(xs, ys, strict=True)
    ]
    return sum(terms) / len(terms)


ONE_HOT = [[1, 0, 0], [0, 0, 1]]
SUMS_ABOVE_ONE = [[2.0, 2.0, 0.0], [0.0, 0.0, 5.0]]


@pytest.mark.parametrize(
    "name, options, labels, expected",
    [
        ("cross_entropy", {}, [0, 2], ONE_HOT),
        ("cross_entropy", {}, [[0.7, 0.3, 0.0], [0.1, 0.1, 0.8]], [[0.7, 0.3, 0.0], [0.1, 0.1, 0.8]]),
        ("cross_entropy", {"label_smoothing": 0.3}, [0, 2], [[0.8, 0.1, 0.1], [0.1, 0.1, 0.8]]),
        ("soft_cross_entropy", {"normalize_targets": True}, SUMS_ABOVE_ONE, [[0.5, 0.5, 0], [0, 0, 1]]),
        ("soft_cross_entropy", {}, SUMS_ABOVE_ONE, SUMS_ABOVE_ONE),  # as PySlowFast at 287ec00 builds the loss
        ("soft_cross_entropy", {}, [0, 2], ONE_HOT),
    ],
)
def test_cross_entropies_by_hand(name, options, labels, expected):
    given = torch.tensor(labels)
    value = loss(name, **options)(LOGITS, given)
    assert value.item() == pytest.approx(by_hand(expected), rel=1e-6)
    assert torch.equal(given, torch.tensor(labels))  # as it was


@pytest.mark.parametrize("name", ["bce", "bce_logit"])
@pytest.mark.parametrize("labels", [[[1, 0, 1], [0, 0, 0]], [[1, 1, 1], [0, 1, 0]]])
def test_both_binary_losses_are_on_logits(name, labels):
    value = loss(name)(LOGITS, torch.tensor(labels, dtype=torch.float32))
    assert value.item() == pytest.approx(bce_by_hand(labels), rel=1e-6)
    assert loss(name)(LOGITS, torch.tensor(labels)).item() == value.item()  # whole numbers are as good
    assert loss(name)(LOGITS, torch.tensor([0, 2])).item() == pytest.approx(bce_by_hand(ONE_HOT), rel=1e-6)


@pytest.mark.parametrize("name", ["cross_entropy", "soft_cross_entropy", "bce_logit"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_widened_to_float32_and_double_stays_double(name, dtype):
    logits = LOGITS.to(dtype).requires_grad_()
    for labels in (torch.tensor([0, 2]), torch.eye(3)[[0, 2]], torch.eye(3)[[0, 2]].to(dtype)):
        value = loss(name)(logits, labels)
        assert value.dtype == torch.float32
        widened = labels.float() if labels.is_floating_point() else labels
        assert value.item() == loss(name)(LOGITS.to(dtype).float(), widened).item()
        assert loss(name)(LOGITS.double(), labels).dtype == torch.float64
    value.backward()
    assert logits.grad.dtype == dtype and torch.isfinite(logits.grad).all()


def build(*overrides):
    return build_loss(load_cfg("Kinetics/SLOWFAST_4x16_R50", list(overrides)))


def test_the_config_names_the_loss_and_its_arguments():
    assert build("LOSS.ARGS.label_smoothing", 0.1).label_smoothing == 0.1
    assert (
        build("MODEL.LOSS_FUNC", "soft_cross_entropy", "LOSS.ARGS.normalize_targets", False).normalize_targets is False
    )


def test_an_argument_that_the_loss_does_not_take():
    message = r"LOSS\.ARGS: CrossEntropy takes no argument 'label_smothing'\. Did you mean label_smoothing\?"
    with pytest.raises(ValueError, match=message):
        build("LOSS.ARGS.label_smothing", 0.1)
