import numpy as np
import pytest

from napari_pix2pix.data.lazy_array import RestOfArray


@pytest.mark.parametrize("axis", [-1, 1, -2])
def test_rest_begins_at_an_index_and_reads_what_is_asked_for_alone(axis):
    class Counted:
        shape, dtype = (4, 6, 8), np.dtype(np.uint16)
        array, read = np.arange(4 * 6 * 8, dtype=np.uint16).reshape(shape), 0

        def __getitem__(self, window):
            part = self.array[window]
            self.read += part.size
            return part

    data = Counted()
    rest = RestOfArray(data, axis, 2)
    expected = np.take(data.array, np.arange(2, data.shape[axis]), axis)
    assert rest.shape == expected.shape
    np.testing.assert_array_equal(rest[1, 1:3, 2:4], expected[1, 1:3, 2:4])
    assert data.read == 4
    np.testing.assert_array_equal(np.asarray(rest), expected)
