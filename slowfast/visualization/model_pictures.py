"""What happens inside a network, for the writers of a run: weights, activations, the clip itself, Grad-CAM."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from slowfast.datasets.samples import VideoViews
from slowfast.engine.grad_cam import (
    default_layers,
    find_layers,
    fit_to_clip,
    grad_cam,
    normalized,
    recorded,
    step_times,
)
from slowfast.engine.pipeline import Pipeline
from slowfast.engine.prediction import class_name
from slowfast.utils.run_writers import RunWriter

Colors = Callable[[np.ndarray], np.ndarray]  # values in [0, 1] -> (..., 4) in [0, 1]


class ModelPictures:
    """Draws a model at work on some videos.

    Args:
        writers: take what is drawn, at ``step``.
        fps: of the videos that are drawn.
    """

    def __init__(self, pipeline: Pipeline, writers: Sequence[RunWriter], *, step: int, fps: float):
        self.pipeline, self.writers, self.step, self.fps = pipeline, writers, step, fps

    def weights(self, layers: Sequence[str]) -> None:
        """The distribution of the weights of some layers; of all parameters without any.

        Raises:
            ValueError: no layer has such a name.
        """
        chosen = tuple(find_layers(self.pipeline, layers).values())
        for name, parameter in self.pipeline.model.named_parameters():
            if not chosen or any(name.startswith(f"{layer}.") for layer in chosen):
                for writer in self.writers:
                    writer.histogram(self.step, f"Weights/{name}", parameter.detach().float().cpu().numpy())

    def clip(self, name: str, frames: Tensor, scores: np.ndarray, *, top: int, colors: Colors) -> None:
        """The clip uint8 (1, 3, T, H, W) under its ``top`` best classes, each in its own color."""
        self._video(f"Input/{name}", captioned(_pixels(frames), self._best(scores, top), colors))

    def activations(self, name: str, frames: Tensor, layers: Sequence[str], colors: Colors) -> None:
        """The mean over the channels of some layers' outputs, each scaled to its largest value.

        Raises:
            ValueError: no layer has such a name, or it gives no map.
        """
        modules = {
            layer: self.pipeline.model.get_submodule(layer) for layer in find_layers(self.pipeline, layers).values()
        }
        with recorded(modules) as outputs:
            self.pipeline.scores(frames)
        for layer in modules:
            if layer not in outputs or outputs[layer].ndim != 5:
                raise ValueError(f"{layer} gives no map (channels, frames, rows, columns). Name a layer that does.")
            mean = outputs[layer][0].float().mean(0).abs().cpu()
            times = step_times(self.pipeline.model, layer, len(mean), frames.shape[2])
            heat = normalized(fit_to_clip(mean, times, frames.shape[2:]))
            self._video(f"Activations/{layer}/{name}", _colored(heat, colors))

    def evidence(self, name: str, frames: Tensor, class_id: int, layers: Sequence[str], colors: Colors) -> None:
        """Grad-CAM of each pathway over the clip; by default of the layers that ``default_layers`` names.

        Raises:
            ValueError: no layer has such a name, or it gives no map.
        """
        chosen = find_layers(self.pipeline, layers) if layers else default_layers(self.pipeline, frames)
        for title, maps in grad_cam(self.pipeline, frames, [class_id], chosen).items():
            heat = normalized(maps)[0]
            mixed = 0.5 * _pixels(frames) + 0.5 * _colored(heat, colors)
            label = class_name(class_id, self.pipeline.class_names)
            self._video(f"Grad-CAM/{title}/{name}", captioned(mixed.round().astype(np.uint8), [label], None))

    def _best(self, scores: np.ndarray, top: int) -> list[str]:
        best = np.argsort(-scores, kind="stable")[:top].tolist()
        return [f"{class_name(k, self.pipeline.class_names)} {scores[k]:.2f}" for k in best]

    def _video(self, name: str, frames: np.ndarray) -> None:
        for writer in self.writers:
            writer.video(self.step, name, frames, fps=self.fps)


def center_view(views: VideoViews) -> Tensor:
    """The view in the middle of a video, uint8 (1, 3, T, S, S)."""
    clip, crop = len(views.clip_indices) // 2, len(views.crops) // 2
    return views.views([clip * len(views.crops) + crop])


def captioned(frames: np.ndarray, lines: Iterable[str], colors: Colors | None) -> np.ndarray:
    """Frames uint8 (T, H, W, 3) with lines of text below, each on a band in its own color."""
    font, lines = ImageFont.load_default(size=11), list(lines)
    height, width = frames.shape[1:3]
    wide = max([width, *(round(font.getlength(line)) + 4 for line in lines)])
    drawn = []
    for frame in frames:
        canvas = Image.new("RGB", (wide, height + 14 * len(lines)), (255, 255, 255))
        canvas.paste(Image.fromarray(frame))
        pen = ImageDraw.Draw(canvas)
        for number, line in enumerate(lines):
            top = height + 14 * number
            if colors is not None:
                shade = np.asarray(colors(np.array([(number + 0.5) / len(lines)])))[0, :3]
                color = tuple((255 * shade).astype(int).tolist())
                pen.rectangle((0, top, wide, top + 14), fill=color)
            pen.text((2, top), line, fill=(0, 0, 0), font=font)
        drawn.append(np.asarray(canvas))
    return np.stack(drawn)


def _pixels(frames: Tensor) -> np.ndarray:
    return frames[0, :3].permute(1, 2, 3, 0).contiguous().numpy()


def _colored(heat: Tensor, colors: Colors) -> np.ndarray:
    return (255 * np.asarray(colors(heat.numpy()))[..., :3]).round().astype(np.uint8)
