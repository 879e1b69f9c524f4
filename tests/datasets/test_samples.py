"""Samples: shapes are checked when they are made, views are the pixels they should be, and batches say what failed."""

import pickle

import pytest
import torch

from slowfast.datasets.samples import (
    ClipBatch,
    ClipSample,
    DetectionSample,
    VideoViews,
    collate_clips,
    collate_detections,
)


def clip(index: int = 0, *, num_frames: int = 2, label=None, **options) -> ClipSample:
    frames = torch.full((3, num_frames, 4, 4), index, dtype=torch.uint8)
    return ClipSample(frames, torch.tensor(index) if label is None else label, index, **options)


def views(**options) -> VideoViews:
    frames = torch.randint(0, 256, (5, 3, 6, 9), dtype=torch.uint8)
    arguments = {
        "frames": frames,
        "clip_indices": torch.tensor([[0, 2, 2], [1, 3, 4]]),
        "crops": ((0, 0), (0, 2), (0, 3)),
        "crop_size": 6,
        "label": torch.tensor(7),
        "video_index": 11,
        "path": "a.mp4",
    }
    return VideoViews(**{**arguments, **options})


def test_collating():
    batch = collate_clips([clip(0), clip(1, failures=("x.csv:3: broken.",)), clip(2, is_valid=False)])
    assert len(batch) == 3
    assert batch.frames.shape == (3, 3, 2, 4, 4)
    assert batch.frames[1].eq(1).all()
    assert batch.labels.tolist() == [0, 1, 2] and batch.labels.dtype == torch.int64
    assert batch.video_indices.tolist() == [0, 1, 2]
    assert batch.is_valid.tolist() == [True, True, False]
    assert batch.failures == ("x.csv:3: broken.",)


def test_several_labels():
    batch = collate_clips([clip(label=torch.tensor([0.0, 1.0, 1.0])), clip(label=torch.zeros(3))])
    assert batch.labels.tolist() == [[0, 1, 1], [0, 0, 0]]


def test_clips_of_different_shape_do_not_mix():
    with pytest.raises(ValueError, match=r"one shape .*\[\(3, 2, 4, 4\), \(3, 5, 4, 4\)\]"):
        collate_clips([clip(), clip(num_frames=5)])


def key_frame(index: int, *, width: int, is_valid: bool = True) -> DetectionSample:
    boxes = torch.tensor([[0.0, 0.0, 2.0, 3.0]]).repeat(index + 1, 1)
    return DetectionSample(
        frames=torch.full((3, 2, 4, width), index if is_valid else 0, dtype=torch.uint8),
        boxes=boxes,
        labels=torch.zeros(len(boxes), 2),
        boxes_normalized=boxes / 4,
        sample_index=index,
        failures=() if is_valid else ("no such file.",),
        is_valid=is_valid,
    )


def test_a_clip_that_could_not_be_read_takes_the_size_of_the_others():
    samples = [key_frame(1, width=4, is_valid=False), key_frame(2, width=7), key_frame(3, width=7)]
    batch = collate_detections(samples)
    assert batch.frames.shape == (3, 3, 2, 4, 7) and batch.frames.amax((1, 2, 3, 4)).tolist() == [0, 2, 3]
    assert batch.boxes[:, 0].tolist() == [0] * 2 + [1] * 3 + [2] * 4 and batch.boxes[0].tolist() == [0, 0, 0, 2, 3]
    assert batch.is_valid.tolist() == [False, True, True] and batch.failures == ("no such file.",)
    alone = collate_detections(samples[:1])
    assert alone.frames.shape == (1, 3, 2, 4, 4) and not alone.is_valid.any() and len(alone.boxes) == 2


def test_readable_key_frames_of_different_shape_do_not_mix():
    with pytest.raises(ValueError, match=r"one shape .*\[\(3, 2, 4, 6\), \(3, 2, 4, 7\)\]"):
        collate_detections([key_frame(0, width=6), key_frame(1, width=4, is_valid=False), key_frame(2, width=7)])


def test_shapes_are_checked():
    with pytest.raises(
        ValueError, match=r"ClipSample.frames must be uint8 \(3, T, S, S\), got .*float32 \(3, 2, 4, 4\)"
    ):
        ClipSample(torch.zeros(3, 2, 4, 4), torch.tensor(0), 0)
    with pytest.raises(ValueError, match=r"ClipSample.frames .*\(2, 3, 4, 4\)"):
        ClipSample(torch.zeros(2, 3, 4, 4, dtype=torch.uint8), torch.tensor(0), 0)
    with pytest.raises(ValueError, match=r"ClipSample.label must be int64 \(\) or float32 \(K,\), got .*float64"):
        clip(label=torch.tensor(0.5, dtype=torch.float64))
    frames = torch.zeros(2, 3, 2, 4, 4, dtype=torch.uint8)
    with pytest.raises(ValueError, match=r"ClipBatch.labels must be .*, got torch.int64 \(3,\)"):
        ClipBatch(frames, torch.zeros(3, dtype=torch.int64), torch.arange(2), torch.ones(2, dtype=torch.bool))
    with pytest.raises(ValueError, match=r"ClipBatch.is_valid must be \(2,\), got \(1,\)"):
        ClipBatch(frames, torch.arange(2), torch.arange(2), torch.ones(1, dtype=torch.bool))
    with pytest.raises(ValueError, match=r"VideoViews.clip_indices must be int64 \(num_clips, T\)"):
        views(clip_indices=torch.zeros(3))


def test_shapes_are_printed_not_pixels():
    text = repr(collate_clips([clip(0), clip(1)]))
    assert text.startswith("ClipBatch(frames=uint8 (2, 3, 2, 4, 4), labels=int64 (2,)")
    assert "tensor" not in repr(views())


def test_views_are_clip_major_crops():
    video = views()
    assert video.num_views == 6
    every = video.views(range(6))
    assert every.shape == (6, 3, 3, 6, 6) and every.is_contiguous()
    for view_id in range(6):
        clip_id, crop_id = view_id // 3, view_id % 3
        x = (0, 2, 3)[crop_id]
        expected = video.frames[video.clip_indices[clip_id]][..., x : x + 6].permute(1, 0, 2, 3)
        assert torch.equal(every[view_id], expected)
        assert torch.equal(video.view(view_id), expected)
    assert torch.equal(video.views([4, 1]), every[[4, 1]])


@pytest.mark.parametrize("view_id", [-1, 6])
def test_no_such_view(view_id):
    with pytest.raises(IndexError, match=rf"view {view_id} of a.mp4: it has views 0-5"):
        views().view(view_id)


def test_a_failed_video_has_no_views():
    video = views(failure="test.csv:3: cannot decode a.mp4.", frames=torch.zeros(0, 3, 0, 0, dtype=torch.uint8))
    with pytest.raises(ValueError, match=r"could not be read: test.csv:3"):
        video.view(0)


def test_samples_travel():
    for sample in (clip(3), collate_clips([clip(1)]), views()):
        for copy in (pickle.loads(pickle.dumps(sample)), sample.to("cpu")):
            assert repr(copy) == repr(sample)
            assert torch.equal(copy.frames, sample.frames)
