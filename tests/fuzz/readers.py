"""Every parser of the package: valid files for it, how it is called, and which errors it may raise."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from slowfast.cli.ensemble import read_results
from slowfast.cli.folds import read_result
from slowfast.config import load_cfg
from slowfast.config.files import ConfigError
from slowfast.config.merge import override_layers
from slowfast.datasets.lists.ava_boxes import read_boxes
from slowfast.datasets.lists.charades import read_charades_csv
from slowfast.datasets.lists.frame_lists import HEADER, read_frame_lists
from slowfast.datasets.lists.path_labels import read_class_names, read_path_label_list
from slowfast.datasets.lists.row_problems import AnnotationError
from slowfast.datasets.lists.ssv2 import read_entries, read_labels, read_test_entries
from slowfast.datasets.ucf_hmdb import read_hmdb_split, read_ucf_classes, read_ucf_list
from slowfast.evaluation.ava.files import (
    BadRowsError,
    read_detections,
    read_excluded_timestamps,
    read_groundtruth,
    read_label_map,
)
from slowfast.evaluation.late_fusion import FusionError, read_predictions
from slowfast.models.weights.load import CheckpointError, load_weights, read_checkpoint
from slowfast.motion.files import read_manifest as read_motion_manifest
from slowfast.prediction.boxes import BoxListError, ListedBoxes
from slowfast.prediction.sources import find_sources
from slowfast.preparation.files import check_or_write_settings
from slowfast.preparation.frame_list_files import read_video_ids
from slowfast.preparation.inspection import VideoFacts, inspect_video, read_manifest, write_manifest
from slowfast.preparation.kinetics_lists import read_annotations
from slowfast.utils.tensor_files import TensorFileError, load_state
from slowfast.video.flow import FlowReader, FlowStore
from slowfast.video.forward import open_file, open_stream
from slowfast.video.reader import FrameFolderReader, VideoReader, VideoReadError
from slowfast.video.stream import FrameStream
from slowfast.visualization.comparison import read_metrics
from tests.fuzz.harness import Reader
from tests.fuzz.mutators import BYTES, JSON, TEXT
from tests.video_files import REAL_VIDEOS, SHARED_VIDEOS, MemoryReader, write_video

WRITTEN_VIDEOS = {
    "a.mp4": "libx264", "a.ts": "libx264", "a.mkv": "libx264", "a.avi": "mpeg4", "a.webm": "libvpx-vp9",
    "a.mpg": "mpeg2video", "a.flv": "libx264", "a.wmv": "wmv2", "a.mov": "mpeg4",
}  # fmt: skip


def text(name: str, content: str) -> Callable[[Path], Sequence[Path]]:
    """Writes one file."""

    def write(folder: Path) -> Sequence[Path]:
        (folder / name).write_text(content, encoding="utf-8")
        return [folder / name]

    return write


def lines_of(name: str, row: Callable[[int], str], count: int = 12, header: str = "") -> Callable:
    return text(name, header + "".join(row(i) + "\n" for i in range(count)))


def dump(name: str, content: object) -> Callable[[Path], Sequence[Path]]:
    return text(name, json.dumps(content, indent=1))


# Videos and images


def write_videos(folder: Path) -> list[Path]:
    paths = [write_video(folder / name, num_frames=8, codec=codec) for name, codec in WRITTEN_VIDEOS.items()]
    return paths + _copies(REAL_VIDEOS, folder)


def write_shared_videos(folder: Path) -> list[Path]:
    """The larger real clips, where they are at hand."""
    return _copies(SHARED_VIDEOS, folder) or write_videos(folder)


def _copies(source: Path, folder: Path) -> list[Path]:
    paths = []
    for path in sorted(source.glob("*.*")):
        if path.suffix != ".md":
            paths.append(folder / f"real_{path.name}")
            paths[-1].write_bytes(path.read_bytes())
    return paths


def read_video(path: Path) -> None:
    with VideoReader(path) as video:
        last = video.num_frames - 1
        frames = video.frames_at([0, last // 2, last])
        assert frames.shape[:2] == (3, 3) and frames.dtype == torch.uint8
        video.frames_at([last // 3], 16)


def stream_video(path: Path) -> None:
    with FrameStream(path) as stream:
        for seconds, frame in islice(stream.frames(from_seconds=0.1), 20):
            assert isinstance(seconds, float) and frame.width
        stream.missing()
    inspect_video(str(path))


def read_forward(path: Path) -> None:
    """From front to back, as a file and as bytes that come through a pipe."""
    with open_file(str(path)) as video:
        assert video.frames_at([0, min(5, video.num_frames - 1)]).dtype == torch.uint8
    with path.open("rb") as file, open_stream(file, name=str(path)) as video:
        if video.reaches(4):
            video.frames_at([1, 3])


def write_images(folder: Path) -> list[Path]:
    pixels = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)
    paths = [folder / name for name in ("a.jpg", "a.png", "a.webp", "a.bmp", "a.tiff", "a.ppm")]
    exif = Image.Exif()
    exif[0x0112] = 6
    for path in paths:
        Image.fromarray(pixels).save(
            path, **({"exif": exif} if path.suffix != ".ppm" and path.suffix != ".bmp" else {})
        )
    Image.new("P", (24, 32)).save(folder / "palette.png")
    return [*paths, folder / "palette.png"]


def read_image(path: Path) -> None:
    FrameFolderReader([path], fps=30).frames_at([0], 16)


GRAY = MemoryReader(torch.zeros(4, 3, 16, 16, dtype=torch.uint8))


def write_flow(folder: Path) -> list[Path]:
    (folder / "video.mp4").write_bytes(b"")
    store = FlowStore(folder / "flow", method="farneback")
    store.flow_at([0], GRAY, folder / "video.mp4")
    return [store.file_of(folder / "video.mp4", fps=30.0)]


def read_flow(path: Path) -> None:
    video = path.parents[2] / "video.mp4"
    FlowReader(GRAY, FlowStore(path.parents[1], method="farneback"), video).frames_at([0, 3])


# Lists


def box_row(i: int) -> str:
    return f"movie{i % 3},{902 + i},0.1,0.2,0.{5 + i % 4},0.9,{1 + i % 5},{i / 20}"


def read_box_lists(path: Path) -> None:
    other = path.with_name("train.csv" if path.name == "detected.csv" else "detected.csv")
    true, detected = (other, path) if path.name == "detected.csv" else (path, other)
    options = {"video_ids": ["movie0", "movie1", "movie2"], "num_classes": 5, "score_threshold": 0.2}
    frames = read_boxes([true], [detected], **options)
    for index in range(len(frames)):
        frames.labels_of(index, 5)


def write_box_lists(folder: Path) -> list[Path]:
    for name in ("train.csv", "detected.csv"):
        (folder / name).write_text("".join(box_row(i) + "\n" for i in range(12)))
    return [folder / "train.csv", folder / "detected.csv"]


def frame_row(i: int) -> str:
    labels = f'"{i % 3}"' if i % 2 else '""'
    return f"video{i // 6} {i // 6} {i % 6} video{i // 6}/img_{i % 6:05d}.jpg {labels}"


def read_frames_of_lists(path: Path) -> None:
    lists = read_frame_lists([path], prefix="frames")
    for index in range(len(lists)):
        assert len(lists.labels(index)) == len(list(lists.frame_paths(index)))


def ssv2(folder: Path) -> list[Path]:
    templates = {f"Putting [something] near [thing {i}]": str(i) for i in range(4)}
    labels = {name.replace("[", "").replace("]", ""): label for name, label in templates.items()}
    entries = [{"id": str(i), "template": list(templates)[i % 4], "label": "x"} for i in range(9)]
    (folder / "labels.json").write_text(json.dumps(labels, indent=1))
    (folder / "train.json").write_text(json.dumps(entries, indent=1))
    (folder / "test.json").write_text(json.dumps([{"id": entry["id"]} for entry in entries], indent=1))
    answers = "".join(f"{i};{list(templates)[i % 4]}\n" for i in range(9))
    (folder / "test-answers.csv").write_text(answers)
    return [folder / name for name in ("labels.json", "train.json", "test.json", "test-answers.csv")]


def read_ssv2(path: Path) -> None:
    labels = read_labels(path.with_name("labels.json"))
    if path.name == "train.json":
        read_entries(path, labels)
    elif path.name != "labels.json":
        read_test_entries(path.with_name("test.json"), labels)


def hmdb(folder: Path) -> list[Path]:
    for name in ("cartwheel", "wave"):
        rows = "".join(f"{name}_{i}.avi {i % 3} \n" for i in range(6))
        (folder / f"{name}_test_split1.txt").write_text(rows)
    return [folder / "cartwheel_test_split1.txt"]


KINETICS_HEADER = "label,youtube_id,time_start,time_end,split\n"
KINETICS_JSON = {
    f"abcdefghij{i}": {"annotations": {"label": f"class {i % 2}", "segment": [i, 10.0 + i]}, "subset": "train"}
    for i in range(6)
}
CHARADES_HEADER = "id,subject,actions,length\n"


def boxes_of_evaluation(columns: int) -> Callable[[int], str]:
    return lambda i: ",".join(box_row(i).split(",")[:columns]) if i % 5 else f"movie{i % 3},{902 + i}"


LABEL_MAP = "".join(f'item {{\n  name: "class {i}"\n  id: {i}\n}}\n' for i in range(1, 6))


# Figures and settings


def write_predictions(folder: Path) -> list[Path]:
    scores = np.random.default_rng(0).random((6, 4)).astype(np.float32)
    paths = np.array([f"video{i}.mp4" for i in range(6)])
    np.savez(folder / "predictions.npz", scores=scores, labels=np.arange(6) % 4, paths=paths)
    np.savez_compressed(folder / "packed.npz", scores=scores, labels=np.arange(6) % 4, paths=paths)
    return [folder / "predictions.npz", folder / "packed.npz"]


def write_results(folder: Path) -> list[Path]:
    config = (
        "DATA:\n  FOLD: 1\nTEST:\n  DATASET: ucf101\nMODEL:\n  MODEL_NAME: SlowFast\n  ARCH: slowfast\n"
        "  NUM_CLASSES: 101\n"
    )
    content = {
        "config": config,
        "figures": {"top1": 50.0, "top5": None},
        "num_videos": 10,
        "num_failed": 0,
        "protocol": {"num_clips": 10},
    }
    return dump("results.json", content)(folder)


YAML = """
_BASE_: base.yaml
TRAIN: &train
  BATCH_SIZE: 8
  DATASET: kinetics
TEST:
  DATASET: kinetics
  NUM_ENSEMBLE_VIEWS: 3
SOLVER:
  BASE_LR: 0.1
  STEPS: [0, 10, 20]
  LRS: [1, 0.1, 0.01]
DATA:
  PATH_TO_DATA_DIR: "."
  MEAN: [0.45, 0.45, 0.45]
  ARGS: {name: {a: [1, 2], b: null}}
OUTPUT_DIR: /tmp
"""


def write_configs(folder: Path) -> list[Path]:
    (folder / "base.yaml").write_text("RNG_SEED: 7\nMODEL: {NUM_CLASSES: 12}\n")
    (folder / "leaf.yaml").write_text(YAML)
    return [folder / "leaf.yaml", folder / "base.yaml"]


def read_config(path: Path) -> None:
    load_cfg(path.with_name("leaf.yaml")).dump()


def read_override(path: Path) -> None:
    from slowfast.config import get_cfg

    words = path.read_bytes().decode("utf-8", "surrogateescape").split("\n")
    cfg = get_cfg()
    override_layers(words)
    cfg.merge_from_list(words)


# Weights


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.norm = torch.nn.Conv3d(3, 4, 1), torch.nn.BatchNorm3d(4)


def write_checkpoints(folder: Path) -> list[Path]:
    state = Net().state_dict()
    content = {"epoch": 3, "model_state": state, "optimizer_state": {"state": {}, "param_groups": []}, "cfg": "A: 1\n"}
    torch.save(content, folder / "own.pyth")
    torch.save(state, folder / "plain.pyth")
    torch.save(content, folder / "old.pyth", _use_new_zipfile_serialization=False)
    blobs = {"conv1_w": np.ones((4, 3, 1, 1, 1), np.float32), "conv1_bn_s": np.ones(4, np.float64), "lr": np.float32(1)}
    for protocol in (2, 4):
        (folder / f"caffe{protocol}.pkl").write_bytes(pickle.dumps({"blobs": blobs}, protocol=protocol))
    return [folder / name for name in ("own.pyth", "plain.pyth", "old.pyth", "caffe2.pkl", "caffe4.pkl")]


def read_weights(path: Path) -> None:
    content = read_checkpoint(path)
    load_weights(Net(), content["model_state"], source=path)


def write_state_dict(folder: Path) -> list[Path]:
    torch.save(Net().state_dict(), folder / "weights.pth")
    return [folder / "weights.pth"]


ANNOTATIONS = (AnnotationError,)
SINGLE = {"num_classes": 5}
READERS: dict[str, Reader] = {
    "video": Reader(write_videos, read_video, (VideoReadError,), BYTES),
    "video_stream": Reader(write_videos, stream_video, (VideoReadError,), BYTES),
    "video_forward": Reader(write_videos, read_forward, (VideoReadError,), BYTES),
    "video_large": Reader(write_shared_videos, read_video, (VideoReadError,), BYTES),
    "image": Reader(write_images, read_image, (VideoReadError,), BYTES),
    "flow": Reader(write_flow, read_flow, (VideoReadError,), BYTES),
    "path_labels": Reader(
        lines_of("train.csv", lambda i: f"videos/class {i % 5}/video{i}.mp4 {i % 5}"),
        lambda path: read_path_label_list(path, prefix="x", num_classes=5),
        ANNOTATIONS,
        TEXT,
    ),
    "path_labels_free": Reader(
        lines_of("train.csv", lambda i: f'"videos/class {i % 5}/video{i}.mp4" {i % 5}'),
        lambda path: read_path_label_list(path, labels_optional=True, skip_rows=1),
        ANNOTATIONS,
        TEXT,
    ),
    "path_labels_multi": Reader(
        lines_of("train.csv", lambda i: f'video{i}.mp4,"{i % 5},{(i + 1) % 5}"'),
        lambda path: read_path_label_list(path, separator=",", num_classes=5, multi_label=True),
        ANNOTATIONS,
        TEXT,
    ),
    "class_ids": Reader(
        dump("classids.json", {f"class {i}": i for i in range(5)}), read_class_names, ANNOTATIONS, JSON
    ),
    "class_names": Reader(lines_of("class_names.txt", lambda i: f"class {i}"), read_class_names, ANNOTATIONS, TEXT),
    "frame_list": Reader(lines_of("frames.csv", frame_row, 24, HEADER + "\n"), read_frames_of_lists, ANNOTATIONS, TEXT),
    "charades": Reader(
        lines_of("Charades_v1_train.csv", lambda i: f"Q{i},AB,c015 0.00 7.30;c061 5.1 12.9,13.5", 8, CHARADES_HEADER),
        lambda path: read_charades_csv(path, 157).labels(157),
        ANNOTATIONS,
        TEXT,
    ),
    "ssv2": Reader(
        ssv2, read_ssv2, ANNOTATIONS, JSON, names=("labels.json", "train.json", "test.json", "test-answers.csv")
    ),
    "ucf_classes": Reader(lines_of("classInd.txt", lambda i: f"{i + 1} Class{i}"), read_ucf_classes, ANNOTATIONS, TEXT),
    "ucf_list": Reader(
        lines_of("trainlist01.txt", lambda i: f"Class{i % 3}/v_Class{i % 3}_g{i:02d}_c01.avi {i % 3 + 1}"),
        lambda path: read_ucf_list(path, ["Class0", "Class1", "Class2"]),
        ANNOTATIONS,
        TEXT,
    ),
    "hmdb": Reader(hmdb, lambda path: read_hmdb_split(path.parent, 1, "train"), ANNOTATIONS, TEXT),
    "boxes_of_key_frames": Reader(lines_of("boxes.csv", box_row), ListedBoxes, (BoxListError,), TEXT),
    "list_of_sources": Reader(
        lines_of("list.csv", lambda i: f"videos/video{i}.mp4 {i % 5}"), lambda path: find_sources([str(path)]), (), TEXT
    ),
    "ava_boxes": Reader(write_box_lists, read_box_lists, ANNOTATIONS, TEXT),
    "ava_groundtruth": Reader(
        lines_of("groundtruth.csv", boxes_of_evaluation(7)), read_groundtruth, (BadRowsError,), TEXT
    ),
    "ava_detections": Reader(
        lines_of("detections.csv", boxes_of_evaluation(8)), read_detections, (BadRowsError,), TEXT
    ),
    "ava_excluded": Reader(
        lines_of("excluded.csv", lambda i: f"movie{i % 3},{902 + i}"), read_excluded_timestamps, (BadRowsError,), TEXT
    ),
    "label_map": Reader(text("map.pbtxt", LABEL_MAP), read_label_map, (ValueError,), TEXT),
    "kinetics_csv": Reader(
        lines_of("train.csv", lambda i: f'"class {i % 2}",abcdefghij{i % 10},{i},{i + 10},train', 8, KINETICS_HEADER),
        read_annotations,
        (ValueError,),
        TEXT,
    ),
    "kinetics_json": Reader(dump("train.json", KINETICS_JSON), read_annotations, (ValueError,), JSON),
    "video_ids": Reader(lines_of("ids.csv", lambda i: f"id{i}.mp4,x,{i}"), read_video_ids, (ValueError,), TEXT),
    "manifest": Reader(
        lambda folder: (
            write_manifest(folder / "manifest.csv", [VideoFacts(f"{i}.mp4", 10, 32, 24) for i in range(5)])
            or [folder / "manifest.csv"]
        ),
        read_manifest,
        (ValueError,),
        TEXT,
    ),
    "settings": Reader(
        dump("resize.json", {"short_side": 256, "crf": 20}),
        lambda path: check_or_write_settings(path, {"short_side": 256, "crf": 20}),
        (ValueError,),
        JSON,
        names=("resize.json", "was started with different settings"),
    ),
    "motion_manifest": Reader(
        dump("manifest.json", {"dataset": "motion", "version": 1, "arguments": {"height": 3}}),
        lambda path: read_motion_manifest(path.parent),
        (ValueError,),
        JSON,
    ),
    "predictions": Reader(write_predictions, read_predictions, (FusionError,), BYTES),
    "results": Reader(write_results, read_result, (ValueError,), JSON),
    "results_beside": Reader(
        write_results, lambda path: read_results(type("Member", (), {"name": str(path)})), (ValueError,), JSON
    ),
    "metrics": Reader(
        lines_of("metrics.jsonl", lambda i: json.dumps({"step": i, "epoch": i / 4, "train/loss": 1.5})),
        read_metrics,
        (ValueError,),
        JSON,
    ),
    "config": Reader(write_configs, read_config, (ConfigError,), TEXT, names=("leaf.yaml", "base.yaml", "=")),
    "overrides": Reader(
        text("words.txt", "SOLVER.BASE_LR\n0.1\nSOLVER.STEPS\n[0, 10]\nDATA.ARGS.x\n{'a': 1}"),
        read_override,
        (ConfigError,),
        TEXT,
        names=("overrides",),
    ),
    "weights": Reader(write_checkpoints, read_weights, (CheckpointError,), BYTES),
    "state_dict": Reader(write_state_dict, lambda path: load_state(Net(), path), (TensorFileError,), BYTES),
}
