"""A page in headless Chromium, driven over its DevTools pipe: what it says on its console, and what scripts find."""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import time
from pathlib import Path

import pytest

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), ""
)
needs_chromium = pytest.mark.skipif(not CHROMIUM, reason="there is no Chromium")


class Page:
    """``with Page(url) as page``: ``page.evaluate("1 + 1")``.

    Attributes:
        problems: what the page logged as error or warning, exceptions of its scripts, and requests but for the page.
    """

    def __init__(self, url: str, folder: Path):
        self.url = url
        self.problems: list[str] = []
        own_read, theirs_write = os.pipe()
        theirs_read, own_write = os.pipe()
        # Chromium reads its commands from descriptor 3 and answers on 4.
        launch = f'exec 3<&{theirs_read} 4>&{theirs_write}; exec "$@"'
        flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe", "--window-size=1280,900"]
        flags += [f"--user-data-dir={folder / 'chromium'}", "--disable-dev-shm-usage", "--force-color-profile=srgb"]
        flags += [
            "--no-first-run",
            "--window-size=1280,900",
            "--disable-background-networking",
            "--disable-component-update",
        ]
        self._process = subprocess.Popen(
            ["bash", "-c", launch, "chromium", CHROMIUM, *flags, "about:blank"],
            pass_fds=(theirs_read, theirs_write),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs_read), os.close(theirs_write)
        self._read, self._write = own_read, own_write
        self._buffer, self._number, self._session = b"", 0, None
        self._loaded = False

    def __enter__(self) -> Page:
        try:
            targets = self.call("Target.getTargets")["targetInfos"]
            target = next(info["targetId"] for info in targets if info["type"] == "page")
            self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
            for domain in ("Runtime", "Log", "Page", "Network"):
                self.call(f"{domain}.enable")
            self.call("Page.navigate", url=self.url)
            self._wait(lambda: self._loaded)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._read), os.close(self._write)

    def call(self, method: str, **params):
        """The result of one DevTools command."""
        self._number += 1
        number, message = self._number, {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        answer: dict = {}
        self._wait(lambda: bool(answer), lambda got: answer.update(got) if got.get("id") == number else None)
        assert "error" not in answer, f"{method}: {answer['error']}"
        return answer["result"]

    def evaluate(self, script: str):
        """The value of a JavaScript expression; promises are awaited."""
        found = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def _wait(self, done, take=lambda message: None, seconds: float = 90) -> None:
        end = time.monotonic() + seconds
        while not done():
            while b"\0" not in self._buffer:
                ready, _, _ = select.select([self._read], [], [], max(0, end - time.monotonic()))
                content = os.read(self._read, 2**20) if ready else b""
                assert content, f"Chromium gave no answer within {seconds} s" if not ready else "Chromium has ended"
                self._buffer += content
            message, _, self._buffer = self._buffer.partition(b"\0")
            message = json.loads(message)
            self._note(message.get("method"), message.get("params", {}))
            take(message)

    def _note(self, event: str | None, params: dict) -> None:
        if event == "Page.loadEventFired":
            self._loaded = True
        elif event == "Runtime.exceptionThrown":
            self.problems.append(json.dumps(params["exceptionDetails"]))
        elif event == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning"):
            self.problems.append(json.dumps(params["args"]))
        elif event == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.problems.append(params["entry"]["text"])
        elif event == "Network.requestWillBeSent":
            url = params["request"]["url"]
            if url != self.url and not url.startswith("data:"):
                self.problems.append(f"a request to {url}")
