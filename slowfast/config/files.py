"""YAML files as layers: safe loading, duplicate keys, ``_BASE_`` inheritance, and where every key stood."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from slowfast.utils.suggest import did_you_mean
from slowfast.utils.untrusted import cut, quoted, read_bytes

BASE_KEY = "_BASE_"
# Limits of a config file; the largest of the package has 3 KB, 400 values, 4 levels.
MAX_BYTES = 2**18
MAX_NODES = 20_000
MAX_DEPTH = 40
MAX_DIGITS = 100
KeyPath = tuple[str, ...]


class ConfigError(ValueError):
    """A config that cannot be used; the message has one line per problem."""


@dataclass(frozen=True)
class Layer:
    """The settings of one source (a file, or the overrides) before they are merged."""

    tree: dict[str, Any]
    source: str  # how a message names the source
    lines: dict[KeyPath, int] = field(default_factory=dict)  # line of every key, from 1
    is_recipe: bool = False  # a file that came with the package
    because: str = ""  # why, where a program chose these settings and not the user

    def location(self, key_path: KeyPath) -> str:
        """``file:line: `` of a key (of the list around it, where a key has no line of its own)."""
        for length in range(len(key_path), 0, -1):
            if key_path[:length] in self.lines:
                return f"{self.source}:{self.lines[key_path[:length]]}: "
        return f"{self.source}: "


def read_layers(path: str | os.PathLike) -> list[Layer]:
    """The file's bases, in the order in which they are merged, and the file itself last.

    A base that several files name is merged once, where it is named first: a second merge would undo what
    stands between.

    Raises:
        ConfigError: a missing file, a cycle of bases, invalid YAML, or a key written twice.
    """
    layers: dict[Path, Layer] = {}
    _collect(Path(path).expanduser(), chain=(), layers=layers)
    return list(layers.values())


def _collect(path: Path, *, chain: tuple[Path, ...], layers: dict[Path, Layer]) -> None:
    """Add the layers of ``path`` and of its bases to ``layers``, bases first."""
    resolved = path.resolve()
    if resolved in chain:
        cycle = " -> ".join(shown(link) for link in (*chain[chain.index(resolved) :], resolved))
        raise ConfigError(f"{shown(path)}: {BASE_KEY} forms a circle: {cycle}. Remove one of them.")
    if resolved in layers:
        return
    try:
        layer = read_layer(path)
    except ConfigError as error:
        if not chain:
            raise
        raise ConfigError(f"{error} {shown(chain[-1])} names it as {BASE_KEY}.") from error
    for base in _bases(layer, path):
        _collect(base, chain=(*chain, resolved), layers=layers)
    layer.tree.pop(BASE_KEY, None)
    layers[resolved] = layer


def _bases(layer: Layer, path: Path) -> Iterator[Path]:
    """Existing paths of the bases that a layer names: files relative to its own, or recipes of the package."""
    named = layer.tree.get(BASE_KEY, [])
    names = named if isinstance(named, list) else [named]
    for name in names:
        if not isinstance(name, str):
            raise ConfigError(
                f"{layer.location((BASE_KEY,))}{BASE_KEY} is {cut(repr(named))}; expected a path or a list of paths."
            )
        base = existing_config(name, folder=path.parent)
        if base is None:
            wanted = path.parent / os.path.expanduser(name)
            siblings = [entry for entry in _names_in(wanted.parent) if entry.endswith((".yaml", ".yml"))]
            hint = did_you_mean(wanted.name, siblings) or did_you_mean(_recipe_name(name), recipe_names())
            raise ConfigError(
                f"{layer.location((BASE_KEY,))}{BASE_KEY} names {quoted(name)}, but there is no file {cut(str(wanted))}"
                f" (paths are relative to the file that names them), and no recipe has this name.{hint}"
            )
        yield base


def _names_in(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except (OSError, ValueError):
        return []


def read_layer(path: Path) -> Layer:
    """The settings of one YAML file, its bases not followed.

    Raises:
        ConfigError: no such file, larger than MAX_BYTES, not a YAML mapping, unsafe tags, a key written twice, or a
            value that is none.
    """
    try:
        text = read_bytes(path, max_bytes=MAX_BYTES).decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"{shown(path)}: cannot be read as a config ({reason}).") from error
    layer = replace(parse_layer(text, source=shown(path)), is_recipe=name_of_recipe(path) is not None)
    _anchor_imports(layer, path.parent)
    return layer


def _anchor_imports(layer: Layer, folder: Path) -> None:
    """Make the .py files of IMPORTS absolute: they are relative to the YAML that names them.

    A file that exists only in the working directory is taken from there.
    """
    names = layer.tree.get("IMPORTS")
    if not isinstance(names, list):
        return  # whatever stands there is refused when it is merged
    for index, name in enumerate(names):
        if isinstance(name, str) and name.endswith(".py"):
            path = os.path.abspath(folder / os.path.expanduser(name))
            if os.path.isfile(path) or not os.path.isfile(name):
                names[index] = path


def name_of_recipe(path: Path) -> str | None:
    """``Kinetics/SLOWFAST_8x8_R50`` of a recipe's file; None for a file that did not come with the package."""
    try:
        return path.resolve().relative_to(recipes_root()).with_suffix("").as_posix()
    except ValueError:  # among them ConfigError: the recipes are missing
        return None


def parse_layer(text: str, *, source: str) -> Layer:
    """The settings of a YAML text; ``source`` names it in messages.

    Raises:
        ConfigError: as ``read_layer``.
    """
    with _yaml_errors(text, source):
        loader = _BoundedLoader(text)
        node = loader.get_single_node()
        if node is None:
            return Layer({}, source)
        if not isinstance(node, yaml.MappingNode):
            raise ConfigError(f"{source}: expected `GROUP: {{KEY: value}}` settings, got {text.strip()[:40]!r}.")
        lines = dict(_key_lines(node, (), source, ()))
        return Layer(loader.construct_document(node), source, lines)


def parse_yaml(text: str, *, source: str) -> Any:
    """The value that a YAML text of unknown origin spells, such as the config in a checkpoint.

    Raises:
        ConfigError: no YAML, or beyond the limits of a config file.
    """
    if len(text) > MAX_BYTES:
        raise ConfigError(f"{source}: {len(text):,} characters of YAML, more than the limit of {MAX_BYTES:,}.")
    with _yaml_errors(text, source):
        return _BoundedLoader(text).get_single_data()


@contextmanager
def _yaml_errors(text: str, source: str) -> Iterator[None]:
    """Turns PyYAML's errors into ConfigErrors that name ``source`` and the line."""
    try:
        yield
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError(f"{source}:{line}: not valid, safe YAML: {cut(str(error.problem))}.") from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise ConfigError(
            f"{source}:{line}: not valid YAML: the character {chr(error.character)!r} is not allowed."
        ) from error


class _BoundedLoader(yaml.SafeLoader):
    """Gives up on what makes a small file endless: aliases of aliases, deep nesting, thousands of digits."""

    def __init__(self, text: str):
        super().__init__(text)
        self._depth = self._num_nodes = 0  # aliases count as often as they stand for something
        self._sizes: dict[int, int] = {}

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        mark, is_alias = self.peek_event().start_mark, self.check_event(yaml.AliasEvent)
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise yaml.composer.ComposerError(None, None, f"it is nested more than {MAX_DEPTH} levels deep", mark)
        before = self._num_nodes
        node = super().compose_node(parent, index)
        self._num_nodes += self._sizes.get(id(node), 1) if is_alias else 1
        if self._num_nodes > MAX_NODES:
            raise yaml.composer.ComposerError(
                None, None, f"it holds more than {MAX_NODES:,} values, with aliases expanded", mark
            )
        if not is_alias:
            self._sizes[id(node)] = self._num_nodes - before
        self._depth -= 1
        return node

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        if not isinstance(node, yaml.ScalarNode):
            return super().construct_object(node, deep)
        kind = node.tag.rpartition(":")[2]
        problem = f"{quoted(node.value, length=60)} is not a valid {kind}"
        if kind in ("int", "float") and len(node.value) > MAX_DIGITS:
            raise yaml.constructor.ConstructorError(
                None, None, f"{problem} of up to {MAX_DIGITS} digits", node.start_mark
            )
        try:
            return super().construct_object(node, deep)
        # PyYAML takes the 99th of a month for a date, and "!!int x" for a number, until it converts them.
        except (ValueError, LookupError, AttributeError, OverflowError) as error:
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark) from error


def _key_lines(node: yaml.Node, prefix: KeyPath, source: str, above: tuple[int, ...]) -> Iterator[tuple[KeyPath, int]]:
    """(key path, line) of every key under ``node``.

    A key that stands twice in one mapping is an error, and so is a node that holds itself: ``above`` are the nodes
    around this one.
    """
    if id(node) in above:
        raise ConfigError(f"{source}:{node.start_mark.line + 1}: {'.'.join(prefix)} contains itself, through an alias.")
    above = (*above, id(node))
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _key_lines(item, prefix, source, above)
    elif isinstance(node, yaml.MappingNode):
        first_lines: dict[str, int] = {}
        for key_node, value_node in node.value:
            key, line = str(key_node.value), key_node.start_mark.line + 1
            key_path = (*prefix, key)
            if key in first_lines and key != "<<":
                raise ConfigError(
                    f"{source}:{line}: {'.'.join(key_path)} is set twice, first on line {first_lines[key]}. "
                    "Keep one: YAML would silently take the last."
                )
            first_lines[key] = line
            yield key_path, line
            yield from _key_lines(value_node, key_path, source, above)


def shown(path: Path) -> str:
    """``path`` as a message shows it: relative to the working directory when it lies inside."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except (ValueError, OSError):
        return str(path)


def locate(name: str | os.PathLike) -> Path:
    """Path of the config called ``name``: a file, a file without its ``.yaml``, or a recipe of the package.

    Raises:
        ConfigError: it is none of these; the message names the nearest recipe.
    """
    return existing_config(name, folder=Path()) or find(name)


def existing_config(name: str | os.PathLike, *, folder: Path) -> Path | None:
    """The file that ``locate`` finds, relative to ``folder``; None where there is none."""
    path = folder / os.path.expanduser(name)
    recipe = recipes_root() / f"{_recipe_name(name)}.yaml"
    candidates = [path, path.with_name(f"{path.name}.yaml") if path.name else path, recipe]
    # os.path's function takes any name, also one too long or with a zero byte.
    return next((found for found in candidates if os.path.isfile(found)), None)


def find(name: str | os.PathLike) -> Path:
    """Path of a recipe that came with the package, e.g. ``find("Kinetics/SLOWFAST_8x8_R50")``.

    Works from a checkout, an editable install and a wheel. ``.yaml`` at the end and ``configs/`` in front may
    be there or not.

    Raises:
        ConfigError: no such recipe; the message names the nearest.
    """
    root, relative = recipes_root(), _recipe_name(name)
    path = root / f"{relative}.yaml"
    if path.is_file():
        return path
    raise ConfigError(
        f"there is no file {str(name)!r}, and no recipe in {root} has this "
        f"name.{did_you_mean(relative, recipe_names())}"
    )


def _recipe_name(name: str | os.PathLike) -> str:
    """``name`` without what may stand around the name of a recipe."""
    return str(name).removeprefix("./").removeprefix("configs/").removesuffix(".yml").removesuffix(".yaml")


def recipe_names() -> list[str]:
    """Names of all recipes of the package, as ``find`` takes them; ``_base_`` is left out."""
    root = recipes_root()
    names = (path.relative_to(root).with_suffix("").as_posix() for path in root.rglob("*.yaml"))
    return sorted(name for name in names if not name.startswith("_base_/"))


def recipes_root() -> Path:
    """Folder of the recipes: inside the installed package, beside it in a checkout or editable install."""
    package = Path(__file__).resolve().parents[1]
    for root in (package / "configs", package.parent / "configs"):
        if (root / "_base_").is_dir():
            return root
    raise ConfigError(f"the recipes are missing: neither {package}/configs nor {package.parent}/configs exists.")
