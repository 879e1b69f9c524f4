"""Live sources: the queue, and files played at their own speed as cameras, slower and faster than the model."""

from __future__ import annotations

import time

import numpy as np
import pytest
import torch

from slowfast.prediction.live import LivePredictor, open_live
from slowfast.prediction.sources import Source
from slowfast.prediction.windows import WindowCut, open_forward, predict_windows
from slowfast.video.forward import ForwardReader, numbered
from slowfast.video.watch import VideoReadError
from tests.prediction.toys import Brightness, brightness_pipeline
from tests.video_files import write_video

CUT = WindowCut(0.4, 0.1)


class Slow(Brightness):
    """Takes a quarter of a second for every window."""

    def forward(self, clip):
        time.sleep(0.25)
        return super().forward(clip)


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    """1.2 seconds at 20 a second."""
    return str(write_video(tmp_path_factory.mktemp("videos") / "a.mp4", num_frames=24, fps=20, height=32, width=32))


def test_a_file_as_a_camera_scores_as_the_file(video):
    """The model is faster than the source: nothing is dropped, and playing takes as long as the video."""
    pipeline = brightness_pipeline()
    start = time.monotonic()
    with LivePredictor(pipeline, open_live(pipeline, Source("file", video)), WindowCut(0.4, 0.4)) as predictor:
        live = list(predictor)
    assert time.monotonic() - start > 0.8
    with open_forward(pipeline, video) as reader:
        expected = list(predict_windows(pipeline, reader, WindowCut(0.4, 0.4)))
    dropped = live[-1].num_dropped
    assert len(live) + dropped == len(expected) == 3
    by_start = {window.start: window.prediction.scores for window in expected}
    for one in live:
        np.testing.assert_allclose(one.window.prediction.scores, by_start[one.window.start], atol=1e-6, rtol=0)
        assert one.latency_seconds >= 0 and one.fps > 0


def test_a_source_faster_than_the_model_loses_windows_and_stays_current(video):
    """Of 9 windows in 1.2 seconds, a model that takes 0.25 s each looks at some; no more than two ever wait."""
    pipeline = brightness_pipeline()
    pipeline = pipeline.with_model(Slow())
    starts = []
    with LivePredictor(pipeline, open_live(pipeline, Source("file", video)), CUT) as predictor:
        for live in predictor:
            assert predictor.queue.qsize() <= 3  # with the note of the end
            starts.append(live.window.start)
    assert live.num_dropped > 0 and len(starts) + live.num_dropped == 9
    assert starts == sorted(starts)
    assert max(np.diff(starts)) > 0.15  # it skipped to newer windows


def test_every_frame_is_seen_on_the_way(video):
    pipeline = brightness_pipeline()
    seen = []
    reader = open_live(pipeline, Source("file", video), on_frame=lambda seconds, frame: seen.append((seconds, frame)))
    with LivePredictor(pipeline, reader, CUT) as predictor:
        list(predictor)
    assert [seconds for seconds, _ in seen] == pytest.approx([k / 20 for k in range(24)])
    assert all(frame.shape == (32, 32, 3) for _, frame in seen)


def test_what_breaks_off_says_so_after_what_came_before():
    def frames():
        for number in range(30):
            yield number, lambda: np.zeros((32, 32, 3), np.uint8)
        raise VideoReadError("camera 0 gives no more frames")

    pipeline = brightness_pipeline()
    with LivePredictor(pipeline, ForwardReader("camera", frames(), 20.0), WindowCut(0.5, 0.5), capacity=9) as predictor:
        windows = iter(predictor)
        assert [next(windows).window.end for _ in range(3)] == [0.5, 1.0, 1.5]
        for ended in (windows, iter(predictor)):
            with pytest.raises(VideoReadError, match="no more frames"):
                next(ended)


def test_frames_are_numbered_by_what_is_on_the_screen():
    """A frame that stays longer has several numbers; of several between two ticks the last counts."""
    frames = [(0.0, "a"), (0.1, "b"), (0.32, "c"), (0.35, "d"), (0.4, "e")]
    assert list(numbered(frames, 10.0, tolerance=0.001)) == [(0, "a"), (1, "b"), (2, "b"), (3, "b"), (4, "e")]


def test_a_forward_reader_keeps_no_frame_below_the_last_request():
    frames = ((k, lambda k=k: np.full((4, 4, 3), k, np.uint8)) for k in range(10))
    reader = ForwardReader("numbers", frames, 10.0)
    assert reader.frames_at([2, 4])[:, 0, 0, 0].tolist() == [2, 4]
    assert reader.frames_at([3, 6])[:, 0, 0, 0].tolist() == [3, 6]
    assert sorted(reader._kept) == [3, 4, 5, 6] and reader.num_frames == 7
    with pytest.raises(VideoReadError, match="numbers: wanted frames 1-7, 1 of them missing"):
        reader.frames_at([1, 7])
    assert not reader.reaches(11) and reader.num_frames == 10
    assert torch.equal(reader.frames_at([9]), torch.full((1, 3, 4, 4), 9, dtype=torch.uint8))


class FakeCamera:
    """What OpenCV gives: blue frames, blue first; then it is unplugged."""

    def __init__(self, number):
        self.number, self.left, self.released = number, 12, False

    def isOpened(self):
        return self.number == 0

    def get(self, what):
        return 30.0

    def read(self):
        time.sleep(1 / 30)
        self.left -= 1
        return self.left >= 0, np.full((32, 32, 3), (255, 0, 0), np.uint8)

    def release(self):
        self.released = True


def test_a_camera_gives_rgb_until_it_is_unplugged(monkeypatch):
    cv2 = pytest.importorskip("cv2")
    monkeypatch.setattr(cv2, "VideoCapture", FakeCamera)
    pipeline, seen, windows = brightness_pipeline(), [], []
    reader = open_live(pipeline, Source("camera", "0"), on_frame=lambda seconds, frame: seen.append(frame))
    with (
        pytest.raises(VideoReadError, match="camera 0 gives no more frames"),
        LivePredictor(pipeline, reader, WindowCut(0.2, 0.1)) as predictor,
    ):
        for live in predictor:
            windows.append(live.window)
    assert windows and seen[0][0, 0].tolist() == [0, 0, 255]
    with pytest.raises(VideoReadError, match="cannot open camera 1: there is none"):
        open_live(pipeline, Source("camera", "1"))
