"""``slowfast convert``: weights in the other naming."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from slowfast.cli.arguments import Parser, command, command_parser
from slowfast.engine.checkpoint import save_checkpoint
from slowfast.models.weights.load import CheckpointError, read_with_kind
from slowfast.models.weights.names import is_pyslowfast_name, rename
from slowfast.models.weights.training_state import FIELDS, from_pyslowfast, has_training_state, to_pyslowfast

EXAMPLE = """
slowfast convert SLOWFAST_8x8_R50.pkl slowfast_8x8_r50.pyth
slowfast convert out/checkpoints/checkpoint_epoch_00196.pyth theirs.pyth --to pyslowfast
"""
_NEITHER = "names of neither framework"
# Of a checkpoint, what only this framework goes on with.
OF_OUR_TRAINING = ("batch", "step", "training", "states", "processes")
NAMING = {"slowfast": "this framework's", "pyslowfast": "PySlowFast's"}


def build_parser() -> Parser:
    """The command line."""
    parser = command_parser(
        "convert",
        description="Convert weights to the other naming: a PySlowFast checkpoint, a Caffe2 file, a plain state dict "
        "or one of our checkpoints. Values and their order do not change; for PySlowFast, sub-batch norms become "
        "plain ones, as it saves them. Epoch and optimizer are converted too, so that the other framework can "
        "resume training.",
        example=EXAMPLE,
    )
    parser.add_argument("input", metavar="IN", help="file to read, a URL, or a name that `slowfast zoo` lists")
    parser.add_argument("output", metavar="OUT", type=Path, help="file to write, .pyth for both frameworks")
    parser.option("--to", "naming to write", default="slowfast", choices=NAMING)
    parser.option("--overwrite", "replace OUT if it exists")
    return parser


@command(build_parser)
def main(args: argparse.Namespace) -> int:
    """Writes the file, prints what it did, and returns the exit status."""
    _check_paths(args.input, args.output, overwrite=args.overwrite)
    kind, content = read_with_kind(args.input)
    converted, note = convert(content, to=args.to, source=args.input)
    save_checkpoint(args.output, converted)
    print(_summary(args, kind, content, converted, note))
    return 0


def _check_paths(source: str, target: Path, *, overwrite: bool) -> None:
    if Path(source).is_file() and target.exists() and target.samefile(source):
        raise ValueError(f"IN and OUT are the same file {target}. Choose another OUT.")
    if target.is_dir():
        raise ValueError(f"{target} is a folder. Name the file to write.")
    if target.exists() and not overwrite:
        raise ValueError(f"{target} exists. Choose another OUT, or --overwrite to replace it.")


def convert(content: dict[str, Any], *, to: str, source: str) -> tuple[dict[str, Any], str]:
    """The content of a checkpoint in the naming ``to``, and a sentence on its training ("" if it holds none).

    ``module.`` of wrapped models is removed. Training state that only the old form has is dropped.

    Raises:
        CheckpointError: the names are of neither naming, or two entries would get one name.
    """
    state = content["model_state"]
    naming = naming_of(state)
    if naming == _NEITHER:
        raise CheckpointError(
            f"{source} has the names of neither framework, e.g. {next(iter(state))}: there is nothing to convert."
        )
    plain = {name.removeprefix("module."): value for name, value in state.items()}
    num_names = len(rename(plain, to=to))
    if num_names != len(state):
        raise CheckpointError(
            f"{source} holds weights in both namings: {len(state)} tensors would have {num_names} names."
        )
    content = {**content, "model_state": plain}
    return (content, "") if naming == f"{NAMING[to]} names" else _with_training(content, to=to)


def _with_training(content: dict[str, Any], *, to: str) -> tuple[dict[str, Any], str]:
    translate = {"pyslowfast": to_pyslowfast, "slowfast": from_pyslowfast}[to]
    try:
        result, note = translate(content), ""
    except CheckpointError as error:
        content = {name: value for name, value in content.items() if name != "optimizer_state"}
        result, note = translate(content), f"The optimizer is not converted: {error}"
    if not note and to == "pyslowfast" and has_training_state(content):
        note = f"PySlowFast can resume the training at the start of epoch {content['epoch'] + 2}."
    others = {name: value for name, value in content.items() if name not in (*FIELDS, *OF_OUR_TRAINING)}
    # In the order of the file; what the other framework alone needs comes last.
    order = [*(name for name in content if name in result or name in others), *result]
    return {name: result[name] if name in result else others[name] for name in order}, note


def _summary(args: argparse.Namespace, kind: str, content: dict[str, Any], converted: dict[str, Any], note: str) -> str:
    """What was read and written, one line each."""
    state = content["model_state"]
    names = rename({name.removeprefix("module."): None for name in state}, to=args.to)
    renamed = [(old, new) for old, new in zip(state, names, strict=True) if old != new]
    fields, left_out = [name for name in content if name != "model_state"], content.keys() - converted.keys()
    example = f", e.g. {renamed[0][0]} -> {renamed[0][1]}" if renamed else f": the names are {NAMING[args.to]} already"
    joined = len(state) - len(converted["model_state"])
    lines = [
        f"{args.input}: {kind}, {naming_of(state)}, {len(state)} tensors, "
        f"{sum(value.numel() for value in state.values()):,} values" + (f"; fields {', '.join(fields)}" * bool(fields)),
        f"{args.output}: {len(renamed)} of {len(state)} renamed{example}"
        + (f"; sub-batch norms are joined, {joined} tensors fewer" if joined else ""),
        *([note] if note else []),
    ]
    if left_out:
        lines.append(f"Not converted: {', '.join(name for name in content if name in left_out)}.")
    return "\n".join(lines)


def naming_of(state: dict[str, Any]) -> str:
    """Whose names these are, in words."""
    names = [name.removeprefix("module.") for name in state]
    if any(is_pyslowfast_name(name) for name in names):
        return "PySlowFast's names"
    if any(rename({name: None}, to="pyslowfast").keys() != {name} for name in names):
        return "this framework's names"
    return _NEITHER
