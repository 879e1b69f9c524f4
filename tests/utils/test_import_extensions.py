from __future__ import annotations

import re
import sys

import pytest

from slowfast.utils.imports import import_extensions


@pytest.fixture
def log(tmp_path, monkeypatch):
    """A folder on the path in which extensions note that they were imported."""
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path / "log"
    for name in [name for name in sys.modules if name.startswith(("slowfast_extension_", "my_extension"))]:
        del sys.modules[name]


def write(log, name: str, more: str = "") -> str:
    path = log.parent / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"with open({str(log)!r}, 'a') as file:\n    file.write({name!r} + ' ')\n{more}")
    return str(path)


def test_files_and_modules_are_imported_once(log):
    path = write(log, "own.py")
    write(log, "my_extension.py")
    for _ in range(2):
        import_extensions([path, "my_extension", path])
    assert log.read_text() == "own.py my_extension.py "


def test_files_of_one_name_in_two_folders_are_two_named_from_anywhere(log, monkeypatch):
    other = write(log, "b/own.py")
    monkeypatch.chdir(log.parent)
    write(log, "a/own.py")
    import_extensions([other, "a/own.py", "./a/own.py"])
    assert log.read_text() == "b/own.py a/own.py "


@pytest.mark.parametrize("name", ["my_extension_absent", "my_extension_absent.part", "/absent/file.py"])
def test_what_is_not_there_is_named(name):
    kind = "file" if name.endswith(".py") else "module"
    with pytest.raises(ValueError, match=re.escape(f"IMPORTS: there is no {kind} {name!r}")):
        import_extensions([name])


def test_the_extensions_own_import_error_is_not_hidden(log):
    write(log, "my_extension.py", "import absent_dependency\n")
    with pytest.raises(ModuleNotFoundError, match="absent_dependency"):
        import_extensions(["my_extension"])


def test_a_file_that_fails_is_tried_again(log):
    path = write(log, "own.py", "raise RuntimeError('not today')\n")
    for _ in range(2):
        with pytest.raises(RuntimeError, match="not today"):
            import_extensions([path])
    assert log.read_text() == "own.py own.py "
