"""A training that is stopped anywhere and goes on ends where one that was never stopped does, bit for bit."""

import json
import os
import signal

import pytest
import torch
from torch.optim.swa_utils import AveragedModel

from slowfast.engine.checkpoint import CheckpointFolder, checkpoint_path, find_checkpoints, read_training_state
from slowfast.engine.step import StepOptions
from slowfast.engine.train_log import TrainLog
from slowfast.engine.trainer import Trainer
from slowfast.engine.training_state import load_optimizer
from slowfast.engine.validation import BestFigure, Validation
from slowfast.models.weights.load import CheckpointError, load_weights
from slowfast.utils.errors import StoppedError
from slowfast.utils.logging import MetricWriter
from slowfast.utils.signals import stop_on_signals
from tests.engine.toys import MemoryLoader, TinyNet, make_trainer, random_clips

NUM_EPOCHS = 3


class Averaging(Trainer):
    """With something of its own to save, and a hook before each step."""

    before_step = staticmethod(lambda trainer: None)

    def __init__(self, **options):
        super().__init__(**options)
        self.average = AveragedModel(self.model)
        self.add_state("average", self.average)

    def train_step(self, batch):
        self.before_step(self)
        loss = super().train_step(batch)
        self.average.update_parameters(self.model)
        return loss


def build(folder, **saving) -> Averaging:
    """A trainer of a net with dropout and batch norm in a folder; it goes on where one before stopped.

    Args:
        saving: keyword arguments of ``CheckpointFolder``.
    """
    torch.manual_seed(0)
    frames, labels = random_clips(8)
    model = TinyNet(norm=True, dropout=0.5)
    found = find_checkpoints(folder)
    state = read_training_state(found[0]) if found else None

    def evaluate(model) -> dict[str, float]:
        scores = model.eval()(trainer.preprocess(frames))
        return {"score": scores[:, 0].sum().item()}

    trainer = make_trainer(
        model,
        MemoryLoader(frames, labels, batch_size=2),
        trainer_class=Averaging,
        num_epochs=NUM_EPOCHS,
        schedule=lambda epoch: 0.1 / (1 + epoch),
        checkpoints=CheckpointFolder(folder, **saving),
        log=TrainLog(MetricWriter(folder, start=0 if state is None else state["training"]["num_records"]), period=3),
        validation=Validation(evaluate, best_figure="score"),
        precise_bn_batches=2,
        step_options=StepOptions(ema_decay=0.9),
    )
    if state is not None:
        load_weights(model, state["model_state"])
        trainer.resume(state)
    return trainer


def outcome(trainer: Averaging, folder) -> tuple:
    """All that has to be equal: weights, optimizer, average, best figure, records without times."""
    trainer.log.close()
    records = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    kept = ("step", "epoch", "lr", "train/loss", "val/score", "val/ema_score")
    optimizer = trainer.optimizer.state_dict()["state"]
    tensors = {
        **trainer.model.state_dict(),
        **{f"average.{k}": v for k, v in trainer.average.state_dict().items()},
        **{f"ema.{k}": v for k, v in trainer.ema.model.state_dict().items()},
        **{f"momentum.{k}": v["momentum_buffer"] for k, v in optimizer.items()},
    }
    best = (trainer.best.value, trainer.best.epoch)
    return tensors, best, trainer.step, [{k: r[k] for k in kept if k in r} for r in records]


def assert_same(one: tuple, other: tuple) -> None:
    assert one[0].keys() == other[0].keys()
    assert all(torch.equal(value, other[0][name]) for name, value in one[0].items())
    assert one[1:] == other[1:]


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    folder = tmp_path_factory.mktemp("straight")
    trainer = build(folder)
    trainer.train()
    return outcome(trainer, folder)


def send(number=signal.SIGTERM) -> None:
    os.kill(os.getpid(), number)


def run_until_done(folder, interrupt) -> tuple[Averaging, int]:
    """Train, and again after every stop; ``interrupt(trainer, number of the run)`` sets a stop up. How many runs."""
    for run in range(100):
        trainer = build(folder)
        interrupt(trainer, run)
        try:
            with stop_on_signals():
                trainer.train()
            return trainer, run + 1
        except StoppedError as error:
            assert "the same command resumes from there" in str(error)
            trainer.log.close()
            torch.manual_seed(run + 50)  # another process would not be where this one is
    raise AssertionError("it never ends")


@pytest.mark.parametrize("steps", [[1], [4], [5], [2, 3, 9, 12], list(range(1, 13))])
def test_a_signal_between_any_two_steps(tmp_path, straight, steps):
    """A signal during step n: step n is finished, and the state of after it saved."""

    def interrupt(trainer, _run):
        trainer.before_step = lambda t: send() if t.step + 1 in steps else None

    trainer, runs = run_until_done(tmp_path, interrupt)
    assert runs == 1 + len(steps)
    assert_same(outcome(trainer, tmp_path), straight)


@pytest.mark.parametrize("batch", [1, 2])
def test_a_signal_in_precise_batch_norm(tmp_path, straight, batch):
    def interrupt(trainer, run):
        forwards = []

        def count(*_):
            forwards.append(trainer.due)
            if run == 0 and forwards.count({"precise_bn", "evaluate", "evaluate_ema", "save"}) == batch:
                send(signal.SIGUSR1)

        trainer.model.register_forward_pre_hook(count)

    trainer, runs = run_until_done(tmp_path, interrupt)
    assert runs == 2
    assert_same(outcome(trainer, tmp_path), straight)


@pytest.mark.parametrize("of_average", [False, True])
def test_a_stop_in_the_evaluation_goes_on_with_it(tmp_path, straight, of_average):
    class Stop(Exception):
        pass

    trainer = build(tmp_path)
    evaluate = trainer.validation.evaluate

    def stop(model):
        if model is trainer.model and of_average:
            return evaluate(model)
        raise Stop

    trainer.validation = Validation(stop, best_figure="score")
    with pytest.raises(Stop):
        trainer.train()
    trainer.log.close()
    torch.manual_seed(99)
    resumed = build(tmp_path)
    assert resumed.due == {"evaluate_ema", "save"} | ({"evaluate"} if not of_average else set())
    assert resumed.epoch == 1 and resumed.batch == 0
    resumed.train()
    assert_same(outcome(resumed, tmp_path), straight)


@pytest.mark.parametrize("act", ["save", "keep_best"])
def test_a_stop_behind_the_evaluation_does_not_repeat_it(tmp_path, straight, act):
    class Stop(Exception):
        pass

    trainer = build(tmp_path)

    def stop():
        raise Stop

    if act == "save":
        trainer.checkpoints.period = 2  # the state of after the evaluation is one inside an epoch
        trainer.train_epoch()
        trainer.due.discard("save")
        trainer.update_precise_bn()
        trainer.run_evaluation()
        trainer.run_ema_evaluation()
    else:
        trainer.keep_best = stop
        with pytest.raises(Stop):
            trainer.train()
    trainer.log.close()
    torch.manual_seed(99)
    resumed = build(tmp_path)
    assert not {"evaluate", "evaluate_ema"} & resumed.due and resumed.figures_epoch == 1
    resumed.train()
    assert_same(outcome(resumed, tmp_path), straight)
    assert read_training_state(tmp_path / "checkpoints" / "best.pyth")["epoch"] + 1 == straight[1][1]


def test_a_state_is_saved_by_the_clock(tmp_path, straight):
    trainer = build(tmp_path, minutes=1e-9)
    names = set()
    trainer.before_step = lambda t: names.update(path.name for path in find_checkpoints(tmp_path))
    trainer.train()
    assert {f"checkpoint_epoch_00000_batch_{batch:06d}.pyth" for batch in range(4)} <= names
    assert [path.name for path in find_checkpoints(tmp_path)] == [
        f"checkpoint_epoch_0000{epoch}.pyth" for epoch in (3, 2, 1)
    ]
    assert_same(outcome(trainer, tmp_path), straight)


def test_two_states_inside_an_epoch_stay_in_case_the_newest_is_damaged(tmp_path, caplog):
    trainer = build(tmp_path, minutes=1e-9)
    seen = []
    trainer.before_step = lambda t: seen.append(len(find_checkpoints(tmp_path)))
    trainer.train_epoch()
    assert seen == [1, 2, 2, 2]


@pytest.mark.parametrize("keep, expected", [(0, [3, 2, 1]), (2, [3, 2]), (1, [3])])
def test_the_newest_epochs_stay(tmp_path, keep, expected):
    build(tmp_path, keep=keep).train()
    assert find_checkpoints(tmp_path) == [checkpoint_path(tmp_path, epoch) for epoch in expected]
    assert (tmp_path / "checkpoints" / "best.pyth").is_file()


@pytest.mark.parametrize(
    "name, values, best, trained",
    [
        ("top1", [1, 3, 2, 3, 3, 9], 3.0, 4),  # an equal figure is no better one
        ("-loss", [5, 4, 6, 7, 1, 1], 4.0, 4),
        ("top1", [1, 2, 3, 4, 5, 6], 6.0, 6),
    ],
)
def test_training_ends_early_without_a_better_figure(tmp_path, name, values, best, trained):
    figure = name.removeprefix("-")
    trainer = make_trainer(
        TinyNet(),
        MemoryLoader(*random_clips(2), batch_size=2),
        num_epochs=6,
        checkpoints=CheckpointFolder(tmp_path, period=5),
        validation=Validation(lambda model: {figure: values[trainer.epoch - 1]}, best_figure=name, patience=2),
    )
    trainer.train()
    assert (trainer.epoch, trainer.best.value) == (trained, best)
    assert find_checkpoints(tmp_path)[0] == checkpoint_path(tmp_path, trained)  # the last is saved all the same
    state = read_training_state(tmp_path / "checkpoints" / "best.pyth")
    assert state["epoch"] + 1 == values.index(best) + 1


def test_a_figure_that_the_evaluation_does_not_give_is_named(tmp_path):
    best = BestFigure("mAP")
    with pytest.raises(ValueError, match=r"TRAIN\.BEST_FIGURE='mAP': .*top1, top5"):
        best.update({"top1": 1.0, "top5": 2.0}, 1)


def test_a_state_that_does_not_fit_is_one_message(tmp_path):
    trainer = build(tmp_path)
    state = trainer.state_dict()
    for change in ({"optimizer_state": {}}, {"processes": []}, {"training": {}}, {"batch": 99}):
        with pytest.raises(CheckpointError, match=r"cannot be resumed.*TRAIN\.AUTO_RESUME False"):
            build(tmp_path).resume({**state, **change})


def test_an_epoch_of_other_steps_goes_on_at_its_fraction(tmp_path, caplog):
    trainer = build(tmp_path)
    trainer.batch = 2
    state = trainer.state_dict()
    other = make_trainer(TinyNet(norm=True), MemoryLoader(*random_clips(8), batch_size=1), trainer_class=Averaging)
    other.resume(state)
    assert other.batch == 4
    assert "an epoch now has 8 steps instead of 4" in caplog.text


def test_names_of_states_are_taken_once(tmp_path):
    with pytest.raises(ValueError, match=r"add_state\('best'\): this name is taken"):
        build(tmp_path).add_state("best", object())


@pytest.mark.parametrize("saved, now", [(None, True), (True, None)])
def test_an_optimizer_goes_on_as_this_device_computes(saved, now):
    """A state that was saved fused on a GPU goes on plainly on a CPU, and the other way round."""

    def adam(fused):
        parameter = torch.nn.Parameter(torch.ones(3))
        parameter.grad = torch.ones(3)
        return torch.optim.Adam([parameter], lr=0.1, fused=fused)

    one, other = adam(saved), adam(now)
    one.step()
    load_optimizer(other, one.state_dict())
    assert other.param_groups[0]["fused"] is now
    other.step()
    assert next(iter(other.state.values()))["step"] == 2
    with pytest.raises(ValueError, match="parameter groups"):
        load_optimizer(adam(now), {"state": {}, "param_groups": []})
