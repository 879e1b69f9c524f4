"""Checks of what browsers and programs send: its size, and whether it may be a video."""

from __future__ import annotations

from pathlib import Path, PurePosixPath, PureWindowsPath

from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from slowfast.serving.analysis import Video
from slowfast.serving.jobs import JobError
from slowfast.utils.text import printable
from slowfast.utils.untrusted import cut, describe_content, is_playlist

FORM_BYTES = 2**16  # of the form around a file
_CHUNK = 2**20
_HEAD = 2**13
_TEXTS = ("a text file", "an HTML or XML page", "an HTML page")


class BodyLimit:
    """Ends requests whose body is larger than ``max_bytes``, whatever their headers say, with a JobError (413)."""

    def __init__(self, app: ASGIApp, *, max_bytes: int):
        self.app, self.max_bytes = app, max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        num_bytes = 0

        async def counted() -> Message:
            nonlocal num_bytes
            message = await receive()
            num_bytes += len(message.get("body", b""))
            if num_bytes > self.max_bytes:
                raise too_large(self.max_bytes)
            return message

        await self.app(scope, counted if scope["type"] == "http" else receive, send)


def too_large(max_bytes: int) -> JobError:
    """The refusal of a body."""
    return JobError(413, f"the upload is larger than {max_bytes / 1e6:,.0f} MB, the most that this server takes.")


def check_announced(request: Request, max_bytes: int) -> None:
    """Check that the announced length is within the limit, before a byte of it is read.

    Raises:
        JobError: 413.
    """
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > max_bytes:
        raise too_large(max_bytes)


def shown_name(upload: UploadFile) -> str:
    """The name of the file without folders and control characters."""
    name = PurePosixPath(PureWindowsPath(upload.filename or "").name).name
    return cut(printable(name), length=120) or "video"


async def save_upload(upload: object, folder: Path, *, max_bytes: int) -> Video:
    """The file of the field ``video`` in ``folder``, under a name of our choice.

    Raises:
        JobError: 400 there is none; 413 too large; 415 it is obviously not a video.
    """
    if not isinstance(upload, UploadFile):
        raise JobError(400, "send the video as the file of the multipart field `video`.")
    path, name, size = folder / "upload", shown_name(upload), 0
    with open(path, "wb") as file:
        while chunk := await upload.read(_CHUNK):
            if not size:
                refuse_texts(chunk[:_HEAD], len(chunk), name)
            size += len(chunk)
            if size > max_bytes:
                raise too_large(max_bytes)
            file.write(chunk)
    if not size:
        raise JobError(415, f"{name} is empty, not a video file.")
    return Video(path, name)


def refuse_texts(head: bytes, size: int, name: str) -> None:
    """Check that the first bytes of a file are not those of a web page, a playlist or a text.

    Raises:
        JobError: 415.
    """
    what = describe_content(head, size)
    if is_playlist(head) or what in _TEXTS or what.endswith(" page"):
        raise JobError(415, f"{name} is {what}, not a video file.")
