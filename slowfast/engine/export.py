"""A model as a file that runs without this package: a torch.export program (.pt2) or ONNX.

Either takes one clip tensor float32 (B, 3, T, H, W), and boxes (R, 5) for detection models; the batch size and the
number of boxes may vary, but not the clip's size. The output is that of the model in eval mode: scores.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from slowfast.engine.pipeline import Pipeline, takes_boxes

logger = logging.getLogger(__name__)

CHECKED_BATCHES = (1, 3)  # the trace is made with 2: an exported program must not have kept that number
TOLERANCE = 1e-4  # largest difference to the model, in its largest score
INPUT_NAMES = ("clip", "boxes")
OUTPUT_NAME = "scores"


class ExportError(ValueError):
    """A model cannot be exported, or its export gives different scores."""


class _Scores(nn.Module):
    """``model`` as an exported program holds it; the hooks of a model run as parts of this one."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model

    def forward(self, clip: Tensor, boxes: Tensor | None = None) -> Tensor:
        return self.model(clip) if boxes is None else self.model(clip, boxes)


def example_inputs(model: nn.Module, clip_shape: Sequence[int], batch: int) -> tuple[Tensor, ...]:
    """Frames of noise, uint8 (batch, *clip_shape), and, where the model takes them, ``batch + 1`` boxes.

    They are always the same.
    """
    generator = torch.Generator().manual_seed(batch)
    frames = torch.randint(0, 256, (batch, *clip_shape), dtype=torch.uint8, generator=generator)
    if not takes_boxes(model):
        return (frames,)
    height, width = clip_shape[-2:]
    corners = torch.rand((batch + 1, 2, 2), generator=generator).sort(dim=1).values * torch.tensor([width, height])
    clip_index = torch.arange(batch + 1).remainder(batch)[:, None].float()
    return frames, torch.cat([clip_index, corners.flatten(1)], dim=1)


def export_program(model: nn.Module, clip_shape: Sequence[int]) -> torch.export.ExportedProgram:
    """``model`` in eval mode as a torch.export program with a dynamic batch.

    Args:
        model: on the CPU, in float32.
        clip_shape: (3, T, H, W).

    Raises:
        ExportError: torch.export cannot follow the model; the message holds its reason.
    """
    wrapped = _Scores(model).eval()
    dynamic = ({0: torch.export.Dim("batch")}, {0: torch.export.Dim("boxes")})
    frames, *boxes = example_inputs(model, clip_shape, batch=2)
    inputs = (frames / 255, *boxes)
    try:
        program = torch.export.export(wrapped, inputs, dynamic_shapes=dynamic[: len(inputs)], strict=False)
    except Exception as error:  # any: the model may be anybody's, and torch raises many kinds
        raise ExportError(f"torch.export cannot follow {type(model).__name__}: {_reason(error)}") from error
    program.example_inputs = None  # or every file would hold them, 50 MB for two clips of 32x256x256
    return program


def write_program(program: torch.export.ExportedProgram, path: Path) -> Callable[..., Tensor]:
    """Write a .pt2 file; returns its output after it is read back and called with the inputs."""
    torch.export.save(program, path)
    return torch.export.load(path).module()


def write_onnx(program: torch.export.ExportedProgram, path: Path) -> Callable[..., Tensor]:
    """Write an .onnx file, weights included; returns its output in onnxruntime on the CPU for the inputs.

    Raises:
        ExportError: the packages of the extra [export] are not installed, or an operator has no ONNX form.
    """
    try:
        import onnx
        import onnxruntime
        import onnxscript  # noqa: F401  (torch.onnx needs it, and says so in more words)
    except ImportError as error:
        raise ExportError(
            f"ONNX needs {error.name}: pip install 'slowfast[export]', or export only with --format torch."
        ) from error
    names = INPUT_NAMES[: len(program.graph_signature.user_inputs)]
    try:
        torch.onnx.export(
            program,
            (),
            path,
            dynamo=True,
            external_data=False,
            optimize=True,
            verbose=False,
            input_names=names,
            output_names=[OUTPUT_NAME],
        )
    except Exception as error:  # any, as above
        raise ExportError(f"torch.onnx cannot translate the model: {_reason(error)}") from error
    _name_dynamic_axes(onnx, path)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])

    def run(*inputs: Tensor) -> Tensor:
        feed = {name: value.numpy() for name, value in zip(names, inputs, strict=True)}
        return torch.from_numpy(session.run(None, feed)[0])

    return run


def _name_dynamic_axes(onnx, path: Path) -> None:
    """Name the first axes "batch" and "boxes" in the file, in place of torch's own names (s53)."""
    model = onnx.load(path)
    renamed = {
        value.type.tensor_type.shape.dim[0].dim_param: name
        for value, name in zip(model.graph.input, ("batch", "boxes"), strict=False)
    }
    for value in (*model.graph.input, *model.graph.output, *model.graph.value_info):
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_param in renamed:  # only then: writing the name of an axis removes its length
                dim.dim_param = renamed[dim.dim_param]
    onnx.save(model, path)


def largest_difference(pipeline: Pipeline, run: Callable[..., Tensor], clip_shape: Sequence[int]) -> float:
    """The difference between ``run``, called with normalized clips, and a pipeline on their frames.

    As a share of the pipeline's largest score, over batches of CHECKED_BATCHES.

    Raises:
        ExportError: ``run`` fails at one of these sizes or gives another shape, or the model's scores are not finite.
    """
    differences = []
    for batch in CHECKED_BATCHES:
        frames, *boxes = example_inputs(pipeline.model, clip_shape, batch)
        expected = pipeline.scores(frames, *boxes)
        if not expected.isfinite().all():
            raise ExportError("the model itself gives scores that are not finite for noise: check its weights.")
        try:
            with torch.no_grad():
                found = run(pipeline.prepare(frames), *boxes)
        except Exception as error:  # any: onnxruntime and torch raise kinds of their own
            raise ExportError(f"the exported model fails with a batch of {batch}: {_reason(error)}") from error
        if found.shape != expected.shape:
            raise ExportError(
                f"the exported model gives {tuple(found.shape)} for a batch of {batch}, not {tuple(expected.shape)}."
            )
        differences.append(float((found - expected).abs().max() / expected.abs().max()))
    return max(differences)


def check_against(pipeline: Pipeline, run: Callable[..., Tensor], clip_shape: Sequence[int], path: Path) -> float:
    """``largest_difference``, if it is small; a file with different scores is removed.

    Raises:
        ExportError: the difference is above TOLERANCE, or not a number.
    """
    try:
        difference = largest_difference(pipeline, run, clip_shape)
        if not difference <= TOLERANCE:
            raise ExportError(
                f"{path} gives scores that differ from the model's by {difference:.1e} of the largest, more than "
                f"{TOLERANCE:.0e}."
            )
    except ExportError:
        path.unlink()
        raise
    return difference


def _reason(error: Exception) -> str:
    """Kind and first lines of an error, without the pages that torch adds."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {' '.join(lines[:3])[:400]}"
