"""Uploads that crash, fill the memory or take too long break a process of their own, and the server goes on."""

import os
import signal

import pytest

from slowfast.serving import screening
from slowfast.serving.jobs import JobError
from slowfast.serving.screening import screened_seconds
from slowfast.video.stream import FrameStream
from slowfast.video.watch import VideoReadError
from tests.video_files import write_video


def crashing(path, *, max_seconds):
    os.kill(os.getpid(), signal.SIGSEGV)


def without_memory(path, *, max_seconds):
    screening.MAX_BYTES = 6 * 2**20  # a frame takes 1.4, and the decoder holds several
    return screening.decode(path, max_seconds=max_seconds)


class Endless(FrameStream):
    """Says that it lasts two seconds, and has ever more frames."""

    def frames(self, **options):
        while True:
            yield None


def without_end(path, *, max_seconds):
    screening.FrameStream = Endless
    screening.BASE_SECONDS, screening.PER_SECOND = 0.0, 0.1
    return screening.decode(path, max_seconds=max_seconds)


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """60 frames of 1280 x 720 pixels, 2 seconds."""
    path = tmp_path_factory.mktemp("screening") / "large.mp4"
    write_video(path, num_frames=60, fps=30, height=720, width=1280, options={"preset": "ultrafast"})
    return path


def test_a_good_video_lasts_as_long_as_it_does(large, tmp_path):
    assert screened_seconds(str(large), max_seconds=600) == pytest.approx(2.0)
    (tmp_path / "no.mp4").write_text("no video")
    with pytest.raises(VideoReadError, match="a text file"):
        screened_seconds(str(tmp_path / "no.mp4"), max_seconds=600)


@pytest.mark.parametrize(
    "work, reason",
    [
        (crashing, r"decoding it fails: the process that worked on it ended \(SIGSEGV\)"),
        (without_memory, "more than 2 GiB of memory"),
        (without_end, "takes too long for its length"),
    ],
)
def test_what_breaks_its_process_is_refused(large, monkeypatch, work, reason):
    monkeypatch.setattr(screening, "decode", work)
    with pytest.raises(JobError, match=f"this video is refused: .*{reason}") as caught:
        screened_seconds(str(large), max_seconds=600)
    assert caught.value.status == 400


def test_the_server_goes_on(client, video, monkeypatch):
    files = {"video": ("a.mp4", video.read_bytes())}
    with monkeypatch.context() as patch:
        patch.setattr(screening, "decode", crashing)
        response = client.post("/predict", files=files)
        assert response.status_code == 400 and "this video is refused" in response.json()["detail"]
        assert client.post("/predict", data={"sample": "0"}).status_code == 200  # ours are not screened
    assert client.post("/predict", files=files).status_code == 200
