"""Commands in the documents and in the recipes' headers are ones that the command line understands."""

import importlib
import re
import shlex
from pathlib import Path

import pytest

from slowfast.cli.arguments import config_overrides
from slowfast.cli.main import COMMANDS
from slowfast.config import ConfigError, load_cfg
from slowfast.config.files import recipe_names, recipes_root

ROOT = Path(__file__).parents[1]
PAGES = [
    *(ROOT / name for name in ("README.md", "INSTALL.md", "CONTRIBUTING.md")),
    *sorted((ROOT / "docs").glob("*.md")),
    ROOT / "docs/data/README.md",
]


def commands_in(text: str) -> list[str]:
    """Every ``slowfast COMMAND ...`` that begins a line of a block of code, or is torchrun's module."""
    joined = re.sub(r"\\\n\s*", " ", text)
    blocks = re.findall(r"^```\w*\n(.*?)^```", joined, flags=re.MULTILINE | re.DOTALL)
    lines = [line.strip() for block in blocks for line in block.splitlines()]
    return [match[1] for line in lines if (match := re.match(r"(?:.*torchrun .* -m )?(slowfast [a-z].*)", line))]


def command_of_header(name: str) -> str:
    """The command behind "# Run:" in a recipe's header; empty where it has none."""
    text = (recipes_root() / f"{name}.yaml").read_text()
    header = re.sub(r"\\\n#\s*", " ", "".join(re.findall(r"^#.*\n", text, flags=re.MULTILINE)))
    found = re.search(r"^# Run: .*?(slowfast run .*)$", header, flags=re.MULTILINE)
    return found[1] if found else ""


def understand(command: str) -> None:
    """Parse the command, and load the configs that it names with its overrides."""
    _, name, *words = shlex.split(re.sub(r"\$\w+", "1", command), comments=True)  # a shell's variables
    parser = importlib.import_module(f"slowfast.cli.{COMMANDS[name][0]}").build_parser()
    try:
        args = parser.parse_args(words)
    except SystemExit:
        pytest.fail(f"the parser refuses: {command}")
    if name not in ("run", "info", "export", "benchmark"):
        return
    opts = [str(word) for word in config_overrides(args)]
    for cfg in args.cfg if isinstance(args.cfg, list) else [args.cfg]:
        try:
            load_cfg(cfg, opts, warn=False)
        except ConfigError as error:
            pytest.fail(f"{command}: {error}")


def test_the_pages_show_commands():
    found = {str(page.relative_to(ROOT)): len(commands_in(page.read_text())) for page in PAGES}
    assert found["README.md"] > 8 and found["INSTALL.md"] > 3 and found["docs/DATASETS.md"] > 15


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_of_the_pages(page):
    for command in commands_in(page.read_text()):
        if "..." not in command:
            understand(command)


@pytest.mark.parametrize("folder", sorted({name.partition("/")[0] for name in recipe_names()}))
def test_commands_of_the_recipes(folder):
    for name in recipe_names():
        if name.startswith(f"{folder}/") and (command := command_of_header(name)):
            assert f"--cfg {name} " in f"{command} "
            understand(command)


def test_every_page_spells_commands_in_one_way():
    """The scripts of tools/ are named once, in README.md."""
    for page in PAGES:
        named = re.findall(r"tools/(?!write_)\w+\.py", page.read_text())
        assert named == (["tools/run_net.py"] if page == ROOT / "README.md" else []), page
    for path in recipes_root().rglob("*.yaml"):
        assert "tools/" not in path.read_text(), path


def test_every_python_file_that_is_named_exists():
    """In the documents, comments and docstrings; but for what a reader writes."""
    to_write = {"cli/NAME.py", "my_fusion.py", "my_writers.py", "self_distilling.py"}
    texts = [*PAGES, ROOT / "CHANGELOG.md", *(ROOT / "slowfast").rglob("*.py")]
    existing = ["/" + path.relative_to(ROOT).as_posix() for path in ROOT.glob("[!.]*/**/*.py")] + ["/setup.py"]
    for text in texts:
        named = set(re.findall(r"(?<![\w/{<.*-])[A-Za-z_][\w/]*\.py\b", text.read_text()))
        unknown = [name for name in named - to_write if not any(path.endswith("/" + name) for path in existing)]
        assert not unknown, text
