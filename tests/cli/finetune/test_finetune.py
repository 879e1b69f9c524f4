"""The command on folders of Motion's videos: lists, config, training, test, report, and what goes wrong."""

import re
from collections import Counter
from pathlib import Path

import pytest
import yaml

import slowfast
from slowfast.cli.finetune.main import main
from slowfast.cli.main import main as slowfast_main
from slowfast.config import load_cfg
from slowfast.motion.clips import write_motion
from tests.cli.runs import keys, results_of

# The networks of `demo --quick`.
SMALL = keys(
    "DATA.TRAIN_JITTER_SCALES=[32,36] DATA.TRAIN_CROP_SIZE=32 DATA.TEST_CROP_SIZE=32 RESNET.WIDTH_PER_GROUP=8 "
    "RESNET.ZERO_INIT_FINAL_BN=False SLOWFAST.BETA_INV=1 TRAIN.MIXED_PRECISION=False TEST.NUM_ENSEMBLE_VIEWS=1 "
    "TEST.NUM_SPATIAL_CROPS=1 BN.NUM_BATCHES_PRECISE=3 LOG_MODEL_INFO=False"
)
SLIDES = ("slide-right", "slide-left")
CLASSES = ("arrow-slide-left", "pie-slide-right")  # learned within seconds
FROM_ZERO = ["--from", "none", "--cfg", "Motion/SLOWFAST_4x4_R18", "--workers", "0", "--gpus", "0"]


@pytest.fixture(scope="module")
def slides(tmp_path_factory):
    """Folders of two classes with 40 videos each, and no split."""
    root = tmp_path_factory.mktemp("slides")
    sizes = {"num_train": 160, "num_val": 1, "num_test": 1, "height": 36, "width": 44, "num_frames": 24}
    written = write_motion(root / "motion", shapes=("arrow", "pie"), motions=SLIDES, **sizes).root / "train"
    (root / "videos").mkdir()
    for name in CLASSES:
        (written / name).rename(root / "videos" / name)
    return root / "videos"


@pytest.fixture(scope="module")
def trained(slides, tmp_path_factory):
    """OUTPUT of a training from zero that has learned, run from another folder."""
    output = tmp_path_factory.mktemp("work") / "out"
    words = ["--output", str(output), *SMALL, "SOLVER.BASE_LR=0.003", "SOLVER.MAX_EPOCH=3"]
    assert main([str(slides), *FROM_ZERO, *words]) == 0
    return output


def rows_of(output, split):
    lines = (output / "lists" / f"{split}.csv").read_text().splitlines()
    return [(Path(path), int(label)) for path, label in (line.rsplit(" ", 1) for line in lines)]


def test_from_zero_it_learns_and_leaves_all_that_is_needed(trained, capsys):
    assert [len(rows_of(trained, split)) for split in ("train", "val", "test")] == [56, 12, 12]
    assert results_of(trained)["figures"]["top1"] >= 75  # chance: 50
    assert "<html" in (trained / "report.html").read_text()[:200]
    pipeline = slowfast.load(trained / "checkpoints/best.pyth")
    assert pipeline.class_names == CLASSES
    video, label = rows_of(trained, "train")[0]
    assert pipeline.class_names[label] == video.parent.name


def test_the_config_runs_unchanged(trained, monkeypatch, tmp_path):
    """It holds every choice: `run` goes on where the command ended, and tests the same weights."""
    before = results_of(trained)
    monkeypatch.chdir(tmp_path)
    assert slowfast_main(["run", "--cfg", str(trained / "finetune.yaml")]) == 0
    assert results_of(trained)["figures"] == before["figures"]
    written = yaml.safe_load((trained / "finetune.yaml").read_text())
    assert written["_BASE_"] == "Motion/SLOWFAST_4x4_R18" and written["SOLVER"]["BASE_LR"] == 0.003
    assert written["DATA"]["NUM_FRAMES"] == 16 and written["TRAIN"]["BATCH_SIZE"] == 4


def test_from_a_checkpoint_of_ours(trained, slides, tmp_path, capsys):
    """Its network, clips and pixels are the start; nothing of its data or place is."""
    best = trained / "checkpoints/best.pyth"
    argv = [str(slides), "--from", str(best), "--output", str(tmp_path / "o"), "--dry-run", "--workers", "0"]
    assert main([*argv, "--gpus", "0", "SOLVER.MAX_EPOCH", "3"]) == 0
    out = capsys.readouterr().out
    assert "MODEL.FREEZE" in out and "28 training videos per class" in out and "SOLVER.MAX_EPOCH 3: as you said" in out
    cfg, old = load_cfg(tmp_path / "o/finetune.yaml"), load_cfg(trained / "finetune.yaml")
    assert cfg.TRAIN.CHECKPOINT_FILE_PATH == str(best) and cfg.SOLVER.MAX_EPOCH == 3
    for group in ("SLOWFAST", "RESNET"):
        assert cfg[group] == old[group]
    assert cfg.DATA.TRAIN_CROP_SIZE == 32 and cfg.OUTPUT_DIR == str(tmp_path / "o")
    assert cfg.SOLVER.BASE_LR == pytest.approx(0.0003)  # a tenth, for as large a batch
    assert not (tmp_path / "o/checkpoints").exists()


def test_published_weights_by_name_and_machine(slides, tmp_path, capsys, monkeypatch):
    from slowfast.cli.finetune import start

    monkeypatch.setattr(start, "local_path", Path)  # nothing is downloaded
    argv = [str(slides), "--from", "SLOWFAST_8x8_R50", "--output", str(tmp_path), "--dry-run", "--workers", "0"]
    assert main([*argv, "--gpus", "0"]) == 0
    cfg = load_cfg(tmp_path / "finetune.yaml")
    # 24 frames at 30 a second hold neither 32 x 2 nor 32 x 1
    assert (cfg.DATA.NUM_FRAMES, cfg.DATA.SAMPLING_RATE, cfg.MODEL.NUM_CLASSES) == (24, 1, 2)
    assert cfg.TRAIN.ENABLE and cfg.TEST.ENABLE and cfg.DATA.RANDOM_FLIP is False
    assert cfg.TRAIN.CHECKPOINT_FILE_PATH == "Kinetics/c2/SLOWFAST_8x8_R50" and cfg.TRAIN.BATCH_SIZE == 4
    assert re.search(
        r"TRAIN.BATCH_SIZE 4: 14 steps per epoch; .* fit into main memory with [\d.]+ GiB free", capsys.readouterr().out
    )


def test_the_same_again_goes_on_and_other_settings_are_refused(slides, tmp_path, refused):
    argv = [str(slides), *FROM_ZERO, "--output", str(tmp_path / "o"), "--dry-run", *SMALL]
    assert main(argv) == 0 == main(argv)
    assert "has other settings: nothing was written" in refused(main, [*argv, "SOLVER.MAX_EPOCH", "3"])
    assert main([*argv, "--overwrite", "SOLVER.MAX_EPOCH", "3"]) == 0
    assert load_cfg(tmp_path / "o/finetune.yaml").SOLVER.MAX_EPOCH == 3


def videos_by_class(root, slides, names):
    """Copies of short videos, as ``names`` says: {folder: count or names of files}."""
    sources = sorted(slides.rglob("*.mp4"))
    for folder, files in names.items():
        (root / folder).mkdir(parents=True, exist_ok=True)
        for i, name in enumerate(files if isinstance(files, list) else [f"{i:03}.mp4" for i in range(files)]):
            (root / folder / name).write_bytes(sources[i % len(sources)].read_bytes())
    return root


def test_groups_imbalance_and_bad_files_are_told(slides, tmp_path, capsys):
    cut = {
        name: [f"v_{name}_g{g:02}_c{c:02}.mp4" for g in range(1, n) for c in (1, 2)]
        for name, n in (("A", 21), ("B", 5))
    }
    root = videos_by_class(tmp_path / "videos", slides, cut)
    (root / "A" / "v_A_g01_c03.mp4").write_text("#EXTM3U\nhttp://example.com/x.ts\n")
    assert main([str(root), *FROM_ZERO, "--output", str(tmp_path / "o"), "--dry-run", *SMALL]) == 0
    out = capsys.readouterr().out
    assert "24 recordings by UCF's group" in out and "1 of 49 videos cannot be read" in out
    assert "times the training videos of the smallest" in out
    owners = Counter(
        group
        for split in ("train", "val", "test")
        for group in {(label, path.stem.split("_")[2]) for path, label in rows_of(tmp_path / "o", split)}
    )
    assert len(owners) == 24 and set(owners.values()) == {1}
    assert "v_A_g01_c03.mp4" in (tmp_path / "o/lists/unlisted.csv").read_text()


def test_a_missing_split_is_filled_from_the_others(slides, tmp_path, capsys):
    root = videos_by_class(tmp_path / "v", slides, {"train/a": 20, "train/b": 20})
    assert main([str(root), *FROM_ZERO, "--output", str(tmp_path / "o"), "--dry-run", *SMALL]) == 0
    out = capsys.readouterr().out
    assert "there is no val: 6 training videos" in out and "there is no test" in out
    assert rows_of(tmp_path / "o", "val") == rows_of(tmp_path / "o", "test")
    assert not set(rows_of(tmp_path / "o", "train")) & set(rows_of(tmp_path / "o", "val"))


@pytest.mark.parametrize(
    ("names", "argv", "message"),
    [
        ({"a": 4}, FROM_ZERO, "one class, 'a'"),
        ({}, FROM_ZERO, "holds no video file"),
        ({"a": 4, "b": 4}, ["--from", "none"], "Name its recipe with --cfg"),
        ({"a": 4, "b": 4}, ["--from", "SLOWFAST_8x8_R5"], "Did you mean"),
        ({"a": 4, "b": 4}, ["--from", "none", "--cfg", "AVA/SLOWFAST_32x2_R50_SHORT"], "scores people in boxes"),
        ({"train/a": 4, "train/b": 4, "val/c": 2}, FROM_ZERO, "no training video that can be read, such as 'c'"),
    ],
)
def test_what_cannot_be_trained_on_is_said(slides, tmp_path, refused, names, argv, message):
    root = videos_by_class(tmp_path / "videos", slides, names)
    root.mkdir(exist_ok=True)
    assert message in refused(main, [str(root), *argv, "--output", str(tmp_path / "o"), "--workers", "0"])
    assert not (tmp_path / "o/lists").exists()
