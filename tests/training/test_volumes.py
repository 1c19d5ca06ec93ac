"""What a training on volumes takes from its pairs."""

import numpy as np
import pytest
from helpers import noise

from napari_pix2pix.data.lazy_image import as_lazy_image
from napari_pix2pix.data.pair import Pair, open_pair
from napari_pix2pix.data.pixel_size import PixelSize
from napari_pix2pix.errors import ConfigError, InputError
from napari_pix2pix.training._volumes import describe_volumes, fit_to_volumes
from napari_pix2pix.training.config import TrainConfig


def opened(*shape, z=None):
    image = as_lazy_image(noise(*shape))
    if z is not None:
        image = image.stating(PixelSize(0.5, 0.5, z), ())
    return [open_pair(Pair(image, image))]


@pytest.mark.parametrize(
    ("z", "levels"), [(None, 0), (0.2, 0), (0.6, 0), (1.0, 1), (2.0, 2), (50, 3)]
)
def test_levels_within_planes_follow_the_distance_of_planes(z, levels):
    config = fit_to_volumes(TrainConfig(ndim=3), opened(40, 64, 64, z=z))
    assert config.plane_levels == levels


@pytest.mark.parametrize(
    ("fields", "depth", "planes"),
    [
        ({}, 100, 64),  # as deep as the patch is wide
        ({}, 20, 32),  # no more than there are, on the grid of the network
        ({"plane_levels": 2}, 100, 16),
        ({"plane_levels": 4}, 5, 4),
        ({"patch_planes": 16}, 100, 16),
        ({"generator": "resnet"}, 5, 8),
    ],
)
def test_patches_are_as_deep_as_they_are_wide(fields, depth, planes):
    config = fit_to_volumes(TrainConfig(ndim=3, **fields), opened(depth, 64, 64))
    assert config.patch_planes == planes


def test_images_are_left_as_they_are():
    config = TrainConfig()
    assert fit_to_volumes(config, opened(64, 64)) is config
    assert describe_volumes(config) == []


def test_what_is_no_volume_is_refused():
    config = TrainConfig(ndim=3)
    for shape in ((64, 64), (1, 64, 64)):
        with pytest.raises(InputError, match="has one plane, and volumes are asked for"):
            fit_to_volumes(config, opened(*shape))
    source, target = np.zeros((1, 4, 64, 64)), np.zeros((4, 1, 64, 64))
    with pytest.raises(InputError, match="has one plane"):
        fit_to_volumes(config, [open_pair(Pair(source, target))])
    with pytest.raises(ConfigError, match="multiple of 16 at plane_levels=0, got 8"):
        fit_to_volumes(TrainConfig(ndim=3, patch_planes=8), opened(20, 64, 64))


def test_notes_say_how_volumes_are_seen():
    config = fit_to_volumes(TrainConfig(ndim=3), opened(20, 64, 64, z=1.0))
    [note] = describe_volumes(config)
    assert note.startswith("Volumes are seen in patches of 24 planes of 64 x 64 pixels. The first")
    assert note.endswith("downsampling step acts within planes, which lie farther apart.")
