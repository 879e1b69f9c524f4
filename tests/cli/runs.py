"""What the tests of commands share: small networks as overrides, weights that nobody trained, and what runs leave."""

from __future__ import annotations

import csv
import json
from pathlib import Path

from slowfast.cli.run import main as run_net
from slowfast.engine.checkpoint import save_checkpoint
from slowfast.models import build_model
from tests.models.toys import randomize_batch_norms, seeded


def keys(text: str) -> list[str]:
    """KEY=value pairs, with a space between them."""
    return text.split()


RECIPE = "Motion/SLOWFAST_4x4_R18"
DETECTION = "Motion/DETECTION_SLOWFAST_4x4_R18"
# A net of a quarter of the channels on frames of 32 pixels: it runs, and need not learn.
SMALL = keys(
    "RESNET.WIDTH_PER_GROUP=4 DATA.TRAIN_JITTER_SCALES=[32,36] DATA.TRAIN_CROP_SIZE=32 DATA.TEST_CROP_SIZE=32 "
    "SOLVER.MAX_EPOCH=1 TRAIN.BATCH_SIZE=4 TRAIN.MIXED_PRECISION=False BN.NUM_BATCHES_PRECISE=1 "
    "DATA_LOADER.NUM_WORKERS=0 LOG_MODEL_INFO=False"
)
# A net of half the channels on such frames, which learns within seconds: with the last batch norm of a block at zero it
# would take several times as long to begin.
LEARNING = keys(
    "RESNET.WIDTH_PER_GROUP=8 RESNET.ZERO_INIT_FINAL_BN=False SLOWFAST.BETA_INV=4 DATA.TRAIN_JITTER_SCALES=[32,36] "
    "DATA.TRAIN_CROP_SIZE=32 DATA.TEST_CROP_SIZE=32 TRAIN.EVAL_PERIOD=0 TRAIN.MIXED_PRECISION=False "
    "BN.NUM_BATCHES_PRECISE=10 DATA_LOADER.NUM_WORKERS=0 LOG_MODEL_INFO=False"
)
# For tests of weights that nobody trained, on the CPU.
UNTRAINED = keys(
    "DATA.NUM_FRAMES=8 DATA.SAMPLING_RATE=2 DATA.TEST_CROP_SIZE=32 DATA.TRAIN_CROP_SIZE=32 "
    "DATA.TRAIN_JITTER_SCALES=[32,36] RESNET.WIDTH_PER_GROUP=4 SLOWFAST.BETA_INV=2 NUM_GPUS=0 TRAIN.ENABLE=False "
    "DATA_LOADER.NUM_WORKERS=0 TEST.NUM_ENSEMBLE_VIEWS=2 TEST.BATCH_SIZE=4 BN.USE_PRECISE_STATS=False"
)
SEVERAL_LABELS = keys("DATA.MULTI_LABEL=True MODEL.LOSS_FUNC=bce_logit MODEL.HEAD_ACT=sigmoid")


def run_recipe(recipe, out, *opts) -> int:
    """Exit code of ``run_net.py --cfg configs/RECIPE.yaml OPTS``, whose output goes to ``out``."""
    return run_net(["--cfg", f"configs/{recipe}.yaml", *map(str, opts), "OUTPUT_DIR", str(out)])


def untrained(cfg, path: Path, class_names: list[str] | None = None, **content) -> Path:
    """A checkpoint such as a training leaves, of random weights."""
    model = seeded(lambda: build_model(cfg))
    randomize_batch_norms(model)
    content |= {"model_state": model.state_dict(), "cfg": cfg.dump(), "class_names": class_names}
    save_checkpoint(path, content)
    return path


def output_of(opts: list[str]) -> Path:
    """OUTPUT_DIR of overrides."""
    return Path(opts[opts.index("OUTPUT_DIR") + 1])


def results_of(folder: Path) -> dict:
    """results.json of a test."""
    return json.loads((folder / "results.json").read_text())


def table(path: Path | str) -> list[dict[str, str]]:
    """The rows of a CSV file with a header."""
    return list(csv.DictReader(Path(path).read_text().splitlines()))


def records_of(folder: Path) -> list[dict]:
    """The lines of metrics.jsonl."""
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def ava_folders(root: Path) -> list[str]:
    """Overrides that name the folders of a set in AVA's form."""
    folders = {"FRAME_DIR": "frames", "FRAME_LIST_DIR": "frame_lists", "ANNOTATION_DIR": "annotations"}
    return [f"AVA.{key}={root / folder}" for key, folder in folders.items()]
