"""Classes that count differently, and losses in which what is learned already counts less."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torchvision.ops import sigmoid_focal_loss

from slowfast.config import load_cfg
from slowfast.losses import LOSS_REGISTRY, build_loss
from slowfast.losses.build import class_weights

LABELS = np.array([0, 0, 0, 0, 1, 1, 1, 2, -1])
LOGITS = torch.tensor([[2.0, 0.0, -1.0], [0.5, 1.5, 0.0], [0.0, 0.0, 3.0], [1.0, -1.0, 0.0]])
TARGETS = torch.tensor([0, 1, 2, 1])
WEIGHTS = [0.5, 1.0, 4.0]


def loss(name: str, **options):
    return LOSS_REGISTRY.get(name)(**options)


@pytest.mark.parametrize("kind, power", [("inverse", 1.0), ("inverse_sqrt", 0.5)])
def test_weights_go_down_with_the_videos_and_have_mean_one_over_them(kind, power):
    weights = np.array(class_weights(kind, labels=LABELS, num_classes=4))
    assert np.allclose(weights / weights[2], [4**-power, 3**-power, 1, 1])  # the last class has no video
    assert np.isclose(np.mean(weights[LABELS[LABELS >= 0]]), 1)


def test_several_labels_a_video_are_counted_by_class():
    labels = np.array([[1, 0], [1, 0], [1, 1], [0, 0]], dtype=np.uint8)
    assert np.allclose(class_weights("inverse", labels=labels, num_classes=2), [4 / 6, 2])


@pytest.mark.parametrize(
    "text, message",
    [
        ("1\n2\n", r"w\.txt holds 2 numbers, but MODEL\.NUM_CLASSES is 3"),
        ("1\nx\n2\n", r"w\.txt:2: expected one number, got 'x'"),
        ("1\n-1\n2\n", r"w\.txt:2: .*at least 0"),
        ("1\nnan\n2\n", r"w\.txt:2: .*finite"),
    ],
)
def test_a_file_that_does_not_fit_is_named_with_its_line(tmp_path, text, message):
    path = tmp_path / "w.txt"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        class_weights(str(path), labels=LABELS, num_classes=3)


def test_no_such_file_names_the_choices():
    with pytest.raises(ValueError, match=r"CLASS_WEIGHTS='inverted' is neither 'inverse', 'inverse_sqrt' nor a file"):
        class_weights("inverted", labels=LABELS, num_classes=3)


@pytest.mark.parametrize("name", ["cross_entropy", "soft_cross_entropy", "softmax_focal"])
def test_every_clip_counts_as_its_class_does(name):
    """Alone or in a batch: so it does not matter how a batch is divided."""
    each = [loss(name)(LOGITS[i : i + 1], TARGETS[i : i + 1]) * WEIGHTS[TARGETS[i]] for i in range(4)]
    weighted = loss(name, class_weights=WEIGHTS)
    torch.testing.assert_close(weighted(LOGITS, TARGETS), torch.stack(each).mean())
    parts = (weighted(LOGITS[:2], TARGETS[:2]) + weighted(LOGITS[2:], TARGETS[2:])) / 2
    torch.testing.assert_close(weighted(LOGITS, TARGETS), parts)
    torch.testing.assert_close(weighted(LOGITS, F.one_hot(TARGETS, 3).float()), weighted(LOGITS, TARGETS))


@pytest.mark.parametrize("name", ["bce", "sigmoid_focal"])
def test_decisions_count_as_their_class_does(name):
    labels = torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]])
    columns = [loss(name)(LOGITS[:2, k : k + 1], labels[:, k : k + 1]) * WEIGHTS[k] for k in range(3)]
    torch.testing.assert_close(loss(name, class_weights=WEIGHTS)(LOGITS[:2], labels), torch.stack(columns).mean())


def test_focal_by_hand():
    """-(1 - p)^gamma log p with p = 1/2 and 3/4: equation 4 of arXiv 1708.02002."""
    logits = torch.tensor([[0.0, 0.0], [np.log(3.0), 0.0]], dtype=torch.float64)
    expected = (0.5**2 * np.log(2) + 0.25**2 * np.log(4 / 3)) / 2
    assert loss("softmax_focal")(logits, torch.tensor([0, 0])).item() == pytest.approx(expected)
    # one logit: sigmoid(log 3) = 3/4; alpha 1/4 weighs what is true
    single = loss("sigmoid_focal")(logits[1:, :1], torch.ones(1, 1))
    assert single.item() == pytest.approx(0.25 * 0.25**2 * np.log(4 / 3))


@pytest.mark.parametrize("name, plain, options", [
    ("softmax_focal", "cross_entropy", {}), ("sigmoid_focal", "bce", {"alpha": -1})
])  # fmt: skip
def test_without_gamma_focal_is_the_plain_loss(name, plain, options):
    torch.testing.assert_close(loss(name, gamma=0.0, **options)(LOGITS, TARGETS), loss(plain)(LOGITS, TARGETS))


@pytest.mark.parametrize("name", ["softmax_focal", "sigmoid_focal"])
def test_focal_has_a_finite_gradient_where_nothing_is_left_to_learn(name):
    logits = torch.tensor([[200.0, -200.0]], requires_grad=True)
    loss(name, gamma=0.5)(logits, torch.tensor([0])).backward()
    assert torch.isfinite(logits.grad).all()


def test_from_the_config(tmp_path):
    def built(*overrides, labels=LABELS):
        opts = ["MODEL.NUM_CLASSES", 3, "LOSS.CLASS_WEIGHTS", "inverse", *overrides]
        return build_loss(load_cfg("Kinetics/SLOWFAST_4x16_R50", opts), labels=labels)

    assert torch.allclose(built().class_weights, torch.tensor(class_weights("inverse", labels=LABELS, num_classes=3)))
    assert built(labels=None).class_weights is None  # nothing to count, as in a check before the start
    (tmp_path / "w.txt").write_text("1\n2\n3\n")
    assert built("LOSS.CLASS_WEIGHTS", str(tmp_path / "w.txt"), labels=None).class_weights.tolist() == [1, 2, 3]


def test_the_focal_loss_of_decisions_is_torchvisions():
    labels = torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]])
    expected = sigmoid_focal_loss(LOGITS[:2], labels, alpha=0.3, gamma=1.5, reduction="mean")
    torch.testing.assert_close(loss("sigmoid_focal", alpha=0.3, gamma=1.5)(LOGITS[:2], labels), expected)
