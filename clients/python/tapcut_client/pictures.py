"""Pictures in and out: paths, bytes, open files, Pillow images, NumPy arrays.

Owns the conversion to something that can be sent more than once. Pillow and NumPy are needed only
for what is given or asked for as theirs (`pip install tapcut-client[images]`).
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    import numpy as np
    import PIL.Image

# Any: Pillow's and NumPy's types exist only where they are installed.
PictureLike = Any  # str | Path | bytes | BinaryIO | PIL.Image.Image | numpy.ndarray [H, W, 3] uint8 RGB
Progress = Callable[[int, int], None]  # bytes done, bytes in all (0 when unknown)


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture that can be opened anew for every try. `size` in bytes."""

    name: str
    size: int
    open: Callable[[], AbstractContextManager[BinaryIO]]


def picture_of(source: PictureLike) -> Picture:
    """Anything that holds a picture.

    Raises:
        TypeError: it is none of the kinds above, or an array of another shape or dtype.
        OSError: the file cannot be read.
    """
    if isinstance(source, (str, os.PathLike)):
        path = Path(source)
        return Picture(path.name, path.stat().st_size, lambda: path.open("rb"))
    if isinstance(source, (bytes, bytearray, memoryview)):
        return _of_bytes("picture", bytes(source))
    if hasattr(source, "read"):
        name = getattr(source, "name", "picture")
        return _of_bytes(os.path.basename(name) if isinstance(name, str) else "picture", source.read())
    return _of_bytes("picture.png", _png(source))


def _of_bytes(name: str, data: bytes) -> Picture:
    return Picture(name, len(data), lambda: nullcontext(io.BytesIO(data)))


def _png(source: Any) -> bytes:
    from PIL import Image

    if not isinstance(source, Image.Image):
        if getattr(source, "dtype", None) != "uint8" or getattr(source, "ndim", 0) not in (2, 3):
            raise TypeError(
                "give a path, bytes, an open file, a Pillow image or a uint8 array [H, W, 3], "
                f"not {type(source).__name__}"
            )
        source = Image.fromarray(source)
    buffer = io.BytesIO()
    source.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def to_image(data: bytes) -> PIL.Image.Image:
    """File bytes as a loaded Pillow image: RGB, RGBA for cut-outs, L for masks."""
    from PIL import Image

    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def to_array(data: bytes) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """File bytes as an array: [H, W, 3] RGB, [H, W, 4] RGBA for cut-outs, [H, W] for masks; uint8."""
    import numpy as np

    return np.asarray(to_image(data), dtype=np.uint8)


class CountedFile(io.RawIOBase):
    """A file that tells how much of it has been read."""

    def __init__(self, file: BinaryIO, size: int, on_progress: Progress) -> None:
        self._file = file
        self._size = size
        self._on_progress = on_progress

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is, so that its size can be found."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move in the file."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """Where it stands."""
        return self._file.tell()

    def read(self, size: int = -1) -> bytes:
        """The next bytes."""
        data = self._file.read(size)
        self._on_progress(self._file.tell(), self._size)
        return data
