"""What the commands refuse; an interrupted one leaves nothing half done."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from slowfast.cli.prepare.main import main

ROOT = Path(__file__).parents[3]


def test_a_folder_that_is_not_there(tmp_path, refused):
    assert "none is not a folder" in refused(
        main, ["resize", str(tmp_path / "none"), str(tmp_path / "out"), "--workers", "0"]
    )
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("options", [["--workers", "-1"], ["--short-side", "0"], ["--crf", "52"]])
def test_numbers_out_of_range_are_refused(options, capsys):
    with pytest.raises(SystemExit):
        main(["resize", "a", "b", *options])
    assert f"{options[1]} is not" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is another thing there")
def test_ctrl_c_leaves_nothing_half_done_and_a_later_run_goes_on(tmp_path, make_video):
    # Many frames, so that the work is under way when the signal comes.
    for name in ("a", "b", "c"):
        make_video(tmp_path / "videos" / f"{name}.mp4", num_frames=120, height=64, width=80)
    out = tmp_path / "out"
    command = [sys.executable, str(ROOT / "tools" / "prepare_data.py"), "resize", str(tmp_path / "videos"), str(out)]
    command += ["--short-side", "48", "--preset", "veryslow", "--workers", "2"]
    run = subprocess.Popen(
        command,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a background shell passes on "ignored"
    )
    deadline = time.monotonic() + 120
    while not list(out.glob(".part-*")) and run.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    os.killpg(run.pid, signal.SIGINT)  # as a terminal does
    assert run.wait(60) == 130
    assert not list(out.glob(".part-*"))
    assert main(["resize", str(tmp_path / "videos"), str(out), "--workers", "0"]) == 2  # it was begun otherwise
    done = sorted(path.name for path in out.glob("*.mp4"))
    assert len(done) < 3
    before = {name: (out / name).stat().st_mtime_ns for name in done}
    assert main(command[2:-2] + ["--workers", "0"]) == 0
    assert sorted(path.name for path in out.iterdir()) == ["a.mp4", "b.mp4", "c.mp4", "resize.json"]
    assert {name: (out / name).stat().st_mtime_ns for name in done} == before  # what was there stayed
