"""One vocabulary over all commands: a walk over every parser."""

import argparse
import importlib
import re
import runpy
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from slowfast.cli.arguments import Parser
from slowfast.cli.main import COMMANDS, main

ROOT = Path(__file__).parents[2]
# Flags of one meaning, and the words that would say the same.
SYNONYMS = {
    "--output": {"--out", "--out-dir", "--output-dir", "--write", "--save", "--dest", "-o"},
    "--workers": {"--num-workers", "--jobs", "--threads", "--processes", "-j"},
    "--gpus": {"--gpu", "--num-gpus", "--device", "--cuda"},
    "--cfg": {"--config", "--recipe"},
    "--checkpoint": {"--ckpt", "--model", "--load"},
    "--overwrite": {"--force", "--replace"},
    "--json": {"--as-json"},
}
PYSLOWFASTS = {"--num_shards", "--shard_id", "--init_method"}


def parsers() -> dict[str, Parser]:
    """Every command (of prepare-data every command below it) and its parser."""
    found = {}
    for command, (module, _) in COMMANDS.items():
        parser = importlib.import_module(f"slowfast.cli.{module}").build_parser()
        below = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
        found |= {f"{command} {name}": sub for action in below for name, sub in action.choices.items()}
        if not below:
            found[command] = parser
    return found


PARSERS = parsers()


def flags_of(parser: Parser) -> list[argparse.Action]:
    return [action for action in parser._actions if action.option_strings and action.dest != "help"]


def test_the_walk_finds_every_command():
    assert {name.split()[0] for name in PARSERS} == set(COMMANDS)
    modules = {path.stem for path in (ROOT / "slowfast/cli").glob("*.py") if "def build_parser" in path.read_text()}
    assert modules == {module for module, _ in COMMANDS.values() if "." not in module}


@pytest.mark.parametrize("command", PARSERS)
def test_every_command_explains_itself(command):
    parser = PARSERS[command]
    assert isinstance(parser, Parser)
    assert parser.prog == f"slowfast {command}"
    assert parser.description and len(parser.description) > 20
    assert f"slowfast {command}" in parser.epilog, "the help has no example"
    assert "tools/" not in parser.format_help()
    for action in parser._actions:
        assert action.help, action.dest


@pytest.mark.parametrize("command", PARSERS)
def test_flags_have_dashes_and_no_second_word_for_one_thing(command):
    words = {word for action in flags_of(PARSERS[command]) for word in action.option_strings}
    for flag, others in SYNONYMS.items():
        assert not words & others, f"write {flag}"
    underscored = {word for word in words if "_" in word}
    assert underscored == (PYSLOWFASTS if command == "run" else set())
    for word in underscored:
        assert word.replace("_", "-") in words


def test_a_flag_means_the_same_everywhere():
    """The same destination and the same kind of value in every command that has it."""
    shapes = defaultdict(lambda: defaultdict(list))
    for command, parser in PARSERS.items():
        for action in flags_of(parser):
            nargs = "+" if action.dest == "cfg" and action.nargs == "+" else action.nargs  # one config, or several
            shape = (action.dest, None if action.dest == "cfg" else nargs, action.metavar)
            shapes[action.option_strings[0]][shape].append(command)
    clashes = {flag: dict(found) for flag, found in shapes.items() if len(found) > 1}
    assert not clashes


@pytest.mark.parametrize("command", [name for name, parser in PARSERS.items() if parser.takes_overrides])
def test_overrides_come_last_and_are_understood_among_flags(command):
    parser = PARSERS[command]
    required = [word for action in flags_of(parser) if action.required for word in (action.option_strings[0], "x")]
    required += ["x" for action in parser._actions if not action.option_strings and action.required]
    pairs = ["SOLVER.BASE_LR", "-1", "NUM_GPUS=2", "OUTPUT_DIR", "--odd"]
    for argv in ([*required, *pairs], [*pairs, *required], [*required, "--opts", *pairs]):
        assert parser.parse_args(argv).opts == pairs
    with pytest.raises(SystemExit):
        parser.parse_args([*pairs, *required, "--gpuz", "3"])


def test_configs_are_taken_wherever_overrides_are():
    assert {name for name, parser in PARSERS.items() if parser.takes_overrides} == {
        *(name for name, parser in PARSERS.items() if any(action.dest == "cfg" for action in flags_of(parser))),
        "demo",  # its two recipes are given
    }


def test_the_program_is_named_as_it_was_typed(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["tools/run_net.py", "--cfgs", "x"])
    with pytest.raises(SystemExit, match="2"):
        runpy.run_path(str(ROOT / "tools/run_net.py"), run_name="__main__")
    assert capsys.readouterr().err.splitlines() == [
        "error: the following arguments are required: --cfg (run_net.py --help lists the arguments)"
    ]


def test_tools_are_doors_to_the_commands():
    """They hold nothing of their own but helpers of the project: a page's writer, pins and wheels for make."""
    for script in (ROOT / "tools").glob("*.py"):
        text = script.read_text()
        module = re.search(r"^from slowfast\.cli\.([\w.]+) import main$", text, re.MULTILINE)
        if script.name in ("write_model_zoo.py", "oldest_versions.py", "collect_wheels.py"):
            assert not module
            continue
        assert module and module[1] in [module for module, _ in COMMANDS.values()], script
        assert len(text.splitlines()) < 10


def test_the_one_command_lists_all(capsys):
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    assert all(f"  {command} " in out for command in COMMANDS)
    assert main([]) == 2
