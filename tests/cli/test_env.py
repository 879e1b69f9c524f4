"""``slowfast env``: one screen, the same as JSON, and a sentence for what is broken."""

import json
from pathlib import Path

import pytest

from slowfast.cli import env
from slowfast.utils import environment
from slowfast.utils.environment import OLDEST, outdated_packages


def test_one_screen_and_the_same_as_json(tmp_path, capsys):
    assert env.main(["--json", str(tmp_path / "env.json")]) == 0
    lines = capsys.readouterr().out.splitlines()
    shown = {line[:10].strip(): line[11:] for line in lines}
    assert "torch " in shown["versions"] and "ffmpeg " in shown["versions"]
    assert "h264 yes" in shown["decoders"] and shown["encoders"] == "libx264 yes"
    assert shown["gloo"].startswith("works (a sum over two ranks)")
    assert len(lines) < 24
    found = json.loads((tmp_path / "env.json").read_text())
    assert found["cpu"]["cores"] >= 1 and found["problems"] == []
    assert found["process_groups"]["gloo"]["ok"] is True
    assert env.main(["--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["versions"] == found["versions"]


def test_what_is_broken_is_a_problem(monkeypatch, capsys):
    def fails():
        raise RuntimeError("no interface\nof that name")

    monkeypatch.setattr(env, "check_gloo", fails)
    monkeypatch.setattr(env, "DECODERS", ("h264", "no-such-codec"))
    monkeypatch.setattr(env, "_shm_gib", lambda: {"total": 0.0625, "free": 0.06})
    assert env.main([]) == 1
    out = capsys.readouterr().out
    assert "problem    gloo: fails: RuntimeError: no interface of that name" in out
    assert "problem    this PyAV has no no-such-codec" in out
    assert "problem    /dev/shm has 0.06 GiB" in out and "--shm-size 16g" in out


def test_known_faults_of_a_gpus_libraries_are_problems(monkeypatch):
    found = {
        "versions": {"torch": "2.9.1+cu128"},
        "gpus": [{"name": "any"}],
        "cudnn": 91300,
        "decoders": {},
        "encoders": {},
        "shm_gib": None,
        "process_groups": {},
    }
    (problem,) = env._problems(found)
    assert "torch 2.9.1 with cuDNN 9.13.0" in problem
    assert env._problems(found | {"gpus": []}) == []


@pytest.mark.parametrize(
    "found, says",
    [
        ({"torch": "2.0.1+cpu"}, "torch 2.0.1+cpu (oldest tested: "),
        ({"torch": "2.100"}, ""),
        ({"av": "not installed"}, "av not installed"),
        ({"av": OLDEST["av"] + ".0.1", "torch": OLDEST["torch"] + ".0+cu126"}, ""),
    ],
)
def test_versions_older_than_the_tested_are_named(monkeypatch, found, says):
    monkeypatch.setattr(environment, "versions", lambda: {**dict.fromkeys(OLDEST, "999"), **found})
    sentences = outdated_packages()
    assert (says in sentences[0] and len(sentences) == 1) if says else sentences == []


def test_documents_name_the_oldest_versions():
    root = Path(__file__).parents[2]
    text = (root / "INSTALL.md").read_text(encoding="utf-8")
    for name, shown in {"torch": "torch {}", "torchvision": "({} or newer)", "av": "PyAV {}"}.items():
        assert shown.format(OLDEST[name]) in text, name
    setup = (root / "setup.py").read_text(encoding="utf-8")
    assert all(f">={{OLDEST['{name}']}}" in setup for name in OLDEST), "setup.py asks for them"
