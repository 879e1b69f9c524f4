"""The page in headless Chromium: upload, play, chart, heat, boxes, errors, cancel."""

import contextlib
import threading
import time

import uvicorn

from slowfast.cli.serve import bound_socket
from slowfast.serving.analysis import Analyst, Video
from slowfast.serving.app import Limits, build_app
from slowfast.serving.evidence import Evidence
from tests.chromium import Page, needs_chromium
from tests.serving.conftest import box_analyst, slowfast_pipeline


@contextlib.contextmanager
def running(app):
    """The address of the application, answering in a thread."""
    bound = bound_socket("127.0.0.1", 0)
    server = uvicorn.Server(uvicorn.Config(app, log_level="error"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{bound.getsockname()[1]}/"
    finally:
        server.should_exit = True
        thread.join(30)
        bound.close()


class Visitor(Page):
    """A page that is used as a person does."""

    def choose(self, path) -> None:
        found = self.call("Runtime.evaluate", expression="document.getElementById('file')")["result"]["objectId"]
        self.call("DOM.setFileInputFiles", files=[str(path)], objectId=found)

    def wait_for(self, script: str, *, seconds: float = 60) -> None:
        end = time.monotonic() + seconds
        while not self.evaluate(script):
            assert time.monotonic() < end, f"{script}: {self.evaluate('document.body.innerText')}"
            time.sleep(0.05)

    @property
    def faults(self) -> list[str]:
        """Problems but for requests to the server, and those that it refused on purpose."""
        own = (f"a request to {self.url}", f"a request to blob:{self.url}")
        return [text for text in self.problems if not text.startswith(own) and "the server responded" not in text]


SHOWN = "!document.getElementById('result').hidden"
TEXT = "document.getElementById('{}').textContent"


@needs_chromium
def test_a_video_is_sent_played_and_charted(video, tmp_path):
    pipeline = slowfast_pipeline()
    samples = [Video(video, "a folder/b.mp4", is_ours=True)]
    app = build_app(Analyst(pipeline, explain=Evidence(pipeline)), title="tiny.pyth", samples=samples)
    odd = tmp_path / "<img src=x onerror=alert(1)>.mp4"
    odd.write_bytes(video.read_bytes())
    with running(app) as url, Visitor(url, tmp_path) as page:
        page.wait_for("document.body.dataset.ready === 'yes'")
        assert "tiny.pyth, 3 classes" in page.evaluate(TEXT.format("model"))
        page.evaluate("document.getElementById('explain').checked = true")
        page.choose(odd)
        page.wait_for(SHOWN)
        assert page.evaluate(TEXT.format("name")) == odd.name
        assert page.evaluate("document.querySelectorAll('img, #top b').length") == 0
        names = page.evaluate("[...document.querySelectorAll('#top li span:first-child')].map(x => x.textContent)")
        assert sorted(names) == ["<b>up</b>", "left", "right"]
        for player in ("video", "overlay"):
            page.wait_for(f"document.getElementById('{player}').currentTime > 0.1")
        paths = page.evaluate("[...document.querySelectorAll('#chart path')].map(x => x.getAttribute('d'))")
        assert len(paths) == 3 and all(path.count("L") >= 3 and "NaN" not in path for path in paths)
        assert page.evaluate("document.querySelectorAll('#legend li.best').length") == 1
        place = page.evaluate("document.getElementById('now').getAttribute('x1')")
        page.evaluate("document.getElementById('video').pause()")
        box = "document.getElementById('chart').getBoundingClientRect()"
        page.evaluate(
            f"document.getElementById('chart').dispatchEvent(new MouseEvent('click', {{clientX: {box}.left + 60}}))"
        )
        page.wait_for("document.getElementById('video').currentTime < 0.1")
        page.wait_for(f"document.getElementById('now').getAttribute('x1') !== '{place}'")
        page.evaluate(
            "(s => { s.value = '0'; s.dispatchEvent(new Event('change')); })(document.getElementById('sample'))"
        )
        page.wait_for(f"{SHOWN} && {TEXT.format('name')} === 'a folder/b.mp4'")
        page.wait_for("document.getElementById('video').currentTime > 0.1")
        assert not page.faults


@needs_chromium
def test_errors_are_shown_and_jobs_are_canceled(video, tmp_path):
    go = threading.Event()
    analyst = Analyst(slowfast_pipeline())
    usual = analyst._record
    analyst._record = lambda found: usual(found) if go.wait(60) else None
    html = tmp_path / "page.mp4"
    html.write_text("<!doctype html><p>no video")
    with running(build_app(analyst, limits=Limits(max_bytes=10**6))) as url, Visitor(url, tmp_path) as page:
        page.wait_for("document.body.dataset.ready === 'yes'")
        page.choose(html)
        page.wait_for("!document.getElementById('error').hidden")
        assert page.evaluate(TEXT.format("error")) == "page.mp4 is an HTML page, not a video file."
        assert page.evaluate("document.getElementById('result').hidden")
        page.choose(video)
        page.wait_for(f"{TEXT.format('step')}.startsWith('scoring')")
        assert page.evaluate("document.getElementById('error').hidden")
        page.evaluate("document.getElementById('cancel').click()")
        assert page.evaluate("document.getElementById('status').hidden")
        go.set()
        page.choose(video)
        page.wait_for(SHOWN)
        assert not page.faults


@needs_chromium
def test_boxes_are_drawn(video, tmp_path):
    with running(build_app(box_analyst())) as url, Visitor(url, tmp_path) as page:
        page.wait_for("document.body.dataset.ready === 'yes'")
        page.choose(video)
        page.wait_for(SHOWN)
        page.wait_for("document.querySelectorAll('#top li').length === 2")
        assert page.evaluate("document.querySelector('#top li').textContent").startswith("#0 ")
        drawn = "[...c.getContext('2d').getImageData(0, 0, c.width, c.height).data].some(x => x)"
        assert page.evaluate(f"(c => {drawn})(document.getElementById('boxes'))")
        assert page.evaluate("document.getElementById('over-time').hidden") and not page.faults
