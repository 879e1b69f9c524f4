"""Random colors: one affine map a frame, by the draws of its clip, with the strengths of the recipe."""

import numpy as np
import pytest
import torch

from slowfast.utils.color import LUMA
from slowfast.video.color import ColorAugment

EIGENVALUES = np.array([0.225, 0.224, 0.229])
EIGENVECTORS = np.array([[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.8140], [-0.5836, -0.6948, 0.4203]])


@pytest.fixture
def frames():
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (3, 4, 6, 5), dtype=torch.uint8, generator=generator)


def slow(frames: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """The same step by step on float colors (3, T, H, W) in [0, 1], in PySlowFast's terms of blending."""
    images = frames / 255.0

    def gray(images):
        return (np.array(LUMA)[:, None, None, None] * images).sum(0, keepdims=True)

    if strength:
        for step in rng.permutation(["brightness", "contrast", "saturation"]):
            factor = 1 + rng.uniform(-strength, strength)
            other = {
                "brightness": 0 * images,
                "contrast": gray(images).mean((0, 2, 3), keepdims=True),
                "saturation": gray(images),
            }[step]
            images = factor * images + (1 - factor) * other
    alpha = rng.normal(0, 0.1, 3)
    lighting = (EIGENVECTORS * alpha * EIGENVALUES).sum(1)
    return (images + lighting[:, None, None, None]) * 255


@pytest.mark.parametrize("strength", [0.0, 0.4])
@pytest.mark.parametrize("seed", range(8))
def test_one_matrix_does_what_the_steps_do(frames, strength, seed):
    found = ColorAugment(strength=strength)(frames, np.random.default_rng(seed))
    expected = slow(frames.numpy(), strength, np.random.default_rng(seed))
    assert found.dtype == torch.int16
    assert np.abs(found.numpy() - expected).max() <= 0.501  # rounded to a level


def test_colors_are_not_cut_off(frames):
    """PySlowFast normalizes what jitter gives, be it darker than black."""
    found = [ColorAugment()(frames, np.random.default_rng(seed)) for seed in range(20)]
    assert min(clip.min() for clip in found) < 0 and max(clip.max() for clip in found) > 255


def test_no_strength_and_no_noise_change_nothing(frames):
    assert torch.equal(ColorAugment(strength=0, lighting_std=0)(frames, np.random.default_rng(0)), frames.short())


def test_lighting_noise_has_the_spread_of_the_eigenvalues():
    augment = ColorAugment(strength=0)
    offsets = np.stack([augment.draw(np.zeros((3, 1)), np.random.default_rng(seed))[1][:, 0] for seed in range(4000)])
    expected = 0.1**2 * (EIGENVECTORS * EIGENVALUES**2) @ EIGENVECTORS.T
    assert np.cov(offsets.T) == pytest.approx(expected, abs=5e-5)


@pytest.mark.parametrize("strength", [-0.1, 1.0])
def test_a_strength_that_inverts_colors_is_refused(strength):
    with pytest.raises(ValueError, match=rf"strength must be in \[0, 1\), got {strength}"):
        ColorAugment(strength=strength)
