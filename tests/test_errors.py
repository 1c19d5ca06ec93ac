import pickle

import pytest

from napari_pix2pix import errors
from napari_pix2pix.errors import (
    DeviceError,
    FileError,
    InputError,
    Pix2PixError,
    Remedy,
    UnexpectedError,
    errors_of_caller,
    own_errors,
)


@pytest.mark.parametrize("kind", [Pix2PixError, FileError, InputError])
def test_remedies_come_back_from_another_process(kind):
    error = kind("It exists: overwrite it.", remedies=(Remedy.OVERWRITE,))
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy), copy.remedies) == (kind, str(error), error.remedies)
    assert kind("It is gone.").remedies == ()


def test_no_error_is_swallowed_by_workers():
    kinds = [value for value in vars(errors).values() if isinstance(value, type)]
    assert not [kind for kind in kinds if issubclass(kind, RuntimeError)]


@pytest.mark.parametrize(
    ("raised", "kind"),
    [
        (KeyError("a"), UnexpectedError),
        (RecursionError("too deep"), UnexpectedError),
        (MemoryError("Unable to allocate 9 GB"), DeviceError),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), DeviceError),
        (InputError("The image is empty."), InputError),
    ],
)
def test_foreign_errors_become_ours_with_their_cause(raised, kind):
    with pytest.raises(kind) as caught, own_errors():
        raise raised
    is_ours = isinstance(raised, Pix2PixError)
    assert caught.value.__cause__ is (None if is_ours else raised)
    assert is_ours or type(raised).__name__ in str(caught.value) or str(raised) in str(caught.value)


def test_what_the_callers_own_functions_raise_stays():
    with pytest.raises(KeyError), own_errors(), errors_of_caller():
        raise KeyError("a")
    with pytest.raises(UserWarning), own_errors():
        raise UserWarning("The caller made this warning an error.")
    with pytest.raises(KeyboardInterrupt), own_errors():
        raise KeyboardInterrupt


def test_a_call_with_wrong_arguments_is_a_type_error_as_of_any_function():
    @own_errors()
    def double(number):
        return 2 * number["a"]

    with pytest.raises(TypeError, match="missing 1 required positional argument: 'number'"):
        double()
    with pytest.raises(UnexpectedError, match="TypeError"):
        double(5)
