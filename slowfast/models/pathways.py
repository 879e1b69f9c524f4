"""One clip -> the inputs of both pathways, and the weaker Fast inputs of the paper's table 5c."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from slowfast.models.checks import check_clip, shape_text
from slowfast.utils.color import LUMA
from slowfast.utils.suggest import not_one_of

SLOW_FRAMES = ("linspace", "strided")
# What the Fast pathway may see: its channels.
FAST_INPUTS = {"rgb": 3, "half_resolution": 3, "gray": 1, "time_difference": 3, "flow": 2}


def pathways_of(model: nn.Module) -> tuple[str, ...]:
    """Names of a model's pathways; of somebody's own model, which need not say, the one of a single pathway."""
    return getattr(model, "pathway_names", ("pathway",))


def slow_frame_indices(num_frames: int, alpha: int, *, mode: str = "linspace") -> Tensor:
    """Which frames of the clip the Slow pathway sees: int64, shape (num_frames // alpha,), increasing.

    Args:
        num_frames: frames of the clip, T; alpha must divide it.
        mode: "linspace" spreads them from the first to the last frame, both included, rounded down, as PySlowFast
            does (released weights were trained this way); "strided" takes every alpha-th, as the paper writes.

    Raises:
        ValueError: unknown mode, or alpha does not divide ``num_frames``.
    """
    if num_frames % alpha:
        divisors = [d for d in range(1, min(num_frames, 64) + 1) if num_frames % d == 0]
        lower, upper = num_frames // alpha * alpha, (num_frames // alpha + 1) * alpha
        lengths = f"{lower} or {upper}" if lower else f"{upper}"
        raise ValueError(
            f"alpha={alpha} does not divide the clip length {num_frames}: Slow holds 1 in {alpha} Fast frames. "
            f"Clips of {lengths} frames fit it, and this one fits alpha in {divisors}."
        )
    if mode == "linspace":
        # float32, as the reference: in a few cases float64 rounds another way.
        return torch.linspace(0, num_frames - 1, num_frames // alpha, dtype=torch.float32, device="cpu").long()
    if mode == "strided":
        return torch.arange(0, num_frames, alpha, device="cpu")
    raise ValueError(not_one_of("slow_frames", mode, SLOW_FRAMES))


def split_pathways(clip: Tensor, alpha: int, *, mode: str = "linspace") -> list[Tensor]:
    """``[slow, fast]``: (B, C, T, H, W) -> [(B, C, T / alpha, H, W), the clip itself]."""
    indices = slow_frame_indices(clip.shape[2], alpha, mode=mode)
    return [clip.index_select(2, indices.to(clip.device)), clip]


def fast_input(clip: Tensor, mode: str) -> Tensor:
    """What the Fast pathway sees of a normalized clip (B, 3, T, H, W), or (B, 5, T, H, W) for "flow".

    Args:
        mode: "rgb", the clip; "half_resolution", means of 2 x 2 pixels, (B, 3, T, H / 2, W / 2); "gray", the luma
            (of R, G, B: a clip that is fed as BGR has red and blue exchanged), (B, 1, T, H, W); "time_difference", each
            frame minus the one before, the first one zero; "flow", the flow in channels 3 and 4, (B, 2, T, H, W).

    Raises:
        ValueError: unknown mode.
    """
    if mode == "rgb":
        return clip
    if mode == "half_resolution":
        return F.avg_pool3d(clip, (1, 2, 2))
    if mode == "gray":
        return (clip * clip.new_tensor(LUMA).view(3, 1, 1, 1)).sum(1, keepdim=True)
    if mode == "time_difference":
        return torch.cat([torch.zeros_like(clip[:, :, :1]), clip[:, :, 1:] - clip[:, :, :-1]], dim=2)
    if mode == "flow":
        return clip[:, 3:]
    raise ValueError(not_one_of("fast_input", mode, FAST_INPUTS))


def single_clip(
    clip: Tensor | Sequence[Tensor],
    *,
    in_channels: int,
    dtype: torch.dtype,
    least_frames: int = 1,
    least_size: int = 1,
) -> Tensor:
    """The clip (B, C, T, H, W) of a network with one pathway; a list of one clip, PySlowFast's form, is unpacked.

    Raises:
        ValueError: a different shape, several clips, too few frames or pixels, or numbers that do not go with weights
            of ``dtype``.
    """
    if not isinstance(clip, Tensor) and len(clip) == 1:
        clip = clip[0]
    if not isinstance(clip, Tensor) or clip.ndim != 5 or clip.shape[1] != in_channels:
        raise ValueError(f"expected a clip (B, {in_channels}, T, H, W); received {shape_text(clip)}.")
    check_clip(clip, dtype=dtype, least_frames=least_frames, least_size=least_size)
    return clip


def slow_and_fast(
    clip: Tensor | Sequence[Tensor],
    *,
    in_channels: Sequence[int],
    clip_channels: int,
    alpha: int,
    slow_frames: str,
    fast_input_mode: str,
    dtype: torch.dtype,
) -> list[Tensor]:
    """``[slow, fast]`` of a clip (B, C, T, H, W), or of a ready-made pair, checked; arguments are SlowFast's.

    Args:
        dtype: of the weights.

    Raises:
        ValueError: a shape that the network cannot take.
    """
    if not isinstance(clip, Tensor) and len(clip) == 1:
        clip = clip[0]
    if isinstance(clip, Tensor):
        serves_both = fast_input_mode != "rgb" or len(set(in_channels)) == 1
        if clip.ndim != 5 or clip.shape[1] != clip_channels or clip.shape[2] % alpha or not serves_both:
            raise ValueError(
                f"expected a clip (B, {clip_channels}, T, H, W) with T a multiple of alpha={alpha}, or [slow, fast]; "
                f"received {shape_text(clip)}."
            )
        check_clip(clip, dtype=dtype, least_frames=alpha)
        slow, fast = split_pathways(clip, alpha, mode=slow_frames)
        return [slow[:, : in_channels[0]], fast_input(fast, fast_input_mode)]
    shrink = 2 if fast_input_mode == "half_resolution" else 1
    if not _is_pair(clip, in_channels, alpha, shrink):
        raise ValueError(
            f"expected [slow, fast] = [(B, {in_channels[0]}, t, H, W), (B, {in_channels[1]}, {alpha} * t, H, W)]; "
            f"received {shape_text(clip)}."
        )
    for pathway in clip:
        check_clip(pathway, dtype=dtype)
    return list(clip)


def _is_pair(clip: Sequence[Tensor], in_channels: Sequence[int], alpha: int, shrink: int) -> bool:
    """Whether ``clip`` is [slow, fast] of one batch, with matching sizes, channels and frames."""
    if len(clip) != 2 or not all(isinstance(x, Tensor) and x.ndim == 5 for x in clip):
        return False
    slow, fast = clip
    size = (slow.shape[3] // shrink, slow.shape[4] // shrink)
    expected = (slow.shape[0], in_channels[1], slow.shape[2] * alpha, *size)
    return slow.shape[1] == in_channels[0] and tuple(fast.shape) == expected
