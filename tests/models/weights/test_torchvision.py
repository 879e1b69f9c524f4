"""torchvision's published weights: found in its cache, verified, and loaded by the ways that all weights take."""

from __future__ import annotations

import hashlib
from types import SimpleNamespace
from urllib.error import URLError

import pytest
import torch

from slowfast.engine.checkpoint import load_for_test
from slowfast.models.torchvision_models import TorchvisionBuilder
from slowfast.models.weights import torchvision as torchvision_weights
from slowfast.models.weights.load import CheckpointError, read_checkpoint
from slowfast.utils import download
from tests.models.toys import seeded


@pytest.fixture
def cached_weights(tmp_path, monkeypatch):
    """``put()`` writes a weight file of three classes into torchvision's cache, under a name with its right hash."""
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))

    def refuse(*_args, **_kwargs):
        raise URLError("no route to host")

    monkeypatch.setattr(download, "urlopen", refuse)

    def put(name: str = "mc3_18", *, damage: bool = False) -> dict:
        state = seeded(lambda: TorchvisionBuilder(name)(num_classes=3)).state_dict()
        folder = tmp_path / "hub" / "checkpoints"
        folder.mkdir(parents=True)
        torch.save(state, folder / "new.pth")
        digest = hashlib.sha256((folder / "new.pth").read_bytes()).hexdigest()[:8]
        path = (folder / "new.pth").rename(folder / f"{name}-{digest}.pth")
        if damage:
            path.write_bytes(path.read_bytes()[:-100])
        url = f"https://download.pytorch.org/models/{path.name}"
        monkeypatch.setattr(torchvision_weights, "_entry", lambda _: SimpleNamespace(url=url))
        return state

    return put


def test_weights_come_from_torchvisions_cache(cached_weights):
    state = cached_weights()
    model = TorchvisionBuilder("mc3_18")(num_classes=3)
    load_for_test(model, "torchvision://mc3_18")
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())


def test_a_damaged_file_is_refused(cached_weights):
    cached_weights(damage=True)
    with pytest.raises(CheckpointError, match=r"mc3_18-\w{8}\.pth is truncated or .* file: its SHA-256 begins"):
        read_checkpoint("torchvision://mc3_18")


def test_without_a_network_the_place_of_the_file_is_told(cached_weights, tmp_path):
    place = tmp_path / "hub/checkpoints/r3d_18-b3b3357e.pth"
    message = rf"r3d_18-b3b3357e\.pth cannot be downloaded \(no route to host\).* put it at {place}"
    with pytest.raises(CheckpointError, match=message):
        read_checkpoint("torchvision://r3d_18")


@pytest.mark.parametrize(
    "address, message",
    [
        ("torchvision://r3d_8", r"there is no network 'r3d_8'\. Did you mean r3d_18\?"),
        (
            "torchvision://swin3d_b/IMAGENET",
            "swin3d_b has no weights 'IMAGENET'.* Known: KINETICS400_V1, KINETICS400_I",
        ),
    ],
)
def test_weights_of_another_name(address, message):
    with pytest.raises(CheckpointError, match=message):
        read_checkpoint(address)
