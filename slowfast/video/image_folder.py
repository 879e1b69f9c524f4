"""Frames stored as image files in a folder."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from slowfast.utils.untrusted import describe_file, file_status
from slowfast.video.container import check_frame_size
from slowfast.video.frame_reader import FrameReader
from slowfast.video.sampling import scaled_size
from slowfast.video.watch import Deadline, VideoReadError

IMAGE_FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "TIFF", "PPM")  # Pillow's names; others may start programs (EPS)


class FrameFolderReader(FrameReader):
    """Frames that are image files, one per frame; turned as their EXIF data says, gray and CMYK ones made RGB.

    Args:
        paths: the files, in order of time.
        fps: frames per second at which they were taken.
    """

    def __init__(self, paths: Sequence[str | os.PathLike], fps: float):
        if not len(paths):
            raise VideoReadError("a video of image files needs at least one image: paths is empty.")
        self.paths = paths
        self.num_frames = len(paths)
        self.fps = float(fps)

    def __repr__(self) -> str:
        return f"{os.path.dirname(os.fspath(self.paths[0]))} ({self.num_frames:,} images)"

    def _file_of(self, wanted: np.ndarray) -> str:
        return os.fspath(self.paths[wanted[0]])

    def _read(self, wanted: np.ndarray, short_side: int | None, deadline: Deadline) -> Iterator[tuple[int, np.ndarray]]:
        size: tuple[int, int] | None = None
        for position, number in enumerate(wanted):
            deadline.check()
            path = os.fspath(self.paths[number])
            try:
                picture = _read_image(path)
            except ImageError as error:
                raise self._error(wanted, f"got {position} ({path}: {error})") from error
            if short_side is not None:
                height, width = scaled_size(picture.height, picture.width, short_side)
                picture = picture.resize((width, height), Image.Resampling.BILINEAR)
            size = size or picture.size
            if picture.size != size:
                found = f"{path} is {picture.width}x{picture.height}, not {size[0]}x{size[1]}"
                raise self._error(wanted, f"got {position} ({found}: give all images one size)")
            yield position, np.asarray(picture)


class ImageError(ValueError):
    """An image file cannot be decoded; the message says why, without its name."""


def _read_image(path: str) -> Image.Image:
    """The picture of an image file, upright, RGB.

    Raises:
        ImageError: no such file, none of IMAGE_FORMATS, damaged, or too large.
    """
    try:
        file_status(path)
        with Image.open(path, formats=IMAGE_FORMATS) as image:
            check_frame_size(image.height, image.width)
            return ImageOps.exif_transpose(image).convert("RGB")
    except UnidentifiedImageError as error:
        raise ImageError(f"cannot be read as an image (it is {describe_file(path)})") from error
    except OSError as error:
        raise ImageError(error.strerror or str(error)) from error
    # Pillow's plugins let whatever a damaged file causes pass: SyntaxError, struct.error, zlib.error, KeyError, ...
    except Exception as error:
        raise ImageError(f"{type(error).__name__}: {error}") from error
