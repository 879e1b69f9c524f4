"""What the engine makes of a config."""

import logging

import pytest
import torch

from slowfast.config import find, load_cfg
from slowfast.engine.build import weights_for_test
from slowfast.engine.build_trainer import build_trainer, train
from slowfast.engine.checkpoint import checkpoint_path, find_checkpoints, save_checkpoint
from slowfast.engine.tasks import build_tester
from slowfast.models.weights.load import CheckpointError


@pytest.fixture
def config(tmp_path, tiny_motion):
    def make(*overrides):
        small = ["DATA.PATH_TO_DATA_DIR", str(tiny_motion), "OUTPUT_DIR", str(tmp_path), "DATA_LOADER.NUM_WORKERS", 0]
        small += ["DATA.NUM_FRAMES", 8, "DATA.TRAIN_JITTER_SCALES", [32, 36], "DATA.TRAIN_CROP_SIZE", 32]
        small += ["DATA.TEST_CROP_SIZE", 32, "RESNET.WIDTH_PER_GROUP", 8, "TRAIN.BATCH_SIZE", 4, "SOLVER.MAX_EPOCH", 1]
        small += ["TRAIN.MIXED_PRECISION", False, "BN.NUM_BATCHES_PRECISE", 1, "TRAIN.CHECKPOINT_PERIOD", 1]
        return load_cfg(find("Motion/SLOWFAST_4x4_R18"), [*small, *overrides])

    return make


def test_an_unreadable_newest_checkpoint_gives_way_to_the_one_before(config, tmp_path, caplog):
    train(config())
    path = checkpoint_path(tmp_path, 1)
    checkpoint_path(tmp_path, 2).write_bytes(path.read_bytes()[:1000])
    with caplog.at_level(logging.WARNING, logger="slowfast"):
        trainer = build_trainer(config("SOLVER.MAX_EPOCH", 3))
    assert trainer.epoch == 1
    assert "checkpoint_epoch_00002.pyth" in caplog.text and "Trying the previous one." in caplog.text


def test_a_checkpoint_of_another_model_is_not_resumed(config, tmp_path):
    train(config())
    with pytest.raises(
        CheckpointError, match=r"checkpoint_epoch_00001.pyth belongs to a different model .*TRAIN.AUTO_RESUME False"
    ):
        build_trainer(config("RESNET.WIDTH_PER_GROUP", 16))


def test_finetuning_starts_from_weights_alone(config, tmp_path):
    cfg = config()
    train(cfg)
    weights = tmp_path / "weights.pyth"
    content = torch.load(checkpoint_path(tmp_path, 1), weights_only=True)
    save_checkpoint(weights, content)
    other = config("OUTPUT_DIR", str(tmp_path / "tuned"), "TRAIN.CHECKPOINT_FILE_PATH", str(weights))
    trainer = build_trainer(other)
    assert trainer.epoch == 0 and not trainer.optimizer.state_dict()["state"]
    loaded = trainer.model.state_dict()
    assert all(torch.equal(loaded[name], value) for name, value in content["model_state"].items())


def test_the_weights_to_test_are_chosen_in_order(config, tmp_path):
    with pytest.raises(CheckpointError, match="no weights to test"):
        weights_for_test(config())
    assert weights_for_test(config("TRAIN.CHECKPOINT_FILE_PATH", "a.pyth")) == "a.pyth"
    checkpoint_path(tmp_path, 7).parent.mkdir()
    checkpoint_path(tmp_path, 7).touch()
    checkpoint_path(tmp_path, 12).touch()
    assert [path.name for path in find_checkpoints(tmp_path)] == [
        "checkpoint_epoch_00012.pyth",
        "checkpoint_epoch_00007.pyth",
    ]
    assert weights_for_test(config("TRAIN.CHECKPOINT_FILE_PATH", "a.pyth")).endswith("checkpoint_epoch_00012.pyth")
    assert weights_for_test(config("TEST.CHECKPOINT_FILE_PATH", "b.pyth")) == "b.pyth"


def test_folding_and_the_chunk_size_do_not_change_the_scores(config, tmp_path):
    train(config())
    plain = build_tester(config("TEST.BATCH_SIZE", 9)).test()
    folded = build_tester(config("TEST.BATCH_SIZE", 2, "TEST.FOLD_BN", True)).test()
    torch.testing.assert_close(torch.from_numpy(plain.scores), torch.from_numpy(folded.scores), rtol=1e-4, atol=1e-5)


def test_a_model_that_the_meta_device_does_not_run_trains_all_the_same(config, tmp_path, caplog):
    own = tmp_path / "own.py"
    own.write_text(
        "from torch import nn\n"
        "from slowfast.models import MODEL_REGISTRY\n"
        "@MODEL_REGISTRY.register()\n"
        "class Peeks(nn.Module):\n"
        "    def __init__(self, *, num_classes):\n"
        "        super().__init__()\n"
        "        self.classifier = nn.Linear(3, num_classes)\n"
        "    def forward(self, clip):\n"
        "        scale = float(clip.abs().max())\n"  # a value: the meta device has none
        "        logits = self.classifier(clip.mean((2, 3, 4)) / scale)\n"
        "        return logits if self.training else logits.softmax(1)\n"
    )
    with caplog.at_level(logging.WARNING, logger="slowfast"):
        train(config("IMPORTS", [str(own)], "MODEL.MODEL_NAME", "Peeks"))
    assert "the cost of Peeks cannot be measured" in caplog.text


def test_training_of_another_framework_is_not_continued(config, tmp_path):
    """PySlowFast's checkpoints have an optimizer state in an order of their own; their weights are welcome."""
    train(config())
    path = checkpoint_path(tmp_path, 1)
    content = torch.load(path, weights_only=True)
    theirs = {key: content[key] for key in ("epoch", "model_state", "optimizer_state", "cfg", "scaler_state")}
    save_checkpoint(path, theirs)
    with pytest.raises(CheckpointError, match=r"not written by this framework.*TRAIN.CHECKPOINT_FILE_PATH"):
        build_trainer(config())
    other = config("OUTPUT_DIR", str(tmp_path / "tuned"), "TRAIN.CHECKPOINT_FILE_PATH", str(path))
    assert build_trainer(other).epoch == 0


def test_a_finished_training_with_other_settings_is_not_taken_for_this_one(config):
    train(config("SOLVER.BASE_LR", 0.002))
    with pytest.raises(
        CheckpointError, match=r"different settings \(SOLVER\.BASE_LR 0\.002 -> 0\.004\).*AUTO_RESUME False"
    ):
        build_trainer(config("SOLVER.BASE_LR", 0.004))
    assert build_trainer(config("SOLVER.BASE_LR", 0.002, "TEST.NUM_ENSEMBLE_VIEWS", 1)).epoch == 1  # no setting of it


def test_going_on_with_other_settings_is_said(config, caplog):
    train(config())
    with caplog.at_level(logging.WARNING, logger="slowfast"):
        trainer = build_trainer(config("SOLVER.MAX_EPOCH", 2, "SOLVER.WEIGHT_DECAY", 0.01))
    assert trainer.epoch == 1
    assert "SOLVER.MAX_EPOCH 1 -> 2, SOLVER.WEIGHT_DECAY 0.05 -> 0.01" in caplog.text
