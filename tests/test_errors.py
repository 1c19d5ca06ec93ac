import pickle

import pytest

from napari_pix2pix import errors
from napari_pix2pix.errors import FileError, InputError, Pix2PixError, Remedy


@pytest.mark.parametrize("kind", [Pix2PixError, FileError, InputError])
def test_remedies_come_back_from_another_process(kind):
    error = kind("It exists: overwrite it.", remedies=(Remedy.OVERWRITE,))
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy), copy.remedies) == (kind, str(error), error.remedies)
    assert kind("It is gone.").remedies == ()


def test_no_error_is_swallowed_by_workers():
    kinds = [value for value in vars(errors).values() if isinstance(value, type)]
    assert not [kind for kind in kinds if issubclass(kind, RuntimeError)]
