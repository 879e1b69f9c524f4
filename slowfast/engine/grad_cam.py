"""Grad-CAM: where, and when, a model finds its evidence for a class.

A map of a layer is ReLU(sum_c w_c A_c) of its activations A. In Grad-CAM (Selvaraju et al., ICCV 2017) w_c is the mean,
over positions and times, of the gradient of the class's logit; in HiResCAM (Draelos and Carin, 2020) it is that
gradient at each position. At the last layer before a global pool both are the same, because the gradient there is equal
everywhere. At earlier layers, and for boxes, the mean mixes positions that speak for the class with positions that
speak against it.

In 3-D a map has a time axis, and each pathway has its own. The package grad-cam does this for one 5-D layer. For two
layers, it gives one averaged map; it pairs activations with gradients by their order, which two pathways do not keep;
and it calls the model only with the clip, without boxes. Hence this file.

Letters: B clips, R boxes, C channels, T frames of a clip, H W pixels, t h w positions of a map.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from slowfast.engine.pipeline import Pipeline, eval_mode
from slowfast.models.pathways import pathways_of, slow_frame_indices
from slowfast.models.weights.names import from_pyslowfast
from slowfast.utils.suggest import check_choice, did_you_mean

# The last layer whose map still has so many places is shown: those of res5 at 224 pixels, 7 x 7.
LEAST_PLACES = 49
METHODS = ("hirescam", "grad-cam")
TRANSFORMERS = ("MViT", "SwinTransformer3d")


@contextlib.contextmanager
def logit_mode(model: nn.Module) -> Iterator[None]:
    """``model`` in eval mode, but returning logits, with gradients through its head.

    The gradient of a probability vanishes where it is near 1. Models give logits when they, and their head, are in
    train mode; the rest (batch norm, dropout) stays as it scores.
    """
    owners: list[Any] = [module for module in (model, getattr(model, "head", None)) if isinstance(module, nn.Module)]
    detaching = [module for module in owners if getattr(module, "detach", None) is True]
    with eval_mode(model):
        for module in owners:
            module.training = True
        for module in detaching:
            module.detach = False
        try:
            yield
        finally:
            for module in detaching:
                module.detach = True
            for module in owners:
                module.training = False


@contextlib.contextmanager
def recorded(modules: Mapping[str, nn.Module]) -> Iterator[dict[str, Tensor]]:
    """name -> tensor outputs of the modules inside a with statement, in order of calls."""
    found: dict[str, Tensor] = {}

    def keep(name: str, output: object) -> None:
        if isinstance(output, Tensor):
            found.pop(name, None)
            found[name] = output

    handles = [
        module.register_forward_hook(lambda _module, _inputs, output, name=name: keep(name, output))
        for name, module in modules.items()
    ]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


def default_layers(pipeline: Pipeline, frames: Tensor, boxes: Tensor | None = None) -> dict[str, str]:
    """Pathway -> name of its last stage whose map has at least 49 positions: {"slow": "slow.res5", "fast": ...}.

    A model without pathways has a single one, named "pathway".

    Args:
        frames, boxes: as in ``Pipeline.scores``; the first clip is looked at.

    Raises:
        ValueError: a pathway has no such layer, or the model is a transformer.
    """
    kinds = [kind.__name__ for kind in type(pipeline.model).__mro__ if kind.__name__ in TRANSFORMERS]
    if kinds:
        raise ValueError(
            f"{kinds[0]} is a transformer: its tokens are not the channels of a map, which Grad-CAM weights. Use a "
            f"convolutional network."
        )
    head = {id(module) for module in getattr(pipeline.model, "head", nn.Identity()).modules()}
    # Stages, and blocks of models without stages, but not what is inside of a block.
    skipped = ("", *pathways_of(pipeline.model))  # the whole, whose map is its last stage's
    named = {n: m for n, m in pipeline.model.named_modules() if n not in skipped and n.count(".") <= 1}
    named = {n: m for n, m in named.items() if id(m) not in head}
    if boxes is not None:
        boxes = boxes[boxes[:, 0] == 0]
    with recorded(named) as outputs:
        pipeline.scores(frames[:1], boxes)
    maps = [name for name, x in outputs.items() if x.ndim == 5 and x.shape[-2] * x.shape[-1] >= LEAST_PLACES]
    chosen = {}
    for pathway in pathways_of(pipeline.model):
        own = [name for name in maps if name.split(".")[0] == pathway] if hasattr(pipeline.model, pathway) else maps
        if not own:
            raise ValueError(
                f"no layer of {pathway!r} gives a map of frames, rows and columns with at least {LEAST_PLACES} "
                f"positions. Name a layer (--layer)."
            )
        chosen[pathway] = own[-1]
    return chosen


def find_layers(pipeline: Pipeline, names: Sequence[str]) -> dict[str, str]:
    """Title of each map -> layer, for layers by our names (``fast.res4``) or PySlowFast's (``s4/pathway1_res1``).

    A map is named after its pathway if no other map has it, else after its layer.

    Raises:
        ValueError: no layer has that name.
    """
    modules, pathways = dict(pipeline.model.named_modules()), pathways_of(pipeline.model)
    layers = []
    for name in names:
        ours = name.replace("/", ".")
        # The table holds names of parameters, so a module's is completed for it.
        ours = from_pyslowfast(f"{name.replace('/', '.')}.branch2.", num_pathways=len(pathways))
        ours = ours.removesuffix(".").removesuffix(".branch2")
        if ours not in modules or not ours:
            raise ValueError(f"the model has no layer {name!r}.{did_you_mean(ours, modules)}")
        layers.append(ours)
    owners = [layer.split(".")[0] for layer in layers]
    alone = {owner for owner in owners if owners.count(owner) == 1 and owner in pathways}
    return {owner if owner in alone else layer: layer for layer, owner in zip(layers, owners, strict=True)}


def grad_cam(
    pipeline: Pipeline,
    frames: Tensor,
    class_ids: Sequence[int],
    layers: Mapping[str, str],
    *,
    boxes: Tensor | None = None,
    method: str = METHODS[0],
) -> dict[str, Tensor]:
    """For each of ``layers`` the maps float32 (B, T, H, W), at least 0, of clips, or (R, T, H, W) of boxes, on the CPU.

    Maps are resized to the frames of the clip: bilinearly in space, linearly between the times that their steps show.

    Args:
        frames: uint8 (B, 3, T, H, W), as in ``Pipeline.scores``.
        class_ids: one per clip, or one per box.
        layers: title -> name of a module of the model.
        boxes: float32 (R, 5), for a detection model.
        method: "hirescam" or "grad-cam".

    Raises:
        ValueError: another method; a class that the model does not have; a layer without a map (C, t, h, w), or that
            the logits do not depend on.
    """
    check_choice("method", method, METHODS)
    rows = range(len(frames)) if boxes is None else range(len(boxes))
    assert len(class_ids) == len(rows), "one class for each clip or box"
    maps: dict[str, list[Tensor]] = {title: [] for title in layers}
    for row in rows:  # one at a time: a box shares its clip's activations with others, but not their gradients
        clip = row if boxes is None else int(boxes[row, 0])
        one_box = None if boxes is None else torch.cat([torch.zeros(1), boxes[row, 1:]])[None]
        found = _maps_of(pipeline, frames[clip : clip + 1], int(class_ids[row]), layers, one_box, method)
        for title, x in found.items():
            times = step_times(pipeline.model, title, x.shape[0], frames.shape[2])
            maps[title].append(fit_to_clip(x, times, frames.shape[2:]))
    return {title: torch.stack(parts) for title, parts in maps.items()}


def _maps_of(
    pipeline: Pipeline,
    frames: Tensor,
    class_id: int,
    layers: Mapping[str, str],
    box: Tensor | None,
    method: str,
) -> dict[str, Tensor]:
    """Title -> (t, h, w) of one clip and one of its boxes."""
    modules = {layer: pipeline.model.get_submodule(layer) for layer in layers.values()}
    with torch.enable_grad(), logit_mode(pipeline.model), recorded(modules) as outputs:
        clip = pipeline.prepare(frames).requires_grad_()  # so that frozen weights have gradients behind them, too
        logits = pipeline.model(clip, *([] if box is None else [box.to(clip.device)]))
        if not 0 <= class_id < logits.shape[1]:
            raise ValueError(
                f"class {class_id} is not one of the model's {logits.shape[1]}, which are numbered from 0."
            )
        missing = [layer for layer in modules if layer not in outputs or outputs[layer].ndim != 5]
        if missing:
            raise ValueError(f"{missing[0]} gives no map (channels, frames, rows, columns). Name a layer that does.")
        gradients = torch.autograd.grad(logits[0, class_id], [outputs[x] for x in modules], allow_unused=True)
    found = {}
    for layer, gradient in zip(modules, gradients, strict=True):
        if gradient is None:
            raise ValueError(f"the scores do not depend on {layer}. Name a layer before the head.")
        weights = gradient if method == "hirescam" else gradient.mean((2, 3, 4), keepdim=True)
        found[layer] = F.relu((weights * outputs[layer].detach()).sum(1))[0].float().cpu()
    return {title: found[layer] for title, layer in layers.items()}


def step_times(model: Any, title: str, num_steps: int, num_frames: int) -> Tensor:
    """Which frame of the clip each step of a map shows, float32 (num_steps,), increasing.

    For the Slow pathway, these are its own frames. Elsewhere, each step stands for the middle of an equal part of the
    clip.
    """
    alpha = getattr(model, "alpha", None)
    if title.split(".")[0] == "slow" and alpha and num_steps * alpha == num_frames:
        return slow_frame_indices(num_frames, alpha, mode=str(model.slow_frames)).float()
    return (torch.arange(num_steps) + 0.5) * num_frames / num_steps - 0.5


def fit_to_clip(x: Tensor, times: Tensor, size: Sequence[int]) -> Tensor:
    """A map (t, h, w) whose steps show the frames ``times``, at the frames and pixels of a clip: ``size`` (T, H, W)."""
    num_frames, height, width = size
    x = F.interpolate(x[:, None], size=(height, width), mode="bilinear", align_corners=False)[:, 0]
    frames = torch.arange(num_frames, dtype=torch.float32)
    after = torch.searchsorted(times, frames).clamp(0, len(times) - 1)
    before = (after - 1).clamp(min=0)
    gap = times[after] - times[before]
    share = torch.where(gap > 0, (frames - times[before]) / gap.clamp(min=1e-6), torch.ones(())).clamp(0, 1)
    return torch.lerp(x[before], x[after], share[:, None, None])


def normalized(x: Tensor) -> Tensor:
    """Maps (..., T, H, W) for display, in [0, 1]: the highest hundredth of the positions is 1; an empty map stays zero.

    One position often towers above all others, which would be invisible if it alone were 1.
    """
    flat = x.flatten(-3)
    high = flat.kthvalue(max(1, round(0.99 * flat.shape[-1])), dim=-1).values
    scale = torch.where(high > 0, high, flat.amax(-1)).clamp(min=torch.finfo(x.dtype).tiny)
    return (x / scale[..., None, None, None]).clamp(max=1)
