"""What all command lines share: one parser, one spelling of each shared flag, overrides at the end.

``tests/cli/test_arguments.py`` checks all parsers.
"""

from __future__ import annotations

import argparse
import functools
import math
import os
import re
import shlex
import sys
import textwrap
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import simplejson

from slowfast.config import get_cfg
from slowfast.config.files import existing_config
from slowfast.config.merge import key_names
from slowfast.utils.environment import num_cores
from slowfast.utils.errors import USER_ERRORS, StoppedError, exit_code_of, wants_traceback
from slowfast.utils.suggest import did_you_mean
from slowfast.utils.text import printable
from slowfast.video.files import VIDEO_ENDINGS

_LOOKS_LIKE_A_KEY = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)*(\.\w+)*")


class Parser(argparse.ArgumentParser):
    """A parser with one-line errors that accepts overrides among and after its flags.

    Args:
        takes_overrides: whether ``KEY value`` (or ``KEY=value``) pairs may follow; they come back as ``args.opts``.
    """

    def __init__(self, *args, takes_overrides: bool = False, **kwargs):
        defaults: dict[str, Any] = {"formatter_class": argparse.RawDescriptionHelpFormatter, "allow_abbrev": False}
        self.takes_overrides = takes_overrides
        self._overrides: argparse.Action | None = None
        self._takes_files = False  # by position
        super().__init__(*args, **defaults | kwargs)
        if takes_overrides:
            self._overrides = self.add_argument(
                "opts", nargs="*", default=[], metavar="KEY value", help="config keys to override (KEY=value works too)"
            )

    def add_argument(self, *args, **kwargs) -> argparse.Action:
        """As in argparse; the overrides follow the command's positional arguments."""
        action = super().add_argument(*args, **kwargs)
        if self._overrides is not None and not action.option_strings:
            self._takes_files = True
            for actions in (self._actions, self._positionals._group_actions):
                actions.remove(self._overrides)
                actions.append(self._overrides)
        return action

    def option(self, spec: str, text: str, *, group: argparse._ActionsContainer | None = None, **kwargs: Any) -> None:
        """Add a flag, such as ``option("--window S", "seconds of a window", type=positive, default=4.0)``.

        Args:
            spec: the flag, its other spellings, and the names of its values; without a value (and without ``choices``),
                it is a switch.
            text: the help; the default is appended unless the text mentions it.
            group: where it belongs, such as a group of options that exclude each other.
            kwargs: as in argparse.
        """
        flags = [word for word in spec.split() if word.startswith("--")]
        values = spec.split()[len(flags) :]
        if values:
            kwargs["metavar"] = tuple(values) if len(values) > 1 else values[0]
        elif "choices" not in kwargs:
            kwargs["action"] = "store_true"
        if len(values) > 1:
            kwargs["nargs"] = len(values)
        default = kwargs.get("default")
        if isinstance(default, int | float | str | Path) and default != "" and "default" not in text:
            text += f" (default {default:g})" if isinstance(default, float) else f" (default {default})"
        (group or self).add_argument(*flags, help=text, **kwargs)

    # ---- flags that commands share ----

    def add_cfg(self, *, default: str | None = None, several: str = "", required: bool = True) -> None:
        """--cfg: a config file, or the name of a recipe.

        Args:
            several: what several of them mean, if several are allowed.
        """
        text = "config file, or a recipe such as Kinetics/SLOWFAST_8x8_R50" + (f"; {several}" if several else "")
        required = required and default is None
        self.option("--cfg NAME", text, default=default, required=required, nargs="+" if several else None)

    def add_checkpoint(self, what: str, *, required: bool = False) -> None:
        """--checkpoint: weights to read."""
        self.option("--checkpoint NAME", what, default="", required=required)

    def add_output(self, what: str, *, required: bool = False, default: Path | None = None) -> None:
        """--output: the folder or file that a command writes."""
        self.option("--output PATH", what, type=Path, default=default, required=required)

    def add_workers(self, what: str = "number of parallel processes") -> None:
        """--workers: processes or threads; by default one per core."""
        cores = num_cores()
        text = f"{what} (default {cores}, the number of cores; 0: no extra processes)"
        self.option("--workers N", text, type=whole(0), default=cores)

    def add_split(self, *, default: str = "") -> None:
        """--split and --seed: how the videos of a class are divided; ``default`` tells what happens without."""
        what = "fractions by which each class is divided" + default
        self.option("--split TRAIN VAL TEST", what, type=float)
        self.option("--seed N", "of --split; another one gives another division", type=int, default=0)

    def add_gpus(self, what: str = "GPUs to run on", *, default: str = "") -> None:
        """--gpus: a number or "auto". None if it is not given, whatever ``default`` tells the user."""
        shown = f" (default {default})" if default else ""
        self.option("--gpus N", f"{what}; 0: the CPU; auto: all{shown}", type=_gpus)

    def add_json(self, what: str = "the figures") -> None:
        """--json: a file for the figures."""
        self.option("--json FILE", f"write {what} into FILE as JSON; - prints only that")

    # ---- parsing ----

    def parse_known_args(self, args=None, namespace=None):
        """As in argparse; overrides are removed from ``args`` first."""
        args = list(sys.argv[1:] if args is None else args)
        if not self.takes_overrides:
            return super().parse_known_args(args, namespace)
        args, overrides = self._split(args)
        parsed, unknown = super().parse_known_args(args, namespace)
        if parsed.opts and not unknown:
            self.error(f"{parsed.opts[0]!r} is neither a flag nor a config key.{_meant_key(parsed.opts[0])}")
        parsed.opts = overrides
        return parsed, unknown

    def _split(self, tokens: Sequence[str]) -> tuple[list[str], list[str]]:
        """(what argparse reads, overrides): a token that looks like a key, and is not a flag's value, begins a pair."""
        rest: list[str] = []
        overrides: list[str] = []
        keys = set(key_names(get_cfg()))
        num_values = 0  # that the flag before must have
        remaining = iter(tokens)
        for token in remaining:
            if token.startswith("--"):
                num_values = self._num_values(token)
                if token != "--opts":  # PySlowFast's word before the overrides
                    rest.append(token)
            elif num_values:
                num_values -= 1
                rest.append(token)
            elif _begins_override(token, keys) and not (self._takes_files and _is_file(token, keys)):
                overrides.append(token)
                if "=" not in token:
                    overrides += [value for value in [next(remaining, None)] if value is not None]
            else:
                rest.append(token)
        return rest, overrides

    def _num_values(self, flag: str) -> int:
        """Number of tokens after ``flag`` that are its values, whatever they look like."""
        action = self._option_string_actions.get(flag)
        if action is None or "=" in flag:
            return 0
        if isinstance(action.nargs, int):
            return action.nargs
        return 0 if action.nargs in ("*", "?") else 1

    def error(self, message: str) -> NoReturn:
        """Say what is wrong in one line, and leave with exit code 2."""
        unknown = re.match(r"unrecognized arguments: (--[^\s=]+)", message)
        if unknown:
            message = f"there is no {unknown[1]}.{did_you_mean(unknown[1], self._option_string_actions)}"
        self.exit(2, f"error: {message} ({self.prog} --help lists the arguments)\n")


def _begins_override(token: str, keys: Iterable[str]) -> bool:
    name, has_value, _ = token.partition("=")
    if name in keys:
        return True
    if not _LOOKS_LIKE_A_KEY.fullmatch(name) or name.endswith((".yaml", ".yml")):
        return False
    return bool(has_value) or existing_config(token, folder=Path()) is None


def _is_file(token: str, keys: Iterable[str]) -> bool:
    """Whether a word that could be a key is a file, such as a camera's IMG_0001.MP4."""
    if token in keys or "=" in token:
        return False
    return os.path.lexists(token) or os.path.splitext(token)[1].lower() in VIDEO_ENDINGS


def _meant_key(word: str) -> str:
    name, *_ = word.partition("=")
    return did_you_mean(name, key_names(get_cfg()))


def command_parser(
    command: str, *, description: str, example: str, takes_overrides: bool = False, notes: str = ""
) -> Parser:
    """The parser of ``slowfast COMMAND``.

    Args:
        example: lines to type.
        notes: more lines for the end of the help.
    """
    title = "example" if "\n" not in example.strip("\n").replace("\\\n", "") else "examples"
    return Parser(
        prog=typed_command(command),
        description=textwrap.fill(description, 100),
        epilog=f"{title}:\n{textwrap.indent(textwrap.dedent(example).strip(), '  ')}" + (notes and f"\n\n{notes}"),
        takes_overrides=takes_overrides,
    )


def command(
    build_parser: Callable[[], Parser],
) -> Callable[[Callable[[argparse.Namespace], int]], Callable[[Sequence[str] | None], int]]:
    """Make a function of parsed arguments the ``main(argv=None)`` of a command; it returns the exit code.

    User errors (``utils/errors.py``) become one line on standard error; with SLOWFAST_TRACEBACK=1 in the environment
    they keep their traceback, as other exceptions always do. ``args.argv`` has the words as they were typed.
    """

    def decorate(run: Callable[[argparse.Namespace], int]) -> Callable[[Sequence[str] | None], int]:
        @functools.wraps(run)
        def main(argv: Sequence[str] | None = None) -> int:
            argv = list(sys.argv[1:] if argv is None else argv)
            try:
                args = build_parser().parse_args(argv)
                args.argv = argv
                return run(args)
            except (*USER_ERRORS, KeyboardInterrupt) as error:
                if wants_traceback():
                    raise
                return _report(error)

        return main

    return decorate


def _report(error: BaseException) -> int:
    """Print a user error as one line; its exit code."""
    if isinstance(error, KeyboardInterrupt):
        print("interrupted", file=sys.stderr)
        return 130
    if isinstance(error, StoppedError):
        print(error, file=sys.stderr)
    elif str(error):  # else a process of the job has said it
        message = printable(str(error), keep="\n\t")  # names of files must not steer the terminal
        print(f"error: {message}\n(SLOWFAST_TRACEBACK=1 shows where it was raised)", file=sys.stderr)
    return exit_code_of(error)


def typed_command(command: str) -> str:
    """How the command was called: ``slowfast run``, or ``run_net.py`` through a script in tools/."""
    script = Path(sys.argv[0])
    return script.name if script.parent.name == "tools" else f"slowfast {command}"


def typed_line(command: str, argv: Sequence[str]) -> str:
    """The whole command line, to be shown or typed again."""
    script = Path(sys.argv[0])
    start = f"python {shlex.quote(str(script))}" if script.parent.name == "tools" else f"slowfast {command}"
    return f"{start} {shlex.join(map(str, argv))}"


# ---- values of flags, and overrides ----


def _gpus(text: str) -> int | str:
    return text if text == "auto" else whole(0)(text)


def positive(text: str) -> float:
    """Reads a number above 0, for argparse."""
    return _number(text, "above 0", lambda value: 0 < value < math.inf)


def fraction(text: str) -> float:
    """Reads a number from 0 to 1, for argparse."""
    return _number(text, "from 0 to 1", lambda value: 0 <= value <= 1)


def _number(text: str, wanted: str, is_allowed: Callable[[float], bool]) -> float:
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None
    if not is_allowed(value):
        raise argparse.ArgumentTypeError(f"{text} is not a number {wanted}")
    return value


def write_json(target: str | None, content: Any, *, text: str) -> None:
    """Print ``text`` and write ``content`` to what --json names; ``-`` prints the JSON in place of the text.

    NaN becomes null, because JSON has no NaN.
    """
    encoded = simplejson.dumps(content, indent=2, ignore_nan=True)
    print(encoded if target == "-" else text)
    if target and target != "-":
        Path(target).write_text(encoded + "\n", encoding="utf-8")


def config_overrides(args: argparse.Namespace, **keys: str) -> list[Any]:
    """Overrides of a command line: the keys that its flags stand for, then its KEY value pairs.

    Args:
        keys: attribute of ``args`` -> config key; flags that were not given are skipped.

    Raises:
        ValueError: a flag and its key are both given.
    """
    given = {key: (flag, getattr(args, flag)) for flag, key in keys.items() if getattr(args, flag) not in (None, "")}
    for entry in args.opts:
        name = str(entry).partition("=")[0]
        if name in given:
            flag = "--" + given[name][0].replace("_", "-")
            raise ValueError(f"{flag} and {name} are the same setting. Give only one of them.")
    values = [(key, str(value) if isinstance(value, Path) else value) for key, (_, value) in given.items()]
    return [*(entry for pair in values for entry in pair), *args.opts]


def whole(low: int, high: int | None = None) -> Callable[[str], int]:
    """Reads a whole number from ``low`` to ``high``, for argparse."""

    def number(text: str) -> int:
        wanted = f"a whole number, {low}{' or more' if high is None else f' to {high}'}"
        try:
            value = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not {wanted}") from None
        if value < low or (high is not None and value > high):
            raise argparse.ArgumentTypeError(f"{text} is not {wanted}")
        return value

    return number
