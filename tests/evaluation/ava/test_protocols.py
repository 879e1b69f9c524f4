"""Frame mAP against PySlowFast's result, worked vectors, a slow obvious version, and invariants."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from slowfast.evaluation.ava.protocols import PROTOCOLS, BoxTable, evaluate, evaluate_files

# The files, and what PySlowFast 287ec00 (Apache-2.0) makes of them
GOLDEN = Path(__file__).parents[2] / "data" / "golden" / "ava"


def test_the_golden_files_give_pyslowfasts_result():
    result = evaluate_files(
        GOLDEN / "groundtruth.csv",
        GOLDEN / "detections.csv",
        GOLDEN / "excluded_timestamps.csv",
        label_map=GOLDEN / "label_map.pbtxt",
    )
    expected = json.loads((GOLDEN / "expected.json").read_text())
    assert result["protocol"] == "pyslowfast"
    assert result["mAP"] == pytest.approx(expected.pop("PascalBoxes_Precision/mAP@0.5IOU"), abs=1e-6)
    assert len(expected) == len(result["ap"]) == 60
    for key, value in expected.items():
        ap = result["ap"][key.removeprefix("PascalBoxes_PerformanceByCategory/AP@0.5IOU/")]
        assert math.isnan(ap) if value is None else ap == pytest.approx(value, abs=1e-6)


# Results of the reference programs on these rows (the last line by hand)
WORKED_GROUNDTRUTH = """\
vidA,0902,.10,.10,.50,.50,1
vidA,0902,.10,.10,.50,.50,3
vidA,0902,.60,.20,.90,.80,1
vidA,0903,.20,.20,.60,.70,1
vidB,0902,.00,.00,.40,1.0,3
vidB,0903,.30,.30,.70,.70,2
"""
WORKED_DETECTIONS = """\
vidA,0902,.12,.10,.50,.52,1,.90
vidA,0902,.12,.10,.50,.52,3,.40
vidA,0902,.12,.10,.50,.52,4,.20
vidA,0902,.10,.12,.48,.50,1,.95
vidA,0902,.10,.12,.48,.50,3,.30
vidA,0902,.60,.20,.90,.80,1,.60
vidA,0903,.20,.20,.60,.46,1,.50
vidA,0904,.20,.20,.60,.46,1,.70
vidB,0902,.00,.00,.40,1.0,3,.80
vidB,0903,.30,.30,.70,.70,3,.85
vidC,0904,.30,.30,.70,.70,1,.99
"""
SCORE_SORTED = replace(PROTOCOLS["pyslowfast"], name="pyslowfast, score-sorted", claims_by_score=True)


@pytest.fixture
def worked_files(tmp_path):
    (tmp_path / "groundtruth.csv").write_text(WORKED_GROUNDTRUTH)
    (tmp_path / "detections.csv").write_text(WORKED_DETECTIONS)
    (tmp_path / "excluded.csv").write_text("vidC,0904\n")
    return [tmp_path / name for name in ("groundtruth.csv", "detections.csv", "excluded.csv")]


@pytest.mark.parametrize(
    "protocol, ap1, ap3, mean",
    [
        ("pyslowfast", 0.6, 2 / 3, 0.6333333),
        ("official", 0.8333333, 2 / 3, 0.75),
        ("mmaction2", 0.8333333, 1.0, 0.9166667),
        (SCORE_SORTED, 0.7333333, 2 / 3, 0.7),
    ],
)
def test_the_worked_vectors_of_each_protocol(worked_files, protocol, ap1, ap3, mean):
    result = evaluate_files(*worked_files, label_map={1: "bend", 3: "crouch", 4: "dance"}, protocol=protocol)
    assert result["protocol"] == getattr(protocol, "name", protocol)
    assert result["mAP"] == pytest.approx(mean, abs=1e-6)
    assert result["ap"] == pytest.approx({"bend": ap1, "crouch": ap3, "dance": float("nan")}, abs=1e-6, nan_ok=True)


def test_counts_say_what_was_dropped(worked_files):
    result = evaluate_files(*worked_files, label_map={1: "bend", 3: "crouch"})
    assert result["counts"] == {
        "images": 5,
        "groundtruth_boxes": 5,
        "detections": 9,
        "dropped_groundtruth": {"class not in the label map": 1},
        "dropped_detections": {"class not in the label map": 1, "excluded timestamp": 1},
    }
    assert result["num_groundtruth"] == {"bend": 3, "crouch": 2}
    assert result["num_detections"] == {"bend": 5, "crouch": 4}


# ------- slow obvious version: plain Python, a row after the other -------
def slow_evaluate(groundtruth, detections, class_names, excluded, rules):
    """Rows are (image, box, class[, score]); the ground truth may hold bare (image,). Returns {class name: AP}."""
    listed = {row[0] for row in groundtruth}
    truth = [row for row in groundtruth if len(row) > 1 and row[2] in class_names]
    found = [row for row in detections if row[2] in class_names]
    if rules.excluded == "rows":
        truth = [row for row in truth if row[0] not in excluded]
    if rules.max_rows_per_image:
        found = slow_best_rows(found, rules.max_rows_per_image)
    if rules.min_score is not None:
        found = [row for row in found if row[3] > rules.min_score]
    if rules.excluded != "nothing":
        found = [row for row in found if row[0] not in excluded]
    labeled = {row[0] for row in truth}
    if rules.unlabeled_images == "wrong if listed":
        found = [row for row in found if row[0] in listed]
    if rules.unlabeled_images == "ignored":
        found = [row for row in found if row[0] in labeled]
    found = [row for row in found if row[1][0] < row[1][2] and row[1][1] < row[1][3]]
    return {name: slow_ap(truth, found, class_id, rules) for class_id, name in class_names.items()}


def slow_best_rows(rows, count):
    """A later row must beat the current worst strictly; of equally bad rows the latest goes."""
    kept = {}
    for number, row in enumerate(rows):
        best = kept.setdefault(row[0], [])
        best.append((row[3], -number))
        if len(best) > count:
            best.remove(min(best))
    numbers = sorted(-number for best in kept.values() for _, number in best)
    return [rows[number] for number in numbers]


def slow_ap(truth, found, class_id, rules):
    truth = [row for row in truth if row[2] == class_id]
    found = [row for row in found if row[2] == class_id]
    if not truth or not (found or rules.is_undetected_class_zero):
        return math.nan
    order = sorted(range(len(found)), key=lambda i: -found[i][3])  # sorted() is stable
    is_right, taken = [False] * len(found), set()
    for i in order if rules.claims_by_score else range(len(found)):
        candidates = [j for j in range(len(truth)) if truth[j][0] == found[i][0]]
        if candidates:
            best = max(candidates, key=lambda j: slow_iou(found[i][1], truth[j][1]))  # max() gives the first
            if slow_iou(found[i][1], truth[best][1]) >= 0.5 and best not in taken:
                taken.add(best)
                is_right[i] = True
    recall, precision, right = [0.0], [0.0], 0
    for rank, i in enumerate(order, 1):
        right += is_right[i]
        recall.append(right / len(truth))
        precision.append(right / rank)
    recall.append(1.0)
    precision.append(0.0)
    area = 0.0
    for i in range(1, len(recall)):
        area += (recall[i] - recall[i - 1]) * max(precision[i:])
    return area


def slow_iou(a, b):
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    area = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - width * height
    return width * height / area if area else 0.0


CLASSES = {1: "one", 2: "two", 4: "four", 7: "never there", 9: "never found"}


def random_case(seed):
    """Few images and places, so that images lack boxes, boxes and scores tie, and IoU hits 0.5 exactly."""
    rng = np.random.default_rng(seed)
    images = [(video, int(second)) for video in "ab" for second in range(902, 902 + rng.integers(1, 5))]

    def box(*, may_be_degenerate):
        x1, y1 = rng.integers(0, 4, 2) / 8
        width, height = rng.integers(0 if may_be_degenerate else 1, 4, 2) / 8
        return (x1, y1, x1 + width, y1 + height)

    def image():
        return images[rng.integers(len(images))]

    detections = [
        (image(), box(may_be_degenerate=True), int(rng.choice([1, 2, 3, 4, 7])), rng.integers(0, 12) / 11)
        for _ in range(rng.integers(0, 90))
    ]
    with_truth = [*images[: rng.integers(1, len(images) + 1)], ("c", 902)]  # c has no detection
    truth = [
        (with_truth[rng.integers(len(with_truth))], box(may_be_degenerate=False), int(rng.choice([1, 2, 3, 4, 9])))
        for _ in range(rng.integers(1, 25))
    ]
    bare = [(image(),) for _ in range(rng.integers(0, 2))]
    excluded = {image() for _ in range(rng.integers(0, 3))}
    return truth + bare, detections, excluded


def table(rows):
    with_box = [row for row in rows if len(row) > 1]
    images = sorted({row[0] for row in rows})
    return BoxTable(
        images=images,
        image_index=[images.index(row[0]) for row in with_box],
        boxes=[row[1] for row in with_box],
        classes=[row[2] for row in with_box],
        scores=[row[3] for row in with_box] if with_box and len(with_box[0]) > 3 else None,
    )


@pytest.mark.parametrize(
    "protocol",
    [*PROTOCOLS.values(), SCORE_SORTED, replace(PROTOCOLS["official"], name="4", max_rows_per_image=4)],
    ids=lambda protocol: protocol.name,
)
@pytest.mark.parametrize("seed", range(50))
def test_a_slow_obvious_version_agrees(protocol, seed):
    truth, detections, excluded = random_case(seed)
    result = evaluate(table(truth), table(detections), class_names=CLASSES, excluded=excluded, protocol=protocol)
    expected = slow_evaluate(truth, detections, CLASSES, excluded, protocol)
    assert result["ap"] == pytest.approx(expected, abs=1e-12, nan_ok=True)
    values = [ap for ap in expected.values() if not math.isnan(ap)]
    mean = sum(values) / len(values) if values else float("nan")
    assert result["mAP"] == pytest.approx(mean, abs=1e-12, nan_ok=True)


def test_the_random_cases_hold_what_they_should():
    """Ties, degenerate boxes, exclusions that matter, images without ground truth: or the test above shows little."""
    cases = [random_case(seed) for seed in range(50)]
    scores = [[row[3] for row in detections] for _, detections, _ in cases]
    assert sum(len(set(s)) < len(s) for s in scores) > 40
    assert sum(row[1][0] == row[1][2] for _, detections, _ in cases for row in detections) > 100
    assert sum(bool({row[0] for row in d} - {row[0] for row in t}) for t, d, _ in cases) > 10
    assert sum(bool({row[0] for row in t if len(row) > 1} & excluded) for t, _, excluded in cases) > 10
    assert any(slow_iou(d[1], t[1]) == 0.5 for truth, found, _ in cases for d in found for t in truth if len(t) > 1)


TRUTH = [(("v", 902), (0.0, 0.0, 0.4, 0.4), 1)]


def test_boxes_in_pixels_on_one_side_are_refused():
    detections = [(("v", 902), (0.0, 0.0, 128.0, 102.4), 1, 0.9)]
    with pytest.raises(ValueError, match=r"coordinates up to 128, .* up to 0\.4: one is in pixels"):
        evaluate(table(TRUTH), table(detections), class_names={1: "one"})
    in_pixels = [(("v", 902), (0.0, 0.0, 128.0, 102.4), 1)]
    assert evaluate(table(in_pixels), table(detections), class_names={1: "one"})["mAP"] == 1.0


def test_a_reversed_box_of_the_ground_truth_is_an_error_with_its_line(worked_files):
    worked_files[0].write_text(WORKED_GROUNDTRUTH + "vidB,0904,.5,.1,.4,.2,3\n")
    message = r"groundtruth\.csv:7: ground-truth box \[0\.5, 0\.1, 0\.4, 0\.2\] has x1 > x2"
    with pytest.raises(ValueError, match=message):
        evaluate_files(*worked_files, label_map={1: "bend", 3: "crouch"})
    assert evaluate_files(*worked_files, label_map={1: "bend"})["ap"] == {"bend": pytest.approx(0.6)}  # class 3 is out


def test_a_ground_truth_box_without_area_counts_as_missed():
    truth = [*TRUTH, (("v", 903), (0.2, 0.2, 0.2, 0.4), 1)]
    result = evaluate(table(truth), table([(*TRUTH[0], 0.9)]), class_names={1: "one"})
    assert result["ap"] == {"one": 0.5}


def test_tables_that_share_no_image_are_warned_of(caplog):
    detections = [(("v.mp4", 902), (0.0, 0.0, 0.4, 0.4), 1, 0.9)]
    assert evaluate(table(TRUTH), table(detections), class_names={1: "one"})["mAP"] == 0.0
    assert "no detection is on an image of the ground truth (v.mp4,0902 against v,0902)" in caplog.text


def test_the_official_protocol_says_that_it_excludes_nothing(caplog):
    arguments = table(TRUTH), table([(*TRUTH[0], 0.9)])
    result = evaluate(*arguments, class_names={1: "one"}, excluded={("v", 902)}, protocol="official")
    assert result["mAP"] == 1.0
    assert "'official' knows no excluded timestamps: 1 are skipped" in caplog.text


def test_nothing_to_average_is_nan_and_said(caplog):
    result = evaluate(table(TRUTH), table([]), class_names={1: "one"}, excluded={("v", 902)})
    assert math.isnan(result["mAP"])
    assert "mAP is NaN" in caplog.text


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"protocol": "voc"}, "protocol='voc' is not one of pyslowfast, official, mmaction2"),
        ({"label_map": None}, "label_map is missing"),
        ({"label_map": {}}, "class_names is empty"),
        ({"label_map": {1: "bend", 2: "bend"}}, "class_names must differ, 'bend' stands twice"),
    ],
)
def test_wrong_arguments(worked_files, arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        evaluate_files(*worked_files, **{"label_map": {1: "bend"}, **arguments})
