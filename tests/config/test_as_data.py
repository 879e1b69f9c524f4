"""The config of a report: data, and only what exists here."""

import json

import pytest
import yaml

from slowfast.config import ConfigError, config_as_data, load_cfg, load_cfg_text
from slowfast.config.refused import INSTEAD, REFUSED_KEYS


def test_it_is_data_that_gives_the_config_back():
    cfg = load_cfg("Motion/SLOWFAST_4x4_R18", ["MODEL.ARGS.width", 12, "SOLVER.CLIP_GRAD_L2NORM", 1.5])
    data = json.loads(json.dumps(config_as_data(cfg)))
    assert data["SOLVER"]["CLIP_GRAD_L2NORM"] == 1.5 and data["MODEL"]["ARGS"] == {"width": 12}
    assert load_cfg_text(yaml.safe_dump(data), source="results.json") == cfg


def test_it_has_no_key_of_a_part_that_does_not_exist():
    data = config_as_data(load_cfg("Motion/SLOWFAST_4x4_R18"))
    for name in (*REFUSED_KEYS, *INSTEAD):
        node = data
        for part in name.split("."):
            node = node.get(part) if isinstance(node, dict) else None
        assert node is None, name
    assert "CONTRASTIVE" not in data and data["DATA"]["ARGS"] == {}


def test_a_text_with_an_unknown_key_is_named():
    with pytest.raises(ConfigError, match=r"^weights\.pyth:1: SLOWFAST\.ALPA .* Did you mean SLOWFAST\.ALPHA\?"):
        load_cfg_text("SLOWFAST: {ALPA: 4}", source="weights.pyth")
