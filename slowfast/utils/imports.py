"""Importing the user's own modules, so that their registered classes are known."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Iterable
from pathlib import Path


def import_extensions(names: Iterable[str]) -> None:
    """Import each entry of the config key IMPORTS: a module name, or the path of a .py file.

    A file is imported once per process, however often it is named.

    Raises:
        ValueError: no such file or module; the message names it.
    """
    for name in names:
        if name.endswith(".py"):
            _import_file(Path(name).expanduser())
        else:
            _import_module(name)


def _import_file(path: Path) -> None:
    if not path.is_file():
        raise ValueError(f"IMPORTS: there is no file {str(path)!r} (paths are relative to {Path.cwd()}).")
    path = path.resolve()
    module_name = f"slowfast_extension_{path.stem}_{hashlib.sha1(str(path).encode()).hexdigest()[:8]}"
    if module_name in sys.modules:
        return
    spec = importlib.util.spec_from_file_location(module_name, path)
    assert spec is not None and spec.loader is not None  # every path that ends in .py has a loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[module_name]
        raise


def _import_module(name: str) -> None:
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(error.name + ".")):
            raise ValueError(
                f"IMPORTS: there is no module {name!r}. Name an importable module, or the path of a .py file."
            ) from error
        raise
