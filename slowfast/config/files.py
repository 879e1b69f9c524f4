"""YAML files as layers: safe loading, duplicate keys, ``_BASE_`` inheritance, and where every key stood."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from slowfast.utils.suggest import did_you_mean

BASE_KEY = "_BASE_"
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

    def place(self, key_path: KeyPath) -> str:
        """``file:line: `` of a key (of the list around it, where a key has no line of its own)."""
        for length in range(len(key_path), 0, -1):
            if key_path[:length] in self.lines:
                return f"{self.source}:{self.lines[key_path[:length]]}: "
        return f"{self.source}: "


def read_layers(path: Path | str) -> list[Layer]:
    """The file's bases, in the order in which they are merged, and the file itself last.

    A base that several files name is merged once, at its first place: a second merge would undo what
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
        raise ConfigError(f"{shown(path)}: {BASE_KEY} goes round in a circle: {cycle}. Remove one of them.")
    if resolved in layers:
        return
    layer = read_layer(path)
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
            raise ConfigError(f"{layer.place((BASE_KEY,))}{BASE_KEY} is {named!r}; expected a path or a list of paths.")
        base = existing_config(name, folder=path.parent)
        if base is None:
            wanted = path.parent / Path(name).expanduser()
            siblings = [found.name for found in wanted.parent.glob("*.y*ml")]
            hint = did_you_mean(wanted.name, siblings) or did_you_mean(_recipe_name(name), recipe_names())
            raise ConfigError(
                f"{layer.place((BASE_KEY,))}{BASE_KEY} names {name!r}, but there is no file {wanted}"
                f" (paths are relative to the file that names them), and no recipe is called so.{hint}"
            )
        yield base


def read_layer(path: Path) -> Layer:
    """The settings of one YAML file, its bases not followed.

    Raises:
        ConfigError: no such file, not a YAML mapping, unsafe tags, a key written twice.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{shown(path)}: cannot be read as a config ({error}).") from error
    layer = replace(parse_layer(text, source=shown(path)), is_recipe=_is_recipe(path))
    _anchor_imports(layer, path.parent)
    return layer


def _anchor_imports(layer: Layer, folder: Path) -> None:
    """Make the .py files of IMPORTS absolute: they are relative to the YAML that names them.

    One that lies only in the working directory is found there, as it always was.
    """
    names = layer.tree.get("IMPORTS")
    if not isinstance(names, list):
        return  # whatever stands there is refused when it is merged
    for index, name in enumerate(names):
        if isinstance(name, str) and name.endswith(".py"):
            path = (folder / Path(name).expanduser()).resolve()
            if path.is_file() or not Path(name).is_file():
                names[index] = str(path)


def _is_recipe(path: Path) -> bool:
    try:
        return path.resolve().is_relative_to(recipes_root())
    except ConfigError:  # the recipes are missing: then this is none
        return False


def parse_layer(text: str, *, source: str) -> Layer:
    """The settings of a YAML text; ``source`` names it in messages."""
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        if node is None:
            return Layer({}, source)
        if not isinstance(node, yaml.MappingNode):
            raise ConfigError(f"{source}: expected `GROUP: {{KEY: value}}` settings, got {text.strip()[:40]!r}.")
        lines = dict(_key_lines(node, (), source, ()))
        return Layer(loader.construct_document(node), source, lines)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError(f"{source}:{line}: not valid, safe YAML: {error.problem}.") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{source}: not valid YAML: {error}.") from error


def _key_lines(node: yaml.Node, prefix: KeyPath, source: str, above: tuple[int, ...]) -> Iterator[tuple[KeyPath, int]]:
    """(key path, line) of every key under ``node``.

    A key that stands twice in one mapping is an error, and so is a node that holds itself: ``above`` are the nodes
    around this one.
    """
    if id(node) in above:
        raise ConfigError(f"{source}:{node.start_mark.line + 1}: {'.'.join(prefix)} holds itself, through an alias.")
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


def locate(name: str | Path) -> Path:
    """Path of the config called ``name``: a file, a file without its ``.yaml``, or a recipe of the package.

    Raises:
        ConfigError: it is none of these; the message names the nearest recipe.
    """
    return existing_config(name, folder=Path()) or find(name)


def existing_config(name: str | Path, *, folder: Path) -> Path | None:
    """The file that ``locate`` finds, relative to ``folder``; None where there is none."""
    path = folder / Path(name).expanduser()
    if path.is_file():
        return path
    with_ending = path.with_name(f"{path.name}.yaml") if path.name else path
    recipe = recipes_root() / f"{_recipe_name(name)}.yaml"
    return next((found for found in (with_ending, recipe) if found.is_file()), None)


def find(name: str | Path) -> Path:
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
        f"there is no file {str(name)!r}, and no recipe is called so in {root}.{did_you_mean(relative, recipe_names())}"
    )


def _recipe_name(name: str | Path) -> str:
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
