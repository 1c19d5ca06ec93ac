import numpy as np
import pytest
from helpers import gray_noise, make_model, noise

from napari_pix2pix.corrections import correction_pairs, learn_from_corrections
from napari_pix2pix.data.lazy_image import LazyImage
from napari_pix2pix.data.pair import open_pair
from napari_pix2pix.errors import InputError


@pytest.fixture(scope="module")
def model():
    image = gray_noise(96, 96)
    return make_model(image, 255 - image, norm="none")


def test_a_model_comes_nearer_to_a_correction_and_stays_as_it_is(model):
    image = gray_noise(160, 160, seed=1) // 4
    image[60:90, 60:90] += 190  # what the model has never seen
    result = model(image)
    corrected = result.copy()
    corrected[60:90, 60:90] = 200
    better = learn_from_corrections(
        model, image, result, corrected, steps=30, learning_rate=2e-3, adversarial_weight=0.0
    )
    inside = np.s_[60:90, 60:90]
    before, after = (np.abs(made[inside] - 200.0).mean() for made in (result, better(image)))
    assert after < 0.9 * before
    np.testing.assert_array_equal(model(image), result)
    assert better.info.started_from.steps == model.info.steps


def test_frames_without_a_correction_are_left_out(model):
    stack = gray_noise(3, 96, 96)
    after = stack.copy()
    after[1, 5:8, 5:8] += 1
    pairs = correction_pairs(model.info, LazyImage(stack), stack, after)
    assert [pair.name for pair in pairs] == ["corrected, frame 1", "kept, frame 1"]
    corrected, kept = map(open_pair, pairs)
    assert (corrected.height, corrected.width) == (48, 48)  # a patch of 32 around rows 0 to 15
    everything = (slice(0, 48), slice(0, 48))
    valid, rest = (one.read(0, *everything)[2][0] for one in (corrected, kept))
    np.testing.assert_array_equal(valid, ~rest)
    assert valid[:16, :16].all()
    assert valid.sum() == 16**2


def test_volumes_are_learnt_from_as_a_whole():
    stack = gray_noise(16, 48, 48)
    made = make_model(stack, 255 - stack, ndim=3)
    after = stack.copy()
    after[5, 5:8, 5:8] += 1
    corrected, kept = correction_pairs(made.info, LazyImage(stack), stack, after)
    assert (corrected.name, kept.name) == ("corrected", "kept")
    assert corrected.mask.shape == stack.shape
    np.testing.assert_array_equal(corrected.mask, ~kept.mask)
    assert np.flatnonzero(corrected.mask.any(axis=(1, 2))).tolist() == [5]
    better = learn_from_corrections(made, stack, stack, after, steps=2)
    assert better.info.config.ndim == 3


def test_a_mask_says_where_another_image_is_right(model):
    image = gray_noise(96, 96)
    mask = np.zeros((96, 96), bool)
    mask[:10] = True
    pairs = correction_pairs(model.info, LazyImage(image), image, 255 - image, mask=mask)
    assert open_pair(pairs[0]).read(0, slice(0, 20), slice(0, 9))[2].sum() == 90
    with pytest.raises(InputError, match="The mask is empty"):
        correction_pairs(model.info, LazyImage(image), image, image, mask=mask & False)
    with pytest.raises(InputError, match="The source has 1 x 48 x 96 frames, rows and columns"):
        correction_pairs(model.info, LazyImage(image[:48]), image, image, mask=mask)


@pytest.mark.parametrize("kind", ["instances", "channels", "rgb"])
def test_labels_and_channels_are_learnt_from(kind):
    source = noise(64, 64)
    y, x = np.mgrid[:64, :64]
    objects = ((y // 16) * 4 + x // 16 + 1) * ((y % 16 > 3) & (x % 16 > 3))
    targets = {
        "instances": (objects.astype(np.uint16), None),
        "channels": (gray_noise(2, 64, 64), 0),
        "rgb": (gray_noise(64, 64, 3), None),
    }
    target, axis = targets[kind]
    made = make_model(source, target, channel_axis=None if axis is None else (None, axis))
    result = made(source)
    corrected = result.copy()
    corrected[..., 20:30, :] = target[..., 20:30, :]
    if np.array_equal(result, corrected):
        corrected[..., 20:24, 20:24] = 1
    better = learn_from_corrections(made, source, result, corrected, steps=2)
    assert better(source).shape == result.shape
