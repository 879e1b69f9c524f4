"""Imports go one way.

utils < config < {video, models, losses, solver, evaluation} < datasets < {motion, preparation} < engine
< prediction < visualization < serving < cli; those in braces do not know each other, and video reads no config.

Read from the import statements, wherever they stand (in functions and for type checkers too). tools and tests are free.
"""

from __future__ import annotations

import ast
import graphlib
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "slowfast"
LAYERS = [
    {"utils"},
    {"config"},
    {"video", "models", "losses", "solver", "evaluation"},
    {"datasets"},
    {"motion", "preparation"},
    {"engine"},
    {"prediction"},
    {"visualization"},
    {"serving"},
    {"cli"},
]
LEVEL = {part: level for level, parts in enumerate(LAYERS) for part in parts}
# slowfast.load imports the first when it is called, `python -m slowfast` is the second
AT_THE_TOP = {"slowfast.engine.pipeline.load_pipeline", "slowfast.cli.main.main"}
FILES = sorted(PACKAGE.rglob("*.py"))


def imported_modules(source: str, module: str) -> set[str]:
    """Full names of all modules that ``source``, the text of ``module``, imports (or may import from)."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                base = ".".join([*module.split(".")[: -node.level], *([base] if base else [])])
            found |= {f"{base}.{alias.name}" for alias in node.names}
    return found


def part_of(module: str) -> str:
    """``models`` of ``slowfast.models.build``; empty for the top of the package and for others' modules."""
    names = module.split(".")
    return names[1] if names[0] == "slowfast" and len(names) > 1 and names[1] in LEVEL else ""


def breaches(source: str, module: str) -> list[str]:
    """Imports of ``source`` that go up, or sideways."""
    own = part_of(module)
    wrong = []
    for name in sorted(imported_modules(source, module)):
        other = part_of(name)
        if not other or other == own:
            continue
        if not own:
            if name not in AT_THE_TOP:
                wrong.append(f"{module} imports {name}: the top of the package imports no part of it")
        elif LEVEL[other] >= LEVEL[own]:
            wrong.append(f"{module} imports {name}")
    return wrong


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts)


def test_video_reads_no_config():
    sources = (PACKAGE / "video").glob("*.py")
    assert not [path.name for path in sources if "slowfast.config" in path.read_text() or "fvcore" in path.read_text()]


def test_every_folder_has_a_layer():
    folders = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert folders == set(LEVEL)
    assert len(FILES) > 60


def test_importing_the_package_imports_none_of_its_parts():
    tree = ast.parse((PACKAGE / "__init__.py").read_text())
    assert not [node for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom))]


SLOW = ("torchvision", "tensorboard", "matplotlib", "onnx", "torch._dynamo", "torch.onnx", "torch.utils.flop_counter")
# These need torchvision throughout: who imports them does so in the function that does.
BUILT_ON_TORCHVISION = ("slowfast.models.torchvision_networks", "slowfast.video.auto_augment")


@pytest.mark.parametrize("folder", sorted({path.parent for path in FILES}), ids=lambda folder: folder.name)
def test_what_the_modules_of_a_folder_import(folder):
    """Nothing of a layer above, no tool or test, and at once nothing that takes a second to import."""
    for path in folder.glob("*.py"):
        module, source = module_name(path), path.read_text()
        assert breaches(source, module) == []
        roots = {name.split(".")[0] for name in imported_modules(source, module)}
        assert not roots & {"tools", "tests", "pytest"}, module
        slow = BUILT_ON_TORCHVISION if module in BUILT_ON_TORCHVISION else (*SLOW, *BUILT_ON_TORCHVISION)
        at_once = [node for node in ast.parse(source).body if isinstance(node, (ast.Import, ast.ImportFrom))]
        names = imported_modules("\n".join(map(ast.unparse, at_once)), module)
        assert not [name for name in names if any(f"{name}.".startswith(f"{part}.") for part in slow)], module


def circle(imports: dict[str, set[str]]) -> list[str]:
    """Modules of which each imports the next, and the last is the first again; empty where there are none."""
    try:
        graphlib.TopologicalSorter(imports).prepare()
    except graphlib.CycleError as error:
        return error.args[1]
    return []


def test_no_module_imports_itself_over_others():
    """Imports in functions and for type checkers count, too; only those of the package's top may look down."""
    modules = {module_name(path).removesuffix(".__init__"): path for path in FILES}
    modules.pop("slowfast")
    imports = {}
    for module, path in modules.items():
        names = imported_modules(path.read_text(), module_name(path))
        imports[module] = {name if name in modules else name.rpartition(".")[0] for name in names} & modules.keys()
        imports[module].discard(module)
    assert circle(imports) == []
    assert set(circle({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a"}})) == {"b", "c"}


@pytest.mark.parametrize(
    "module, source, found",
    [
        ("slowfast.utils.x", "import slowfast.config", 1),
        ("slowfast.models.x", "from slowfast.losses import build_loss", 1),
        ("slowfast.models.x", "from ..video.reader import VideoReader", 1),
        ("slowfast.models.x", "from .. import engine", 1),
        ("slowfast.config.x", "def f():\n    from slowfast.models import build_model", 1),
        ("slowfast.engine.x", "if TYPE_CHECKING:\n    from slowfast.cli import main", 1),
        ("slowfast.visualization.x", "import slowfast.cli.run", 1),
        ("slowfast.__init__", "from slowfast.models import build_model", 1),
        ("slowfast.models.x", "from slowfast.utils import distributed\nfrom .build import FUSION_REGISTRY", 0),
        ("slowfast.cli.x", "from slowfast import engine, visualization\nimport slowfast", 0),
        ("slowfast.engine.x", "from slowfast.datasets import build_loader\nimport torch, modelsummary", 0),
    ],
)
def test_the_rule_finds_what_it_should(module, source, found):
    assert len(breaches(source, module)) == found
