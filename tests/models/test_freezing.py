from __future__ import annotations

import pytest
import torch

from slowfast.models.freezing import freeze, hold_statistics
from tests.engine.toys import MemoryLoader, make_trainer, random_clips
from tests.models.toys import toy_slowfast


@pytest.mark.parametrize(
    "patterns, frozen",
    [
        (["slow.stem"], lambda name: name.startswith("slow.stem.")),
        (["*.res2", "fast.stem.conv.weight"], lambda name: ".res2." in name or name == "fast.stem.conv.weight"),
        (["*_bn.*"], lambda name: "_bn." in name),
    ],
)
def test_names_and_wildcards(patterns, frozen):
    model = toy_slowfast(alpha=2)
    found = freeze(model, patterns)
    names = [name for name, p in model.named_parameters() if not p.requires_grad]
    assert names == [name for name, _ in model.named_parameters() if frozen(name)]
    assert found.num_tensors == len(names) and found.all_tensors == len(list(model.parameters()))
    assert str(found).startswith(f"{len(names)} of {found.all_tensors} tensors")


def test_what_is_frozen_stays_bit_for_bit_with_its_statistics():
    model = toy_slowfast(alpha=2)
    freeze(model, ["slow", "fast.stem"])
    before = {name: value.clone() for name, value in model.state_dict().items()}
    make_trainer(model, MemoryLoader(*random_clips(8), batch_size=4), num_epochs=1).train()
    after = model.state_dict()
    changed = {name for name, value in after.items() if not torch.equal(value, before[name])}
    assert not [name for name in changed if name.startswith(("slow.", "fast.stem."))]
    assert {"head.classifier.weight", "fast.res2.block0.a.weight", "fast.res2.block0.a_bn.running_mean"} <= changed


def test_a_norm_without_scale_and_shift_is_not_frozen():
    norm = torch.nn.BatchNorm3d(2, affine=False)
    hold_statistics(norm)
    assert norm.training


@pytest.mark.parametrize(
    "patterns, message",
    [
        (["slwo"], r"MODEL\.FREEZE: 'slwo' names no parameter of the model\. Did you mean slow\?.*slow, fast"),
        (["*"], "leaves nothing to learn"),
    ],
)
def test_patterns_that_cannot_be_meant(patterns, message):
    with pytest.raises(ValueError, match=message):
        freeze(toy_slowfast(alpha=2), patterns)
