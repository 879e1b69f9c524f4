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


def test_files_of_one_name_in_two_folders_are_two(log):
    import_extensions([write(log, "a/own.py"), write(log, "b/own.py")])
    assert log.read_text() == "a/own.py b/own.py "


def test_a_file_may_be_named_from_the_working_folder(log, monkeypatch):
    write(log, "own.py")
    monkeypatch.chdir(log.parent)
    import_extensions(["own.py", "./own.py"])
    assert log.read_text() == "own.py "


def test_nothing_to_import():
    before = set(sys.modules)
    import_extensions([])
    assert set(sys.modules) == before


def test_a_file_that_is_not_there(tmp_path):
    path = str(tmp_path / "absent.py")
    with pytest.raises(ValueError, match=re.escape(f"IMPORTS: there is no file {path!r}")):
        import_extensions([path])


@pytest.mark.parametrize("name", ["my_extension_absent", "my_extension_absent.part"])
def test_a_module_that_is_not_there(name):
    with pytest.raises(ValueError, match=re.escape(f"IMPORTS: there is no module {name!r}.")):
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
