"""Where files of unknown origin are parsed: a parser elsewhere has no limits, and nobody damages files for it."""

import ast
from pathlib import Path

import slowfast

PACKAGE = Path(slowfast.__file__).parent
PARSERS = {
    "json.load", "json.loads", "np.load", "np.loadtxt", "np.genfromtxt", "torch.load", "yaml.load", "yaml.safe_load",
    "yaml.full_load", "pickle.load", "pickle.loads", "pickle.Unpickler", "csv.reader", "csv.DictReader", "Image.open",
    "av.open", "zipfile.ZipFile", "tarfile.open",
}  # fmt: skip
ALLOWED = {
    "utils/untrusted.py": {"json.loads", "csv.reader"},
    "utils/tensor_files.py": {"torch.load", "zipfile.ZipFile"},
    "models/weights/caffe2.py": {"pickle.Unpickler"},
    "video/container.py": {"av.open"},
    "video/image_folder.py": {"Image.open"},
    "datasets/lists/charades.py": {"csv.DictReader"},  # of text that is read already; csv.Error is caught
    "video/flow.py": {"zipfile.ZipFile"},  # to write
    "preparation/files.py": {"json.loads"},  # of what was dumped a line before
    "motion/files.py": {"json.loads"},  # the same
    "models/weights/zoo_table.py": {"json.loads"},  # the package's own tables
    "cli/demo.py": {"np.load", "json.loads"},  # what it has just written
    "motion/sheet.py": {"json.loads", "csv.reader", "Image.open"},  # Motion's own files
    "engine/checkpoint.py": {"yaml.safe_load", "zipfile.ZipFile"},  # configs of this program; checksums alone are read
    "utils/locks.py": {"json.load"},  # the lock of a folder that is the user's own
    "prediction/features.py": {"np.load", "zipfile.ZipFile"},  # the parts that it has written, and to write
    "cli/drawings.py": {"Image.open"},  # the frames that the test has written
    "engine/watch.py": {"json.loads"},  # of the other processes of this job
}


def uses(path: Path) -> set[str]:
    """The parsers that a module names: called, or as the base of a class."""
    names = {ast.unparse(node) for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if is_dotted(node)}
    return names & PARSERS


def is_dotted(node: ast.AST) -> bool:
    return isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)


def test_files_are_parsed_in_these_modules_alone():
    found = {path.relative_to(PACKAGE).as_posix(): uses(path) for path in PACKAGE.rglob("*.py")}
    elsewhere = {path: used - ALLOWED.get(path, set()) for path, used in found.items()}
    assert not {path: used for path, used in elsewhere.items() if used}, (
        "Read such files with slowfast.utils.untrusted or tensor_files, and add the reader to tests/fuzz/readers.py."
    )
