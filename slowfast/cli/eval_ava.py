"""``slowfast eval-ava``: frame mAP of detection files, and ensembles of such files."""

from __future__ import annotations

import argparse
import math
from pathlib import Path

from slowfast.cli.arguments import Parser, command, command_parser, write_json
from slowfast.evaluation.ava.files import read_detections, read_excluded_timestamps, read_groundtruth, read_label_map
from slowfast.evaluation.ava.merging import drop_duplicate_rows, merge_scores, write_detections
from slowfast.evaluation.ava.protocols import IOU_THRESHOLD, PROTOCOLS, evaluate
from slowfast.evaluation.ava.table import BoxTable

EXAMPLE = """
slowfast eval-ava ava_val_v2.2.csv detections.csv --excluded ava_val_excluded_timestamps_v2.2.csv \\
    --label-map ava_action_list_v2.2_for_activitynet_2019.pbtxt
slowfast eval-ava ava_val_v2.2.csv a/detections.csv b/detections.csv --weights 2 1 --output merged.csv --label-map ...
"""
NOTES = """protocols (do not compare figures of different ones):
  pyslowfast  as in published SlowFast figures; detections claim boxes in file order
  official    as in the ActivityNet challenge; by score, best 50 rows (box x class) per image, no exclusion file
  mmaction2   by score, scores above 0.002, images without ground truth ignored"""


def build_parser() -> Parser:
    """The command line."""
    parser = command_parser(
        "eval-ava",
        description="Compute the frame mAP at IoU 0.5 of AVA detections. Several detection files are fused: scores of "
        "the same image, box and class are averaged.",
        example=EXAMPLE,
        notes=NOTES,
    )
    parser.add_argument("groundtruth", type=Path, help="CSV: video,second,x1,y1,x2,y2,action_id[,person_id]")
    parser.add_argument(
        "detections", type=Path, nargs="+", help="CSV: video,second,x1,y1,x2,y2,action_id,score; boxes as fractions"
    )
    parser.option("--label-map PBTXT", "the classes to evaluate", type=Path, required=True)
    parser.option("--excluded CSV", "rows video,second to exclude from evaluation", type=Path)
    parser.option("--protocol", "default: %(default)s", default="pyslowfast", choices=list(PROTOCOLS))
    parser.option("--weights W", "one per detection file (default: equal)", type=float, nargs="+")
    parser.option(
        "--missing",
        "treat a box missing from a detection file as an error (default), or as score 0",
        default="error",
        choices=("error", "zero"),
    )
    parser.option(
        "--deduplicate",
        "drop rows that repeat an earlier row of the same file; PySlowFast counts both, the second as wrong",
    )
    parser.add_output("CSV file for the fused detections")
    parser.add_json()
    parser.option("--sort", "order of the table of classes", default="class", choices=["class", "ap"])
    return parser


@command(build_parser)
def main(args: argparse.Namespace) -> int:
    """Prints the report, writes the requested files, and returns the exit status."""
    class_names = read_label_map(args.label_map)  # the small files first: a slip shows before the long read
    excluded = read_excluded_timestamps(args.excluded) if args.excluded else ()
    groundtruth = read_groundtruth(args.groundtruth)
    detections, num_duplicates = _read_all(args)
    if args.output:
        write_detections(args.output, detections)
    result = evaluate(groundtruth, detections, class_names=class_names, excluded=excluded, protocol=args.protocol)
    result["counts"]["duplicate_detections"] = num_duplicates
    write_json(args.json, _record(result, args), text=_report(result, class_names, args))
    return 0


def _read_all(args: argparse.Namespace) -> tuple[BoxTable, int]:
    """The detections, merged if there are several files, and how many rows repeated others."""
    tables, num_duplicates = [], 0
    for path in args.detections:
        table = read_detections(path)
        unique, num_repeated = drop_duplicate_rows(table)
        tables.append(unique if args.deduplicate else table)
        num_duplicates += num_repeated
    if len(tables) == 1 and args.weights is None:
        return tables[0], num_duplicates
    return merge_scores(tables, args.weights, missing=args.missing), num_duplicates


def _report(result: dict, class_names: dict[int, str], args: argparse.Namespace) -> str:
    ap, counts = result["ap"], result["counts"]
    num_averaged = sum(not math.isnan(value) for value in ap.values())
    lines = [*_table(result, class_names, args.sort), ""]
    lines.append(
        f"mAP@{IOU_THRESHOLD} {100 * result['mAP']:.2f} percent (fraction {result['mAP']:.6f}), protocol "
        f"{result['protocol']}, mean over {num_averaged} of {len(ap)} classes"
    )
    lines.append(
        f"counted: {counts['detections']:,} detections (box x class) and {counts['groundtruth_boxes']:,} ground-truth "
        f"boxes (box x class) on {counts['images']:,} images"
    )
    for name in ("detections", "groundtruth"):
        dropped = ", ".join(f"{number:,} {reason}" for reason, number in counts[f"dropped_{name}"].items())
        lines.append(f"dropped {name}: {dropped or 'none'}")
    if counts["duplicate_detections"]:
        what = "dropped" if args.deduplicate else "counted; --deduplicate drops them"
        lines.append(f"rows that repeat another: {counts['duplicate_detections']:,} ({what})")
    return "\n".join(lines)


def _table(result: dict, class_names: dict[int, str], order: str) -> list[str]:
    """One line per class; those without ground truth show a dash and come last when sorted by average precision."""
    rows = list(class_names.items())
    ap = result["ap"]
    if order == "ap":
        rows.sort(key=lambda row: (math.isnan(ap[row[1]]), -ap[row[1]]))
    width = max(len(name) for name in [*ap, "class"])
    lines = [f"{'id':>4}  {'class':<{width}}  {'AP percent':>10}  {'ground truth':>12}  {'detections':>10}"]
    for class_id, name in rows:
        shown = "-" if math.isnan(ap[name]) else f"{100 * ap[name]:.2f}"
        numbers = f"{result['num_groundtruth'][name]:>12,}  {result['num_detections'][name]:>10,}"
        lines.append(f"{class_id:>4}  {name:<{width}}  {shown:>10}  {numbers}")
    return lines


def _record(result: dict, args: argparse.Namespace) -> dict:
    """The report as data."""
    return {
        "protocol": result["protocol"],
        "iou_threshold": IOU_THRESHOLD,
        "mAP_fraction": result["mAP"],
        "mAP_percent": 100 * result["mAP"],
        "ap_fraction": result["ap"],
        "num_groundtruth": result["num_groundtruth"],
        "num_detections": result["num_detections"],
        "counts": result["counts"],
        "files": {
            "groundtruth": str(args.groundtruth),
            "detections": [str(path) for path in args.detections],
            "excluded_timestamps": str(args.excluded) if args.excluded else None,
            "label_map": str(args.label_map),
        },
        "weights": args.weights,
        "missing": args.missing,
        "deduplicate": args.deduplicate,
    }
