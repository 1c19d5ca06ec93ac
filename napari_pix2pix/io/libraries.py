"""Libraries that only some users need, imported when they are needed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from napari_pix2pix.errors import FileError


@contextmanager
def needing(extra: str, what: str) -> Iterator[None]:
    """Say which extra of the package `what` needs, where an import fails.

    Examples
    --------
    >>> with needing("onnx", "An ONNX file"):
    ...     import no_such_library
    Traceback (most recent call last):
    ...
    napari_pix2pix.errors.FileError: An ONNX file needs no_such_library, which is not installed: ...
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise FileError(
            f"{what} needs {error.name}, which is not installed: "
            f'pip install "napari-pix2pix[{extra}]".'
        ) from None
