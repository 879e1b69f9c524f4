"""Frames around key frames: which ones they are, from frame lists and from movie files."""

import pytest
import torch
from PIL import Image

from slowfast.datasets.ava_sources import FrameFolders, MovieFiles, check_extraction, find_movies
from slowfast.datasets.clip_sampling import KeyFrameSampling
from slowfast.datasets.lists.frame_lists import HEADER, read_frame_lists
from slowfast.datasets.lists.row_problems import AnnotationError


def clip_at(source, video, second: float, *, num_frames: int, rate: int) -> list[int]:
    """The frames of ``video`` around a second of the movie."""
    sampling = KeyFrameSampling(num_frames, rate)
    return sampling.indices_at(video.num_frames, video.fps, second - source.start_seconds).tolist()


def folders(tmp_path, num_frames: int, video_id: str = "mvA_0-xyz12") -> FrameFolders:
    """A source whose frames are named but need not exist."""
    rows = [f'{video_id} 0 {i} {video_id}/{video_id}_{i + 1:06d}.jpg ""' for i in range(num_frames)]
    (tmp_path / "list.csv").write_text("\n".join([HEADER, *rows]))
    return FrameFolders(read_frame_lists([tmp_path / "list.csv"], prefix=str(tmp_path)))


def test_the_clip_of_the_documentation(tmp_path):
    """T = 32, tau = 2, t = 904: frames 88, 90, ... 150, files 89 to 151."""
    source = folders(tmp_path, 27_030)
    with source.open("mvA_0-xyz12") as video:
        numbers = clip_at(source, video, 904, num_frames=32, rate=2)
    assert numbers == list(range(88, 151, 2)) and numbers[16] == 120
    assert video.paths[numbers[0]].endswith("_000089.jpg") and video.paths[numbers[-1]].endswith("_000151.jpg")


@pytest.mark.parametrize("num_frames, rate", [(1, 2), (4, 1), (8, 8), (3, 2), (64, 2), (2, 7)])
def test_offsets_are_as_many_as_frames_and_hold_the_key_frame(num_frames, rate):
    offsets = KeyFrameSampling(num_frames, rate).offsets.tolist()
    half = num_frames * rate // 2
    assert offsets == list(range(-half, half, rate)) and len(offsets) == num_frames
    if num_frames % 2 == 0:
        assert offsets[num_frames // 2] == 0


def test_clips_end_where_the_video_does(tmp_path):
    source = folders(tmp_path, 70)
    with source.open("mvA_0-xyz12") as video:
        assert clip_at(source, video, 902, num_frames=4, rate=10) == [40, 50, 60, 69]
        assert clip_at(source, video, 1500, num_frames=2, rate=2) == [69, 69]
        assert clip_at(source, video, 900, num_frames=4, rate=10) == [0, 0, 0, 10]


# ---- Movies ----


def test_movies_and_frames_extracted_from_them_agree(make_video, helpers, tmp_path):
    movie = make_video("mvA_0-xyz12.mp4", num_frames=100, options={"bf": "2", "g": "12"})
    (tmp_path / "mvA_0-xyz12").mkdir()
    for i, pixels in enumerate(helpers.decode_all(movie)):
        Image.fromarray(pixels).save(tmp_path / f"mvA_0-xyz12/mvA_0-xyz12_{i + 1:06d}.png")
    rows = [f'mvA_0-xyz12 0 {i} mvA_0-xyz12/mvA_0-xyz12_{i + 1:06d}.png ""' for i in range(100)]
    (tmp_path / "list.csv").write_text("\n".join([HEADER, *rows]))
    sources = (
        FrameFolders(read_frame_lists([tmp_path / "list.csv"], prefix=str(tmp_path))),
        MovieFiles(find_movies(tmp_path), start_seconds=900),
    )
    for second in (902, 903):
        clips = []
        for source in sources:
            with source.open("mvA_0-xyz12") as video:
                clips.append(video.frames_at(clip_at(source, video, second, num_frames=8, rate=5)))
        assert torch.equal(*clips)


@pytest.mark.parametrize("start_seconds, second", [(0.0, 2), (900.0, 902), (899.5, 901.5)])
def test_movies_of_other_rates_are_read_by_time(make_video, start_seconds, second):
    path = make_video("a.mp4", num_frames=60, fps=25)
    source = MovieFiles(find_movies(path.parent), start_seconds=start_seconds)
    with source.open("a") as video:
        numbers = clip_at(source, video, second, num_frames=60, rate=1)
    # Frame i is on the screen from i / 25 to (i + 1) / 25 seconds; n / 30 seconds in integers to be exact.
    assert numbers == [min((60 + n) * 25 // 30, 59) for n in range(-30, 30)]


def test_movies_are_found_by_id_whatever_their_ending(tmp_path):
    for name in ("mvA.mp4", "mvB.webm", "-vC_9.MKV", "mvA.json", "notes.txt"):
        (tmp_path / name).touch()
    assert find_movies(tmp_path) == {
        "-vC_9": str(tmp_path / "-vC_9.MKV"),
        "mvA": str(tmp_path / "mvA.mp4"),
        "mvB": str(tmp_path / "mvB.webm"),
    }


def test_folders_without_movies_are_named(tmp_path):
    with pytest.raises(AnnotationError, match=r"cannot read AVA\.MOVIE_DIR .*none: No such file"):
        find_movies(tmp_path / "none")
    with pytest.raises(AnnotationError, match=r"AVA\.MOVIE_DIR .* holds no video file \(\.3gp, "):
        find_movies(tmp_path)
    for name in ("mvA.mp4", "mvA.webm"):
        (tmp_path / name).touch()
    with pytest.raises(AnnotationError, match=r"two files for the movie mvA: .*mvA\.mp4 and .*mvA\.webm"):
        find_movies(tmp_path)


def test_lists_that_end_before_a_key_frame_are_warned_of(tmp_path, caplog):
    source = folders(tmp_path, 121)
    source.check_lengths([("mvA_0-xyz12", 902), ("mvA_0-xyz12", 904)])
    assert not caplog.records  # frame 120, the last, shows second 904
    source.check_lengths([("mvA_0-xyz12", second) for second in (902, 903, 904, 905, 906)])
    (record,) = caplog.records
    assert "2 of 5 key frames of 1 of 1 videos lie outside their frame lists" in record.message
    assert "(first: mvA_0-xyz12,0905; its frames show the seconds 900.0 to 904.0)" in record.message


def test_lists_of_another_clock_stop_the_start(tmp_path):
    """Seconds from 0, read by AVA's clock: every clip would show the first frame."""
    source = folders(tmp_path, 121)
    message = (
        r"3 of 3 key frames of 1 of 1 videos lie outside .* Set AVA\.FRAMES_START_SECONDS \(now 900\) to .* and "
        r"AVA\.FPS \(now 30\)"
    )
    with pytest.raises(AnnotationError, match=message):
        source.check_lengths([("mvA_0-xyz12", second) for second in (0, 1, 2)])
    own = FrameFolders(source.lists, fps=25, start_seconds=0)
    own.check_lengths([("mvA_0-xyz12", second) for second in (0, 1, 2, 4)])
    with own.open("mvA_0-xyz12") as video:
        assert (video.fps, video.num_frames) == (25, 121)


def test_frames_extracted_at_another_rate_stop_the_start(tmp_path):
    (tmp_path / "frames.json").write_text('{"dataset": "ava", "fps": 25.0, "start_seconds": 0.0}')
    check_extraction(tmp_path / "frames", fps=25.0)
    with pytest.raises(
        AnnotationError, match=r"frames\.json: .* at 25 per second, but AVA\.FPS is 30\. Set AVA\.FPS 25"
    ):
        check_extraction(tmp_path / "frames", fps=30.0)
    check_extraction(tmp_path / "elsewhere" / "frames", fps=30.0)  # nobody knows


def test_defect_movies_that_start_elsewhere_stop_the_start(make_video):
    """Cut to the annotated minutes, but said to be whole by AVA.MOVIE_START_SECONDS: all clips would show one frame."""
    path = make_video("a.mp4", num_frames=100, fps=25)
    key_frames = [("a", 902), ("a", 903)]
    message = (
        r"a\.mp4 lasts 4\.0 seconds, so with AVA\.MOVIE_START_SECONDS=0 it shows the seconds 0\.0 to 4\.0\. "
        r"2 of the 2 key frames of a, which are at 902 to 903 seconds, lie outside\. "
        r"Set AVA\.MOVIE_START_SECONDS 900 for files of AVA cut to the annotated 15 minutes"
    )
    with pytest.raises(AnnotationError, match=message):
        MovieFiles({"a": str(path)}).check_lengths(key_frames)
    with pytest.raises(AnnotationError, match=r"SECONDS=950 it shows the seconds 950\.0 to 954\.0\."):
        MovieFiles({"a": str(path)}, start_seconds=950).check_lengths(key_frames)


def test_movies_that_lack_a_few_key_frames_are_warned_of(make_video, caplog):
    movies = {name: str(make_video(f"{name}.mp4", num_frames=count)) for name, count in {"a": 121, "b": 120}.items()}
    source = MovieFiles(movies, start_seconds=900)
    source.check_lengths([("a", 902), ("a", 904), ("b", 902)])
    assert not caplog.records  # frame 120, the last of a, shows second 904
    source.check_lengths([("a", 902), ("a", 904), ("b", 902), ("b", 903), ("b", 904)])
    (record,) = caplog.records
    assert "1 of 5 key frames of 2 inspected movies (of 2) lie outside their files (first: b,0904)" in record.message


def test_a_few_movies_are_looked_into(make_video, monkeypatch, tmp_path, caplog):
    path = make_video("a.mp4", num_frames=90)
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    movies = {str(i): str(path) for i in range(12)} | {"4": str(tmp_path / "broken.mp4")}
    source, opened = MovieFiles(movies, start_seconds=900), []
    monkeypatch.setattr(source, "open", lambda video_id: opened.append(video_id) or MovieFiles.open(source, video_id))
    source.check_lengths([(video_id, 902) for video_id in movies])
    assert opened == ["0", "4", "8"]
    (record,) = caplog.records
    assert record.message.startswith("4: cannot ") and "broken.mp4" in record.message
    source.check_lengths([])
