"""Two processes with half the batch each are one process with the whole batch (a net without batch norm)."""

import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from slowfast.datasets.samplers import TrainSampler
from slowfast.datasets.samples import ClipBatch
from slowfast.evaluation import ViewEnsemble
from slowfast.models import SlowFast
from slowfast.utils import distributed
from tests.engine.toys import TinyNet, make_trainer, random_clips


class ShardedLoader:
    """Batches of clips in memory by ``TrainSampler``."""

    def __init__(self, frames, labels, *, batch_size, rank, world_size):
        self.frames, self.labels = frames, labels
        self.batch_sampler = TrainSampler(len(frames), batch_size=batch_size, seed=0, rank=rank, world_size=world_size)

    def __iter__(self):
        for keys in self.batch_sampler:
            rows = [index for _, index in keys]
            valid = torch.ones(len(rows), dtype=torch.bool)
            yield ClipBatch(self.frames[rows], self.labels[rows], torch.tensor(rows), valid)

    def __len__(self):
        return len(self.batch_sampler)


def train(rank: int, world_size: int, path: str) -> None:
    torch.manual_seed(rank)  # the initial weights of rank 0 must win
    frames, labels = random_clips(8)
    model = TinyNet()
    if rank == 0:
        torch.manual_seed(0)
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.1)
    make_trainer(
        model, ShardedLoader(frames, labels, batch_size=4 // world_size, rank=rank, world_size=world_size), num_epochs=3
    ).train()
    if rank == 0:
        torch.save(model.state_dict(), path)


def in_group(rank: int, world_size: int, init_file: str, work, *arguments) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{init_file}", rank=rank, world_size=world_size)
    try:
        work(rank, world_size, *arguments)
    finally:
        dist.destroy_process_group()


def spawn(tmp_path, work, *arguments) -> None:
    mp.spawn(in_group, args=(2, str(tmp_path / "meet"), work, *arguments), nprocs=2)


def test_two_processes_train_as_one_with_the_double_batch(tmp_path):
    train(0, 1, str(tmp_path / "one.pt"))
    spawn(tmp_path, train, str(tmp_path / "two.pt"))
    one, two = (torch.load(tmp_path / name, weights_only=True) for name in ("one.pt", "two.pt"))
    for name in one:
        torch.testing.assert_close(one[name], two[name], rtol=1e-4, atol=1e-6)


def fuse(rank: int, world_size: int, path: str) -> None:
    ensemble = ViewEnsemble(num_videos=5, num_views=2, num_classes=3, method="max")
    scores = torch.arange(30, dtype=torch.float32).view(5, 2, 3).numpy()
    for video in range(rank, 5, world_size):
        if video == 3:
            ensemble.fail(video, "broken")
        else:
            ensemble.update(video, [0, 1], scores[video])
    ensemble.gather()
    assert distributed.all_gather_objects(rank) == [0, 1]
    torch.save((torch.from_numpy(ensemble.scores()), ensemble.failures), f"{path}{rank}.pt")


def test_scores_are_gathered_once_and_alike_everywhere(tmp_path):
    spawn(tmp_path, fuse, str(tmp_path / "scores"))
    (scores, failures), (other, _) = (torch.load(tmp_path / f"scores{rank}.pt", weights_only=True) for rank in (0, 1))
    assert torch.equal(scores.nan_to_num(-1), other.nan_to_num(-1))
    assert failures == {3: "broken"}
    assert scores[4].tolist() == [27.0, 28.0, 29.0]
    assert scores[3].isnan().all()


def train_detached(rank: int, world_size: int) -> None:
    torch.manual_seed(0)
    model = SlowFast(
        depth=18, width=8, alpha=2, beta=1 / 2, num_classes=4, pool_size=1, dropout=0.0, detach_features=True
    )
    before = model.slow.stem.conv.weight.clone()
    loader = ShardedLoader(*random_clips(8, size=32), batch_size=2, rank=rank, world_size=world_size)
    make_trainer(model, loader, num_epochs=2).train()
    assert torch.equal(model.slow.stem.conv.weight, before)


def test_a_head_that_learns_alone_does_so_on_two_processes(tmp_path):
    spawn(tmp_path, train_detached)
