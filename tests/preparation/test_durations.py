"""Lengths of files, in this process and in others; those that cannot be read say why."""

import pytest

from slowfast.preparation.durations import video_lengths


@pytest.mark.parametrize("num_workers", [0, 1])
def test_lengths(tiny_motion, tmp_path, num_workers):
    (video, *_) = sorted((tiny_motion / "train").rglob("*.mp4"))
    page = tmp_path / "page.mp4"
    page.write_text("<html>")
    found = {length.path: length for length in video_lengths([str(video), str(page)], num_workers=num_workers)}
    assert found[str(video)].num_frames == 24 and found[str(video)].seconds == pytest.approx(0.8)
    assert not found[str(video)].error
    assert found[str(page)].seconds == 0 and "page.mp4" in found[str(page)].error
