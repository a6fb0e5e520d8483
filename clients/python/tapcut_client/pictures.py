"""Pictures in and out: paths, bytes, open files, Pillow images, NumPy arrays.

Owns the conversion to something that can be sent more than once, a piece at a time: files are never read
into memory. NumPy is needed only for what is asked for as its arrays (`pip install tapcut-client[numpy]`).
"""

from __future__ import annotations

import io
import os
import shutil
import tempfile
import weakref
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    import numpy as np
    import PIL.Image

    Pixels = np.ndarray[Any, np.dtype[np.uint8]]  # [H, W, 3] RGB, or [H, W] grey
    PictureLike = (
        str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO | PIL.Image.Image | Pixels
    )
else:
    PictureLike = Any  # Pillow and NumPy are not imported for their names alone

Progress = Callable[[int, int], None]  # bytes done, bytes in all (0 when unknown)


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture that can be opened anew for every try. `size` in bytes."""

    name: str
    size: int
    open: Callable[[], AbstractContextManager[BinaryIO]]


def picture_of(source: PictureLike) -> Picture:
    """Anything that holds a picture; an open file is sent from its start, and stays open.

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
        return _of_file(source)
    return _of_bytes("picture.png", _png(source))


def _of_bytes(name: str, data: bytes) -> Picture:
    return Picture(name, len(data), lambda: nullcontext(io.BytesIO(data)))


def _of_file(source: Any) -> Picture:
    name = getattr(source, "name", "picture")
    file: BinaryIO = source
    once = not (hasattr(source, "seekable") and source.seekable())
    if once:
        # A pipe can be read once, and a try that breaks off needs it again.
        file = tempfile.TemporaryFile()  # noqa: SIM115  closed below
        shutil.copyfileobj(source, file)
    size = file.seek(0, os.SEEK_END)

    def opened() -> AbstractContextManager[BinaryIO]:
        file.seek(0)
        return nullcontext(file)

    if once:
        weakref.finalize(opened, file.close)  # with the picture that it belongs to
    return Picture(os.path.basename(name) if isinstance(name, str) else "picture", size, opened)


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


def to_array(data: bytes) -> Pixels:
    """File bytes as an array: [H, W, 3] RGB, [H, W, 4] RGBA for cut-outs, [H, W] for masks; uint8."""
    import numpy as np

    return np.asarray(to_image(data), dtype=np.uint8)


def resized_mask(png: bytes, width: int, height: int) -> bytes:
    """A mask's PNG bytes in another size, by nearest pixels; as it is where it cannot be read."""
    from PIL import Image, UnidentifiedImageError

    try:
        mask = to_image(png)
    except (UnidentifiedImageError, OSError):
        return png  # the service says what is wrong with it
    return _png(mask.convert("L").resize((width, height), Image.Resampling.NEAREST))


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
