"""Batches on the device: normalizing by hand; every augmentation does what its name says, and nothing when off."""

import numpy as np
import pytest
import torch

from slowfast.video.augment import BatchAugment, Mixup, RandomErasing, normalize


def batch(size: int = 6, num_classes: int = 10):
    clip = torch.randn(size, 3, 2, 16, 16, generator=torch.Generator().manual_seed(0))
    return clip, torch.arange(size) % num_classes


def test_normalizing_by_hand():
    frames = torch.tensor([0, 255, 128], dtype=torch.uint8).view(1, 3, 1, 1, 1)
    clip = normalize(frames, mean=[0.5, 0.25, 0], std=[0.5, 0.25, 1])
    assert clip.dtype == torch.float32
    torch.testing.assert_close(clip.flatten(), torch.tensor([-1.0, 3.0, 128 / 255]))
    reverse = normalize(frames, [0.5, 0.25, 0], [0.5, 0.25, 1], reverse_channels=True)
    torch.testing.assert_close(reverse.flatten(), clip.flatten().flip(0))
    assert torch.equal(frames.flatten(), torch.tensor([0, 255, 128], dtype=torch.uint8))


@pytest.mark.parametrize("shape", [(2, 3, 4, 5, 6), (3, 4, 5, 6)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_normalizing_any_shape(shape, dtype):
    frames = torch.randint(0, 256, shape, dtype=torch.uint8)
    clip = normalize(frames, [0.45] * 3, [0.225] * 3, dtype)
    assert clip.dtype == dtype
    torch.testing.assert_close(clip, ((frames / 255 - 0.45) / 0.225).to(dtype))


def test_mixup_blends_opposite_clips_and_their_labels():
    clip, labels = batch()
    mixup = Mixup(num_classes=10, mixup_alpha=1, cutmix_alpha=0, label_smoothing=0)
    mixed, targets = mixup(clip.clone(), labels, np.random.default_rng(0))
    share = targets[0, 0].item()
    assert 0 < share < 1
    assert targets[0, 5].item() == pytest.approx(1 - share)
    torch.testing.assert_close(targets.sum(1), torch.ones(6))
    torch.testing.assert_close(mixed, share * clip + (1 - share) * clip.flip(0))


def test_cutmix_pastes_a_rectangle_and_counts_its_area():
    clip, labels = batch()
    mixup = Mixup(num_classes=10, mixup_alpha=0, cutmix_alpha=1, label_smoothing=0)
    for seed in range(20):
        mixed, targets = mixup(clip.clone(), labels, np.random.default_rng(seed))
        pasted = mixed != clip
        assert torch.equal(mixed[pasted], clip.flip(0)[pasted])
        share = pasted[0, 0, 0].float().mean().item()
        assert targets[0, 5].item() == pytest.approx(share, abs=1e-6)
        assert (pasted == pasted[:1, :1, :1]).all()  # one rectangle for all clips, colors and frames


def test_both_kinds_occur_when_both_are_on():
    clip, labels = batch()
    mixup = Mixup(num_classes=10, switch_probability=0.5)
    kinds = set()
    for seed in range(20):
        mixed, _ = mixup(clip.clone(), labels, np.random.default_rng(seed))
        kinds.add(bool((mixed == clip).any()))  # cutmix leaves pixels as they are
    assert kinds == {True, False}


def test_labels_are_smoothed_even_where_nothing_is_mixed():
    clip, labels = batch()
    mixed, targets = Mixup(num_classes=10, probability=0, label_smoothing=0.1)(clip, labels, np.random.default_rng(0))
    assert mixed is clip
    assert targets[0, 0].item() == pytest.approx(0.91) and targets[0, 1].item() == pytest.approx(0.01)


def test_mixup_refuses_what_it_cannot_do():
    with pytest.raises(ValueError, match="both 0: nothing would be mixed"):
        Mixup(num_classes=10, mixup_alpha=0, cutmix_alpha=0)
    with pytest.raises(ValueError, match=r"one label per clip, int64 \(B,\), got torch.float32 \(6, 10\)"):
        Mixup(num_classes=10)(batch()[0], torch.zeros(6, 10), np.random.default_rng(0))


@pytest.mark.parametrize("fill", ["pixel", "rand", "const"])
def test_erasing_fills_one_rectangle_in_all_frames(fill):
    torch.manual_seed(0)
    clip, labels = batch(20)
    erased, same_labels = RandomErasing(probability=1, fill=fill)(clip.clone(), labels, np.random.default_rng(0))
    assert same_labels is labels
    changed = erased != clip
    for mask in changed:
        rows, cols = torch.nonzero(mask[0, 0], as_tuple=True)
        area = (rows.max() - rows.min() + 1) * (cols.max() - cols.min() + 1)
        assert area == len(rows) and (mask == mask[:1, :1]).all()
        assert area <= 16 * 16 / 3 + 16
    values = erased[changed].unique()
    assert len(values) == 1 and values == 0 if fill == "const" else len(values) > 20


def test_erasing_probability_count_and_halves():
    clip, labels = batch(40)

    def num_touched(**options) -> list[bool]:
        erased, _ = RandomErasing(fill="const", **options)(clip.clone(), labels, np.random.default_rng(0))
        return (erased != clip).flatten(1).any(1).tolist()

    assert not any(num_touched(probability=0))
    assert 10 <= sum(num_touched(probability=0.5)) <= 30
    touched = num_touched(probability=1, skip_first_half=True)
    assert not any(touched[:20]) and all(touched[20:])
    assert all(num_touched(probability=1, max_count=3))
    with pytest.raises(ValueError, match=r"fill .*='noise' is not one of pixel, rand, const"):
        RandomErasing(probability=1, fill="noise")


def test_a_batch_is_augmented_by_torchs_seed():
    augment = BatchAugment([RandomErasing(probability=0.5), Mixup(num_classes=10)])
    results = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        results.append(augment(*batch())[0])
    assert torch.equal(results[0], results[1]) and not torch.equal(results[0], results[2])
