"""Pictures such as PNG, JPEG and GIF: every bit of a value, the right way up, indices of palettes.

napari's reader makes 8 bits of 16, colours of the indices of a palette, and lets pictures lie.
"""

from __future__ import annotations

import re
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageSequence

from napari_pix2pix.errors import InputError
from napari_pix2pix.io._orientation import as_shown
from napari_pix2pix.io._picture_sizes import NETPBM, picture_size
from napari_pix2pix.io._regular_files import is_regular
from napari_pix2pix.io.image_file import ImageFile
from napari_pix2pix.io.read_limits import check_picture

Pixels = NDArray[Any]

# Of formats whose values may have more than 8 bits, which Pillow cuts off, or that it can't read.
_DECODERS: tuple[tuple[bytes, Callable[[bytes], Pixels]], ...] = (
    (rb"\x89PNG.{20}\x10", imagecodecs.png_decode),
    (rb"\xff\x4f\xff\x51|\0{3}\x0cjP  ", imagecodecs.jpeg2k_decode),
    (rb"\xff\x0a|\0{3}\x0cJXL ", imagecodecs.jpegxl_decode),
    (rb".{4}ftypavif", imagecodecs.avif_decode),
    (rb"#\?R(ADIANC|GB)E", imagecodecs.rgbe_decode),
    (NETPBM.pattern, lambda content: _decode_netpbm(content)),
)
# Those that Pillow tells by their first bytes, and that it reads as they are.
_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "PPM", "WEBP", "SGI", "PSD", "ICO", "QOI")
_ANIMATED = ("GIF", "PNG", "WEBP")  # the images of others differ in size or purpose
_ORIENTATION = 0x0112  # EXIF's tag
_START = 4096  # bytes that tell what a picture is, and its size
_PILLOW = threading.Lock()


def is_picture(path: Path) -> bool:
    """Tell by its content whether a file is one of the pictures that are read here."""
    if not is_regular(path):
        return False
    return _decoder_of(path) is not None or _pillow_opens(path)


def read_picture(path: Path) -> ImageFile:
    """Read a picture; the last of 2 or 4 samples (axis S) is alpha."""
    decode = _decoder_of(path)
    if decode is None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of Pillow, about large images and odd metadata
            with _opened(path) as image:
                _check_size(image, path)
                return _read_with_pillow(image, path)
    size = picture_size(_start_of(path))
    if size is not None:
        check_picture(size[0] * size[1], size[2], path)
    data = decode(path.read_bytes())
    axes = "YXS"[: data.ndim]
    return ImageFile(data=as_shown(data, axes, _orientation(path)), axes=axes)


def _decoder_of(path: Path) -> Callable[[bytes], Pixels] | None:
    start = _start_of(path)
    return next((decode for magic, decode in _DECODERS if re.match(magic, start, re.S)), None)


def _pillow_opens(path: Path) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with _opened(path):
                return True
    except Exception:  # damaged: Pillow's readers raise errors of many kinds
        return False


@contextmanager
def _opened(path: Path, formats: tuple[str, ...] | None = _FORMATS) -> Iterator[Image.Image]:
    """Open a picture with Pillow, unread; our limit holds for its size, not Pillow's."""
    with _PILLOW:
        before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            image = Image.open(path, formats=formats)
        finally:
            Image.MAX_IMAGE_PIXELS = before
    with image:
        yield image


def _check_size(image: Image.Image, path: Path) -> None:
    """Refuse a picture that would take too much memory, all of its frames together."""
    frames = getattr(image, "n_frames", 1) if image.format in _ANIMATED else 1
    deep = 4 if image.mode in ("I", "F") else 2 if image.mode[:2] == "I;" else 1
    samples = 3 if image.mode == "P" and frames > 1 else len(image.getbands())
    check_picture(image.width * image.height * frames, samples * deep, path)


def _start_of(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_START)


def _orientation(path: Path) -> int:
    """Read EXIF's orientation; 1, upright, if Pillow does not know the format."""
    try:
        with _opened(path, None) as image:
            return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # as above
        return 1


def _read_with_pillow(image: Image.Image, path: Path) -> ImageFile:
    animated = image.format in _ANIMATED
    count = getattr(image, "n_frames", 1)
    notes = []
    if count > 1 and not animated:
        notes.append(f"{path.name} holds {count} images; the first was read.")
    _check_mode(image, path)
    palette = _palette(image)
    frames = ImageSequence.Iterator(image) if animated else [image]
    if palette is None:
        data = _stacked([_values(frame) for frame in frames])
    elif count == 1:
        data = np.asarray(image)[np.newaxis]
    else:
        data = _indices(np.stack([np.asarray(frame.convert("RGB")) for frame in frames]), palette)
    if palette is not None and data.ndim == 3:
        if (palette == palette[:, :1]).all():
            data = palette[data, 0]
        else:
            notes.append(f"{path.name} has a palette: its indices were read, not its colours.")
    axes = "TYX" + "S" * (data.ndim == 4)
    if count == 1 or not animated:
        data, axes = data[0], axes[1:]
    data = as_shown(data, axes, int(image.getexif().get(_ORIENTATION, 1)))
    return ImageFile(data=data, axes=axes, notes=tuple(notes))


def _check_mode(image: Image.Image, path: Path) -> None:
    if image.mode in ("CMYK", "LAB", "HSV"):
        raise InputError(
            f"{path} holds {image.mode} colours, of which no channel is red, green or blue: save "
            "it as RGB."
        )
    if (
        any(re.search(";16[BLN]", str(tile)) for tile in getattr(image, "tile", ()))
        and image.mode[:2] != "I;"
    ):
        raise InputError(
            f"{path} holds {image.format} of 16 bits, of which 8 can be read: save it as PNG or "
            "TIFF."
        )


def _palette(image: Image.Image) -> Pixels | None:
    """Return the colours (n, 3) of a palette, less those after the last index; None without one."""
    if image.mode != "P":
        return None
    return np.reshape(image.getpalette("RGB") or [], (-1, 3)).astype(np.uint8)


def _values(frame: Image.Image) -> Pixels:
    """Return the values (Y, X) or (Y, X, S) of a frame that has no palette."""
    modes = {"PA": "RGBA", "La": "LA", "RGBa": "RGBA", "RGBX": "RGB", "YCbCr": "RGB"}
    return np.asarray(frame.convert(modes[frame.mode]) if frame.mode in modes else frame)


def _stacked(frames: list[Pixels]) -> Pixels:
    """Stack frames; a single one, which may be large, is not copied."""
    return frames[0][np.newaxis] if len(frames) == 1 else np.stack(frames)


def _indices(colours: Pixels, palette: Pixels) -> Pixels:
    """Find colours (T, Y, X, 3) in a palette; those of frames with another one are returned."""
    # Pillow gives the colours of all frames but the first, since a frame may change a part.
    known, first = np.unique(_codes(palette), return_index=True)
    codes = _codes(colours)
    place = np.minimum(np.searchsorted(known, codes), len(known) - 1)
    return first[place].astype(np.uint8) if (known[place] == codes).all() else colours


def _codes(colours: Pixels) -> Pixels:
    """Return one number for each colour (..., 3)."""
    return colours.astype(np.int64) @ (1 << 16, 1 << 8, 1)


def _decode_netpbm(content: bytes) -> Pixels:
    """Decode PGM and PPM as they are; Pillow stretches values to 8 or 16 bits."""
    header = NETPBM.match(content)
    assert header is not None
    kind, width, height, highest = map(int, header.groups())
    shape = (height, width) if kind in (2, 5) else (height, width, 3)
    dtype = np.dtype(np.uint8 if highest < 256 else ">u2")
    if kind in (2, 3):
        data = np.array(content[header.end() :].split(), dtype)
    else:
        data = np.frombuffer(content, dtype, int(np.prod(shape)), header.end())
    return data.reshape(shape)
