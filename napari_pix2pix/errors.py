"""All errors that a user can meet. Each is a sentence that says what to do.

None of them is a ``RuntimeError``: napari's generator workers swallow those, and the viewer would
wait forever for a run that had died.
"""

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum, auto

# What PyTorch's allocators, cuDNN, cuBLAS, oneDNN and Python's threads say; only CUDA's has an
# exception class of its own, which is told by its name: nothing here waits for torch.
_TORCH_OUT_OF_MEMORY = "OutOfMemoryError"
_OUT_OF_MEMORY = (
    *("out of memory", "not enough memory", "can't allocate memory", "alloc_failed"),
    *("could not create a primitive", "can't start new thread", "std::bad_alloc"),
)
_OF_CALLER = "_napari_pix2pix_of_caller"  # marks what a function of the caller raised
_SHOWN = 300  # characters of a foreign message


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
    READ_LIMIT = auto()


class Pix2PixError(Exception):
    """Base of all errors of napari-pix2pix; catch it to catch them all.

    Parameters
    ----------
    message : str
        What was wrong, what was got, and what to do.
    remedies : tuple of Remedy
        What the caller can do, where each interface has its own option for it; also an attribute.

    Examples
    --------
    >>> from napari_pix2pix import TrainConfig
    >>> try:
    ...     TrainConfig(width=0)
    ... except Pix2PixError as error:
    ...     print(error)
    width should be greater than or equal to 1, got 0.
    """

    def __init__(self, message: str = "", *, remedies: tuple[Remedy, ...] = ()) -> None:
        super().__init__(message)
        self.remedies = remedies


class InputError(Pix2PixError, ValueError):
    """Images, labels, masks or conditions that can't be used as they are."""


class UnreadableError(InputError):
    """A part of an image that can't be read; what its reader raised is the cause."""


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


class UnexpectedError(Pix2PixError):
    """What another library raised, and nobody foresaw; that error is its cause."""


@contextmanager
def own_errors() -> Iterator[None]:
    """Raise what other libraries raise as errors of ours; each interface does this once.

    What a function of the caller raises stays, and so do warnings that the caller made errors.
    Each public function has it as its decorator; arguments that it lacks are a TypeError there.

    Examples
    --------
    >>> with own_errors():
    ...     {}["a"]
    Traceback (most recent call last):
    ...
    napari_pix2pix.errors.UnexpectedError: Something unexpected went wrong (KeyError: 'a')...
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, (Pix2PixError, Warning)) or hasattr(error, _OF_CALLER):
            raise
        if _is_wrong_call(error):
            raise
        raise as_own_error(error) from error


def _is_wrong_call(error: Exception) -> bool:
    """Whether a decorated function could not be called at all, with these arguments."""
    inner = error.__traceback__
    while inner is not None and inner.tb_next is not None:
        inner = inner.tb_next
    called_by = "" if inner is None else inner.tb_frame.f_code.co_filename
    return isinstance(error, TypeError) and called_by == contextlib.__file__


@contextmanager
def errors_of_caller() -> Iterator[None]:
    """Let what a function of the caller raises pass `own_errors`."""
    try:
        yield
    except Exception as error:
        setattr(error, _OF_CALLER, True)
        raise


def as_own_error(error: BaseException) -> Pix2PixError:
    """Return an error of ours for one of another library; ours are returned as they are."""
    if isinstance(error, Pix2PixError):
        return error
    message = " ".join(str(error).split())[:_SHOWN]
    reason = f"{type(error).__name__}: {message}" if message else type(error).__name__
    if is_out_of_memory(error):
        return DeviceError(
            f"Memory ran out ({message or reason}): use smaller tiles or a smaller batch, take a "
            "part of the image, or close other programs.",
            remedies=(Remedy.SMALLER_TILE,),
        )
    return UnexpectedError(
        f"Something unexpected went wrong ({reason}); please report it with what you did."
    )


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether an error means that there was not enough memory, on any device."""
    if isinstance(error, MemoryError) or type(error).__name__ == _TORCH_OUT_OF_MEMORY:
        return True
    message = str(error).lower()
    return isinstance(error, RuntimeError) and any(words in message for words in _OUT_OF_MEMORY)


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
