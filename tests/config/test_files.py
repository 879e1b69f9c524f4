"""YAML files: safe, without double keys, inheriting through _BASE_; recipes found by name."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from slowfast.config import ConfigError, find, get_cfg, load_cfg
from slowfast.config.files import read_layers, recipe_names, recipes_root


def write(folder: Path, **texts: str) -> Path:
    """Write ``name.yaml`` for every keyword; gives the path of the last."""
    for name, text in texts.items():
        path = folder / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return path


# ---- inheritance ----


def test_a_leaf_overrides_its_bases_key_by_key_and_lists_as_a_whole(tmp_path):
    leaf = write(
        tmp_path,
        first="SLOWFAST: {ALPHA: 4, BETA_INV: 16}\nRNG_SEED: 1\nLOG_PERIOD: 7\n",
        second="RNG_SEED: 2\nSOLVER: {LR_POLICY: steps_with_relative_lrs, STEPS: [0, 10, 20], LRS: [1, 0.1, 0.01]}\n",
        leaf="_BASE_: [first.yaml, second.yaml]\nSLOWFAST:\n  ALPHA: 2\nSOLVER: {STEPS: [0, 5]}\n",
    )
    cfg = load_cfg(leaf)
    assert (cfg.SLOWFAST.ALPHA, cfg.SLOWFAST.BETA_INV, cfg.RNG_SEED, cfg.LOG_PERIOD) == (2, 16, 2, 7)
    assert (cfg.SOLVER.STEPS, cfg.SOLVER.LRS) == ([0, 5], [1, 0.1, 0.01])


def test_a_base_named_twice_does_not_undo_what_stands_between(tmp_path):
    leaf = write(
        tmp_path,
        root="RNG_SEED: 1\n",
        first="_BASE_: root.yaml\nRNG_SEED: 2\n",
        second="_BASE_: root.yaml\nLOG_PERIOD: 3\n",
        leaf="_BASE_: [first.yaml, second.yaml]\n",
    )
    cfg = load_cfg(leaf)
    assert (cfg.RNG_SEED, cfg.LOG_PERIOD) == (2, 3)
    assert [Path(layer.source).stem for layer in read_layers(leaf)] == ["root", "first", "second", "leaf"]


def test_bases_are_relative_to_the_file_that_names_them_or_absolute(tmp_path, monkeypatch):
    base = write(tmp_path / "a", base="RNG_SEED: 5\n")
    write(tmp_path / "a" / "b", leaf="_BASE_: ../base.yaml\n", other=f"_BASE_: {base}\n")
    monkeypatch.chdir(tmp_path)
    for name in ("leaf", "other"):
        assert load_cfg(tmp_path / f"a/b/{name}.yaml").RNG_SEED == load_cfg(f"a/b/{name}").RNG_SEED == 5


@pytest.mark.parametrize("name", ["Kinetics/SLOWFAST_4x16_R50", "configs/Kinetics/SLOWFAST_4x16_R50.yaml"])
def test_a_base_may_be_a_recipe_of_the_package(tmp_path, monkeypatch, name):
    """The leaf of README.md, in a folder that knows nothing of the package."""
    write(tmp_path, leaf=f"_BASE_: {name}\nSLOWFAST:\n  FUSION: TimeToChannelConcat\n")
    monkeypatch.chdir(tmp_path)
    cfg = load_cfg("leaf.yaml")
    assert (cfg.SLOWFAST.FUSION, cfg.SLOWFAST.ALPHA) == ("TimeToChannelConcat", 8)
    assert load_cfg("leaf") == cfg


def test_a_file_comes_before_a_recipe_of_its_name(tmp_path, monkeypatch):
    write(tmp_path / "Kinetics", SLOWFAST_4x16_R50="RNG_SEED: 5\n")
    leaf = write(tmp_path, leaf="_BASE_: Kinetics/SLOWFAST_4x16_R50.yaml\n")
    assert load_cfg(leaf).RNG_SEED == 5
    monkeypatch.chdir(tmp_path)
    assert load_cfg("Kinetics/SLOWFAST_4x16_R50").RNG_SEED == 5


# ---- IMPORTS ----


def test_imports_are_relative_to_the_file_that_names_them(tmp_path, monkeypatch):
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "mine.py").write_text("")
    write(tmp_path / "project", base="IMPORTS: [mine.py, a_module]\n")
    leaf = write(tmp_path, leaf="_BASE_: project/base.yaml\n")
    monkeypatch.chdir("/")
    assert load_cfg(leaf).IMPORTS == [str(tmp_path / "project" / "mine.py"), "a_module"]


def test_imports_in_the_working_directory_are_found_as_before(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text("")
    leaf = write(tmp_path / "configs", leaf="IMPORTS: [mine.py]\n")
    monkeypatch.chdir(tmp_path)
    assert load_cfg(leaf).IMPORTS == ["mine.py"]
    assert load_cfg(leaf, ["IMPORTS", "['other.py']"]).IMPORTS == ["other.py"]

    lost = write(tmp_path, lost="IMPORTS: [nowhere.py]\n")
    assert load_cfg(lost).IMPORTS == [str(tmp_path / "nowhere.py")]  # looked for beside the file


# ---- bases that are none ----


@pytest.mark.parametrize(
    "text, message",
    [
        ("# header\n_BASE_: slowfast_r5.yaml\n", r"leaf\.yaml:2: _BASE_ names .*mean slowfast_r50\.yaml\?"),
        ("_BASE_: configs/Kinetics/SLOWFAST_4x16_R5.yaml\n", r"name\. Did you mean Kinetics/SLOWFAST_4x16_R50\?"),
        ("_BASE_: 3\n", r"leaf\.yaml:1: _BASE_ is 3; expected a path or a list of paths"),
        ("_BASE_: {a: 1}\n", r"leaf\.yaml:1: _BASE_ is \{.*expected a path"),
        ("_BASE_: [slowfast_r50.yaml, 4]\n", r"leaf\.yaml:1: _BASE_ is \[.*expected a path"),
        ("_BASE_: wrong.yaml\n", r"wrong\.yaml:3: SLOWFAST\.ALPA"),
        ("_BASE_: notes.txt\n", r"notes\.txt: expected .* settings.*leaf\.yaml names it as _BASE_\.$"),
        ("_BASE_: circle.yaml\n", r"circle: .*leaf\.yaml -> .*circle\.yaml -> .*leaf\.yaml"),
    ],
)
def test_a_base_that_cannot_be_used_is_named_with_its_place(tmp_path, text, message):
    (tmp_path / "notes.txt").write_text("just a text\n")
    write(
        tmp_path, slowfast_r50="RNG_SEED: 1\n", wrong="RNG_SEED: 1\nSLOWFAST:\n  ALPA: 4\n", circle="_BASE_: leaf.yaml"
    )
    with pytest.raises(ConfigError, match=message):
        load_cfg(write(tmp_path, leaf=text))


# ---- YAML ----


@pytest.mark.parametrize(
    "text, name, second, first",
    [
        ("RNG_SEED: 1\nLOG_PERIOD: 5\nRNG_SEED: 2\n", "RNG_SEED", 3, 1),
        ("SLOWFAST:\n  ALPHA: 4\n  ALPHA: 8\n", r"SLOWFAST\.ALPHA", 3, 2),
        ("SLOWFAST: {ALPHA: 4}\nMODEL: {}\nSLOWFAST: {BETA_INV: 4}\n", "SLOWFAST", 3, 1),
        ("MODEL:\n  ARGS:\n    width: 1\n    width: 2\n", r"MODEL\.ARGS\.width", 4, 3),
    ],
)
def test_a_key_written_twice_is_an_error_with_both_lines(tmp_path, text, name, second, first):
    with pytest.raises(ConfigError, match=rf"twice\.yaml:{second}: {name} is set twice, first on line {first}"):
        load_cfg(write(tmp_path, twice=text))


def test_anchors_and_merge_keys_work(tmp_path):
    text = "TRAIN: &common\n  DATASET: motion\n  BATCH_SIZE: 16\nTEST:\n  <<: *common\n  BATCH_SIZE: 4\n"
    cfg = load_cfg(write(tmp_path, anchors=text))
    assert (cfg.TEST.DATASET, cfg.TEST.BATCH_SIZE) == ("motion", 4)


def test_code_in_a_file_is_refused_and_not_run(tmp_path):
    target = tmp_path / "touched"
    text = f"RNG_SEED: 1\nOUTPUT_DIR: !!python/object/apply:os.mkdir ['{target}']\n"
    with pytest.raises(ConfigError, match=r"unsafe\.yaml:2: not valid, safe YAML: .*python/object"):
        load_cfg(write(tmp_path, unsafe=text))
    assert not target.exists()


def test_a_file_that_holds_itself_is_an_error(tmp_path):
    with pytest.raises(ConfigError, match=r"loop\.yaml:1: MODEL\.ARGS\.again contains itself"):
        load_cfg(write(tmp_path, loop="MODEL: &model {ARGS: {again: *model}}\n"))


BROKEN, NO_MAPPING = (
    ("a: [1\n", "a: b: c\n", "\tRNG_SEED: 1\n", "'", "RNG_SEED: \x00\n"),
    ("just words\n", "- a\n- b\n", "3\n"),
)


@pytest.mark.parametrize("text", [*BROKEN, *NO_MAPPING])
def test_broken_yaml_and_what_is_no_mapping_are_named(tmp_path, text):
    with pytest.raises(ConfigError, match=r"broken\.yaml.*not valid" if text in BROKEN else r"broken\.yaml: expected"):
        load_cfg(write(tmp_path, broken=text))


@pytest.mark.parametrize("text", ["", "# only a comment\n", "SLOWFAST:\nMODEL:\n"])
def test_empty_files_and_groups_change_nothing(tmp_path, text):
    assert load_cfg(write(tmp_path, empty=text)) == get_cfg()


def test_a_folder_or_binary_file_is_an_error_not_a_traceback(tmp_path):
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(ConfigError, match=r"binary\.yaml: cannot be read"):
        load_cfg(tmp_path / "binary.yaml")
    with pytest.raises(ConfigError, match=r"there is no file .*, and no recipe in .* has this name"):
        load_cfg(tmp_path)


# ---- recipes by name ----


@pytest.mark.parametrize(
    "name",
    [
        "Kinetics/SLOWFAST_8x8_R50",
        "Kinetics/SLOWFAST_8x8_R50.yaml",
        "configs/Kinetics/SLOWFAST_8x8_R50.yaml",
        "configs/Kinetics/SLOWFAST_8x8_R50",
        "./configs/Kinetics/SLOWFAST_8x8_R50.yaml",
        Path("Kinetics/SLOWFAST_8x8_R50"),
    ],
)
def test_find_takes_a_name_with_and_without_folder_and_suffix(name, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    path = find(name)
    assert path == recipes_root() / "Kinetics/SLOWFAST_8x8_R50.yaml"
    assert path.is_file() and not any("_base_" in recipe for recipe in recipe_names())
    assert load_cfg(name).SLOWFAST.ALPHA == 4


def test_a_missing_file_is_named_with_the_nearest_recipe(tmp_path):
    with pytest.raises(ConfigError, match=r"'Kinetics/SLOWFAST_8x8_R5'.* Did you mean Kinetics/SLOWFAST_8x8_R50\?"):
        find("Kinetics/SLOWFAST_8x8_R5")
    with pytest.raises(ConfigError, match=r"nowhere\.yaml"):
        load_cfg(tmp_path / "nowhere.yaml")


def test_find_works_in_a_package_that_holds_its_recipes(tmp_path):
    """As a wheel lays it out: slowfast/configs inside the package, nothing beside it."""
    repository = Path(__file__).parents[2]
    package = tmp_path / "site" / "slowfast"
    for part in ("config", "utils"):
        shutil.copytree(repository / "slowfast" / part, package / part)
    shutil.copy(repository / "slowfast" / "__init__.py", package)
    shutil.copytree(recipes_root(), package / "configs")
    name = "Kinetics/SLOWFAST_8x8_R50"
    program = f"from slowfast.config import find, load_cfg; print(find({name!r})); load_cfg({name!r})"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path / "site"), "PATH": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == str(package / "configs/Kinetics/SLOWFAST_8x8_R50.yaml")
