"""The average of the weights: what it is, that it is evaluated and saved beside them, and that tests take it."""

from __future__ import annotations

import json

import pytest
import torch

import slowfast
from slowfast.cli.run import main
from slowfast.engine.checkpoint import find_checkpoints
from slowfast.engine.step import StepOptions
from slowfast.engine.validation import Validation
from slowfast.engine.weight_average import WeightAverage
from slowfast.models.weights.load import CheckpointError
from tests.engine.toys import MemoryLoader, TinyNet, make_trainer, random_clips


def test_it_is_the_average_of_what_came_with_a_warm_up():
    model = TinyNet(norm=True)
    average = WeightAverage(model, 0.25)
    expected, seen = model.classifier.weight.detach().clone(), []
    for step in range(1, 5):
        with torch.no_grad():
            model.classifier.weight.normal_()
            model.bn.running_mean.normal_()
        model.bn.num_batches_tracked += 3
        average.update(model)
        decay = min(0.25, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * model.classifier.weight.detach()
        seen.append(decay)
    torch.testing.assert_close(average.model.classifier.weight, expected)
    assert seen == [2 / 11, 0.25, 0.25, 0.25]
    assert average.model.bn.num_batches_tracked == model.bn.num_batches_tracked == 12
    assert not torch.equal(average.model.bn.running_mean, model.bn.running_mean)


def test_it_is_evaluated_beside_the_weights_and_can_choose_the_best(tmp_path):
    seen = []

    def evaluate(model):
        seen.append(model)
        return {"top1": float(len(seen))}

    loader = MemoryLoader(*random_clips(8), batch_size=4)
    trainer = make_trainer(
        TinyNet(norm=True),
        loader,
        step_options=StepOptions(ema_decay=0.9),
        validation=Validation(evaluate),
        precise_bn_batches=2,
    )
    figures = trainer.train()
    assert figures == {"top1": 3.0, "ema_top1": 4.0}
    assert seen == [trainer.model, trainer.ema.model] * 2
    norms = trainer.model.bn, trainer.ema.model.bn  # each has precise statistics under its own weights
    assert not torch.equal(norms[0].running_var, norms[1].running_var)
    assert not trainer.ema.model.training


def test_a_run_tests_it_and_pipelines_load_it(tiny_opts, tmp_path):
    opts = [*tiny_opts, "TRAIN.EMA_DECAY", "0.5", "TEST.EMA", "True", "NUM_GPUS", "0", "MODEL.DROPOUT_RATE", "0.0"]
    opts += ["TRAIN.BEST_FIGURE", "ema_top1"]
    assert main(["--cfg", "configs/Motion/SLOWFAST_4x4_R18.yaml", *opts]) == 0
    records = [json.loads(line) for line in (tmp_path / "out/metrics.jsonl").read_text().splitlines()]
    assert any("val/clip_ema_top1" in record for record in records)
    results = json.loads((tmp_path / "out/results.json").read_text())
    assert results["weights"].endswith("(averaged)") and results["trained_in"]["whole"] == 4
    path = find_checkpoints(tmp_path / "out")[0]
    stored = torch.load(path, weights_only=True)
    average, plain = stored["states"]["ema"]["model_state"], stored["model_state"]
    name = "head.classifier.weight"
    assert not torch.equal(average[name], plain[name])
    for is_averaged, expected in ((True, average), (False, plain)):
        pipeline = slowfast.load(path, overrides=["TEST.EMA", is_averaged], device="cpu")
        assert torch.equal(pipeline.model.state_dict()[name], expected[name])
    torch.save({**stored, "states": {}}, path)
    with pytest.raises(CheckpointError, match=r"holds no averaged weights \(TEST\.EMA\)"):
        slowfast.load(path, overrides=["TEST.EMA", True], device="cpu")
