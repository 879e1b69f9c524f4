"""Downloads from a server on this machine that resumes, cuts connections, or sends something else."""

from __future__ import annotations

import hashlib
import io
import logging
import os
import re
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from slowfast.utils.download import DownloadError, cache_path, fetch, is_url

CONTENT = bytes(range(256)) * 4000  # 1,024,000 bytes


class Server(ThreadingHTTPServer):
    """Serves ``content``; the attributes say how it behaves, ``requests`` holds the Range of every request."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.content, self.etag = CONTENT, '"version-1"'
        self.status, self.content_type = 200, "application/octet-stream"
        self.knows_ranges = self.says_length = True
        self.cut_after: list[int] = []  # bytes after which the next connections end
        self.requests: list[str | None] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/zoo/kinetics/weights.pyth"


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self):
        server, wanted = self.server, self.headers.get("Range")
        server.requests.append(wanted)
        if server.status != 200:
            self.send_error(server.status)
            return
        start = 0
        if wanted and server.knows_ranges and self.headers.get("If-Range") in (None, server.etag):
            start = int(re.fullmatch(r"bytes=(\d+)-", wanted)[1])
        if start >= len(server.content) > 0:
            self.send_error(416)
            return
        body = server.content[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Type", server.content_type)
        if server.etag:
            self.send_header("ETag", server.etag)
        if server.says_length:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: server.cut_after.pop(0)] if server.cut_after else body)

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "cache" / "weights.pyth"


def left_over(path) -> list[str]:
    """Names beside the file, without the lock's."""
    return sorted(name for name in os.listdir(path.parent) if not name.endswith(".lock"))


def test_a_file_is_downloaded_once(server, path, caplog):
    with caplog.at_level(logging.INFO, logger="slowfast"):
        assert fetch(server.url, path) == path
    assert path.read_bytes() == CONTENT
    assert f"downloaded {server.url} (1024000 bytes) to {path}" in caplog.text
    assert "weights.pyth: 1.0 of 1.0 MiB" in caplog.text  # no terminal: lines instead of a bar
    assert fetch(server.url, path) == path
    assert server.requests == [None]
    assert left_over(path) == ["weights.pyth"]


def test_a_terminal_shows_a_bar(server, path, monkeypatch, caplog):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr("sys.stderr", Terminal())
    with caplog.at_level(logging.INFO, logger="slowfast"):
        fetch(server.url, path)
        shown = sys.stderr.getvalue()
    assert "weights.pyth:" in shown and "B/s" in shown
    assert "MiB/s" not in caplog.text


def test_a_connection_cut_midway_is_resumed(server, path, caplog):
    server.cut_after = [300_000, 200_000]
    fetch(server.url, path)
    assert path.read_bytes() == CONTENT
    assert server.requests == [None, "bytes=300000-", "bytes=500000-"]
    assert "the connection ended after 300,000 of 1,024,000 bytes. Resuming from byte 300000." in caplog.text


def test_a_later_attempt_goes_on_where_the_first_ended(server, path):
    server.cut_after = [300_000, 0]
    with pytest.raises(DownloadError) as error:
        fetch(server.url, path)
    assert str(error.value) == (
        f"{server.url} cannot be downloaded (the connection ended after 300,000 of 1,024,000 bytes). Download it by "
        f"other means and put it at {path}. 300,000 bytes are kept in {path}.part: the next attempt resumes there."
    )
    assert not path.exists()
    fetch(server.url, path)
    assert path.read_bytes() == CONTENT
    assert server.requests[-1] == "bytes=300000-"
    assert left_over(path) == ["weights.pyth"]


def test_what_has_changed_or_is_whole_meanwhile_is_fetched_anew(server, path):
    for content, part in ((CONTENT[::-1], None), (CONTENT, CONTENT)):  # whole: a crash came before the last step
        server.cut_after = [300_000, 0]
        with pytest.raises(DownloadError):
            fetch(server.url, path)
        server.content, server.etag = content, f'"{hash(content)}"'
        if part:
            path.with_name("weights.pyth.part").write_bytes(part)
        fetch(server.url, path)
        assert path.read_bytes() == content
        path.unlink()


@pytest.mark.parametrize("etag, knows_ranges", [('"version-1"', False), ('W/"weak"', True), ("", True)])
def test_what_cannot_be_resumed_or_proven_to_be_the_same_file_comes_again(server, path, etag, knows_ranges):
    server.knows_ranges, server.etag, server.cut_after = knows_ranges, etag, [300_000]
    fetch(server.url, path)
    assert path.read_bytes() == CONTENT
    assert server.requests == [None, None if knows_ranges else "bytes=300000-"]


def test_a_part_that_holds_all_already(server, path):
    server.cut_after = [300_000, 0]
    with pytest.raises(DownloadError):
        fetch(server.url, path)
    path.with_name("weights.pyth.part").write_bytes(CONTENT)  # as after a crash before the last step
    fetch(server.url, path)
    assert path.read_bytes() == CONTENT


def test_a_server_that_always_cuts_at_once_ends_the_attempts(server, path):
    server.cut_after = [0, 0]
    with pytest.raises(DownloadError, match="the connection ended after 0 of 1,024,000 bytes"):
        fetch(server.url, path)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "status, kind, reason",
    [
        (404, "", "the server answers 404 Not Found"),
        (200, "text/html; charset=x", "the server sends an HTML page .*"),
    ],
)
def test_an_answer_without_the_file(server, path, status, kind, reason):
    server.status, server.content_type = status, kind
    message = rf"{re.escape(server.url)} cannot be downloaded \({reason}\)\. .*put it at {path}\.$"
    with pytest.raises(DownloadError, match=message):
        fetch(server.url, path)
    assert left_over(path) == []


def test_without_a_network(path):
    url = "http://127.0.0.1:9/weights.pyth"  # the discard port: nobody listens
    message = rf"{url} cannot be downloaded \(.*refused\).*put it at {re.escape(str(path))}\.$"
    with pytest.raises(DownloadError, match=message):
        fetch(url, path)


def test_a_folder_that_cannot_be_made(server, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DownloadError, match=r"cannot be downloaded \(.*put it at .*file/weights\.pyth"):
        fetch(server.url, tmp_path / "file" / "weights.pyth")


def test_a_known_checksum_is_verified(server, path):
    right = hashlib.sha256(CONTENT).hexdigest()
    server.says_length = False
    assert fetch(server.url, path, sha256=right.upper()).read_bytes() == CONTENT
    assert fetch(server.url, path, sha256=right) == path


def test_another_file_than_the_checksums_does_not_stay(server, path):
    found = hashlib.sha256(CONTENT).hexdigest()
    message = rf"has the SHA-256 {found}, expected {'0' * 64}\. {re.escape(server.url)} holds a different file"
    with pytest.raises(DownloadError, match=message):
        fetch(server.url, path, sha256="0" * 64)
    assert left_over(path) == []


def test_a_file_put_there_by_hand_is_verified_and_stays(server, path):
    path.parent.mkdir()
    path.write_bytes(b"something else")
    message = rf"expected {'0' * 64}\. Delete it to download {re.escape(server.url)} again"
    with pytest.raises(DownloadError, match=message):
        fetch(server.url, path, sha256="0" * 64)
    assert path.read_bytes() == b"something else" and not server.requests


def test_of_several_threads_one_downloads(server, path):
    threads = [threading.Thread(target=fetch, args=(server.url, path)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert path.read_bytes() == CONTENT
    assert server.requests == [None]


def test_files_lie_where_iopath_keeps_them(server, tmp_path, monkeypatch):
    from iopath.common.file_io import HTTPURLHandler, PathManager

    monkeypatch.setenv("FVCORE_CACHE", str(tmp_path))
    expected = tmp_path / "zoo" / "kinetics" / "weights.pyth"
    assert cache_path(server.url) == expected
    manager = PathManager()
    manager.register_handler(HTTPURLHandler())
    assert manager.get_local_path(server.url) == str(expected)
    assert fetch(server.url, expected) == expected
    assert len(server.requests) == 1  # iopath's own


@pytest.mark.parametrize("url", ["https://host/", "https://host/a/../../b.pth", "https://host/a/.."])
def test_urls_without_a_place_in_the_cache(url, tmp_path, monkeypatch):
    monkeypatch.setenv("FVCORE_CACHE", str(tmp_path))
    with pytest.raises(DownloadError, match=rf"{re.escape(url)} names no file"):
        cache_path(url)


def test_urls_are_told_from_paths(tmp_path):
    assert is_url("https://host/file") and is_url("http://host/file")
    assert not any(is_url(path) for path in ("file.pyth", "/http://x", tmp_path, "file:///etc/passwd"))
