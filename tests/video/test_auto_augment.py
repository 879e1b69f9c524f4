"""Policies in timm's notation on clips: against Pillow image by image, and alike for all frames."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance, ImageOps

from slowfast.video.auto_augment import (
    INTERPOLATIONS,
    MAX_LEVEL,
    POLICIES,
    RAND_OPERATIONS,
    Operation,
    apply,
    parse_policy,
    warp,
)


@pytest.fixture
def images():
    """Three smooth images (3, 3, 24, 32): interpolations differ little on them."""
    y, x = torch.meshgrid(torch.linspace(0, 3, 24), torch.linspace(0, 4, 32), indexing="ij")
    planes = [(x * (i + 1) / 2 + y * j / 2 + i).sin() for i in range(3) for j in range(3)]
    return (torch.stack(planes).view(3, 3, 24, 32) * 100 + 120).to(torch.uint8)


def pil(image):
    return Image.fromarray(image.permute(1, 2, 0).numpy())


def back(image):
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)


def applied(images, name, level, *, sign=1, interpolation="bilinear"):
    """One operation with the sign that is asked for."""
    seed = next(s for s in range(50) if (np.random.default_rng(s).random() < 0.5) == (sign < 0))
    return apply(images, name, level, np.random.default_rng(seed), interpolation=interpolation)


EXPECTED = {
    ("AutoContrast", 3): ImageOps.autocontrast,
    ("Equalize", 3): ImageOps.equalize,
    ("Invert", 3): ImageOps.invert,
    ("Posterize", 5): lambda image: ImageOps.posterize(image, 2),
    ("Posterize+", 5): lambda image: ImageOps.posterize(image, 2),
    ("Posterize+", 2): lambda image: ImageOps.posterize(image, 4),
    ("PosterizeKeep", 8): lambda image: ImageOps.posterize(image, 7),
    ("PosterizeKeep", 10): lambda image: image,
    ("Solarize", 5): lambda image: ImageOps.solarize(image, 128),
    ("Solarize", 10): lambda image: image,
    ("Solarize+", 5): lambda image: ImageOps.solarize(image, 128),
    ("Solarize+", 0): lambda image: image,
    ("SolarizeAdd", 5): lambda image: image.point([i + 55 if i < 128 else i for i in range(256)] * 3),
    ("Color", 2): lambda image: ImageEnhance.Color(image).enhance(0.46),
    ("Color+", 10): lambda image: ImageEnhance.Color(image).enhance(1.9),
    ("Contrast", 8): lambda image: ImageEnhance.Contrast(image).enhance(1.54),
    ("Brightness", 8): lambda image: ImageEnhance.Brightness(image).enhance(1.54),
    ("Brightness+", 5): lambda image: ImageEnhance.Brightness(image).enhance(1.45),
    ("Sharpness", 8): lambda image: ImageEnhance.Sharpness(image).enhance(1.54),
}


@pytest.mark.parametrize("name, level", EXPECTED)
def test_colors_are_those_of_pillow(images, name, level):
    found = applied(images, name, level)
    for image, result in zip(images, found, strict=True):
        difference = (back(EXPECTED[name, level](pil(image))).int() - result.int()).abs()
        assert difference.max() <= 2  # roundings of gray


GRAY = (128, 128, 128)
MOVED = {
    "ShearX": (1, 0.15, 0, 0, 1, 0),
    "ShearY": (1, 0, 0, 0.15, 1, 0),
    "TranslateX": (1, 0, 0.225 * 32, 0, 1, 0),
    "TranslateY": (1, 0, 0, 0, 1, 0.225 * 24),
}


def moved(image, name):
    if name == "Rotate":
        return image.rotate(15, Image.BILINEAR, fillcolor=GRAY)
    return image.transform(image.size, Image.AFFINE, MOVED[name], Image.BILINEAR, fillcolor=GRAY)


@pytest.mark.parametrize("name", ["Rotate", *MOVED])
def test_pixels_move_where_pillow_moves_them(images, name):
    found = applied(images, name, 5)
    for image, result in zip(images, found, strict=True):
        difference = (back(moved(pil(image), name)).int() - result.int()).abs().float()
        assert difference.mean() < 2  # but for the border, which fades into gray here
        assert (difference > 8).float().mean() < 0.1
    assert not torch.equal(applied(images, name, 5, sign=-1), found)


@pytest.mark.parametrize("mode", INTERPOLATIONS[:3])
def test_standing_still_is_exact(images, mode):
    assert torch.equal(warp(images, ((1, 0, 0), (0, 1, 0)), mode=mode), images)


def test_a_clip_is_changed_once_and_every_frame_alike(images):
    clip = images[:1].permute(1, 0, 2, 3).expand(3, 4, 24, 32)
    policy = parse_policy("rand-m9-n4-p1-mstd0.5-inc1", interpolation="random")
    for seed in range(10):
        found = policy(clip, np.random.default_rng(seed))
        assert found.shape == clip.shape and found.dtype == torch.uint8
        assert all(torch.equal(found[:, t], found[:, 0]) for t in range(4))
        assert torch.equal(policy(clip, np.random.default_rng(seed)), found)  # the sample's generator alone


def test_the_notation_of_rand():
    policy = parse_policy("rand-m7-n4-mstd0.5-inc1-mmax12-p0.25")
    assert (policy.level_std, policy.max_level, policy.draw.level) == (0.5, 12.0, 7.0)
    drawn = policy.draw(np.random.default_rng(0))
    assert len(drawn) == 4 and {operation.probability for operation in drawn} == {0.25}
    assert policy.draw.names == RAND_OPERATIONS
    plain = parse_policy("rand").draw
    assert (plain.level, plain.number, plain.probability) == (10.0, 2, 0.5)
    assert "Color" in plain.names and "Color+" not in plain.names
    assert parse_policy("v0-mstd101").level_std == math.inf


@pytest.mark.parametrize("name", ["original", "originalr", "v0", "v0r"])
def test_policies_are_25_pairs_of_known_operations(images, name):
    programs = parse_policy(name).draw.programs
    assert len(programs) == 25 and {len(program) for program in programs} == {2}
    for operation in {operation for program in programs for operation in program}:
        found = apply(images, operation.name, operation.level, np.random.default_rng(0), interpolation="nearest")
        assert found.shape == images.shape and found.dtype == torch.uint8
    names = {operation.name for program in programs for operation in program}
    assert ("Posterize+" in names) == name.endswith("r")


def test_first_and_last_pairs_are_those_of_the_paper():
    programs = parse_policy("original").draw.programs
    assert programs[0] == (Operation("PosterizeKeep", 0.4, 8.0), Operation("Rotate", 0.6, 9.0))
    assert programs[17] == (Operation("Sharpness", 0.4, 7.0), Operation("Invert", 0.6, 8.0))
    assert programs[24] == (Operation("Equalize", 0.8, 8.0), Operation("Equalize", 0.6, 3.0))
    assert len(POLICIES) == 2


def test_levels_are_noisy_within_their_range():
    policy = parse_policy("rand-m9-mstd5")
    levels = [policy._noisy(9.0, np.random.default_rng(seed)) for seed in range(200)]
    assert min(levels) >= 0 and max(levels) == MAX_LEVEL and np.std(levels) > 1


@pytest.mark.parametrize(
    "text, message",
    [
        ("augmix-m5", r"AUG\.AA_TYPE.*'augmix-m5'.*rand, original, v0"),
        ("rand-m9-w0", r"AUG\.AA_TYPE='rand-m9-w0': 'w0' is not one of m, n, p, mstd, mmax, inc followed by a number"),
        ("v0-m9", r"'m9' is not one of mstd followed by a number"),
        ("rand-n0", "n be at least 1"),
    ],
)
def test_what_the_notation_does_not_have(text, message):
    with pytest.raises(ValueError, match=message):
        parse_policy(text)


def test_an_interpolation_that_there_is_not():
    with pytest.raises(ValueError, match=r"AUG\.INTERPOLATION.*'lanczos'"):
        parse_policy("rand", interpolation="lanczos")
