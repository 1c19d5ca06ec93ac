"""All errors that a user can meet. Each is a sentence that says what to do.

None of them is a ``RuntimeError``: napari's generator workers swallow those, and the viewer would
wait forever for a run that had died.
"""

from enum import Enum, auto


class Remedy(Enum):
    """What the caller can do about an error; the shell adds its own option for it."""

    AXES = auto()
    TARGET_AXES = auto()
    MASK_AXES = auto()
    CHANNELS = auto()
    TARGET_CHANNELS = auto()
    OVERWRITE = auto()
    RESUME = auto()
    SMALLER_TILE = auto()
    DROPOUT = auto()
    TABLE = auto()
    WRITE_TABLE = auto()


class Pix2PixError(Exception):
    """Base of all errors of napari-pix2pix; catch it to catch them all.

    Attributes
    ----------
    remedies : tuple of Remedy
        What the caller can do, where each interface has its own option for it.
    """

    def __init__(self, message: str = "", *, remedies: tuple[Remedy, ...] = ()) -> None:
        super().__init__(message)
        self.remedies = remedies


class InputError(Pix2PixError, ValueError):
    """Images, labels, masks or conditions that can't be used as they are."""


class ConfigError(Pix2PixError, ValueError):
    """A preset, field or budget that does not exist or is out of its range."""


class FileError(Pix2PixError, OSError):
    """A file that can't be found, read, understood or written."""


class DeviceError(Pix2PixError):
    """A device that is missing, or that ran out of memory."""


class StoppedError(Pix2PixError):
    """Work that was stopped before there was a result to keep."""

    def __init__(
        self,
        message: str = "Stopped while the images were being read: there is no model yet.",
        *,
        remedies: tuple[Remedy, ...] = (),
    ) -> None:
        super().__init__(message, remedies=remedies)


def rounded(value: float, digits: int = 2) -> str:
    """Format a number with its first significant digits, and without an exponent if it is large.

    Examples
    --------
    >>> rounded(0.0123), rounded(100.0), rounded(2137), rounded(2137, 3)
    ('0.012', '100', '2100', '2140')
    """
    return f"{float(f'{value:.{digits}g}'):.12g}"


def plural(count: int, noun: str) -> str:
    """Format a count with its noun.

    Examples
    --------
    >>> plural(1, "channel"), plural(3, "class")
    ('1 channel', '3 classes')
    """
    if count == 1:
        return f"1 {noun}"
    return f"{count} {noun}{'es' if noun.endswith('s') else 's'}"
