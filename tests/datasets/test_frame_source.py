"""Finding the frames of videos by id, and reading them at one rate."""

import logging

import pytest

from slowfast.datasets.frame_source import FrameSource, ResampledReader, find_source, image_files, listed_source
from slowfast.datasets.lists.frame_lists import read_frame_lists
from slowfast.datasets.lists.row_problems import AnnotationError
from slowfast.video.reader import VideoReader, VideoReadError

HEADER = "original_vido_id video_id frame_id path labels\n"


def find(video_ids, *roots, **options):
    return find_source(video_ids, roots, fps=24, source="list.csv", **options)


def test_folders_and_files_are_found_by_id(tmp_path, helpers, caplog):
    helpers.write_gray_images(tmp_path / "rgb" / "A1", num_frames=3)
    helpers.write_gray_video(tmp_path / "rgb" / "B2.mkv", num_frames=5, fps=24)
    (tmp_path / "rgb" / "C3.json").write_text("{}")
    with caplog.at_level(logging.INFO, logger="slowfast"):
        source, present = find(["C3", "B2", "A1"], tmp_path / "none", tmp_path, tmp_path / "rgb")
    assert present.tolist() == [1, 2]
    assert list(source.paths) == [str(tmp_path / "rgb" / "B2.mkv"), str(tmp_path / "rgb" / "A1")]
    assert f"list.csv: 1 folders of images and 1 video files in {tmp_path / 'rgb'}" in caplog.text
    assert f"list.csv: 1 of its videos are not in {tmp_path / 'rgb'} and are skipped: C3." in caplog.text
    for index, num_frames in enumerate([5, 3]):
        with source.open(index) as video:
            assert (video.num_frames, video.fps) == (num_frames, 24)
            frames = video.frames_at(range(num_frames)).permute(1, 0, 2, 3)
        assert helpers.gray_frame_numbers(frames) == list(range(num_frames))


def test_a_folder_goes_before_a_file_of_the_same_id(tmp_path, helpers):
    helpers.write_gray_images(tmp_path / "v1.2", num_frames=2)  # an id with a dot is an id
    (tmp_path / "v1.2.mp4").write_bytes(b"")
    source, _ = find(["v1.2"], tmp_path)
    assert repr(source) == "FrameSource(1 folders of images: 1 video at 24 frames per second)"
    assert source.open(0).num_frames == 2


def test_missing_videos_are_an_error_when_all_are_to_be_there(tmp_path, helpers):
    helpers.write_gray_images(tmp_path / "A1", num_frames=2)
    ids = ["A1", *(f"M{i}" for i in range(12))]
    with pytest.raises(AnnotationError, match=r"list\.csv: 12 of its 13 videos are not in .*: M0, M1, .*M9, \.\.\.\."):
        find(ids, tmp_path, check="all")
    with pytest.raises(AnnotationError, match=r"names 1 videos, but none of them is in .*a, .*b: .* such as X/"):
        find(["X"], tmp_path / "a", tmp_path / "b")
    with pytest.raises(ValueError, match=r"which must be .*, got 'some'"):
        find(["A1"], tmp_path, check="some")


# ---- folders with holes, and lists that disagree with their folders ----


@pytest.mark.parametrize("pattern", ["{:06d}.jpg", "img_{:05d}.jpeg", "A1-{}.PNG"])
def test_images_are_ordered_by_their_numbers(tmp_path, helpers, pattern):
    folder = helpers.write_gray_images(tmp_path / "A1", num_frames=12, pattern=pattern)
    (folder / "Thumbs.db").write_bytes(b"x")
    (folder / "._000001.jpg").write_bytes(b"x")
    source = FrameSource("", [str(folder)], 24)
    with source.open(0) as video:
        assert helpers.gray_frame_numbers(video.frames_at(range(12)).permute(1, 0, 2, 3)) == list(range(12))


def test_holes_in_the_numbering_are_reported(tmp_path, helpers, caplog):
    for name in ("A1", "B2"):
        helpers.write_gray_images(tmp_path / name, num_frames=6, pattern=name + "-{:06d}.jpg")
    (tmp_path / "B2" / "B2-000003.jpg").unlink()
    find(["A1"], tmp_path)
    assert "holes" not in caplog.text
    source, _ = find(["A1", "B2"], tmp_path)
    assert "1 of 2 inspected folders of images have gaps (first: " in caplog.text
    assert "after B2-000002.jpg comes B2-000004.jpg" in caplog.text
    with source.open(1) as video:
        frames = video.frames_at(range(5)).permute(1, 0, 2, 3)
    assert helpers.gray_frame_numbers(frames) == [0, 1, 3, 4, 5]
    caplog.clear()
    find(["A1", "B2"], tmp_path, check="none")
    assert "holes" not in caplog.text


def test_a_folder_without_images_is_no_video(tmp_path, caplog):
    (tmp_path / "A1").mkdir()
    source, _ = find(["A1"], tmp_path)
    assert "A1: no image)" in caplog.text
    with pytest.raises(VideoReadError, match=r"cannot open .*A1: it holds no image"):
        source.open(0)
    with pytest.raises(VideoReadError, match=r"cannot open .*none: No such file"):
        image_files(tmp_path / "none")


def test_videos_of_one_folder_are_called_by_their_first_image(tmp_path):
    rows = "".join(f'{name} 0 1 all/{name}_1.jpg ""\n' for name in "ab")
    (tmp_path / "train.csv").write_text(HEADER + rows)
    lists = read_frame_lists([tmp_path / "train.csv"], prefix="/data")
    assert list(listed_source(lists, ["b", "a"], 30).paths) == ["/data/all/b_1.jpg", "/data/all/a_1.jpg"]
    assert list(listed_source(lists, ["b"], 30).paths) == ["/data/all"]


# ---- Another frame rate ----


@pytest.mark.parametrize("fps, num_frames", [(30, 20), (12, 10), (25, 13), (24, 8), (60, 30)])
def test_a_video_is_seen_at_24_frames_a_second(tmp_path, helpers, fps, num_frames):
    path = helpers.write_gray_video(tmp_path / "a.mp4", num_frames=num_frames, fps=fps)
    with FrameSource("", [str(path)], 24).open(0) as video:
        # The slow way: at every k / 24 before the end, the last frame whose time has come.
        times = [k / 24 for k in range(100) if k * fps < num_frames * 24]
        expected = [max(n for n in range(num_frames) if n * 24 <= k * fps) for k in range(len(times))]
        assert (video.num_frames, video.fps) == (len(expected), 24)
        frames = video.frames_at(range(video.num_frames)).permute(1, 0, 2, 3)
    assert helpers.gray_frame_numbers(frames) == expected


def test_the_rate_of_a_video_of_that_rate_is_left_alone(tmp_path, helpers):
    path = helpers.write_gray_video(tmp_path / "a.mp4", num_frames=4, fps=24)
    assert isinstance(FrameSource("", [str(path)], 24).open(0), VideoReader)
    assert isinstance(FrameSource("", [str(path)], 30).open(0), ResampledReader)


def test_a_resampled_video_repeats_frames_and_scales(tmp_path, helpers):
    path = helpers.write_gray_video(tmp_path / "a.mp4", num_frames=6, fps=12)
    with FrameSource("", [str(path)], 24).open(0) as video:
        assert (video.height, video.width) == (24, 32)
        frames = video.frames_at([11, 0, 0, 1], short_side=12)
        assert frames.shape == (4, 3, 12, 16)
        assert helpers.gray_frame_numbers(frames.permute(1, 0, 2, 3)) == [5, 0, 0, 0]
        assert repr(video) == repr(VideoReader(path))
