"""``slowfast convert``: weights in the other naming."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from slowfast.cli.arguments import Parser, command_parser
from slowfast.cli.errors import report_errors
from slowfast.engine.checkpoint import save_checkpoint
from slowfast.models.weights.load import CheckpointError, read_with_kind
from slowfast.models.weights.names import is_pyslowfast_name, rename

EXAMPLE = """
slowfast convert SLOWFAST_8x8_R50.pkl slowfast_8x8_r50.pyth
slowfast convert out/checkpoints/checkpoint_epoch_00196.pyth theirs.pyth --to pyslowfast
"""
_NEITHER = "names of neither framework"
NAMING = {"slowfast": "this framework's", "pyslowfast": "PySlowFast's"}


@report_errors
def main(argv: Sequence[str] | None = None) -> int:
    """Writes the file, prints what it did, and returns the exit status."""
    args = build_parser().parse_args(argv)
    _check_paths(args.input, args.output, overwrite=args.overwrite)
    kind, content = read_with_kind(args.input)
    state = content["model_state"]
    converted = convert(state, to=args.to, source=args.input)
    save_checkpoint(args.output, {**content, "model_state": converted})
    print(_summary(args, kind, content, converted))
    return 0


def build_parser() -> Parser:
    """The command line."""
    parser = command_parser(
        "convert",
        description="Write weights in the other naming: a PySlowFast checkpoint, a Caffe2 file, a plain state dict or "
        "a checkpoint of ours. Values, their order and all other fields of a checkpoint stay as they are.",
        example=EXAMPLE,
    )
    parser.add_argument("input", metavar="IN", help="file to read, a URL, or a name that `slowfast zoo` lists")
    parser.add_argument("output", metavar="OUT", type=Path, help="file to write, a .pyth for both frameworks")
    parser.add_argument("--to", choices=NAMING, default="slowfast", help="naming to write (default slowfast)")
    parser.add_argument("--overwrite", action="store_true", help="replace OUT if it exists")
    return parser


def _check_paths(source: str, target: Path, *, overwrite: bool) -> None:
    if Path(source).is_file() and target.exists() and target.samefile(source):
        raise ValueError(f"IN and OUT are the same file {target}. Choose another OUT.")
    if target.is_dir():
        raise ValueError(f"{target} is a folder. Name the file to write.")
    if target.exists() and not overwrite:
        raise ValueError(f"{target} exists. Choose another OUT, or --overwrite to replace it.")


def convert(state: dict[str, Any], *, to: str, source: str) -> dict[str, Any]:
    """``state`` in the naming ``to``; ``module.`` of wrapped models is removed.

    Raises:
        CheckpointError: the names are of neither naming, or two entries would get one name.
    """
    if naming_of(state) == _NEITHER:
        raise CheckpointError(
            f"{source} has names of neither framework, e.g. {next(iter(state))}: there is nothing to convert."
        )
    plain = {name.removeprefix("module."): value for name, value in state.items()}
    converted = rename(plain, to=to)
    if len(converted) != len(state):
        raise CheckpointError(
            f"{source} holds weights in both namings: {len(state)} tensors would have {len(converted)} names."
        )
    return converted


def _summary(args: argparse.Namespace, kind: str, content: dict[str, Any], converted: dict[str, Any]) -> str:
    """What was read and written, a line each."""
    state = content["model_state"]
    pairs = list(zip(state, converted, strict=True))
    renamed = [(old, new) for old, new in pairs if old != new]
    fields = [name for name in content if name != "model_state"]
    example = f", e.g. {renamed[0][0]} -> {renamed[0][1]}" if renamed else f": the names are {NAMING[args.to]} already"
    lines = [
        f"{args.input}: {kind}, {naming_of(state)}, {len(state)} tensors, "
        f"{sum(value.numel() for value in state.values()):,} values" + (f"; fields {', '.join(fields)}" * bool(fields)),
        f"{args.output}: {len(renamed)} of {len(state)} renamed{example}",
    ]
    if "optimizer_state" in content and renamed:
        lines.append("optimizer_state is kept as it is; it continues training only in the framework that wrote it.")
    return "\n".join(lines)


def naming_of(state: dict[str, Any]) -> str:
    """Whose names these are, in words."""
    names = [name.removeprefix("module.") for name in state]
    if any(is_pyslowfast_name(name) for name in names):
        return "PySlowFast's names"
    if any(rename({name: None}, to="pyslowfast").keys() != {name} for name in names):
        return "this framework's names"
    return _NEITHER


if __name__ == "__main__":
    sys.exit(main())
