"""Settings: YAML recipes over documented defaults, checked before anything is built."""

from fvcore.common.config import CfgNode

from slowfast.config.defaults import Config, assert_and_infer_cfg, get_cfg, warnings_of
from slowfast.config.files import ConfigError, find, locate
from slowfast.config.load import load_cfg, load_cfg_text, with_overrides
from slowfast.config.merge import config_as_data

__all__ = [
    "CfgNode",
    "Config",
    "ConfigError",
    "assert_and_infer_cfg",
    "config_as_data",
    "find",
    "get_cfg",
    "load_cfg",
    "load_cfg_text",
    "locate",
    "warnings_of",
    "with_overrides",
]
