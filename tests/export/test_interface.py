"""What goes into an exported network and comes out, in words."""

import numpy as np
import pytest
from helpers import integer_noise, make_model

from napari_pix2pix.errors import InputError
from napari_pix2pix.export.interface import describe_interface, describe_labels


def describe(model):
    return describe_interface(model.info, model.generator)


def test_planes_of_conditions_and_channels_are_named():
    images = [integer_noise(2, 64, 64, seed=seed) for seed in range(2)]
    targets = [255 - image[0] for image in images]
    names = ["dapi", "actin"]
    model = make_model(images, targets, condition=names, channel_axis=(0, None))
    found = describe(model)
    conditions = tuple(f"condition {name}" for name in model.conditions)
    assert found.inputs == ("channel 0", "channel 1", *conditions)
    assert {*model.conditions} == {*names}
    assert found.outputs == ("intensity",)
    assert "1 in that of the condition that is wanted, 0 in the others." in " ".join(found.notes)


def test_neighbours_in_a_stack_are_named_in_their_order():
    stack = integer_noise(4, 64, 64)
    found = describe(make_model(stack, 255 - stack, z_context=1))
    assert found.inputs == ("intensity z-1", "intensity z+0", "intensity z+1")
    assert "1 neighbour on each side" in " ".join(found.notes)


def test_labels_come_out_as_planes_with_instructions():
    image = integer_noise(64, 64)
    model = make_model(image, (image > 100).astype(np.uint8) + (image > 200), target_kind="classes")
    assert describe(model).outputs == ("class 0", "class 1", "class 2")
    assert "in this order: 0, 1, 2." in describe_labels(model.target_codec)
    squares = np.kron(np.arange(1, 17).reshape(4, 4), np.ones((16, 16), int)).astype(np.uint16)
    squares[::16] = squares[:, ::16] = 0
    model = make_model(image, squares, target_kind="instances")
    assert describe(model).outputs[:2] == ("foreground", "depth in object")
    assert "watershed" in describe_labels(model.target_codec)


def test_norm_that_measures_has_no_halo():
    image = integer_noise(64, 64)
    found = describe(make_model(image, 255 - image, norm="instance"))
    assert (found.halo, found.axes["y"].side) == (0, found.least)
    assert "tiles come out different" in found.notes[0]
    found = describe(make_model(image, 255 - image, norm="batch"))
    assert found.axes["y"].side == 2 * found.halo + found.stride
    assert found.axes["y"].side % found.stride == 0


def test_what_draws_random_numbers_is_refused():
    image = integer_noise(64, 64)
    with pytest.raises(InputError, match="2 planes of noise, which other programs can't draw"):
        describe(make_model(image, 255 - image, noise_channels=2))
