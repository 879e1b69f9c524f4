"""Windows against videos that are the window alone, whichever way frames come."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

from slowfast.datasets.clip_sampling import SegmentSampling, StridedSampling
from slowfast.prediction.windows import (
    ScoresSoFar,
    Smoothing,
    WindowCut,
    open_forward,
    predict_windows,
)
from slowfast.video.forward import ForwardReader, open_stream
from slowfast.video.reader import VideoReader
from tests.prediction.toys import PROTOCOL, brightness_pipeline
from tests.video_files import MemoryReader, write_video

CUT = WindowCut(1.0, 0.4)
SAMPLINGS = {
    "seconds": PROTOCOL.sampling,
    "counted": StridedSampling(4, 3, fps=24.0),
    "segments": SegmentSampling(5, fps=12.0),
}


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    """3.5 seconds at 20 a second, which brighten; not as many as a whole number of windows."""
    return str(write_video(tmp_path_factory.mktemp("videos") / "a.mp4", num_frames=70, fps=20, height=48, width=64))


def scores_of(windows) -> np.ndarray:
    return np.stack([window.prediction.scores for window in windows])


@pytest.mark.parametrize("kind", SAMPLINGS)
@pytest.mark.parametrize("views_at_a_time", [None, 20])
def test_a_window_scores_as_a_video_that_is_the_window_alone(video, kind, views_at_a_time):
    pipeline = brightness_pipeline(replace(PROTOCOL, sampling=SAMPLINGS[kind]))
    with open_forward(pipeline, video) as reader:
        assert isinstance(reader, ForwardReader) == (kind == "seconds")  # others are read by number
        windows = list(predict_windows(pipeline, reader, CUT, views_at_a_time=views_at_a_time))
        fps = reader.fps
    with pipeline.open(video) as whole:
        frames = whole.frames_at(range(whole.num_frames))
    assert [round(window.start * fps) for window in windows][:3] == [0, round(0.4 * fps), round(0.8 * fps)]
    assert windows[-1].end == pytest.approx(3.5, abs=0.5 / fps)  # the last one ends with the video
    for window in windows:
        alone = MemoryReader(frames[round(window.start * fps) : round(window.end * fps)], fps)
        np.testing.assert_allclose(window.prediction.scores, pipeline(alone).scores, atol=1e-6, rtol=0)
        np.testing.assert_allclose(window.prediction.seconds - window.start, pipeline(alone).seconds, atol=1e-6)


def test_a_stream_a_file_and_the_whole_in_memory_score_alike(video):
    """A peer's defect: frames of a stream must be those of the file, also where it is read in one pass."""
    pipeline = brightness_pipeline()
    with open_forward(pipeline, video) as reader:
        of_file = list(predict_windows(pipeline, reader, CUT))
    with open(video, "rb") as file, open_stream(file, name="pipe") as reader:
        of_stream = list(predict_windows(pipeline, reader, CUT))
    with VideoReader(video) as reader:
        by_number = list(predict_windows(pipeline, reader, CUT))
        in_memory = MemoryReader(reader.frames_at(range(reader.num_frames)), reader.fps)
    of_memory = list(predict_windows(pipeline, in_memory, CUT))
    assert len(of_file) == 8 and np.ptp(scores_of(of_file), axis=0).max() > 0.01  # the windows differ
    for other in (of_stream, by_number, of_memory):
        assert [(w.start, w.end) for w in other] == [(w.start, w.end) for w in of_file]
        np.testing.assert_array_equal(scores_of(other), scores_of(of_file))


def test_frames_of_past_windows_are_dropped(video):
    pipeline = brightness_pipeline()
    most = 0
    with open_forward(pipeline, video) as reader:
        for _ in predict_windows(pipeline, reader, CUT):
            most = max(most, len(reader._kept))
    with open(video, "rb") as file, open_stream(file, name="pipe") as reader:
        for _ in predict_windows(pipeline, reader, CUT):
            most = max(most, len(reader._kept))
    assert 0 < most <= 20 + 8 + 2  # a window, and what came before the next one began


def test_the_default_cut_is_a_clip_and_half():
    cut = WindowCut.of(PROTOCOL)
    assert cut.seconds == pytest.approx(4 * 2 / 30) and cut.stride_seconds == pytest.approx(cut.seconds / 2)
    with pytest.raises(ValueError, match="the length of a window is unknown"):
        WindowCut.of(replace(PROTOCOL, sampling=SAMPLINGS["segments"]))
    with pytest.raises(ValueError, match="seconds=0: windows"):
        WindowCut(0, 1)


def test_the_mean_over_windows_and_smoothing(video):
    pipeline = brightness_pipeline(replace(PROTOCOL, fusion="sum"))
    so_far, smooth = ScoresSoFar(), Smoothing(3)
    with open_forward(pipeline, video) as reader:
        windows = list(predict_windows(pipeline, reader, CUT))
    for window in windows:
        so_far.add(window.prediction)
    mean = so_far.prediction
    np.testing.assert_allclose(mean.scores, scores_of(windows).mean(0), rtol=1e-5)
    assert mean.mean_scores.sum() == pytest.approx(1) and mean.scores.sum() == pytest.approx(6)
    smoothed = [smooth(window) for window in windows]
    np.testing.assert_allclose(smoothed[4].prediction.scores, scores_of(windows[2:5]).mean(0), rtol=1e-5)
    np.testing.assert_allclose(smoothed[0].prediction.scores, windows[0].prediction.scores)


def repeated(source: Path, target: Path, times: int) -> Path:
    """A video that shows another so many times: its packets, without a new encoding."""
    with av.open(str(target), "w") as result:
        offset, stream = 0, None
        for _ in range(times):
            with av.open(str(source)) as video:
                stream = stream or result.add_stream_from_template(video.streams.video[0])
                packets = [packet for packet in video.demux(video.streams.video[0]) if packet.size]
                length = max(packet.pts + packet.duration for packet in packets)
                for packet in packets:
                    packet.pts, packet.dts, packet.stream = packet.pts + offset, packet.dts + offset, stream
                    result.mux(packet)
                offset += length
    return target


def resident_mib() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads the memory of this process from /proc")
def test_two_hours_fit_into_300_mib(tmp_path):
    """Every frame of two hours is decoded; frames, windows and the index together stay small."""
    minute = write_video(tmp_path / "minute.mp4", num_frames=1800, options={"bf": "0", "preset": "ultrafast"})
    video = repeated(minute, tmp_path / "hours.mp4", 120)
    pipeline = brightness_pipeline()
    pipeline(str(minute))
    before = most = resident_mib()
    end = 0.0
    with open_forward(pipeline, str(video)) as reader:
        assert reader.num_frames == 216_000
        for window in predict_windows(pipeline, reader, WindowCut(4.0, 2.0)):
            most, end = max(most, resident_mib()), window.end
    assert end == pytest.approx(7200) and most - before < 300
