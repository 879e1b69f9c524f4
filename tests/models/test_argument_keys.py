"""Messages of networks name arguments; of a network built from a config they name the keys."""

import pytest
from torch import nn

from slowfast.config import get_cfg, load_cfg
from slowfast.config.merge import key_names
from slowfast.models import MODEL_REGISTRY, build_model
from slowfast.models.build import KEY_OF, with_keys


def test_every_entry_is_a_key():
    assert set(KEY_OF.values()) <= set(key_names(get_cfg()))


@pytest.mark.parametrize(
    "message, shown",
    [
        ("depth=77 is not one of 18, 50.", "RESNET.DEPTH=77 is not one of 18, 50."),
        ("alpha 0 must be at least 1", "SLOWFAST.ALPHA 0 must be at least 1"),
        ("expected a clip", "expected a clip"),
        ("slow_frames='x' is wrong (SLOWFAST.SLOW_FRAMES)", "slow_frames='x' is wrong (SLOWFAST.SLOW_FRAMES)"),
        ("depths are many", "depths are many"),
        ("", ""),
    ],
)
def test_the_argument_in_front_becomes_its_key(message, shown):
    assert with_keys(message) == shown


def test_what_came_from_the_arguments_of_the_model_is_named_so(monkeypatch):
    class Picky(nn.Module):
        def __init__(self, *, depth=1):
            super().__init__()
            raise ValueError(f"depth={depth} is never right.")

    monkeypatch.setitem(MODEL_REGISTRY._entries, "picky", ("Picky", Picky))
    cfg = load_cfg("Motion/SLOWFAST_4x4_R18", ["MODEL.MODEL_NAME", "Picky"])
    with pytest.raises(ValueError, match=r"^RESNET\.DEPTH=1 is never right"):
        build_model(cfg)
    cfg = load_cfg("Motion/SLOWFAST_4x4_R18", ["MODEL.MODEL_NAME", "Picky", "MODEL.ARGS.depth", 3])
    with pytest.raises(ValueError, match=r"^MODEL\.ARGS\.depth=3 is never right"):
        build_model(cfg)
