"""Small configs and lists."""

from fvcore.common.config import CfgNode

from slowfast.config import get_cfg

SMALL = {
    "DATA.NUM_FRAMES": 4,
    "DATA.SAMPLING_RATE": 4,
    "DATA.TRAIN_CROP_SIZE": 32,
    "DATA.TEST_CROP_SIZE": 48,
    "TEST.NUM_ENSEMBLE_VIEWS": 2,
    "NUM_GPUS": 0,
    "DATA_LOADER.NUM_WORKERS": 0,
}


def small_config(dataset: str, folder, num_classes: int, settings: dict) -> CfgNode:
    """The config of a data set in ``folder`` with clips of 4 frames and, but for ``settings``, crops of 32 pixels."""
    own = {"TRAIN.DATASET": dataset, "TEST.DATASET": dataset, "MODEL.NUM_CLASSES": num_classes}
    settings = SMALL | own | {"DATA.PATH_TO_DATA_DIR": str(folder)} | settings
    cfg = get_cfg()
    cfg.merge_from_list([item for pair in settings.items() for item in pair])
    return cfg
