"""Downloads: resumed after an interruption, verified, and atomic."""

from __future__ import annotations

import hashlib
import http.client
import logging
import os
import re
from pathlib import Path, PurePosixPath
from urllib.error import HTTPError, URLError
from urllib.parse import urlparse
from urllib.request import FTPHandler, Request, build_opener

from iopath.common.file_io import file_lock, get_cache_dir

from slowfast.utils.progress import WorkProgress

logger = logging.getLogger(__name__)

_TIMEOUT_SECONDS = 30.0  # without a byte
_CHUNK_BYTES = 1 << 18
_REQUEST = {"User-Agent": "slowfast", "Accept-Encoding": "identity"}  # identity: lengths and ranges are the file's own
_RANGE_NOT_SATISFIABLE = 416
_TAG = re.compile(r"[\x20-\x7e]{1,200}")  # what a header of a request may hold
MAX_BYTES = 2**35  # of one file, 32 GiB; the largest of published weights has 4 GB


class DownloadError(ValueError):
    """A file cannot be downloaded; the message says where to put it by hand."""


def is_url(path: str | os.PathLike) -> bool:
    """Whether ``path`` is a web address rather than a file."""
    return str(path).startswith(("http://", "https://"))


def cache_path(url: str) -> Path:
    """The path of ``url`` in iopath's cache: the URL's own path below $FVCORE_CACHE (default ~/.torch/iopath_cache).

    Other tools that use this cache find files downloaded here, and vice versa.

    Raises:
        DownloadError: the URL does not end in a file name, or contains "..".
    """
    try:
        folders = PurePosixPath(urlparse(url).path.lstrip("/")).parent
    except ValueError as error:  # such as half an IPv6 address
        raise DownloadError(f"{url} is not a URL ({error}).") from error
    name = url.rpartition("/")[2]
    if not name or ".." in (name, *folders.parts) or "\0" in url:
        raise DownloadError(f"{url} names no file that could be kept in the cache.")
    return Path(get_cache_dir()) / folders / name


def fetch(url: str, path: Path, *, sha256: str | None = None) -> Path:
    """``path``, downloaded from ``url`` if it does not exist; one of several processes downloads, the others wait.

    Args:
        sha256: of the whole file, in hexadecimal; None: its size is compared with what the server announced.

    Raises:
        DownloadError: no connection, a reply other than the file, or content that does not match ``sha256``.
    """
    if path.is_file():
        if sha256 is not None:
            _verify(path, sha256, f"Delete it to download {url} again.")  # it may have been put there by hand
    else:
        try:
            with file_lock(str(path)):  # makes the folder, too
                if not path.is_file():
                    _download(url, path, sha256)
        except HTTPError as error:
            raise _failure(url, path, f"the server answers {error.code} {error.reason}") from error
        except (OSError, http.client.HTTPException) as error:
            raise _failure(url, path, str(getattr(error, "reason", error)) or type(error).__name__) from error
    return path


def _failure(url: str, path: Path, reason: str) -> DownloadError:
    part = _part(path)
    kept = f" {part.stat().st_size:,} bytes are kept in {part}: the next attempt resumes there." if _size(part) else ""
    return DownloadError(
        f"{url} cannot be downloaded ({reason}). Download it by other means and put it at {path}.{kept}"
    )


def _part(path: Path) -> Path:
    return path.with_name(path.name + ".part")


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _download(url: str, path: Path, sha256: str | None) -> None:
    """Receive ``path`` under a temporary name, resuming after interruptions as long as every connection brings data."""
    part = _part(path)
    while True:
        before = _size(part)
        try:
            _receive(url, part)
            break
        except HTTPError as error:
            if error.code != _RANGE_NOT_SATISFIABLE or not before:
                raise
            part.unlink()  # it is not a beginning of the file
        except (OSError, http.client.HTTPException) as error:
            if _size(part) <= before:
                raise
            logger.warning("%s: %s. Resuming from byte %d.", url, error, _size(part))
    _tag(part).unlink(missing_ok=True)
    if sha256 is not None:
        try:
            _verify(part, sha256, f"{url} holds a different file than expected.")
        except DownloadError:
            part.unlink()
            raise
    os.replace(part, path)
    logger.info("downloaded %s (%d bytes) to %s", url, _size(path), path)


def _tag(part: Path) -> Path:
    """File that holds the server's mark of the version of which ``part`` is the beginning."""
    return part.with_name(part.name + ".tag")


def _receive(url: str, part: Path) -> None:
    """One connection: the rest of ``part``, or the whole file if the server cannot resume the same version."""
    headers, start, tag = dict(_REQUEST), _size(part), _tag(part)
    version = tag.read_text(encoding="utf-8", errors="replace") if start and tag.is_file() else ""
    if _TAG.fullmatch(version):
        # If-Range: a file that has changed since comes whole, with status 200, and replaces the part.
        headers |= {"Range": f"bytes={start}-", "If-Range": version}
    with urlopen(Request(url, headers=headers), timeout=_TIMEOUT_SECONDS) as reply:
        if reply.headers.get_content_type() == "text/html":
            raise http.client.HTTPException("the server sends an HTML page instead of the file")
        if reply.status != http.HTTPStatus.PARTIAL_CONTENT:
            start = 0
        _remember_version(reply.headers, tag)
        total = _announced_bytes(reply.headers, start)
        with (
            open(part, "ab" if start else "wb") as file,
            WorkProgress(total, unit="B", name=part.stem, done=start, say=logger.info) as progress,
        ):
            while chunk := reply.read(_CHUNK_BYTES):
                file.write(chunk)
                if file.tell() > MAX_BYTES:
                    raise http.client.HTTPException(f"the server sends more than {MAX_BYTES:,} bytes")
                progress.step(len(chunk))
    if total is not None and _size(part) != total:
        raise ConnectionError(f"the connection ended after {_size(part):,} of {total:,} bytes")


class _NoFtp(FTPHandler):
    """Refuses redirects to FTP; urllib itself refuses other schemes."""

    def ftp_open(self, request):
        raise URLError(f"the server redirects to {request.full_url}")


urlopen = build_opener(_NoFtp).open


def _announced_bytes(headers, start: int) -> int | None:
    """Bytes of the whole file, from which the response omits the first ``start``; None if the server does not say.

    Raises:
        HTTPException: no number, or more than MAX_BYTES.
    """
    length = headers.get("Content-Length")
    if not length:
        return None
    if not re.fullmatch(r"[0-9]{1,15}", length) or start + int(length) > MAX_BYTES:
        raise http.client.HTTPException(f"the server announces {length[:40]} bytes; at most {MAX_BYTES:,} are received")
    return start + int(length)


def _remember_version(headers, tag: Path) -> None:
    """Store what If-Range takes: a strong ETag, or the date of the last change; without either nothing is resumed."""
    version = headers.get("ETag", "")
    if not version or version.startswith("W/"):
        version = headers.get("Last-Modified", "")
    if version:
        tag.write_text(version, encoding="utf-8")
    else:
        tag.unlink(missing_ok=True)


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, hexadecimal, lower case."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def _verify(path: Path, sha256: str, advice: str) -> None:
    """Raise, with ``advice``, unless the file has this checksum."""
    found = sha256_of(path)
    if found != sha256.lower():
        raise DownloadError(f"{path} has the SHA-256 {found}, expected {sha256}. {advice}")
