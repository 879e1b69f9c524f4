"""Several gloo processes compute what one does, and decide together."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from slowfast.datasets.replacement import ReadFailure
from slowfast.datasets.samplers import EvalBatches, TrainSampler
from slowfast.datasets.samples import ClipBatch
from slowfast.engine.agreement import BadVideos, TooManyBadVideosError
from slowfast.engine.checkpoint import CheckpointFolder, checkpoint_path, find_checkpoints, read_training_state
from slowfast.engine.parallel import ParallelOptions
from slowfast.engine.precise_bn import update_precise_statistics
from slowfast.engine.step import StepOptions
from slowfast.engine.train_log import TrainLog
from slowfast.evaluation import ViewEnsemble
from slowfast.models.norm import norm_layer
from slowfast.models.weights.load import load_weights
from slowfast.utils import distributed
from slowfast.utils.errors import LostProcessError, StoppedError
from slowfast.utils.logging import MetricWriter
from slowfast.utils.signals import stop_on_signals
from tests.engine.toys import TinyNet, make_trainer, random_clips
from tests.groups import run_group
from tests.models.toys import toy_slowfast

WHOLE_BATCH = 12  # of all processes together: 1, 2, 3 and 4 of them share it


class ShardedLoader:
    """Batches of clips in memory by ``TrainSampler``; ``seen`` has the indices of every batch that was asked for."""

    def __init__(self, num_clips: int = 36, *, rank: int, world_size: int, whole_batch: int = WHOLE_BATCH):
        self.frames, self.labels = random_clips(num_clips)
        self.batch_sampler = TrainSampler(
            num_clips, batch_size=whole_batch // world_size, seed=0, rank=rank, world_size=world_size
        )
        self.seen = []

    def __iter__(self):
        for keys in self.batch_sampler:
            rows = [index for _, index in keys]
            self.seen.append(rows)
            valid = torch.ones(len(rows), dtype=torch.bool)
            yield ClipBatch(self.frames[rows], self.labels[rows], torch.tensor(rows), valid)

    def __len__(self):
        return len(self.batch_sampler)


def tiny_net(rank: int) -> nn.Module:
    """Other weights on every process: those of rank 0 must win."""
    torch.manual_seed(rank)
    return TinyNet()


def trained(rank: int, size: int, folder: str = "", **options):
    """A trainer of a net without batch norm, after three epochs or up to a stop."""
    loader = ShardedLoader(rank=rank, world_size=size)
    output = Path(folder) if folder else None
    state = None
    if output is not None and find_checkpoints(output):
        state = read_training_state(find_checkpoints(output)[0])
    writer = MetricWriter(output, start=0 if state is None else state["training"]["num_records"]) if output else None
    trainer = make_trainer(
        tiny_net(rank),
        loader,
        num_epochs=3,
        checkpoints=output and CheckpointFolder(output),
        log=TrainLog(writer, period=3),
        **options,
    )
    if state is not None:
        load_weights(trainer.model, state["model_state"])
        trainer.resume(state)
    return trainer


def weights(trainer) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in trainer.model.state_dict().items()}


# --- what a group does; one group of each size does all of it ---

OPTIONS = {
    "plain": {},
    "copies": {"parallel": ParallelOptions(bucket_view=False)},
    "static": {"parallel": ParallelOptions(static_graph=True)},
    "parts": {"step_options": StepOptions(accumulate=2)},
    "static parts": {"step_options": StepOptions(accumulate=2), "parallel": ParallelOptions(static_graph=True)},
    "bfloat16": {"parallel": ParallelOptions(compression="bfloat16")},
    "float16": {"parallel": ParallelOptions(compression="float16")},
}


def everything(rank: int, size: int, folder: str) -> dict:
    found = {"trained": {}}
    for name, options in OPTIONS.items():
        trainer = trained(rank, size, **options)
        trainer.train()
        found["trained"][name] = weights(trainer)
    found["order"] = order_of_samples(rank, size)
    found["precise"] = precise_statistics(rank, size)
    found["sync"] = sync_batch_norm(rank, size)
    found["fused"] = {num_videos: fused_scores(rank, size, num_videos) for num_videos in (2, 5)}
    found["bad"] = bad_videos(rank)
    found["main"] = on_main(rank)
    found["stopped"] = stop_at_the_wish_of_one(rank, size, folder)
    found["failed"] = fail_on_one(rank, size)
    found["detached"] = train_a_head_alone(rank, size)
    found["averaged"] = averaged(rank, size)
    found["recomputed"] = [statistics_of_a_step(rank, size, recompute=recompute) for recompute in (False, True)]
    return found


def order_of_samples(rank: int, size: int) -> list[list[int]]:
    loader = ShardedLoader(rank=rank, world_size=size)
    loader.batch_sampler.set_epoch(1)
    shards = distributed.all_gather_objects([list(rows) for rows in rows_of(loader)])
    return [sorted(itertools.chain.from_iterable(rows)) for rows in zip(*shards, strict=True)]


def rows_of(loader) -> list[list[int]]:
    return [[index for _, index in keys] for keys in loader.batch_sampler]


SHARES = {1: [12], 2: [9, 3], 3: [7, 4, 1]}  # clips of each process, uneven


def share_of(values: torch.Tensor, rank: int, size: int) -> torch.Tensor:
    return values.split(SHARES[size])[rank]


def precise_statistics(rank: int, size: int) -> tuple:
    """Every process has another number of clips, in as many batches."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv3d(3, 4, 1), nn.BatchNorm3d(4)).train()
    clips = 3 * torch.randn(sum(SHARES[size]), 3, 2, 4, 4, generator=torch.Generator().manual_seed(0)) + 1
    update_precise_statistics(net, [share_of(clips, rank, size)], net)
    return net[1].running_mean.clone(), net[1].running_var.clone()


def sync_batch_norm(rank: int, size: int) -> tuple:
    """Outputs and gradients of an uneven share under statistics of all."""
    norm = norm_layer("sync_batchnorm", global_sync=True)(4) if size > 1 else nn.BatchNorm3d(4)
    x = 2 * torch.randn(sum(SHARES[size]), 4, 2, 3, 3, generator=torch.Generator().manual_seed(0)) + 5
    target = torch.randn(x.shape, generator=torch.Generator().manual_seed(1))
    own = share_of(x, rank, size).clone().requires_grad_()
    output = norm.train()(own)
    (output * share_of(target, rank, size)).sum().backward()
    weight = distributed.all_reduce_sum(norm.weight.grad)
    parts = [distributed.all_gather_objects(value) for value in (output.detach(), own.grad)]
    return torch.cat(parts[0]), torch.cat(parts[1]), weight, norm.running_mean.clone(), norm.running_var.clone()


def fused_scores(rank: int, size: int, num_videos: int) -> tuple[np.ndarray, dict]:
    """Some processes may have no video at all."""
    ensemble = ViewEnsemble(num_videos=num_videos, num_views=2, num_classes=3, method="mean")
    scores = np.random.default_rng(0).random((num_videos, 2, 3), dtype=np.float32)
    for videos in EvalBatches(num_videos, 2, rank, size):
        for video in videos:
            if video == 1:
                ensemble.fail(video, "broken")
            else:
                ensemble.update(video, [0, 1], scores[video])
    ensemble.gather()
    return ensemble.scores(), ensemble.failures


def bad_videos(rank: int) -> tuple[list[int], str]:
    """Row 7 is found by all, the others by one each."""
    bad, counts = BadVideos(limit=3), []
    for rows in ([7], [7, 10 + rank], [20 + rank, 30 + rank]):
        try:
            bad.add(bad.new_among([ReadFailure(f"train.csv:{row}: cannot decode.", row) for row in rows]))
        except TooManyBadVideosError as error:
            return counts, str(error)
        counts.append(len(bad))
    return counts, ""


def on_main(rank: int) -> tuple:
    def fail() -> None:
        raise ValueError(f"from {rank}")

    try:
        distributed.on_main(fail)
    except ValueError as error:
        message = str(error)
    value = distributed.on_main(lambda: {"rank": rank})
    return message, value, distributed.largest(rank, -rank), distributed.mean(float(rank))


def stop_at_the_wish_of_one(rank: int, size: int, folder: str) -> tuple[int, str]:
    """The last process gets a signal in the second step; all of them leave before the third."""
    trainer = trained(rank, size, f"{folder}/stopped")
    step = trainer.train_step

    def train_step(batch):
        if trainer.step == 3 and rank == size - 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return step(batch)

    trainer.train_step = train_step
    try:
        with stop_on_signals():
            trainer.train()
    except StoppedError as error:
        return trainer.step, str(error)
    return trainer.step, ""


def fail_on_one(rank: int, size: int) -> tuple[str, str]:
    class Broken(ShardedLoader):
        def __iter__(self):
            for number, batch in enumerate(super().__iter__()):
                if number == 1 and rank == size - 1:
                    raise ValueError("train.csv:3: no video of the list could be read")
                yield batch

    try:
        make_trainer(tiny_net(rank), Broken(rank=rank, world_size=size), num_epochs=1).train()
    except (ValueError, LostProcessError) as error:
        return type(error).__name__, str(error)
    return "", ""


def train_a_head_alone(rank: int, size: int) -> bool:
    torch.manual_seed(0)
    model = toy_slowfast(alpha=2, detach_features=True)
    before = model.slow.stem.conv.weight.clone()
    loader = ShardedLoader(2 * size, rank=rank, world_size=size, whole_batch=size)
    make_trainer(model, loader, num_epochs=1).train()
    return torch.equal(model.slow.stem.conv.weight, before)


def averaged(rank: int, size: int) -> dict[str, torch.Tensor]:
    """The average of the weights of a training that starts from other weights on every process."""
    trainer = trained(rank, size, step_options=StepOptions(ema_decay=0.9))
    trainer.train()
    return {name: value.clone() for name, value in trainer.ema.model.state_dict().items()}


def statistics_of_a_step(rank: int, size: int, *, recompute: bool) -> dict[str, torch.Tensor]:
    """Weights and running statistics after a step with sync batch norm, maybe with blocks that are computed twice."""
    torch.manual_seed(0)
    model = toy_slowfast(alpha=2, norm=norm_layer("sync_batchnorm", global_sync=True), recompute=recompute)
    loader = ShardedLoader(2 * size, rank=rank, world_size=size, whole_batch=2 * size)
    make_trainer(model, loader, num_epochs=1).train()
    return {name: value.clone() for name, value in model.state_dict().items()}


# --- what comes out ---


assert_equal = partial(torch.testing.assert_close, rtol=0, atol=0)


@pytest.fixture(scope="module")
def alone() -> dict:
    trainer = trained(0, 1)
    trainer.train()
    return {
        "trained": weights(trainer),
        "averaged": averaged(0, 1),
        "order": [sorted(rows) for rows in epoch_rows()],
        "precise": precise_statistics(0, 1),
        "sync": sync_batch_norm(0, 1),
        "fused": {num_videos: fused_scores(0, 1, num_videos) for num_videos in (2, 5)},
    }


def epoch_rows() -> list[list[int]]:
    loader = ShardedLoader(rank=0, world_size=1)
    loader.batch_sampler.set_epoch(1)
    return rows_of(loader)


@pytest.fixture(scope="module", params=[pytest.param(2, marks=pytest.mark.slow), 3])
def group(request, tmp_path_factory):
    """What every process of a group of that size found, and the folder they wrote to."""
    folder = tmp_path_factory.mktemp(f"group{request.param}")
    return run_group(everything, request.param, folder, str(folder)), folder


def test_they_train_as_one_with_the_whole_batch(group, alone):
    for part in group[0]:
        for name in ("plain", "copies", "static", "parts", "static parts"):
            torch.testing.assert_close(part["trained"][name], alone["trained"], rtol=1e-5, atol=1e-6)
        assert_equal(part["trained"]["plain"], part["trained"]["copies"])
        assert_equal(part["trained"]["plain"], group[0][0]["trained"]["plain"])


@pytest.mark.parametrize("name", ["bfloat16", "float16"])
def test_gradients_in_16_bit_are_rounded(group, name):
    found = group[0][0]["trained"]
    assert any(not torch.equal(value, found[name][key]) for key, value in found["plain"].items())
    torch.testing.assert_close(found[name], found["plain"], rtol=0.05, atol=0.02)


def test_the_average_of_the_weights_is_that_of_one(group, alone):
    for part in group[0]:
        torch.testing.assert_close(part["averaged"], alone["averaged"], rtol=1e-5, atol=1e-6)
        assert_equal(part["averaged"], group[0][0]["averaged"])


def test_blocks_that_are_computed_twice_learn_alike(group):
    for part in group[0]:
        assert_equal(*part["recomputed"])


def test_they_share_the_batches_of_one(group, alone):
    assert group[0][0]["order"] == alone["order"]


def test_precise_statistics_count_what_each_process_saw(group, alone):
    for part in group[0]:
        torch.testing.assert_close(part["precise"], alone["precise"], rtol=1e-6, atol=1e-6)


def test_sync_batch_norm_counts_what_each_process_has(group, alone):
    for part in group[0]:
        torch.testing.assert_close(part["sync"], alone["sync"], rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize("num_videos", [2, 5])
def test_scores_are_gathered_once_and_alike_everywhere(group, alone, num_videos):
    expected, failures = alone["fused"][num_videos]
    for part in group[0]:
        np.testing.assert_array_equal(part["fused"][num_videos][0], expected)
        assert part["fused"][num_videos][1] == failures == {1: "broken"}


def test_bad_videos_are_counted_over_all_processes_and_stop_all(group):
    size = len(group[0])
    for part in group[0]:
        counts, message = part["bad"]
        assert counts == ([1, 3] if size == 2 else [1])
        assert message == group[0][0]["bad"][1]
        assert message.startswith(f"{7 if size == 2 else 4} videos could not be decoded, more than")


def test_what_the_main_process_does_or_raises_reaches_all(group):
    size = len(group[0])
    for part in group[0]:
        assert part["main"] == ("from 0", {"rank": 0}, [size - 1, 0], (size - 1) / 2)


def test_a_signal_to_one_stops_all_before_the_same_step(group):
    parts, folder = group
    for part in parts:
        step, message = part["stopped"]
        assert step == 4
        assert "saved" in message and "checkpoint_epoch_00001_batch_000001.pyth" in message
    assert "stopped by SIGTERM" in parts[-1]["stopped"][1]
    assert "a signal to another process" in parts[0]["stopped"][1]
    assert (folder / "stopped" / "checkpoints" / "checkpoint_epoch_00001_batch_000001.pyth").is_file()


def test_a_loader_that_fails_on_one_ends_all_with_its_message(group):
    *others, last = [part["failed"] for part in group[0]]
    assert last == ("ValueError", "train.csv:3: no video of the list could be read")
    for name, message in others:
        assert name == "LostProcessError"
        assert f"process {len(others)} on " in message and message.endswith(last[1])


def test_a_head_that_learns_alone_does_so(group):
    assert all(part["detached"] for part in group[0])


def records_of(folder: Path) -> list[dict]:
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k in ("step", "lr", "epoch", "train/loss")} for line in lines]


def test_a_training_goes_on_with_another_number_of_processes(group, alone, tmp_path, caplog):
    """Stopped inside the window of a log line, the loss of which is still the mean over all."""
    folder = shutil.copytree(group[1] / "stopped", tmp_path / "resumed")
    resumed = trained(0, 1, str(folder))
    assert (resumed.epoch, resumed.batch, resumed.step) == (1, 1, 4)
    resumed.train()
    resumed.log.close()
    assert f"a training of {len(group[0])} processes resumes with 1 process" in caplog.text
    torch.testing.assert_close(weights(resumed), alone["trained"], rtol=1e-5, atol=1e-6)
    straight = trained(0, 1, str(tmp_path / "straight"))
    straight.train()
    straight.log.close()
    found, expected = records_of(folder), records_of(tmp_path / "straight")
    assert [r["step"] for r in found] == [r["step"] for r in expected] == [3, 6, 9]
    assert [r["train/loss"] for r in found] == pytest.approx([r["train/loss"] for r in expected], rel=1e-5)
    assert checkpoint_path(folder, 3).is_file()
