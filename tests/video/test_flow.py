"""Optical flow: quantized, cached by frame, moved with its pixels."""

import numpy as np
import pytest
import torch

from slowfast.video.flow import METHODS, ZERO, FlowReader, FlowStore, quantize, scale_and_mirror
from slowfast.video.geometry import Crop, resize
from tests.video_files import MemoryReader

SHIFT = (2, -1)  # pixels to the right and up, a frame


def drift(num_frames: int = 6) -> MemoryReader:
    """A texture that moves by SHIFT from frame to frame."""
    coarse = torch.rand(1, 3, 14, 16, generator=torch.Generator().manual_seed(0))
    texture = torch.nn.functional.interpolate(coarse, size=(112, 128), mode="bicubic").clamp(0, 1)[0]
    frames = [texture.roll((SHIFT[1] * i, SHIFT[0] * i), (1, 2)) for i in range(num_frames)]
    return MemoryReader((255 * torch.stack(frames)[:, :, 16:96, 16:112]).to(torch.uint8))


@pytest.fixture
def video_file(tmp_path):
    path = tmp_path / "video.mp4"
    path.write_bytes(b"stands for the video")
    return path


@pytest.mark.parametrize("method", ["dis", "farneback"])
def test_flow_of_a_shifted_texture_is_the_shift(method, tmp_path, video_file):
    store = FlowStore(tmp_path / "flow", method=method, bound=8.0)
    flow = store.flow_at(range(6), drift(), video_file)
    assert flow.dtype == torch.uint8 and flow.shape == (6, 2, 80, 96)
    inner = (flow[:, :, 16:-16, 16:-16].float() - ZERO) * 8.0 / 127
    assert inner[:, 0].median().item() == pytest.approx(SHIFT[0], abs=0.3)
    assert inner[:, 1].median().item() == pytest.approx(SHIFT[1], abs=0.3)
    assert torch.equal(flow[5], flow[4])  # the last frame has the one before it


def test_flow_is_computed_once_and_read_frame_by_frame(tmp_path, video_file):
    first = FlowStore(tmp_path / "flow").flow_at([4, 0, 4], drift(), video_file)
    nothing = MemoryReader(torch.zeros(0, 3, 1, 1, dtype=torch.uint8))
    again = FlowStore(tmp_path / "flow").flow_at([0, 4], nothing, video_file)
    assert torch.equal(first, again[[1, 0, 1]])
    assert [path.suffix for path in (tmp_path / "flow").rglob("*") if path.is_file()] == [".npz"]


def test_another_file_method_or_bound_has_flow_of_its_own(tmp_path, video_file):
    store = FlowStore(tmp_path, bound=20.0)
    before = store.file_of(video_file, fps=30.0)
    assert before != FlowStore(tmp_path, bound=10.0).file_of(video_file, fps=30.0)
    assert before != store.file_of(video_file, fps=24.0)
    assert before != FlowStore(tmp_path, method="farneback").file_of(video_file, fps=30.0)
    video_file.write_bytes(b"another content")
    assert before != store.file_of(video_file, fps=30.0)


def test_an_interrupted_computation_leaves_no_file(tmp_path, video_file):
    video = drift()
    video.frames_at = lambda indices: 1 / 0 if 5 in indices else video.frames[list(indices)]
    with pytest.raises(ZeroDivisionError):
        FlowStore(tmp_path / "flow").flow_at([0], video, video_file)
    assert not [path for path in (tmp_path / "flow").rglob("*") if path.is_file()]


def test_a_video_of_one_frame_does_not_move(tmp_path, video_file):
    assert (FlowStore(tmp_path / "flow").flow_at([0], drift(1), video_file) == ZERO).all()


def test_frames_of_a_flow_reader_have_five_channels(tmp_path, video_file):
    video, store = drift(), FlowStore(tmp_path / "flow")
    frames = FlowReader(video, store, video_file).frames_at([1, 3])
    assert frames.shape == (2, 5, 80, 96)
    assert torch.equal(frames[:, :3], video.frames_at([1, 3]))
    assert torch.equal(frames[:, 3:], store.flow_at([1, 3], video, video_file))
    with pytest.raises(ValueError, match=r"RESIZE_IN_DECODER does not go with SLOWFAST\.FAST_INPUT flow"):
        FlowReader(video, store, video_file).frames_at([0], 64)


def test_quantizing_keeps_what_is_within_the_bound():
    flow = np.array([-30.0, -20.0, 0.0, 0.08, 10.0, 20.0, 99.0]).reshape(1, 1, 7).repeat(2, axis=0)
    assert quantize(flow, 20.0)[0, 0].tolist() == [1, 1, 128, 129, 192, 255, 255]  # 10 / 20 * 127 = 63.5, to even


def test_vectors_are_scaled_and_mirrored_with_their_pixels():
    frames = torch.full((2, 5, 8, 10), 100, dtype=torch.uint8)
    frames[:, 3], frames[:, 4] = ZERO + 10, ZERO - 6
    crop = Crop((0, 0, 8, 10), 16, 20, 0, 0, 16, flip=True)
    out = crop.apply_to_frames(frames, has_flow=True)
    assert out.shape == (2, 5, 16, 16)
    assert (out[:, :3] == 100).all() and (out[:, 3] == ZERO - 20).all() and (out[:, 4] == ZERO - 12).all()
    assert torch.equal(resize(frames, 8, 10, has_flow=True), frames)
    assert torch.equal(scale_and_mirror(frames[:, 3:]), frames[:, 3:])


def test_raft_flow_of_random_weights_has_the_shape_of_the_video(tmp_path, video_file):
    from torchvision.models.optical_flow import raft_small

    weights = tmp_path / "raft.pth"
    torch.save(raft_small(weights=None).state_dict(), weights)
    flow = FlowStore(tmp_path / "flow", method="raft", weights=str(weights)).flow_at([0], drift(2), video_file)
    assert flow.shape == (1, 2, 80, 96) and flow.dtype == torch.uint8


def test_other_raft_weights_have_flow_of_their_own(tmp_path, video_file):
    def file_of(weights) -> object:
        return FlowStore(tmp_path / "flow", method="raft", weights=str(weights)).file_of(video_file, fps=30.0)

    first, copy, other = (tmp_path / name for name in ("first.pth", "copy.pth", "other.pth"))
    first.write_bytes(b"weights of RAFT")
    copy.write_bytes(b"weights of RAFT")
    other.write_bytes(b"weights of RAFT, finetuned")
    assert file_of(first) == file_of(copy) != file_of(other)
    first.write_bytes(b"weights of raft")  # of the same size, in the same place
    assert file_of(first) != file_of(copy)


def test_what_cannot_work_is_refused_at_once(tmp_path):
    assert METHODS == ("dis", "farneback", "raft")
    with pytest.raises(ValueError, match=r"FLOW\.METHOD='tvl1' is not one of dis, farneback, raft"):
        FlowStore(tmp_path, method="tvl1")
    with pytest.raises(ValueError, match=r"FLOW\.METHOD=raft needs FLOW\.WEIGHTS.*'gone\.pth' is not"):
        FlowStore(tmp_path, method="raft", weights="gone.pth")
    with pytest.raises(ValueError, match=r"FLOW\.BOUND=0: must be above 0"):
        FlowStore(tmp_path, bound=0)
