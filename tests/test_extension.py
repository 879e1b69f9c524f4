"""One file adds a model, a lateral connection, a loss, a trainer or a data set: examples of docs/EXTENDING.md, run."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest
import torch

from slowfast.cli.run import main
from slowfast.config import load_cfg
from slowfast.datasets import DATASET_REGISTRY, build_dataset, build_loader
from slowfast.engine import TRAINER_REGISTRY
from slowfast.engine.build_trainer import build_trainer
from slowfast.losses import LOSS_REGISTRY, build_loss
from slowfast.models import FUSION_REGISTRY, MODEL_REGISTRY, build_model
from slowfast.models.weights.names import rename
from slowfast.utils.seeding import seed_all
from tests.models.toys import seeded

DOCUMENT = Path(__file__).parents[1] / "docs" / "EXTENDING.md"
REGISTRIES = (MODEL_REGISTRY, FUSION_REGISTRY, LOSS_REGISTRY, DATASET_REGISTRY, TRAINER_REGISTRY)
RECIPE, MOTION = "Kinetics/SLOWFAST_4x16_R50", "Motion/SLOWFAST_4x4_R18"
SMALL = ["RESNET.DEPTH", 18, "RESNET.WIDTH_PER_GROUP", 8, "RESNET.NUM_BLOCK_TEMP_KERNEL", [[2, 2]] * 4]
SMALL += ["MODEL.NUM_CLASSES", 2, "DATA.NUM_FRAMES", 8, "SLOWFAST.ALPHA", 4, "DATA.TRAIN_CROP_SIZE", 32]


@pytest.fixture(autouse=True)
def forget():
    """Registered names and imported files end with the test."""
    before = [dict(registry._entries) for registry in REGISTRIES]
    yield
    for registry, entries in zip(REGISTRIES, before, strict=True):
        registry._entries = entries
    for name in [name for name in sys.modules if name.startswith("slowfast_extension_")]:
        del sys.modules[name]


def python_blocks() -> list[str]:
    return re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)


@pytest.fixture
def example(tmp_path):
    """Writes the document's example that defines a class; the path of the file."""

    def write(class_name: str) -> str:
        (block,) = [block for block in python_blocks() if f"class {class_name}" in block]
        path = tmp_path / f"my_{class_name.lower()}.py"
        path.write_text(block)
        return str(path)

    return write


def config(*overrides):
    return load_cfg(RECIPE, [*SMALL, *overrides])


def clip() -> torch.Tensor:
    return torch.randn(2, 3, 8, 32, 32, generator=torch.Generator().manual_seed(0))


def test_without_its_file_a_class_is_not_known():
    with pytest.raises(ValueError, match=r"SLOWFAST\.FUSION='GatedSum' is not a known lateral connection.*IMPORTS"):
        build_model(config("SLOWFAST.FUSION", "GatedSum"))


def test_a_lateral_connection(example):
    cfg = config("IMPORTS", [example("GatedSum")], "SLOWFAST.FUSION", "GatedSum")
    model = seeded(lambda: build_model(cfg)).train()
    assert [lateral.out_channels for lateral in model.laterals] == [8, 32, 64, 128]
    model(clip()).square().sum().backward()
    assert all(lateral.gate.grad.abs().sum() > 0 for lateral in model.laterals)


def test_its_gate_starts_closed_and_opens(example):
    """At the start the Slow features are those of Slow alone, whatever Fast says."""
    model = build_model(config("IMPORTS", [example("GatedSum")], "SLOWFAST.FUSION", "gatedsum")).eval()
    seen = []
    model.slow.res5.register_forward_hook(lambda _module, _inputs, output: seen.append(output))
    slow = clip()[:, :, ::4]
    with torch.no_grad():
        for fast in (clip(), -clip()):
            model([slow, fast])
        model.laterals[0].gate.fill_(1.0)
        model([slow, -clip()])
    assert torch.equal(seen[0], seen[1])
    assert not torch.allclose(seen[0], seen[2])


def test_a_network_with_it_is_saved_in_both_namings(example):
    cfg = config("IMPORTS", [example("GatedSum")], "SLOWFAST.FUSION", "GatedSum")
    source, target = seeded(lambda: build_model(cfg), 0), seeded(lambda: build_model(cfg), 1)
    target.load_state_dict(rename(source.state_dict(), to="pyslowfast"), strict=True)
    assert torch.equal(target.laterals[2].project.weight, source.laterals[2].project.weight)


def test_a_model_with_options(example):
    cfg = config("IMPORTS", [example("Mean")], "MODEL.MODEL_NAME", "Mean", "MODEL.ARGS.width", 12)
    model = build_model(cfg)
    assert model.features.out_channels == 12 and model.classifier.out_features == 2
    assert torch.allclose(model.eval()(clip()).sum(1), torch.ones(2))
    with pytest.raises(ValueError, match=r"MODEL\.ARGS: Mean takes no argument 'widht'\. Did you mean width\?"):
        build_model(config("IMPORTS", list(cfg.IMPORTS), "MODEL.MODEL_NAME", "Mean", "MODEL.ARGS.widht", 12))


def test_a_loss_with_options(example):
    imports = ["IMPORTS", [example("Focal")], "MODEL.LOSS_FUNC", "Focal"]
    logits, labels = torch.randn(4, 2, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 1, 1, 0])
    plain = torch.nn.functional.cross_entropy(logits, labels)
    assert torch.allclose(build_loss(config(*imports, "LOSS.ARGS.gamma", 0.0))(logits, labels), plain)
    assert build_loss(config(*imports, "LOSS.ARGS.gamma", 4.0))(logits, labels) < plain
    with pytest.raises(ValueError, match=r"LOSS\.ARGS: Focal takes no argument 'gama'\. Did you mean gamma\?"):
        build_loss(config(*imports, "LOSS.ARGS.gama", 4.0))


def dataset_config(example, *more):
    datasets = ["TRAIN.DATASET", "Noise", "TEST.DATASET", "Noise", "TRAIN.BATCH_SIZE", 4, "NUM_GPUS", 0]
    return config("IMPORTS", [example("Noise")], *datasets, "DATA_LOADER.NUM_WORKERS", 0, *more)


def test_a_data_set_with_options(example):
    cfg = dataset_config(example, "DATA.ARGS.num_videos", 6)
    dataset = build_dataset(cfg, "train")
    assert dataset.num_videos == 6
    (batch,) = build_loader(cfg, "train", dataset=dataset)  # 6 videos in batches of 4: one whole batch
    assert batch.frames.shape == (4, 3, 8, 32, 32)
    assert batch.labels.tolist() == [index % 2 for index in batch.video_indices.tolist()]
    with pytest.raises(
        ValueError, match=r"DATA\.ARGS: Noise takes no argument 'num_vidoes'\. Did you mean num_videos\?"
    ):
        build_dataset(dataset_config(example, "DATA.ARGS.num_vidoes", 6), "train")


# Which key names a class of a registry.
KEYS = {
    "FUSION_REGISTRY": "SLOWFAST.FUSION",
    "MODEL_REGISTRY": "MODEL.MODEL_NAME",
    "LOSS_REGISTRY": "MODEL.LOSS_FUNC",
    "DATASET_REGISTRY": "TRAIN.DATASET",
    "EVALUATOR_REGISTRY": "TEST.EVALUATOR",
    "TRAINER_REGISTRY": "TRAIN.TRAINER",
}
EXAMPLES = re.findall(r"@(\w+)\.register\(\)\nclass (\w+)", DOCUMENT.read_text())


def train_teacher(opts: list[str], folder: Path) -> str:
    """A checkpoint of a short training."""
    opts = [*opts, "OUTPUT_DIR", str(folder), "NUM_GPUS", "0", "TEST.ENABLE", "False", "TRAIN.EVAL_PERIOD", "0"]
    assert main(["--cfg", MOTION, *opts]) == 0
    return str(folder / "checkpoints/checkpoint_epoch_00001.pyth")


def test_distillation_adds_to_the_loss(example, tiny_opts, tmp_path):
    """Without weight the second loss changes nothing; with it the network moves elsewhere."""
    teacher = train_teacher(tiny_opts, tmp_path / "teacher")
    opts = [*tiny_opts, "NUM_GPUS", 0, "SOLVER.MAX_EPOCH", 1, "TRAIN.EVAL_PERIOD", 0]
    plain = load_cfg(MOTION, opts)
    given = ["IMPORTS", [example("Distilling")], "TRAIN.TRAINER", "Distilling", "TRAIN.TRAINER_ARGS.teacher", teacher]
    losses = []
    for cfg in (
        plain,
        load_cfg(MOTION, [*opts, *given, "TRAIN.TRAINER_ARGS.weight", 0.0]),
        load_cfg(MOTION, [*opts, *given, "TRAIN.TRAINER_ARGS.weight", 1.0]),
    ):
        seed_all(0)
        trainer = build_trainer(cfg)
        trainer.parallel_model.eval()  # no dropout
        trainer.train_loader.batch_sampler.set_epoch(0)
        losses.append(trainer.compute_loss(next(iter(trainer.train_loader))).item())
    assert losses[0] == losses[1] < losses[2]


def test_a_training_of_parts_of_ones_own(tiny_opts, tmp_path, monkeypatch):
    (block,) = [block for block in python_blocks() if "trainer = Trainer(" in block]
    (tmp_path / "mine.yaml").write_text(load_cfg(MOTION, [*tiny_opts, "NUM_GPUS", 0]).dump())
    monkeypatch.chdir(tmp_path)
    variables: dict = {}
    exec(block, variables)
    assert variables["trainer"].epoch == 1
    assert (tmp_path / "mine/checkpoints/checkpoint_epoch_00001.pyth").is_file()


@pytest.mark.parametrize("registry, name", EXAMPLES, ids=[name for _, name in EXAMPLES])
def test_every_example_runs_from_the_command_line(registry, name, example, tiny_opts, tmp_path):
    """Trained, evaluated, saved and tested by the same command as everything else."""
    opts = [*tiny_opts, "IMPORTS", str([example(name)]), KEYS[registry], name, "NUM_GPUS", "0"]
    if registry == "DATASET_REGISTRY":  # the example has no test split
        opts += ["TEST.ENABLE", "False"]
    if registry == "TRAINER_REGISTRY":
        opts += ["TRAIN.TRAINER_ARGS.teacher", train_teacher(tiny_opts, tmp_path / "teacher")]
    assert main(["--cfg", MOTION, *opts]) == 0
    assert (tmp_path / "out/checkpoints/checkpoint_epoch_00001.pyth").is_file()
    records = [json.loads(line) for line in (tmp_path / "out/metrics.jsonl").read_text().splitlines()]
    assert any("val/clip_top1" in record for record in records)
