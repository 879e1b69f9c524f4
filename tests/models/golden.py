"""The reference values of tests/data/golden/models: how to build, fill and run the model of a case."""

from __future__ import annotations

import importlib.util
import json
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor, nn

from slowfast.config import ConfigError, find, get_cfg, load_cfg
from slowfast.models import build_model
from slowfast.models.pathways import slow_frame_indices

GOLDEN = Path(__file__).parents[1] / "data" / "golden"
SETTINGS = ["MODEL.DROPOUT_RATE", 0.0, "BN.NORM_TYPE", "batchnorm"]


def _fill_module():
    spec = importlib.util.spec_from_file_location("golden_fill", GOLDEN / "fill.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_FILL = _fill_module()


@lru_cache(maxsize=2)
def load_case(name: str) -> dict:
    """The contents of one file."""
    return json.loads((GOLDEN / "models" / f"{name}.json").read_text())


def case_names() -> list[str]:
    """Every case there is."""
    return sorted(path.stem for path in (GOLDEN / "models").glob("*.json"))


def case_config(case: dict):
    """The config of a case: our recipe where there is one, else its values over the defaults."""
    overrides = [*case.get("overrides", []), "DATA.TRAIN_CROP_SIZE", case["train_crop"], *SETTINGS]
    try:
        return load_cfg(find(case["config"]), overrides)
    except ConfigError:
        values = json.loads((GOLDEN / "recipes.json").read_text())[case["config"]]
        cfg = get_cfg()
        cfg.merge_from_list([item for pair in values.items() for item in pair])
        cfg.merge_from_list(overrides)
        return cfg


def case_weights(case: dict) -> dict[str, Tensor]:
    """A state dict in PySlowFast's names."""
    return {name: _filled(name, tuple(shape)).clone() for name, shape in case["state_dict"].items()}


@lru_cache(maxsize=1500)  # about two networks: neighbors share most names and shapes
def _filled(name: str, shape: tuple[int, ...]) -> Tensor:
    return torch.as_tensor(_FILL.fill(name, shape))


def case_model(case: dict) -> nn.Module:
    """The filled model in eval mode, float32."""
    with torch.device("meta"):  # without the random weights that filling replaces
        model = build_model(case_config(case))
    model.load_state_dict(case_weights(case), strict=True, assign=True)
    return model.eval()


def case_clip(case: dict, crop: int | None = None) -> Tensor:
    """The float32 input at ``crop`` (default: the training crop)."""
    crop = crop or case["train_crop"]
    return torch.from_numpy(_FILL.clip(case["seed"], case["batch"], 3, case["num_frames"], crop, crop))


def case_pathways(case: dict, clip: Tensor) -> list[Tensor]:
    """``[slow, fast]``, or ``[clip]`` for one pathway."""
    if case["alpha"] is None:
        return [clip]
    return [clip[:, :, slow_frame_indices(case["num_frames"], case["alpha"])], clip]


def case_boxes(case: dict) -> tuple[Tensor, ...]:
    """What a model takes beside the clip: nothing, or the boxes (R, 5)."""
    return (torch.tensor(case["boxes"]),) if "boxes" in case else ()


def relative_error(output: Tensor, expected) -> float:
    """Largest difference, in units of the largest expected value."""
    expected = torch.as_tensor(expected, dtype=torch.float64)
    return float((output.detach().double().flatten() - expected.flatten()).abs().max() / expected.abs().max())


# --- networks of PyTorchVideo and mmaction2: golden/<publisher>/<name>.json, called as in the zoo ---


def published_names() -> list[str]:
    """Every such case: "pytorchvideo/slow_r50", ..."""
    files = [path for publisher in ("pytorchvideo", "mmaction2") for path in (GOLDEN / publisher).glob("*.json")]
    return sorted(f"{path.parent.name}/{path.stem}" for path in files)


@lru_cache(maxsize=2)
def load_published(name: str) -> dict:
    """The contents of one file."""
    return json.loads((GOLDEN / f"{name}.json").read_text())


def published_weights(case: dict) -> dict[str, Tensor]:
    """A state dict in its publisher's names."""
    return {name: _filled(name, tuple(shape)) for name, shape in case["state_dict"].items()}


def published_clip(case: dict, crop: int | None = None) -> Tensor:
    """The float32 input (B, 3, T, S, S)."""
    crop = crop or case["crop"]
    return torch.from_numpy(_FILL.clip(case["input_seed"], case["batch"], 3, case["frames"], crop, crop))
