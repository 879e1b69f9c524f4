"""One clip -> the inputs of both pathways, and the weaker Fast inputs of the paper's table 5c."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

SLOW_FRAMES = ("linspace", "strided")
# What the Fast pathway may see: its channels.
FAST_INPUTS = {"rgb": 3, "half_resolution": 3, "gray": 1, "time_difference": 3, "flow": 2}
LUMA = (0.299, 0.587, 0.114)  # of R, G, B: ITU-R BT.601


def slow_frame_indices(num_frames: int, alpha: int, *, mode: str = "linspace") -> Tensor:
    """Which frames of the clip the Slow pathway sees: int64, shape (num_frames // alpha,), increasing.

    Args:
        num_frames: frames of the clip, T; alpha must divide it.
        mode: "linspace" spreads them from the first to the last frame, both included, rounded down, as PySlowFast
            does (released weights were trained so); "strided" takes every alpha-th, as the paper writes.

    Raises:
        ValueError: unknown mode, or alpha does not divide ``num_frames``.
    """
    if num_frames % alpha:
        divisors = [d for d in range(1, min(num_frames, 64) + 1) if num_frames % d == 0]
        lower, upper = num_frames // alpha * alpha, (num_frames // alpha + 1) * alpha
        lengths = f"{lower} or {upper}" if lower else f"{upper}"
        raise ValueError(
            f"alpha={alpha} does not divide the clip length {num_frames}: Slow holds 1 in {alpha} Fast frames. "
            f"Set DATA.NUM_FRAMES to {lengths}, or SLOWFAST.ALPHA to one of {divisors}."
        )
    if mode == "linspace":
        # float32, as the reference: in a few cases float64 rounds another way.
        return torch.linspace(0, num_frames - 1, num_frames // alpha, dtype=torch.float32, device="cpu").long()
    if mode == "strided":
        return torch.arange(0, num_frames, alpha, device="cpu")
    raise ValueError(f"slow_frames={mode!r} is not one of {', '.join(SLOW_FRAMES)} (SLOWFAST.SLOW_FRAMES).")


def split_pathways(clip: Tensor, alpha: int, *, mode: str = "linspace") -> list[Tensor]:
    """``[slow, fast]``: (B, C, T, H, W) -> [(B, C, T / alpha, H, W), the clip itself]."""
    indices = slow_frame_indices(clip.shape[2], alpha, mode=mode)
    return [clip.index_select(2, indices.to(clip.device)), clip]


def fast_input(clip: Tensor, mode: str) -> Tensor:
    """What the Fast pathway sees of a normalised clip (B, 3, T, H, W), or (B, 5, T, H, W) for "flow".

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
    raise ValueError(f"SLOWFAST.FAST_INPUT={mode!r} is not one of {', '.join(FAST_INPUTS)}.")


def single_clip(clip: Tensor | Sequence[Tensor], *, in_channels: int) -> Tensor:
    """The clip (B, C, T, H, W) of a network of one pathway; a list of one, as PySlowFast gives it, is unpacked.

    Raises:
        ValueError: another shape, or several clips.
    """
    if not isinstance(clip, Tensor) and len(clip) == 1:
        clip = clip[0]
    if not isinstance(clip, Tensor) or clip.ndim != 5 or clip.shape[1] != in_channels:
        shape = tuple(clip.shape) if isinstance(clip, Tensor) else [tuple(x.shape) for x in clip]
        raise ValueError(f"expected a clip (B, {in_channels}, T, H, W); received {shape}.")
    return clip
