"""``slowfast explain``: where in a video a model finds its evidence for a class."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from slowfast.cli.arguments import Parser, command, command_parser, whole
from slowfast.cli.pipelines import add_model, load_model
from slowfast.datasets.views import read_key_frame, read_views
from slowfast.engine.grad_cam import METHODS, default_layers, find_layers, grad_cam, normalized
from slowfast.engine.pipeline import Pipeline, takes_boxes
from slowfast.engine.prediction import class_name
from slowfast.prediction.boxes import ListedBoxes
from slowfast.utils.logging import setup_logging
from slowfast.utils.suggest import did_you_mean
from slowfast.utils.text import printable
from slowfast.visualization.heatmaps import contact_sheet, with_boxes, with_heat, write_overlay

DESCRIPTION = (
    "Show where and when each pathway of a model finds evidence for a class: heatmaps over the frames as a video "
    "(overlay.mp4) and a picture (sheet.png), and the maps as arrays (maps.npz)."
)
EXAMPLE = """
slowfast explain video.mp4 --checkpoint outputs/slowfast/checkpoints/checkpoint_best.pyth --output why
slowfast explain video.mp4 --checkpoint SLOWFAST_8x8_R50 --output why --class "playing chess" --clips 2
slowfast explain movie.mp4 --checkpoint ava.pyth --output why --boxes boxes.csv --seconds 12
"""
NOTES = (
    "maps.npz: map_PATHWAY float32 (N, T, H, W), not scaled; frames uint8 (N, T, H, W, 3); class_ids (N,);\n"
    "scores (N, K); seconds (N, 2); layers; for boxes also boxes (N, 4), pixels of the frames. N clips or boxes,\n"
    "T frames of a clip."
)


@dataclass(frozen=True)
class Looked:
    """What is explained: clips, or the boxes of one clip.

    Attributes:
        frames: uint8 (C, 3, T, H, W) of C clips; one if there are boxes.
        scores: float32 (N, K), of the clips or the boxes.
        seconds: float64 (N, 2).
        boxes: float32 (N, 5), or None.
    """

    frames: Tensor
    scores: np.ndarray
    seconds: np.ndarray
    boxes: Tensor | None = None

    def pixels(self) -> np.ndarray:
        """uint8 (N, T, H, W, 3), with the boxes drawn."""
        shown = self.frames[:, :3].permute(0, 2, 3, 4, 1).numpy()
        return shown if self.boxes is None else with_boxes(shown.repeat(len(self.boxes), 0), self.boxes[:, 1:].numpy())


def build_parser() -> Parser:
    """The command line."""
    parser = command_parser("explain", description=DESCRIPTION, example=EXAMPLE, notes=NOTES, takes_overrides=True)
    parser.add_argument("video", metavar="VIDEO", help="a video file, or a folder of images")
    add_model(parser)
    parser.add_output("folder for the files", required=True)
    parser.option("--class NAME", "name or number (default: the best one)", dest="class_name")
    parser.option(
        "--layer NAME",
        "layers such as fast.res4 (default: for each pathway, the last one with a map of at least 7 x 7)",
        action="append",
    )
    parser.option(
        "--method",
        "whether gradients weight channels at each position (default) or by their mean; both agree at the last layer",
        default=METHODS[0],
        choices=METHODS,
    )
    parser.option(
        "--clips N", "number of clips to show, those with the highest scores for the class", type=whole(1), default=1
    )
    parser.option("--boxes FILE", "boxes in key frames, for detection models: lines video,second,x1,y1,x2,y2")
    parser.option("--seconds S", "time of the key frame (default: the first one listed)", type=float)
    return parser


def class_id_of(name: str, pipeline: Pipeline, num_classes: int) -> int:
    """The class with that name or number.

    Raises:
        ValueError: there is none.
    """
    names = pipeline.class_names or ()
    if name in names:
        return names.index(name)
    if name.isdecimal() and int(name) < num_classes:
        return int(name)
    raise ValueError(f"--class {name!r} is not one of the model's {num_classes} classes.{did_you_mean(name, names)}")


def look_at_clips(pipeline: Pipeline, args: argparse.Namespace) -> tuple[Looked, list[int]]:
    """The clips with the highest scores, in order of time, and the class of each."""
    protocol = replace(pipeline.protocol, num_crops=1, single_crop="centre")
    with pipeline.open(args.video) as reader:
        views = read_views(reader, protocol)
    scores = pipeline.scores_of(views)
    best = int(scores.mean(0).argmax())
    wanted = best if args.class_name is None else class_id_of(args.class_name, pipeline, scores.shape[1])
    chosen = np.sort(np.argsort(-scores[:, wanted], kind="stable")[: args.clips])
    looked = Looked(views.views(chosen.tolist()), scores[chosen], views.view_seconds.numpy()[chosen])
    return looked, [wanted] * len(chosen)


def look_at_boxes(pipeline: Pipeline, args: argparse.Namespace) -> tuple[Looked, list[int]]:
    """The boxes of one key frame, and the class of each: its own best one, unless one is named."""
    seconds, listed = key_frame_of(args)
    with pipeline.open(args.video) as reader:
        prediction = pipeline(reader, boxes=listed, seconds=seconds)  # checks both
        frames, placed = read_key_frame(reader, pipeline.protocol.variants()[0], seconds, torch.as_tensor(listed))
    scores = prediction.mean_scores
    wanted = scores.argmax(1).tolist()
    if args.class_name is not None:
        wanted = [class_id_of(args.class_name, pipeline, scores.shape[1])] * len(scores)
    boxes = torch.cat([torch.zeros(len(placed), 1), placed], dim=1)
    return Looked(frames[None], scores, prediction.seconds[:1].repeat(len(scores), 0), boxes), wanted


def key_frame_of(args: argparse.Namespace) -> tuple[float, np.ndarray]:
    """Seconds and boxes (R, 4) of the selected key frame.

    Raises:
        ValueError: the list has none for the video, or none at that time.
    """
    listed = [(seconds, boxes) for seconds, boxes, _ in ListedBoxes(args.boxes).key_frames(args.video)]
    found = [row for row in listed if args.seconds is None or abs(row[0] - args.seconds) < 0.01]
    if not found:
        at = f"; it lists {', '.join(f'{seconds:g}' for seconds, _ in listed[:10])} seconds" if listed else ""
        raise ValueError(f"{args.boxes} has no box of {args.video} at --seconds {args.seconds}{at}.")
    return found[0]


def explain(pipeline: Pipeline, args: argparse.Namespace) -> list[str]:
    """Write the files; returns a line for each clip or box."""
    look = look_at_boxes if takes_boxes(pipeline.model) else look_at_clips
    looked, classes = look(pipeline, args)
    layers = find_layers(pipeline, args.layer) if args.layer else default_layers(pipeline, looked.frames, looked.boxes)
    maps = grad_cam(pipeline, looked.frames, classes, layers, boxes=looked.boxes, method=args.method)
    pixels = looked.pixels()
    columns = {"frames": pixels}
    for title, found in maps.items():
        columns[title] = with_heat(pixels, normalized(found).numpy())
    titles = []
    for class_id, score, (begin, end) in zip(classes, looked.scores, looked.seconds.tolist(), strict=True):
        name = printable(class_name(class_id, pipeline.class_names))
        titles.append(f"{name}: score {score[class_id]:.3f}, {begin:.2f} to {end:.2f} s")
    args.output.mkdir(parents=True, exist_ok=True)
    contact_sheet(columns, titles=titles).save(args.output / "sheet.png")
    begin, end = looked.seconds[0]
    write_overlay(args.output / "overlay.mp4", columns, titles=titles, fps=pixels.shape[1] / max(end - begin, 1e-3))
    arrays: dict[str, Any] = {f"map_{title}": found.numpy() for title, found in maps.items()}
    if looked.boxes is not None:
        arrays["boxes"] = looked.boxes[:, 1:].numpy()
    arrays |= {"frames": pixels, "class_ids": np.array(classes), "scores": looked.scores, "seconds": looked.seconds}
    arrays["layers"] = np.array([f"{title}={layer}" for title, layer in layers.items()])
    np.savez_compressed(args.output / "maps.npz", **arrays)
    return [*titles, f"layers: {', '.join(layers.values())}; {args.method}"]


@command(build_parser)
def main(args: argparse.Namespace) -> int:
    """Explain one video."""
    setup_logging()
    pipeline = load_model(args)
    if takes_boxes(pipeline.model) != (args.boxes is not None):
        raise ValueError(
            "this is a detection model: give a list of boxes (--boxes)."
            if takes_boxes(pipeline.model)
            else "this model scores whole clips: omit --boxes."
        )
    for line in explain(pipeline, args):
        print(line)
    print(f"{args.output}: overlay.mp4, sheet.png, maps.npz")
    return 0
