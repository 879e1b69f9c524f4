"""The report: what it gathers, that nothing of a file can act in it, and that it works in a browser."""

import json
from pathlib import Path

import numpy as np
import pytest

from slowfast.cli.main import main
from slowfast.datasets.clip_sampling import SecondsSampling
from slowfast.datasets.protocol import Protocol
from slowfast.engine.results import write_results
from slowfast.engine.tester import TestResult
from slowfast.visualization.report.contents import ReportError, find_runs, read_run
from slowfast.visualization.report.page import run_names, write_report
from tests.chromium import Page, needs_chromium

EVIL = "</script><img src=x onerror='document.title=\"owned\"'>"
CLASSES = ["arrow", EVIL, "moon"]
PROTOCOL = Protocol(SecondsSampling(4, 1), num_clips=2, num_crops=1, crop_size=32, short_sides=(32,), fusion="sum")
STRIP = b"\xff\xd8 not decoded here"


def write_run(folder: Path, seed: int = 0, *, num_videos: int = 150) -> Path:
    """A test of ``num_videos`` random predictions and a training of 20 steps, as a run leaves them."""
    rng = np.random.default_rng(seed)
    scores = rng.dirichlet([1, 1, 1], num_videos).astype(np.float32) * 2  # a sum over two views
    labels = rng.integers(0, 3, num_videos)
    scores[7] = np.nan
    top1 = float(100 * (scores.argmax(1) == labels).mean())
    wrong = int(np.flatnonzero(np.delete(scores, 7, 0).argmax(1) != np.delete(labels, 7))[0])
    result = TestResult({"top1": top1}, scores, labels, {7: f"torn {EVIL}"}, 3.0, wrong_strips={wrong: STRIP})
    result.accuracy_by_views = [{"clips": n, "crops": 1, "views": n, "top1": top1 - 2 + n} for n in (1, 2)]
    details = {
        "protocol": PROTOCOL.as_dict(),
        "protocol_text": PROTOCOL.describe(),
        "evaluator": "topk",
        "versions": {"torch": EVIL},
        "config": {"SOLVER": {"BASE_LR": 0.1 * (seed + 1)}, "RNG_SEED": 1},
    }
    paths = [f"videos/{EVIL if i == 3 else ''}{i:03d}.mp4" for i in range(num_videos)]
    folder.mkdir(parents=True)
    scale = PROTOCOL.mean_scores
    write_results(folder, result, paths=paths, class_names=CLASSES, details=details, mean_scores=scale)
    records = [
        {"step": i, "epoch": i / 10, "lr": 0.1, "train/loss": 2 / i, "data_seconds": 0.02, "step_seconds": 0.1}
        for i in range(1, 21)
    ]
    records.append({"step": 20, "epoch": 2, "val/clip_top1": 50.0})
    (folder / "metrics.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    return folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    return [write_run(root / "a" / "out"), write_run(root / "b" / "out", 1)]


def test_a_run_is_read_from_what_it_left(runs):
    run = read_run(runs[0], name="a")
    assert run["figures"].keys() == {"top1"} and run["num_failed"] == 1
    assert run["protocol"] == PROTOCOL.describe()
    assert run["curves"]["train/loss"][1] == [0.2, 1.0] and run["curves"]["val/clip_top1"] == [[2.0, 50.0]]
    assert run["data_share"] == pytest.approx(0.2) and run["train_seconds"] == pytest.approx(2.0)
    assert run["config"] == {"SOLVER.BASE_LR": "0.1", "RNG_SEED": "1"}
    assert run["analysis"]["calibration"]["accuracy"] > 0  # sums over two views were halved
    videos = run["videos"]
    assert len(videos) == 150 and videos[0]["failure"].startswith("torn")
    wrong = [video for video in videos[1:] if video["right"] is False]
    assert videos[1 : len(wrong) + 1] == wrong
    assert [video["top"][0][1] for video in wrong] == sorted((video["top"][0][1] for video in wrong), reverse=True)
    assert sum(video.get("frames", "").startswith("data:image/jpeg;base64,") for video in videos) == 1


def test_runs_are_called_by_what_tells_them_apart(tmp_path):
    folders = [tmp_path / "a/out", tmp_path / "b/out", tmp_path / "a/out"]
    assert run_names(folders) == ["a/out", "b/out", "a/out (2)"]
    assert run_names(folders[:1]) == ["out"]


def test_a_training_alone_and_tests_with_several_views(tmp_path, runs):
    (tmp_path / "trained").mkdir()
    (tmp_path / "trained/metrics.jsonl").write_bytes((runs[0] / "metrics.jsonl").read_bytes())
    (tmp_path / "trained/config.yaml").write_text("RNG_SEED: 3\n")
    run = read_run(tmp_path / "trained", name="trained")
    assert run["videos"] == [] and run["config"] == {"RNG_SEED": "3"} and run["curves"]
    write_run(tmp_path / "several/views_10")
    write_run(tmp_path / "several/views_3")
    assert [path.name for path in find_runs(tmp_path / "several")] == ["views_10", "views_3"]
    with pytest.raises(ReportError, match=r"neither results\.json"):
        find_runs(tmp_path)


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("results.json", "[]", "results.json is no"),
        ("results.json", '{"figures": {"top1": "<b>"}}', "that are not numbers"),
        ("analysis.json", '{"class_names": [1]}', "not a list of strings"),
        ("metrics.jsonl", "{}\n", "metrics.jsonl:1"),
        ("predictions.npz", "no archive", "predictions.npz"),
    ],
)
def test_a_broken_file_is_named(tmp_path, name, content, message):
    folder = write_run(tmp_path / "out", num_videos=9)
    (folder / name).write_text(content)
    with pytest.raises(ValueError, match=message):
        read_run(folder, name="out")


def test_frames_come_from_the_folder_of_the_test_alone(tmp_path):
    folder = write_run(tmp_path / "out", num_videos=9)
    (tmp_path / "secret.jpg").write_bytes(b"\xff\xd8 secret")
    analysis = json.loads((folder / "analysis.json").read_text())
    for name in ("../secret.jpg", "wrong_videos/../../secret.jpg", str(tmp_path / "secret.jpg"), None, 3):
        analysis["wrong_videos"] = [{"index": 1, "frames": name}]
        (folder / "analysis.json").write_text(json.dumps(analysis))
        assert not any("frames" in video for video in read_run(folder, name="out")["videos"])


def test_the_page_is_one_file_that_nothing_from_outside_can_enter(tmp_path, runs, capsys):
    page = tmp_path / "sub" / "page.html"
    assert main(["report", *map(str, runs), "--output", str(page)]) == 0
    assert capsys.readouterr().out == f"{page}: a/out, b/out\n"
    text = page.read_text()
    assert "<img" not in text and text.count("</script>") == 2
    assert "http://" not in text.replace("http://www.w3.org/2000/svg", "") and "https://" not in text
    assert "default-src 'none'" in text
    data = text.partition('id="data">')[2].partition("</script>")[0]
    assert json.loads(data)["class_names"] == CLASSES
    assert main(["report", str(tmp_path)]) == 2
    assert "neither results.json" in capsys.readouterr().err


def test_runs_of_other_classes_are_not_compared(tmp_path, runs):
    other = write_run(tmp_path / "out", num_videos=9)
    analysis = json.loads((other / "analysis.json").read_text())
    (other / "analysis.json").write_text(json.dumps(analysis | {"class_names": ["x", "y", "z"]}))
    with pytest.raises(ReportError, match=r"a/out has 3 classes, but .*out has 3 different"):
        write_report([runs[0], other], tmp_path / "page.html")


@needs_chromium
def test_tests_of_boxes_and_of_several_labels_have_a_page_too(tmp_path):
    boxes = tmp_path / "boxes"
    boxes.mkdir()
    precisions = {"run": 40.5, EVIL: None, "walk": 12.25}
    details = {"figures": {"mAP": 26.4}, "average_precision_percent": precisions, "seconds": 1, "num_failed": 0}
    (boxes / "results.json").write_text(json.dumps(details))
    several = tmp_path / "several"
    labels = np.array([[1, 1, 0], [0, 1, 0], [0, 0, 0]])
    result = TestResult({"mAP": 50.0}, np.random.default_rng(0).random((3, 3), np.float32), labels, {}, 1.0)
    write_results(several, result, paths=["a", "b", "c"], class_names=CLASSES, details={})
    for folder, cells in ((boxes, [["run", "–", "40.50"], [EVIL, "–", "–"], ["walk", "–", "12.25"]]), (several, None)):
        write_report([folder], folder / "report.html")
        with Page((folder / "report.html").as_uri(), folder) as page:
            table = (
                "[...document.querySelectorAll('#classes tbody tr')].map(r => [...r.children].map(c => c.textContent))"
            )
            found = page.evaluate(table)
            assert page.problems == []
            if cells:
                assert sorted(found) == sorted(cells)
            else:
                assert [row[:2] for row in sorted(found)] == [
                    [name, str(n)] for name, n in sorted(zip(CLASSES, (1, 2, 0), strict=True))
                ]
                assert page.evaluate("document.querySelector('#videos tbody tr').children[1].textContent") is not None
                assert page.evaluate("document.querySelector('#confusion')") is None


@needs_chromium
def test_in_a_browser_it_draws_sorts_and_filters(tmp_path, runs):
    path = tmp_path / "page.html"
    write_report(runs, path)
    with Page(path.as_uri(), tmp_path) as page:
        assert page.evaluate("document.title") == "SlowFast report: a/out, b/out"  # and not owned
        assert page.evaluate("document.querySelectorAll('img[src=x]').length") == 0
        sections = page.evaluate("[...document.querySelectorAll('section')].map(s => s.id)")
        assert sections == ["figures", "curves", "confidence", "classes", "confusion", "videos", "config", "versions"]
        assert page.evaluate("document.querySelectorAll('#curves svg path').length") >= 6

        column = "[...document.querySelectorAll('#videos tbody tr')].map(r => Number(r.children[3].textContent))"
        for order in ("descending", "ascending"):
            page.evaluate("document.querySelectorAll('#videos th button')[3].click()")
            assert page.evaluate("document.querySelectorAll('#videos th')[3].getAttribute('aria-sort')") == order
            scores = [score for score in page.evaluate(column) if score is not None]
            assert len(scores) == 100 and scores == sorted(scores, reverse=order == "descending")
        page.evaluate("document.querySelector('#videos .scroll').parentElement.querySelector('button.more').click()")
        assert page.evaluate("document.querySelectorAll('#videos tbody tr').length") == 150

        rows = "[...document.querySelectorAll('#videos tbody tr')].map(r => r.textContent)"
        search = "document.querySelector('#videos input')"
        page.evaluate(f"{search}.value = 'MOON 01'; {search}.dispatchEvent(new Event('input'))")
        found = page.evaluate(rows)
        assert 0 < len(found) < 20 and all("moon" in row and "01" in row for row in found)
        page.evaluate(f"{search}.value = ''; {search}.dispatchEvent(new Event('input'))")
        kinds = "document.querySelectorAll('#videos select')[1]"
        page.evaluate(f"{kinds}.value = 'not decodable'; {kinds}.dispatchEvent(new Event('change'))")
        assert len(page.evaluate(rows)) == 1
        page.evaluate(f"{kinds}.value = 'all'; {kinds}.dispatchEvent(new Event('change'))")

        click = "document.querySelector('canvas').dispatchEvent(new MouseEvent('click', {clientX: %s, clientY: %s}))"
        box = page.evaluate("(b => [b.x, b.y])(document.querySelector('canvas').getBoundingClientRect())")
        page.evaluate(click % (box[0] + 150 + 2.5 * 64, box[1] + 0.5 * 64))  # arrow taken for moon
        analysis = json.loads((runs[0] / "analysis.json").read_text())
        (cell,) = [videos for label, predicted, videos in analysis["confusion"] if (label, predicted) == (0, 2)]
        assert len(page.evaluate(rows)) == cell
        config = "[...document.querySelectorAll('#config tbody tr')].map(r => r.firstChild.textContent)"
        assert set(page.evaluate(config)) == {"SOLVER.BASE_LR", "RNG_SEED"}
        page.evaluate("document.querySelector('#config input[type=checkbox]').click()")
        assert page.evaluate(config) == ["SOLVER.BASE_LR"]
        assert page.problems == []
