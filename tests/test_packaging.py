"""The wheel: it holds every module and recipe, and works away from the checkout with the core dependencies alone."""

import ast
import configparser
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

import slowfast

ROOT = Path(__file__).parents[1]
PACKED = ("setup.py", "pyproject.toml", "README.md", "LICENSE", "slowfast", "configs")
# Extras: what is imported without them must not need them.
OPTIONAL = ("cv2", "matplotlib", "onnx", "onnxruntime", "onnxscript", "pytest", "ruff", "build", "setuptools", "wheel")
OPTIONAL += ("fastapi", "starlette", "uvicorn", "python_multipart", "httpx", "submitit")
# The web application itself: nothing but the command `serve` imports it, once it has seen that the extra is there.
OF_AN_EXTRA = ("slowfast.serving.app", "slowfast.serving.uploads")

IMPORT_ALL = f"""
import importlib, pkgutil, sys
sys.modules.update(dict.fromkeys({OPTIONAL!r}))  # importing one of them raises ImportError
import slowfast
names = [module.name for module in pkgutil.walk_packages(slowfast.__path__, "slowfast.")]
for name in names:
    if name not in {OF_AN_EXTRA!r}:
        importlib.import_module(name)
from slowfast.config import find, load_cfg
cfg = load_cfg("Kinetics/SLOWFAST_8x8_R50", ["NUM_GPUS", 0])
print(slowfast.__file__)
print(find("configs/Kinetics/SLOWFAST_8x8_R50.yaml"))
print(*names)
"""


def checkout_files(folder: str, suffix: str) -> set[str]:
    """Files of the checkout below ``folder`` that git would keep, relative to the repository."""
    return {path.relative_to(ROOT).as_posix() for path in (ROOT / folder).rglob(f"*{suffix}")}


def required() -> list[str]:
    """Names of the dependencies in setup.py."""
    setup = (ROOT / "setup.py").read_text()
    names = re.findall(r'^    f?"([a-z]+)', setup[setup.index("REQUIRED") : setup.index("EXTRAS")], re.MULTILINE)
    assert {"torch", "torchvision", "av", "fvcore"} <= set(names)
    return names


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """A wheel, built without a network from a copy of the checkout, which stays clean."""
    pytest.importorskip("setuptools")
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for name in PACKED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        elif (ROOT / name).exists():
            shutil.copy(ROOT / name, source)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel"]
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", str(folder)]
    done = subprocess.run([*pip, *options, str(source)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_holds_every_module_and_every_recipe(wheel):
    packed = set(zipfile.ZipFile(wheel).namelist())
    assert checkout_files("slowfast", ".py") <= packed
    assert {f"slowfast/{recipe}" for recipe in checkout_files("configs", ".yaml")} <= packed
    assert {"slowfast/py.typed", "slowfast/models/weights/mmaction2_zoo.json"} <= packed
    assert {f"slowfast/visualization/report/page.{ending}" for ending in ("html", "css", "js")} <= packed
    top_level = {name.split("/")[0] for name in packed}
    assert top_level == {"slowfast", f"slowfast-{slowfast.__version__}.dist-info"}


def test_the_wheel_says_what_it_needs(wheel):
    archive = zipfile.ZipFile(wheel)
    info = f"slowfast-{slowfast.__version__}.dist-info"
    metadata = Parser().parsestr(archive.read(f"{info}/METADATA").decode())
    assert metadata["Version"] == slowfast.__version__
    assert metadata["Requires-Python"] == ">=3.10"
    assert metadata["License"] == "Apache-2.0" or metadata["License-Expression"] == "Apache-2.0"
    extras = {"camera", "dev", "export", "flow", "plot", "serve", "slurm"}
    assert set(metadata.get_all("Provides-Extra")) == extras
    needed = {re.match(r"[\w-]+", line).group() for line in metadata.get_all("Requires-Dist") if "extra" not in line}
    assert needed == set(required())
    scripts = configparser.ConfigParser()
    scripts.read_string(archive.read(f"{info}/entry_points.txt").decode())
    assert dict(scripts["console_scripts"]) == {"slowfast": "slowfast.cli.main:main"}


def test_every_module_of_the_wheel_imports_without_the_extras(wheel, tmp_path):
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    environment = {**os.environ, "PYTHONPATH": str(site)}
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL], cwd=elsewhere, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    imported_from, recipe, names = done.stdout.strip().splitlines()[-3:]
    assert Path(imported_from).is_relative_to(site)
    assert Path(recipe) == site / "slowfast/configs/Kinetics/SLOWFAST_8x8_R50.yaml"
    modules = {path.removesuffix(".py").replace("/", ".") for path in checkout_files("slowfast", ".py")}
    assert {name.removesuffix(".__init__") for name in modules} - {"slowfast"} <= set(names.split())


def test_every_dependency_has_its_reason():
    lines = (ROOT / "setup.py").read_text().splitlines()
    assert all("  # " in line for line in lines[lines.index("REQUIRED = [") + 1 : lines.index("]")])
    table = (ROOT / "INSTALL.md").read_text()
    for name in required():
        assert re.search(rf"^\|.*\b{name}\b.*\|", table, re.MULTILINE), name


def test_every_imported_package_is_a_dependency():
    distributions = {"yaml": "pyyaml", "PIL": "pillow"}
    imported = set()
    for path in (ROOT / "slowfast").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                imported.add(node.module.partition(".")[0])
    foreign = imported - set(sys.stdlib_module_names) - {"slowfast"}
    assert {distributions.get(name, name) for name in foreign} <= {*required(), *OPTIONAL}


def test_the_version_stands_in_the_citation_and_the_changelog():
    assert f"version: {slowfast.__version__}" in (ROOT / "CITATION.cff").read_text()
    assert f"## {slowfast.__version__}" in (ROOT / "CHANGELOG.md").read_text()


def test_ci_runs_the_two_targets():
    script = ROOT / ".ci/run"
    assert os.access(script, os.X_OK)
    assert "make lint\nmake test" in script.read_text()


def test_wheels_for_a_machine_without_a_network_are_all_but_torchs():
    spec = importlib.util.spec_from_file_location("collect_wheels", ROOT / "tools" / "collect_wheels.py")
    collect = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(collect)
    names = {collect.base_name(requirement) for requirement in collect.requirements()}
    assert names >= {"torch", "torchvision", "av", "fvcore", "iopath", "pyyaml"}
    assert names & collect.THERE_ALREADY == {"torch", "torchvision", "numpy", "pillow"}
    assert set(collect.SOURCE_ONLY) <= names
