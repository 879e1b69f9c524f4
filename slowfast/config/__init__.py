"""Settings: YAML recipes over documented defaults, checked before anything is built."""

from fvcore.common.config import CfgNode

from slowfast.config.defaults import assert_and_infer_cfg, get_cfg
from slowfast.config.files import ConfigError, find
from slowfast.config.load import load_cfg, load_cfg_text
from slowfast.config.report import config_as_data

__all__ = [
    "CfgNode",
    "ConfigError",
    "assert_and_infer_cfg",
    "config_as_data",
    "find",
    "get_cfg",
    "load_cfg",
    "load_cfg_text",
]
