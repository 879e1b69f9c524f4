"""Runs of Motion's detection and multi-label recipes from the command line, as their end-to-end tests make them."""

from slowfast.cli.run import main as run_net

# A net of a quarter of the channels on frames of 32 pixels: it runs, and need not learn.
SMALL = [
    "RESNET.WIDTH_PER_GROUP", "4",
    "DATA.TRAIN_JITTER_SCALES", "[32, 36]",
    "DATA.TRAIN_CROP_SIZE", "32",
    "DATA.TEST_CROP_SIZE", "32",
    "SOLVER.MAX_EPOCH", "1",
    "TRAIN.BATCH_SIZE", "4",
    "TRAIN.MIXED_PRECISION", "False",
    "BN.NUM_BATCHES_PRECISE", "1",
    "DATA_LOADER.NUM_WORKERS", "0",
    "LOG_MODEL_INFO", "False",
]  # fmt: skip

# A net of half the channels on such frames, which learns within seconds: with the last batch norm of a block at zero it
# would take several times as long to begin.
LEARNING = [
    "RESNET.WIDTH_PER_GROUP", "8",
    "RESNET.ZERO_INIT_FINAL_BN", "False",
    "SLOWFAST.BETA_INV", "4",
    "DATA.TRAIN_JITTER_SCALES", "[32, 36]",
    "DATA.TRAIN_CROP_SIZE", "32",
    "DATA.TEST_CROP_SIZE", "32",
    "TRAIN.EVAL_PERIOD", "0",
    "TRAIN.MIXED_PRECISION", "False",
    "BN.NUM_BATCHES_PRECISE", "10",
    "DATA_LOADER.NUM_WORKERS", "0",
    "LOG_MODEL_INFO", "False",
]  # fmt: skip


def run_recipe(recipe, out, *opts):
    """Exit code of ``run_net.py --cfg configs/RECIPE.yaml OPTS``, whose output goes to ``out``."""
    return run_net(["--cfg", f"configs/{recipe}.yaml", *map(str, opts), "OUTPUT_DIR", str(out)])
