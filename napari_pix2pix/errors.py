"""Every error that a user can meet, each a sentence that says what to do.

None of them is a ``RuntimeError``: napari's generator workers swallow those, and the viewer would
wait for ever on a run that had died.
"""


class Pix2PixError(Exception):
    """Base of all errors of napari-pix2pix; catch it to catch them all."""


class InputError(Pix2PixError, ValueError):
    """Images, labels, masks or conditions that can't be used as they are."""


class ConfigError(Pix2PixError, ValueError):
    """A preset, field or budget that does not exist or is out of its range."""


class FileError(Pix2PixError, OSError):
    """A file that can't be found, read, understood or written."""


class DeviceError(Pix2PixError):
    """A device that is missing, or that ran out of memory."""


class StoppedError(Pix2PixError):
    """Work that was asked to stop before there was anything to keep."""


def rounded(value: float, digits: int = 2) -> str:
    """Return a number for people: its first digits, and no exponent where it is large.

    Examples
    --------
    >>> rounded(0.0123), rounded(100.0), rounded(2137), rounded(2137, 3)
    ('0.012', '100', '2100', '2140')
    """
    return f"{float(f'{value:.{digits}g}'):.12g}"
