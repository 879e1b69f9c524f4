"""What the engine makes of a config."""

import logging

import pytest
import torch

from slowfast.config import load_cfg
from slowfast.engine.build import weights_for_test
from slowfast.engine.build_trainer import build_trainer, train
from slowfast.engine.checkpoint import checkpoint_path, find_checkpoints
from slowfast.engine.tasks import build_tester
from slowfast.models import build_model
from slowfast.models.weights.load import CheckpointError
from tests.models.toys import randomize_batch_norms


@pytest.fixture
def config(tmp_path, tiny_opts):
    return lambda *overrides: load_cfg(
        "Motion/SLOWFAST_4x4_R18", [*tiny_opts, "OUTPUT_DIR", str(tmp_path), *map(str, overrides)]
    )


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


def test_finetuning_starts_from_weights_alone(config, tmp_path, caplog):
    train(config("TEST.ENABLE", False))
    weights = checkpoint_path(tmp_path, 1)
    with caplog.at_level(logging.INFO, logger="slowfast"):
        trainer = build_trainer(config("OUTPUT_DIR", tmp_path / "tuned", "TRAIN.CHECKPOINT_FILE_PATH", weights))
    assert trainer.epoch == 0 and not trainer.optimizer.state_dict()["state"]
    content = torch.load(weights, weights_only=True)
    loaded = trainer.model.state_dict()
    assert all(torch.equal(loaded[name], value) for name, value in content["model_state"].items())
    assert "here only its weights are used, and training begins at epoch 1" in caplog.text


def test_folding_and_the_chunk_size_do_not_change_the_scores(config):
    model = build_model(config())
    randomize_batch_norms(model)
    plain = build_tester(config("TEST.BATCH_SIZE", 9), model=model).test()
    folded = build_tester(config("TEST.BATCH_SIZE", 2, "TEST.FOLD_BN", True), model=model).test()
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
    overrides = ["IMPORTS", [str(own)], "MODEL.MODEL_NAME", "Peeks", "LOG_MODEL_INFO", True]
    with caplog.at_level(logging.WARNING, logger="slowfast"):
        train(config(*overrides))
    assert "the cost of Peeks cannot be measured" in caplog.text


def test_a_finished_training_with_other_settings_is_not_taken_for_this_one(config, caplog):
    train(config("SOLVER.BASE_LR", 0.002))
    with pytest.raises(
        CheckpointError, match=r"different settings \(SOLVER\.BASE_LR 0\.002 -> 0\.004\).*AUTO_RESUME False"
    ):
        build_trainer(config("SOLVER.BASE_LR", 0.004))
    assert build_trainer(config("SOLVER.BASE_LR", 0.002, "TEST.NUM_ENSEMBLE_VIEWS", 1)).epoch == 1  # no setting of it
    with caplog.at_level(logging.WARNING, logger="slowfast"):
        trainer = build_trainer(config("SOLVER.BASE_LR", 0.002, "SOLVER.MAX_EPOCH", 2, "SOLVER.WEIGHT_DECAY", 0.01))
    assert trainer.epoch == 1
    assert "SOLVER.MAX_EPOCH 1 -> 2, SOLVER.WEIGHT_DECAY 0.05 -> 0.01" in caplog.text
