from __future__ import annotations

import pytest
import torch
from torch import nn

from slowfast.config import load_cfg
from slowfast.models import build_model
from slowfast.models.norm import SubBatchNorm3d
from tests import reference
from tests.models.toys import uneven_clips as clips


@pytest.mark.parametrize("num_splits", [2, 3, 6])
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last_3d])
def test_splits_have_statistics_of_their_own(num_splits, memory_format):
    x = clips().contiguous(memory_format=memory_format)
    expected = reference.sub_batch_norm(x, num_splits)
    assert torch.allclose(SubBatchNorm3d(3, num_splits=num_splits)(x), expected, atol=1e-5)


def test_eval_mode_uses_the_aggregate_of_the_splits():
    """Mean of the means; mean of the variances plus the variance of the means."""
    norm = SubBatchNorm3d(2, num_splits=2)
    norm.split_bn.running_mean.copy_(torch.tensor([1.0, 10.0, 3.0, 20.0]))  # split 0: (1, 10), split 1: (3, 20)
    norm.split_bn.running_var.copy_(torch.tensor([4.0, 1.0, 6.0, 3.0]))
    norm.eval()
    assert norm.bn.running_mean.tolist() == [2.0, 15.0]
    assert norm.bn.running_var.tolist() == [5.0 + 1.0, 2.0 + 25.0]
    x = torch.randn(1, 2, 1, 2, 2)
    expected = (x - torch.tensor([2.0, 15.0]).view(-1, 1, 1, 1)) / torch.tensor([6.0, 27.0]).view(-1, 1, 1, 1).sqrt()
    assert torch.allclose(norm(x), expected, atol=1e-5)


def test_a_loaded_eval_model_keeps_the_statistics_of_the_file():
    """load_state_dict fills bn and split_bn alike; eval() after it must not be needed, and must not hurt."""
    trained = SubBatchNorm3d(3, num_splits=2)
    trained(clips())
    trained.eval()
    loaded = SubBatchNorm3d(3, num_splits=2)
    loaded.load_state_dict(trained.state_dict())
    assert torch.allclose(loaded.eval()(clips()), trained(clips()))


def test_state_dict_names_are_the_references():
    names = set(SubBatchNorm3d(3, num_splits=2).state_dict())
    buffers = ("running_mean", "running_var", "num_batches_tracked")
    assert names == {"weight", "bias"} | {f"{part}.{b}" for part in ("bn", "split_bn") for b in buffers}
    assert SubBatchNorm3d(3, num_splits=2).split_bn.running_mean.shape == (6,)


def test_a_batch_that_the_splits_do_not_divide():
    with pytest.raises(ValueError, match=r"BN\.NUM_SPLITS=4 does not divide the 6 clips of a batch\."):
        SubBatchNorm3d(3, num_splits=4)(clips())


def test_a_state_dict_taken_in_train_mode_holds_the_aggregate_of_now():
    norm = SubBatchNorm3d(3, num_splits=2)
    norm.eval().train()
    norm(clips())
    state = {name: value.clone() for name, value in norm.state_dict().items()}
    norm.eval()
    assert torch.equal(state["bn.running_mean"], norm.bn.running_mean)
    assert torch.equal(state["bn.running_var"], norm.bn.running_var)
    assert state["bn.running_mean"].abs().sum() > 0


def test_a_state_dict_taken_in_eval_mode_is_what_the_norm_computes_with():
    norm = SubBatchNorm3d(3, num_splits=2).eval()
    norm.bn.running_mean.fill_(7.0)  # as after loading a file whose aggregate is not that of its parts
    assert norm.state_dict()["bn.running_mean"].tolist() == [7.0] * 3


@pytest.mark.parametrize("name", ["sync_batchnorm", "sync_batchnorm_apex"])
def test_sync_batch_norm_alone_is_batch_norm_and_says_so(name, caplog):
    cfg = load_cfg("Kinetics/SLOWFAST_4x16_R50", ["BN.NORM_TYPE", name, "BN.NUM_SYNC_DEVICES", 8])
    with torch.device("meta"):
        model = build_model(cfg)
    assert type(model.slow.stem.bn) is nn.BatchNorm3d
    assert "sync_batchnorm on a single process is plain batch norm" in caplog.text


def test_the_config_sets_the_splits():
    overrides = ["BN.NORM_TYPE", "sub_batchnorm", "BN.NUM_SPLITS", 2, "TRAIN.BATCH_SIZE", 16]
    with torch.device("meta"):
        norm = build_model(load_cfg("Kinetics/SLOWFAST_4x16_R50", overrides)).fast.stem.bn
    assert isinstance(norm, SubBatchNorm3d) and norm.num_splits == 2
