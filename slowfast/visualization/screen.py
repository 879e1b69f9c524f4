"""A window on the screen, drawn by OpenCV."""

from __future__ import annotations

import os
import sys

import numpy as np


class ScreenError(ValueError):
    """No window can be drawn; the message says what is missing."""


class Screen:
    """A window that shows frames until it is closed, or q is pressed. Use as a context manager.

    Args:
        title: of the window.

    Raises:
        ScreenError: OpenCV is not installed or cannot draw windows, or there is no display.
    """

    def __init__(self, title: str):
        if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
            raise ScreenError(
                "--show needs a display, but there is none (DISPLAY is not set). --save-video writes a file."
            )
        try:
            import cv2
        except ImportError as error:
            raise ScreenError("--show draws with OpenCV: pip install 'slowfast[camera]'.") from error
        self._cv2, self.title, self.is_closed = cv2, title, False

    def __enter__(self) -> Screen:
        try:
            self._cv2.namedWindow(self.title, self._cv2.WINDOW_NORMAL)
        except self._cv2.error as error:
            raise ScreenError(
                "this OpenCV cannot draw windows (it is the headless one): pip uninstall opencv-python-headless; "
                "pip install opencv-python. --save-video writes a file."
            ) from error
        return self

    def __exit__(self, *_) -> None:
        self._cv2.destroyAllWindows()

    def show(self, frame: np.ndarray) -> None:
        """Show a frame, uint8 (H, W, 3) RGB, and check for key presses."""
        self._cv2.imshow(self.title, np.ascontiguousarray(frame[:, :, ::-1]))
        key = self._cv2.waitKey(1) & 0xFF
        self.is_closed = key == ord("q") or self._cv2.getWindowProperty(self.title, self._cv2.WND_PROP_VISIBLE) < 1
