"""The data side of the benchmark: a clip, the views of a test video, and training as a whole."""

from __future__ import annotations

import statistics
import time
from pathlib import Path

import av
import numpy as np
import torch

from slowfast.config import Config, with_overrides
from slowfast.datasets import build_dataset
from slowfast.datasets.contract import SPLITS
from slowfast.engine.build_trainer import build_trainer
from slowfast.video.container import create_video
from slowfast.video.reader import VideoReader


def write_benchmark_video(path: Path) -> Path:
    """An H.264 file of 30 fps with a scrolling texture and noise, coded like Kinetics files; returns its path."""
    height, width, num_frames = 256, 340, 300
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (height // 8 + 1, 2 * width // 8 + 1, 3), dtype=np.uint8)
    texture = coarse.repeat(8, axis=0).repeat(8, axis=1)
    with create_video(path) as container:
        stream = container.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for i in range(num_frames):
            frame = texture[:height, i : i + width].astype(np.int16) + rng.integers(-6, 7, (height, width, 3))
            picture = av.VideoFrame.from_ndarray(frame.clip(0, 255).astype(np.uint8), format="rgb24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    return path


def check_data_config(cfg: Config) -> None:
    """Return if the data of ``cfg`` can be stood in for by lists of one video.

    Raises:
        ValueError: its samples are boxes, or have optical flow, which is computed once and then read.
    """
    for key, has_other_data in (
        ("DETECTION.ENABLE=True", cfg.DETECTION.ENABLE),
        ("SLOWFAST.FAST_INPUT='flow'", cfg.SLOWFAST.FAST_INPUT == "flow"),
    ):
        if has_other_data:
            raise ValueError(
                f"{key}: loading and throughput are measured only on clips of RGB video. Set --parts train eval."
            )


def _config_for(cfg: Config, folder: Path, video: Path, *, num_rows: int, overrides: list) -> Config:
    """``cfg`` with lists of one video, ``num_rows`` times, in ``folder``.

    Raises:
        ValueError: see ``check_data_config``.
    """
    check_data_config(cfg)
    for split in SPLITS:
        (folder / f"{split}.csv").write_text(f"{video} 0\n" * num_rows, encoding="utf-8")
    return with_overrides(cfg, ["DATA.PATH_TO_DATA_DIR", str(folder), "DATA.PATH_PREFIX", "", *overrides])


def measure_loading(cfg: Config, folder: Path, video: Path, *, repeats: int) -> dict[str, float]:
    """Median milliseconds with one thread: decoding every frame, a training clip, all views of a test video."""
    cfg = _config_for(
        cfg, folder, video, num_rows=repeats + 1, overrides=["TRAIN.DATASET", "kinetics", "TEST.DATASET", "kinetics"]
    )
    train, test = build_dataset(cfg, "train"), build_dataset(cfg, "test")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as in a loader's worker
    try:
        return {
            "decoding every frame, ms": _median_ms(lambda _: _decode_all(video), max(3, repeats // 4)),
            "a training clip, ms": _median_ms(lambda i: train[(0, i)], repeats),
            f"all {test.num_views} views of a test video, ms": _median_ms(lambda i: test[i], max(3, repeats // 4)),
        }
    finally:
        torch.set_num_threads(threads)


def _decode_all(video: Path) -> None:
    with VideoReader(str(video)) as reader:
        reader.frames_at(torch.arange(reader.num_frames))


def _median_ms(run, repeats: int) -> float:
    seconds = []
    for i in range(repeats + 1):
        start = time.perf_counter()
        run(i)
        seconds.append(time.perf_counter() - start)
    return 1000 * statistics.median(seconds[1:])


class _Records:
    """Replaces the writer of the trainer's log."""

    def __init__(self):
        self.records: list[dict] = []
        self.num_records = 0

    def write(self, step: int, record: dict) -> None:
        self.records.append(record)
        self.num_records += 1

    def close(self) -> None:
        pass


def measure_training(cfg: Config, folder: Path, video: Path, *, batch: int, steps: int) -> dict[str, float]:
    """Clips per second of real training, and the percentage of its time spent waiting for data; without the first
    step."""
    processes = max(1, cfg.NUM_GPUS)
    workers = min(cfg.DATA_LOADER.NUM_WORKERS, 2 if cfg.NUM_GPUS == 0 else 8)
    overrides = ["TRAIN.DATASET", "kinetics", "TRAIN.BATCH_SIZE", batch * processes, "TRAIN.EVAL_PERIOD", 0]
    overrides += ["TRAIN.AUTO_RESUME", False, "OUTPUT_DIR", str(folder / "out"), "LOG_PERIOD", 1]
    overrides += ["DATA_LOADER.NUM_WORKERS", workers, "TRAIN.MIXED_PRECISION", True]
    trainer = build_trainer(_config_for(cfg, folder, video, num_rows=batch * (steps + 1), overrides=overrides))
    trainer.log.writer = writer = _Records()
    trainer.train_epoch()
    records = writer.records[1:]
    seconds = sum(record["step_seconds"] for record in records)
    return {
        "clips per second": batch * len(records) / seconds,
        "milliseconds a step": 1000 * seconds / len(records),
        "waiting for data, percent": 100 * sum(record["data_seconds"] for record in records) / seconds,
        "loader workers": float(workers),
    }
