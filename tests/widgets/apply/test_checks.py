from types import SimpleNamespace

import numpy as np
import pytest

from napari_pix2pix.core import UNet
from napari_pix2pix.data.codecs import ImageCodec
from napari_pix2pix.data.layouts import Layout
from napari_pix2pix.data.lazy_image import LazyImage
from napari_pix2pix.data.pixel_size import PixelSize
from napari_pix2pix.inference.options import PredictOptions
from napari_pix2pix.widgets.apply._checks import estimate, sizes_differ
from napari_pix2pix.widgets.apply.work import Job, Speed

ONCE = PredictOptions()
CODEC = ImageCodec("minmax", "uint8", (0.0,), (255.0,), Layout())


def estimated(size: int, *, depth: int, tile: int | None = None, options=ONCE, **known) -> str:
    """Estimate one image, of a network of 50,000 pixels in a second and 100 bytes for each."""
    translator = SimpleNamespace(generator=UNet(1, 1, depth=depth, width=1), ndim=2)
    card = SimpleNamespace(
        output_codec=lambda _dtype: CODEC,
        source_codec=CODEC,
        made_for=SimpleNamespace(pixel_size=PixelSize(0.5, 0.5)),
    )
    planes = LazyImage(np.broadcast_to(np.uint8(0), (1, size, size)), channel_axis=0)
    speed = {"measured": None, "trial": Speed(translator, 50_000.0, 100.0), "tile": tile} | known
    return estimate(card, [Job([], [0])], [planes], options, **speed)


@pytest.mark.parametrize(
    ("size", "depth", "tile", "time", "memory"),
    [
        (1024, 4, 0, "21 s", "105 MB"),
        (1024, 4, None, "23 s", "33 MB"),  # tiles of 512 px and a halo of 32
        (1024, 4, 64, "42 s", "1.6 MB"),
        (1024, 8, None, "21 s", "105 MB"),  # windows are the whole
        (4096, 8, 2048, "8 min", "944 MB"),
    ],
)
def test_tiles_cost_the_halo_that_they_have(size, depth, tile, time, memory):
    text = estimated(size, depth=depth, tile=tile)
    assert f", about {time}; results" in text
    assert f"network about {memory}." in text


def test_what_was_measured_counts_more_than_a_trial():
    assert "about 2.0 s" in estimated(1024, depth=4, measured=2**19)
    assert estimated(1024, depth=4, measured=None, trial=None) == "1 Mpx; results 1.0 MB."


def test_resampled_images_cost_what_the_network_sees_of_them():
    twice = PredictOptions(resample=True, pixel_size=1.0)
    text = estimated(512, depth=4, tile=0, options=twice)
    assert text == "0.26 Mpx, about 21 s; results 0.3 MB, network about 105 MB."
    assert "about 2.0 s" in estimated(512, depth=4, options=twice, measured=2**19)


def test_resampling_is_offered_for_pixels_and_not_for_planes():
    made_for = SimpleNamespace(pixel_size=PixelSize(1.0, 1.0, 2.0))
    card = SimpleNamespace(made_for=made_for, config=SimpleNamespace(z_context=1))
    image = LazyImage(np.zeros((8, 8), np.float32))
    planes = image.stating(PixelSize(1.0, 1.0, 9.0), ())
    assert not sizes_differ(card, planes, PredictOptions())
    assert sizes_differ(card, image.stating(PixelSize(3.0, 3.0), ()), PredictOptions())
