"""The API over HTTP: answers are those of `slowfast predict`, refusals are plain, and nothing stays behind."""

import json
import tempfile
import threading
import time
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from slowfast.prediction.predictor import Look, VideoPredictor
from slowfast.prediction.sources import Source
from slowfast.serving.analysis import Analyst
from slowfast.serving.app import Limits, build_app
from slowfast.serving.evidence import Evidence
from tests.prediction.toys import brightness_pipeline
from tests.serving.conftest import box_analyst, slowfast_pipeline

NO_VIDEOS = {
    "page.mp4": (b"<!doctype html><html><body>hi", "an HTML page"),
    "list.m3u8": (b"#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1/x.ts\n", "names other files"),
    "concat.mp4": (b"ffconcat version 1.0\nfile /etc/passwd\n", "names other files"),
    "text.avi": (b"nothing to see here\n", "a text file"),
    "empty.mp4": (b"", "empty"),
    "noise.mp4": (bytes(range(256)) * 20, "unknown kind"),
    "picture.png": (b"\x89PNG\r\n\x1a\n" + bytes(200), "not a supported video file"),
}


def files_of(queue) -> list[Path]:
    return [path for path in queue.folder.rglob("*") if path.is_file()]


def wait_for(client, job_id, *, seconds=60):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        job = client.get(f"/jobs/{job_id}").json()
        if job["state"] in ("done", "failed"):
            return job
        assert 0 <= job["progress"] <= 1
        time.sleep(0.02)
    raise AssertionError(job)


def test_predict_answers_as_the_command_does(client, video):
    wanted = VideoPredictor(brightness_pipeline(), Look())(Source("file", str(video))).record
    response = client.post("/predict", files={"video": ("C:\\clips\\..\\my clip.mp4", video.read_bytes(), "video/mp4")})
    assert response.status_code == 200
    found = response.json()
    assert found["path"] == "my clip.mp4" and found["seconds"] > 0
    assert {**found, "path": "", "seconds": 0} == {**wanted, "path": "", "seconds": 0}
    assert files_of(client.app.state.server.queue) == []


@pytest.mark.parametrize("name", NO_VIDEOS)
def test_what_is_no_video_is_refused(client, name):
    content, message = NO_VIDEOS[name]
    response = client.post("/predict", files={"video": (name, content)})
    assert response.status_code == 415 and message in response.json()["detail"] and name in response.json()["detail"]
    assert files_of(client.app.state.server.queue) == []


def test_a_torn_video_is_refused_without_a_path(client, video):
    content = bytearray(video.read_bytes())
    for start in range(200, len(content) // 2, 7):
        content[start] ^= 0xFF
    response = client.post("/predict", files={"video": ("torn.mp4", bytes(content))})
    assert response.status_code in (415, 422)
    told = response.json()["detail"]
    assert "torn.mp4" in told and tempfile.gettempdir() not in told and "upload" not in told


def test_every_limit(analyst, video):
    size = video.stat().st_size
    limits = Limits(max_bytes=size, max_seconds=0.5)
    analyst.max_seconds = 0.5
    with TestClient(build_app(analyst, limits=limits), base_url="http://localhost") as client:
        response = client.post("/predict", files={"video": ("long.mp4", video.read_bytes())})
        assert response.status_code == 413 and "long.mp4 lasts 1 seconds; this server takes up to 0.5" in response.text
        for extra in (1, 100_000):  # of the file, and of the whole body
            response = client.post("/predict", files={"video": ("big.mp4", video.read_bytes() + bytes(extra))})
            assert response.status_code == 413 and "MB, the most that this server takes" in response.text

        def endless():  # no length is announced
            yield b'--x\r\nContent-Disposition: form-data; name="video"; filename="a.mp4"\r\n\r\n'
            for _ in range(300):
                yield bytes(1000)

        headers = {"Content-Type": "multipart/form-data; boundary=x"}
        assert client.post("/predict", content=endless(), headers=headers).status_code == 413
        assert files_of(client.app.state.server.queue) == []


def test_too_many_at_once_are_asked_to_wait(analyst, video):
    go, started = threading.Event(), threading.Event()

    def slow(found):
        started.set()
        assert go.wait(30)
        return {"path": found.name}

    analyst.record = slow
    limits = Limits(num_workers=1, max_waiting=0)
    with TestClient(build_app(analyst, limits=limits), base_url="http://localhost") as client:
        answers = []
        send = lambda: answers.append(client.post("/predict", files={"video": ("a.mp4", video.read_bytes())}))  # noqa: E731
        first = threading.Thread(target=send)
        first.start()
        assert started.wait(30)
        busy = client.post("/predict", files={"video": ("b.mp4", video.read_bytes())})
        go.set()
        first.join(30)
    assert busy.status_code == 503 and busy.headers["retry-after"] and "already waiting" in busy.json()["detail"]
    assert answers[0].json() == {"path": "a.mp4"}


@pytest.mark.parametrize(
    ("send", "status"),
    [
        ({}, 400),
        ({"data": {"video": "text"}}, 400),
        ({"files": {"film": ("a.mp4", b"x")}}, 400),
        ({"data": {"sample": "1"}}, 404),
        ({"data": {"sample": "../../etc/passwd"}}, 404),
        ({"content": b"--x\r\ngarbage", "headers": {"Content-Type": "multipart/form-data; boundary=x"}}, 400),
    ],
)
def test_requests_of_another_form(client, send, status):
    response = client.post("/predict", **send)
    assert response.status_code == status and response.json()["detail"]


def test_other_sites_get_nothing(client, video):
    sent = {"files": {"video": ("a.mp4", video.read_bytes())}}
    assert client.post("/predict", **sent, headers={"Origin": "http://evil.example"}).status_code == 403
    assert client.post("/predict", **sent, headers={"Origin": "http://127.0.0.1:8000"}).status_code == 200
    assert client.get("/", headers={"Host": "evil.example"}).status_code == 400
    policy = client.get("/").headers["content-security-policy"]
    assert "default-src 'self'" in policy and "unsafe" not in policy


def test_the_page_and_what_it_asks(client, video):
    page = client.get("/")
    assert page.status_code == 200 and "<title>slowfast</title>" in page.text and "http" not in page.text.lower()
    for name, kind in (("app.js", "javascript"), ("style.css", "css")):
        assert kind in client.get(f"/page/{name}").headers["content-type"]
    model = client.get("/api/model").json()
    assert model["title"] == "brightness" and model["samples"] == ["folder/a.mp4"] and model["num_classes"] == 3
    part = client.get("/samples/0", headers={"Range": "bytes=0-9"})
    assert part.status_code == 206 and part.content == video.read_bytes()[:10]
    assert client.get("/samples/1").status_code == 404 and client.get("/page/../app.py").status_code == 404


def test_a_job_of_the_page(client, video):
    started = client.post("/jobs?explain=1", data={"sample": "0"})
    assert started.status_code == 202
    job_id = started.json()["id"]
    result = wait_for(client, job_id)["result"]
    assert result["duration"] == pytest.approx(0.8) and result["record"]["path"] == "folder/a.mp4"
    assert result["overlay"] is False  # this model has no layers
    assert client.get(f"/jobs/{job_id}/overlay.mp4").status_code == 404
    timeline = result["timeline"]
    assert timeline["start"][0] == 0 and timeline["end"][-1] == pytest.approx(0.8)
    assert {entry["name"] for entry in timeline["classes"]} == {"dark", "middle", "bright"}
    sums = [sum(column) for column in zip(*(entry["scores"] for entry in timeline["classes"]), strict=True)]
    assert sums == pytest.approx([1] * len(timeline["start"]), abs=1e-4)
    assert str(video.parent) not in json.dumps(result)
    assert client.delete(f"/jobs/{job_id}").json() == {"removed": True}
    assert client.get(f"/jobs/{job_id}").status_code == 404
    assert video.is_file()  # a sample is nobody's upload


def test_the_overlay_of_a_job(video):
    pipeline = slowfast_pipeline()
    app = build_app(Analyst(pipeline, explain=Evidence(pipeline)))
    with TestClient(app, base_url="http://localhost") as client:
        sent = {"files": {"video": ("a.mp4", video.read_bytes())}}
        job_id = client.post("/jobs?explain=1", **sent).json()["id"]
        assert wait_for(client, job_id)["result"]["overlay"] is True
        overlay = client.get(f"/jobs/{job_id}/overlay.mp4")
        assert overlay.headers["content-type"] == "video/mp4" and overlay.content[4:8] == b"ftyp"
        again = client.post("/predict", **sent).json()  # the model still scores as before
        folder = app.state.server.queue.folder
        assert [path.name for path in files_of(app.state.server.queue)] == ["overlay.mp4"]
    assert not folder.exists()
    plain = VideoPredictor(slowfast_pipeline(), Look())(Source("file", str(video))).record
    assert again["scores"] == plain["scores"]


def test_boxes(video):
    analyst = box_analyst()
    with pytest.raises(ValueError, match="--detector"):
        Analyst(analyst.pipeline)
    with TestClient(build_app(analyst), base_url="http://localhost") as client:
        job_id = client.post("/jobs", files={"video": ("a.mp4", video.read_bytes())}).json()["id"]
        result = wait_for(client, job_id)["result"]
    assert result["timeline"] is None
    frames = result["record"]["key_frames"]
    assert [frame["seconds"] for frame in frames] == [0.0, 0.4]
    assert frames[0]["boxes"][0]["box"] == pytest.approx([0.1, 0.2, 0.6, 0.9]) and frames[1]["boxes"][0]["track"] == 0
