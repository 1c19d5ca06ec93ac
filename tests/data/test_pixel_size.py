import pytest

from napari_pix2pix.data.pixel_size import PixelSize


@pytest.mark.parametrize(
    ("lengths", "units", "size"),
    [
        ((0.5, 0.5), ("micrometer", "micrometer"), PixelSize(0.5, "micrometer")),
        ((0.5, 0.6), ("micrometer", "micrometer"), None),
        ((0.5, 0.5), ("micrometer", "pixel"), None),
        ((1.0, 1.0), ("pixel", "pixel"), None),
        ((1.0, 1.0), ("", ""), None),
    ],
)
def test_a_pixel_has_a_size_if_it_is_square_and_has_a_unit(lengths, units, size):
    assert PixelSize.of(lengths, units) == size
