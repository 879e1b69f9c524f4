"""A manifest says what files hold; every kind of broken file is found, with a reason."""

import re
from dataclasses import replace

import pytest
from av.video.stream import VideoStream

from slowfast.preparation.inspection import (
    VideoFacts,
    format_summary,
    inspect_video,
    is_unchanged,
    read_manifest,
    refuse_short,
    write_manifest,
)


def test_facts_of_a_good_file(make_video):
    facts = inspect_video(str(make_video(options={"g": "12", "x264-params": "scenecut=0"})))
    assert facts.error == ""
    assert (facts.frames, facts.width, facts.height, facts.fps) == (60, 64, 48, 30.0)
    assert (facts.duration_seconds, facts.codec, facts.keyframe_interval) == (2.0, "h264", 12.0)
    assert not facts.variable_rate
    assert is_unchanged(facts)


@pytest.mark.skipif(not hasattr(VideoStream, "set_display_rotation"), reason="this PyAV cannot write rotation")
def test_sizes_are_upright(make_video):
    facts = inspect_video(str(make_video(rotation=90)))
    assert (facts.width, facts.height) == (48, 64)


def test_variable_rates_are_told(make_video):
    facts = inspect_video(str(make_video("vfr.mkv", num_frames=30, pts=[0, 1, 5, *range(20, 47)])))
    assert facts.variable_rate and facts.error == ""


@pytest.mark.parametrize("name", ["mpeg4_25fps_audio.avi", "nasa_13013.mp4", "av1_video.mkv", "h264_10bits.mp4"])
def test_real_files_are_good(helpers, name):
    assert inspect_video(str(helpers.real_video(name))).error == ""


KINDS = ["empty", "page", "text", "sound", "no index", "cut mp4", "cut mkv", "damaged"]


@pytest.mark.parametrize("kind", KINDS)
def test_broken_files_are_found(broken_videos, kind):
    path, words = broken_videos[kind]
    facts = inspect_video(str(path))
    assert re.search(words, facts.error)
    assert str(path) not in facts.error  # which stands beside it


def test_a_file_that_is_not_there():
    assert inspect_video("/nowhere/a.mp4").error == "No such file or directory"


def test_short_videos_are_bad_if_asked(make_video):
    facts = inspect_video(str(make_video(num_frames=1)))
    assert facts.error == "" and facts.frames == 1
    assert refuse_short(facts, 1) == facts
    assert refuse_short(facts, 16).error == "1 frames, fewer than 16"
    assert refuse_short(replace(facts, error="torn"), 16).error == "torn"


def test_manifests_come_back(tmp_path, odd_names):
    facts = [VideoFacts(name, 60, 64, 48, 29.97, 2.002, "h264", 12.5, True, 1000, 10**18, "x, y") for name in odd_names]
    write_manifest(tmp_path / "manifest.csv", facts)
    assert read_manifest(tmp_path / "manifest.csv") == {video.path: video for video in facts}
    assert read_manifest(tmp_path / "none.csv") == {}


@pytest.mark.parametrize(
    "text, words",
    [("path,label\na.mp4,3\n", "not a manifest of `check`: its columns are path, label"), (None, "Delete it")],
)
def test_other_tables_are_refused(tmp_path, text, words):
    path = tmp_path / "manifest.csv"
    write_manifest(path, [VideoFacts("a.mp4")])
    path.write_text(text or path.read_text().replace("a.mp4,0,", "a.mp4,many,"))
    with pytest.raises(ValueError, match=words):
        read_manifest(path)


def test_the_summary_counts_kinds_of_faults():
    good = VideoFacts("a.mp4", 300, 340, 256, 30.0, 10.0, "h264", 250.0, False, 10**6, 1)
    bad = [replace(good, error=f"{i} of 300 frames can be decoded") for i in (3, 17)]
    text = format_summary([good, replace(good, fps=25.0, width=320, height=240), *bad])
    assert "4 files, 2 good, 2 bad" in text
    assert re.search(r"^ +2  N of N frames can be decoded$", text, re.MULTILINE)
    assert re.search(r"^ +1  25$", text, re.MULTILINE) and re.search(r"^ +1  320x240$", text, re.MULTILINE)
    assert re.search(r"^short side, pixels +240 +240.8 +248 +255.2 +256$", text, re.MULTILINE)
    assert format_summary(bad).splitlines()[0] == "2 files, 0 good, 2 bad"
