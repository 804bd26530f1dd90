"""A window that shows what is found as it is found."""
import os
import sys

import cv2
import numpy as np

from dicenet_mm.errors import UserError

TITLE = 'dicenet_mm (q ends it)'


def require_display() -> None:
    """See whether a window can be shown.

    Raises:
        UserError: If there is no display, or OpenCV has no windows.
    """
    if sys.platform.startswith('linux') and not os.environ.get('DISPLAY') and not os.environ.get('WAYLAND_DISPLAY'):
        raise UserError('there is no display for a window (DISPLAY is not set)')
    try:
        cv2.namedWindow(TITLE, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO)
    except cv2.error:
        raise UserError('OpenCV has no windows here: pip install opencv-python in place of opencv-python-headless'
                        ) from None


def show(picture: np.ndarray, stay: bool) -> bool:
    """Show a picture (H, W, 3) uint8 in BGR.

    Args:
        picture: It.
        stay: Whether to wait for a key.

    Returns:
        Whether to go on: not after the key q or Esc, or when the window was closed.
    """
    cv2.imshow(TITLE, picture)
    while True:
        key = cv2.waitKey(50 if stay else 1) & 0xff
        if key in (ord('q'), 27) or cv2.getWindowProperty(TITLE, cv2.WND_PROP_VISIBLE) < 1:
            return False
        if not stay or key != 0xff:
            return True
