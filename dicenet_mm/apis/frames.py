"""The pictures of inputs of any kind, one after the other: files, addresses, cameras, streams, films, arrays."""
from collections.abc import Iterator
from io import BytesIO
from itertools import count
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import cv2
import numpy as np
from PIL import Image

from dicenet_mm.datasets.images import MAX_PIXELS
from dicenet_mm.errors import UserError

from .arrays import read_image, to_arrays
from .inputs import is_address, is_camera, shown

TIMEOUT = 10  # seconds without an answer
MAX_DOWNLOAD = 256 * 2**20  # bytes of a picture


def read_picture(entry: str | Path | np.ndarray | Image.Image) -> np.ndarray:
    """A picture (H, W, 3) uint8 in BGR, from a file, an address, an array or a picture of Pillow.

    Raises:
        UserError: If there is none, or it cannot be decoded.
    """
    if is_address(entry):
        return _fetched(entry)
    return read_image(entry) if isinstance(entry, (str, Path)) else to_arrays([entry])[0]


def _fetched(address: str) -> np.ndarray:
    try:
        with urlopen(address, timeout=TIMEOUT) as answer:
            content = answer.read(MAX_DOWNLOAD + 1)
    except (URLError, OSError, ValueError) as error:
        raise UserError(f'{shown(address)} cannot be fetched ({getattr(error, "reason", error)}): check the address '
                        'and the network') from None
    if len(content) > MAX_DOWNLOAD:
        raise UserError(f'{shown(address)} has more than {MAX_DOWNLOAD >> 20} MB: fetch and shrink it first')
    try:
        with Image.open(BytesIO(content)) as header:
            pixels = header.width * header.height
    except Image.DecompressionBombError:
        pixels = 2 * MAX_PIXELS
    except Exception:  # OpenCV reads a few formats more
        pixels = 0
    if pixels > MAX_PIXELS:
        raise UserError(f'{shown(address)} has more than the {MAX_PIXELS / 1e6:.0f} million px that are decoded: fetch '
                        'it, and cut it into pieces or shrink it')
    try:
        image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR) if content else None
    except cv2.error:
        image = None
    if image is None:
        raise UserError(f'{shown(address)} is no picture that can be read')
    return image


class Video:
    """A film, a stream or a camera, to be used in a ``with`` statement.

    Args:
        entry: The file, the address, or the number of the camera.

    Attributes:
        live: Whether it has no end of its own.
        rate: Frames a second as the source says, or 25.
        total: Frames as the file says; None where it does not.

    Raises:
        UserError: If it cannot be opened.
    """

    def __init__(self, entry: str | Path | int):
        level = cv2.utils.logging.getLogLevel()
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)  # what fails is told below
        try:
            self.reader = _reader(entry)
        finally:
            cv2.utils.logging.setLogLevel(level)
        if not self.reader.isOpened():
            raise UserError(f'{shown(entry)} cannot be read as a video' + (
                ': is a camera connected, and may you use it?' if is_camera(entry) else
                ': check the address and the network' if is_address(entry) else ''))
        frames = self.reader.get(cv2.CAP_PROP_FRAME_COUNT)
        rate = self.reader.get(cv2.CAP_PROP_FPS)
        self.total = int(frames) if 0 < frames < 2**31 else None
        self.live = is_camera(entry) or is_address(entry) and self.total is None
        self.rate = rate if 0 < rate <= 1000 else 25.

    def __enter__(self) -> 'Video':
        return self

    def __exit__(self, *error) -> None:
        self.reader.release()

    def __iter__(self) -> Iterator[tuple[int, np.ndarray]]:
        """Numbers of frames, from 0, and their pictures (H, W, 3) uint8 in BGR, until there are no more."""
        for index in count():
            more, image = self.reader.read()
            if not more:
                return
            yield index, image


def _reader(entry: str | Path | int) -> cv2.VideoCapture:
    if is_camera(entry):
        return cv2.VideoCapture(int(entry))
    if is_address(entry):
        waiting = 1000 * TIMEOUT
        return cv2.VideoCapture(entry, cv2.CAP_FFMPEG, [
            cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, waiting, cv2.CAP_PROP_READ_TIMEOUT_MSEC, waiting])
    return cv2.VideoCapture(str(entry))
