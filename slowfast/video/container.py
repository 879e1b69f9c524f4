"""Opens video files, for reading and for writing; nothing else does.

This module bounds what an untrusted file can do: it must be a regular file of a real container format, which names no
other file or address; frames have at most MAX_FRAME_PIXELS pixels; every call has a time limit; and every failure is a
``VideoReadError``.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

import av

from slowfast.utils.untrusted import describe_file, file_status, is_playlist
from slowfast.video.watch import Deadline, VideoReadError

# Names of FFmpeg's demuxers. All read one file and nothing else; playlists (concat, hls, dash, sdp), devices and
# sequences of images open files and addresses that their content names.
FORMATS = (
    "3g2", "3gp", "asf", "av1", "avi", "dv", "flv", "gif", "h264", "hevc", "ivf", "m4a", "m4v", "matroska", "mj2",
    "mov", "mp4", "mpeg", "mpegts", "mpegvideo", "mxf", "nut", "obu", "ogg", "rm", "webm", "wtv", "yuv4mpegpipe",
)  # fmt: skip
MAX_FRAME_PIXELS = 2**26  # 8192 x 8192, twice the pixels of 8K: a frame as RGB takes 200 MB
MAX_ASPECT = 100  # longer side to shorter: a strip of 2 x 60,000 pixels would be enlarged to gigabytes

_INPUT_OPTIONS = {
    "format_whitelist": ",".join(FORMATS),
    "protocol_whitelist": "file",
    "max_pixels": str(MAX_FRAME_PIXELS),  # of the decoders that look at the first frames
}
# What PyAV raises for damaged files beside its own errors: text that is no text, numbers out of range, streams that are
# not there. TypeError, AttributeError and AssertionError are not among it: those are our defects.
_PYAV_ERRORS = (av.FFmpegError, ValueError, LookupError, ArithmeticError, MemoryError, RuntimeError)


def silence_ffmpeg() -> None:
    """Remove PyAV's log callback from FFmpeg, if a program or an import has set it (``av.logging.set_level``).

    It takes the interpreter's lock in decoder threads, while the thread that closes a file holds the lock and waits for
    them: a deadlock (PyAV's issues 751, 909, 1053, 2276). torchvision before 0.26 sets it when it is imported.
    """
    if av.logging.get_level() is not None:
        av.logging.set_level(None)


@contextmanager
def pyav_errors(path: str, deadline: Deadline | None = None, *, doing: str = "decode") -> Iterator[None]:
    """Turns what PyAV raises in the block into a VideoReadError that names ``path``.

    Args:
        deadline: of the read; the message says if it ended the call.
        doing: "open" or "decode".
    """
    try:
        yield
    except VideoReadError:
        raise
    except av.error.ExitError as error:
        raise (deadline or Deadline(path, 0)).error() from error
    except _PYAV_ERRORS as error:
        raise VideoReadError(f"cannot {doing} {path}: {failure_text(error)}.") from error


def failure_text(error: Exception) -> str:
    """The message of PyAV's error, without the name of the file."""
    text = error.strerror if isinstance(error, av.FFmpegError) else f"{type(error).__name__}: {error}"
    return (text or "").removesuffix(".") or type(error).__name__


def check_video_file(path: str) -> os.stat_result:
    """The status of a file that may be opened as a video.

    Raises:
        VideoReadError: no such file, or a folder, FIFO, socket or device.
    """
    try:
        return file_status(path)
    except OSError as error:
        raise VideoReadError(f"cannot open {path}: {error.strerror}{_other_spelling(path)}.") from error


def open_video(path: str, deadline: Deadline) -> av.container.InputContainer:
    """An open container, which the caller closes."""
    silence_ffmpeg()
    check_video_file(path)
    seconds = deadline.seconds_left
    with pyav_errors(path, deadline, doing="open"):
        try:
            # "file:" keeps a colon in a name from being read as a network protocol.
            return av.open(
                f"file:{path}", options=_INPUT_OPTIONS, timeout=(seconds, seconds), metadata_errors="replace"
            )
        except av.error.ExitError:
            raise
        except av.FFmpegError as error:
            raise VideoReadError(f"cannot open {path}: {_refusal(path, error)}.") from error


# What a stream address may use, itself included; no file of this machine is among it. An address is opened only when a
# person typed it: nothing that is read from a file comes here.
ADDRESS_PROTOCOLS = {
    "http": "http,tcp",
    "https": "https,http,tls,tcp",
    "rtsp": "rtsp,rtp,udp,tcp",
    "rtsps": "rtsps,rtsp,rtp,udp,tls,tcp",
    "rtmp": "rtmp,tcp",
    "srt": "srt,udp",
    "tcp": "tcp",
    "udp": "udp",
}
_ADDRESS_FORMATS = ("mpjpeg", "rtp", "rtsp")
ADDRESS_SECONDS = 15.0  # until a stream answers, and between two packets


def open_address(address: str) -> av.container.InputContainer:
    """An open stream of an address that the user typed, which the caller closes; its frames come as they are sent."""
    scheme = address.partition("://")[0].lower()
    if scheme not in ADDRESS_PROTOCOLS:
        raise VideoReadError(f"cannot open {address}: streams are {', '.join(ADDRESS_PROTOCOLS)}.")
    silence_ffmpeg()
    options = {
        **_INPUT_OPTIONS,
        "format_whitelist": ",".join((*FORMATS, *_ADDRESS_FORMATS)),
        "protocol_whitelist": ADDRESS_PROTOCOLS[scheme],
    }
    with pyav_errors(address, Deadline(address, ADDRESS_SECONDS), doing="open"):
        return av.open(address, options=options, timeout=(ADDRESS_SECONDS, ADDRESS_SECONDS), metadata_errors="replace")


def open_pipe(file: BinaryIO, name: str) -> Any:
    """An open container of a byte stream, which the caller closes."""
    silence_ffmpeg()
    options = {name: value for name, value in _INPUT_OPTIONS.items() if name != "protocol_whitelist"}
    with pyav_errors(name, doing="open"):
        return av.open(_ReadOnly(file), options=options, metadata_errors="replace")


class _ReadOnly:
    """A file without ``seek``, which PyAV would try on a pipe."""

    def __init__(self, file: BinaryIO):
        self.read = file.read


def _refusal(path: str, error: av.FFmpegError) -> str:
    """Why a file was not opened, and what it is."""
    what = describe_file(path)
    try:
        with open(path, "rb") as file:
            refused = is_playlist(file.read(2**13))
    except OSError:
        refused = False
    if refused:
        return f"it is {what}; only self-contained video files are opened"
    if isinstance(error, av.error.ArgumentError):  # not in FORMATS
        return f"it is {what}, not a supported video file"
    return f"{error.strerror} (it is {what})"


def close_container(container) -> None:
    """Close a file or stream."""
    silence_ffmpeg()  # an import may have asked for messages since it was opened
    container.close()


def until_end(
    packets: Iterable[av.Packet], note: Callable[[str], object], tick: Callable[[], None]
) -> Iterator[av.Packet | None]:
    """The packets with data, then None, which makes a decoder return its remaining frames.

    Args:
        note: called with the reason if reading ends early.
        tick: called at every packet, to watch the time.
    """
    try:
        for packet in packets:
            tick()
            if packet.size:
                yield packet
    except av.error.ExitError:  # the time is over: not the end of the file
        raise
    except av.FFmpegError as error:
        note(failure_text(error))
    yield None


def set_threads(stream, num_threads: int) -> None:
    """Prepare the decoder of a stream that is not open yet. One thread means slice threading, which returns frames at
    once."""
    context = stream.codec_context
    context.thread_count = num_threads
    context.thread_type = "SLICE" if num_threads == 1 else "AUTO"
    context.options = {"max_pixels": str(MAX_FRAME_PIXELS)}


def check_frame_size(height: int, width: int) -> None:
    """Check that a frame of this size may be converted and scaled.

    Raises:
        ValueError: it is empty, larger than MAX_FRAME_PIXELS, or a strip beyond MAX_ASPECT.
    """
    if min(height, width) < 1:
        raise ValueError(f"its frames are empty ({width}x{height} pixels)")
    if height * width > MAX_FRAME_PIXELS:
        raise ValueError(f"its frames have {width}x{height} pixels, more than {MAX_FRAME_PIXELS:,} in total")
    if max(height, width) > MAX_ASPECT * min(height, width):
        raise ValueError(f"its frames are {width}x{height} pixels, an aspect ratio above {MAX_ASPECT}:1")


@contextmanager
def create_video(
    path: str | os.PathLike, *, file_format: str | None = None, options: dict[str, str] | None = None
) -> Iterator[av.container.OutputContainer]:
    """A container to write at ``path``, closed at the end of the block.

    Args:
        file_format: FFmpeg's name; None: by the extension of ``path``.
        options: of that format.
    """
    silence_ffmpeg()
    with av.open(f"file:{os.fspath(path)}", "w", format=file_format, options=options or {}) as container:
        try:
            yield container
        finally:
            silence_ffmpeg()


def _other_spelling(path: str) -> str:
    """A hint for a missing file whose name exists in another Unicode form, as in copies from a Mac."""
    folder, name = os.path.split(path)
    for form in ("NFC", "NFD"):
        for twin in (os.path.join(folder, unicodedata.normalize(form, name)), unicodedata.normalize(form, path)):
            if twin != path and os.path.lexists(twin):
                return f" (but there is a file of that name in Unicode form {form}: rename it, or correct the list)"
    return ""
