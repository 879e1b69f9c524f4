"""The command: what it refuses, what it says, and that it serves what was named."""

import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from slowfast.cli import serve
from slowfast.cli.serve import bound_socket, build_parser, build_server, main
from slowfast.engine.launch import LaunchError
from tests.serving.conftest import slowfast_pipeline


@pytest.fixture
def named(monkeypatch):
    """A small model whatever --checkpoint says."""
    monkeypatch.setattr(serve, "load_model", lambda args: slowfast_pipeline())


def test_flags_become_limits_samples_and_hosts(named, tiny_motion):
    argv = ["--checkpoint", "/far/away/mine.pyth", "--samples", str(tiny_motion / "test"), "--max-megabytes", "2"]
    args = build_parser().parse_args([*argv, "--max-seconds", "9", "--max-jobs", "3", "--max-waiting", "0"])
    with TestClient(build_server(args), base_url="http://localhost") as client:
        model = client.get("/api/model").json()
        assert client.get("/", headers={"Host": "elsewhere"}).status_code == 400
        queue = client.app.state.server.queue
        assert (queue.num_workers, queue.max_waiting) == (3, 0)
    assert (model["title"], model["max_megabytes"], model["max_seconds"]) == ("mine.pyth", 2.0, 9.0)
    assert len(model["samples"]) == 6 and model["explains"] and str(tiny_motion) not in str(model)
    args = build_parser().parse_args(["--checkpoint", "x", "--host", "0.0.0.0"])
    with TestClient(build_server(args), base_url="http://my.machine") as client:
        assert client.get("/").status_code == 200  # whoever it was opened to may call it by any name


def test_a_taken_port_and_a_missing_package_are_said(named, monkeypatch, refused):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(LaunchError, match=f"127.0.0.1:{port}: Address already in use. Choose another --port"):
            bound_socket("127.0.0.1", port)
        assert "Choose another --port" in refused(main, ["--checkpoint", "x", "--port", str(port)])
    monkeypatch.setattr(serve, "NEEDED", ("fastapi", "no_such_package"))
    assert "needs no_such_package: pip install 'slowfast[serve]'" in refused(main, ["--checkpoint", "x"])


RUN = """
import sys
from slowfast.cli import serve
from tests.serving.conftest import slowfast_pipeline
serve.load_model = lambda args: slowfast_pipeline()
sys.exit(serve.main(["--checkpoint", "x", "--port", "0"]))
"""


def test_it_serves_until_it_is_interrupted_and_leaves_no_file(tmp_path):
    root = Path(__file__).parents[2]
    environment = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": str(root)}
    process = subprocess.Popen(
        [sys.executable, "-c", RUN], env=environment, cwd=root, stdout=subprocess.PIPE, text=True
    )
    try:
        line = next(text for text in process.stdout if text.startswith("http"))
        address = re.match(r"http://127\.0\.0\.1:\d+", line)[0]
        with urllib.request.urlopen(f"{address}/api/model", timeout=30) as answer:
            assert answer.status == 200
        assert [path.name[:15] for path in tmp_path.iterdir()] == ["slowfast-serve-"]
        process.send_signal(signal.SIGINT)
        assert process.wait(30) in (0, 130)
        assert not list(tmp_path.iterdir())
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
