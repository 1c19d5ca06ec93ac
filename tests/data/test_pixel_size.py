import pytest

from napari_pix2pix.data.pixel_size import PixelSize, median_size, planes_note, size_note

MODEL = PixelSize(0.65, 0.65, 2.0)


@pytest.mark.parametrize(
    ("image", "said"),
    [
        (PixelSize(0.325, 0.325), "looks 2 times as large"),
        (PixelSize(1300.0, 1300.0, unit="nanometer"), "1300 nm per pixel"),
        (PixelSize(0.65, 1.3), "0.65 x 1.3 µm per pixel"),
        (PixelSize(0.65, 1.3), "the width of what it shows looks 2 times as small"),
        (PixelSize(1.3, 0.325), "the height of what it shows looks 2 times as small"),
        (PixelSize(1.3, 0.065), "the width of what it shows looks 10 times as large"),
        (PixelSize(500.0, 500.0), "so what it shows looks 769 times as small"),
        (PixelSize(0.65, 0.65, 9.0), ""),  # planes are translated one by one
        (PixelSize(0.75, 0.6), ""),  # within 20 %
        (PixelSize(3.0, 3.0, unit=""), ""),  # of a unit that is not known
        (PixelSize(3.0, 3.0, unit="inch"), ""),
        (None, ""),
    ],
)
def test_pixels_of_another_size_are_said(image, said):
    note = size_note(image, MODEL)
    assert said in note
    assert bool(note) == bool(said)
    assert not size_note(image, None)


def test_planes_farther_apart_are_said_where_they_are_seen_together():
    far, near = PixelSize(0.65, 0.65, 9.0), PixelSize(3000.0, 3000.0, 300.0, unit="nanometer")
    assert "planes are 9 µm apart, and those of the training are 2 µm" in planes_note(far, MODEL, 1)
    assert "differ more than" in planes_note(far, MODEL, 1)
    assert "differ less than" in planes_note(near, MODEL, 1)
    for image, context in ((far, 0), (MODEL, 1), (PixelSize(3.0, 3.0), 1), (None, 1)):
        assert not planes_note(image, MODEL, context)


def test_median_is_in_the_unit_of_the_first():
    sizes = [None, PixelSize(0.5, 0.4), PixelSize(700.0, 600.0, unit="nanometer"), None]
    assert median_size([*sizes, PixelSize(9.0, 9.0, unit="")]) == PixelSize(0.6, 0.5)
    assert median_size([None]) is None
