import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_pix2pix.data.box import Box
from napari_pix2pix.data.class_codec import ClassCodec
from napari_pix2pix.data.codecs import ImageCodec
from napari_pix2pix.data.intensity_changes import IntensityChanges
from napari_pix2pix.data.layouts import Layout
from napari_pix2pix.data.pair import Pair, open_pair
from napari_pix2pix.data.patches import PatchSampler, epoch_steps, pass_steps
from napari_pix2pix.data.sample import sample_blocks
from napari_pix2pix.data.split import Area, split, whole_areas
from napari_pix2pix.errors import InputError

PLAIN = {"flips": False, "quarter_turns": False, "content": 0.0}


def identity(channels=1, dtype="float32"):
    """A codec that leaves values as they are."""
    return ImageCodec("minmax", dtype, (-1.0,) * channels, (1.0,) * channels, Layout(-3))


def places(frames, height, width):
    """An image whose pixels tell where they are."""
    return np.arange(frames * height * width, dtype=np.float32).reshape(frames, height, width)


def sampler(pairs, areas=None, *, channels=1, **options):
    opened = [open_pair(pair) for pair in pairs]
    codec = identity(channels)
    options = {"patch": 16, "batch": 4, "seed": 0} | options
    return PatchSampler(opened, areas or whole_areas(opened), codec, codec, **options)


@settings(deadline=None, max_examples=60)
@given(
    shapes=st.lists(
        st.tuples(st.integers(1, 3), st.integers(1, 200), st.integers(1, 200)),
        min_size=1,
        max_size=5,
    ),
    patch=st.sampled_from([8, 32, 64]),
    zoom=st.sampled_from([(1.0, 1.0), (0.5, 2.0), (1.117, 1.117)]),
    content=st.sampled_from([0.0, 1.0]),
    seed=st.integers(0, 5),
)
def test_no_patch_holds_a_pixel_that_is_held_out(shapes, patch, zoom, content, seed):
    images = [np.zeros(shape, np.float32) for shape in shapes]
    pairs = [Pair(image, image) for image in images]
    opened = [open_pair(pair) for pair in pairs]
    parts = split(opened, fraction=0.2, patch=patch, seed=seed)
    # All that may not be drawn is marked: what is held out, and the gap.
    for image in images:
        image[:] = 1
    for area in parts.train:
        window = images[area.pair][:, area.box.rows, area.box.columns]
        window[:] = np.random.default_rng(0).uniform(-1, 0, window.shape)
    blocks, _ = sample_blocks(opened, parts.train, size=patch, seed=seed, most=20)
    options = {"patch": patch, "batch": 6, "seed": seed, "content": content, "zoom": zoom}
    drawn = sampler(pairs, parts.train, content_blocks=blocks, **options)
    for step in range(3):
        batch = drawn.batch(step)
        assert batch.source.shape == batch.target.shape == (6, 1, patch, patch)
        assert batch.source.max() <= 0
        assert batch.target.max() <= 0


def test_a_step_gives_the_same_batch_whatever_was_drawn_before():
    pairs = [Pair(places(2, 50, 60), places(2, 50, 60))]
    changes = IntensityChanges.measure(identity(), [places(1, 5, 6)], jitter=0.1, noise=0.1)
    options = {"zoom": (0.8, 1.2), "changes": changes}
    one, other = sampler(pairs, **options), sampler(pairs, **options)
    for step in range(4):
        one.batch(step)
    np.testing.assert_array_equal(one.batch(9).source, other.batch(9).source)
    assert not np.array_equal(one.batch(9).source, one.batch(10).source)
    assert not np.array_equal(one.batch(9).source, sampler(pairs, seed=1).batch(9).source)


def test_parts_of_a_step_are_those_of_one_large_batch():
    pairs = [Pair(*np.random.default_rng(0).random((2, 40, 40), np.float32))]
    whole, shared = sampler(pairs, batch=6), sampler(pairs, batch=3)
    parts = np.concatenate([shared.batch(7, part).source for part in range(2)])
    np.testing.assert_array_equal(parts, whole.batch(7).source)


def test_source_target_and_mask_share_their_geometry():
    where = places(3, 60, 70)
    inside = (where.astype(int) // 5) % 7 > 0
    pairs = [Pair(where, -2 * where, mask=inside)]
    for step in range(5):
        batch = sampler(pairs, batch=8).batch(step)
        np.testing.assert_array_equal(batch.target, -2 * batch.source)
        np.testing.assert_array_equal(batch.valid, (batch.source.astype(int) // 5) % 7 > 0)


def test_all_eight_orientations_are_drawn():
    where = places(1, 16, 16)
    batch = sampler([Pair(where, where)], batch=64).batch(0)
    assert len({(float(patch[0, 0, 0]), float(patch[0, 0, -1])) for patch in batch.source}) == 8


def test_without_them_a_patch_is_a_window():
    where = places(4, 40, 50)
    batch = sampler([Pair(where, where)], batch=20, **PLAIN).batch(0)
    for patch in batch.source[:, 0]:
        frame, top, left = (int(i) for i in np.unravel_index(int(patch[0, 0]), where.shape))
        np.testing.assert_array_equal(patch, where[frame, top : top + 16, left : left + 16])
    starts = {float(patch[0, 0]) for patch in batch.source[:, 0]}
    assert len(starts) > 15


def test_positions_reach_every_corner_of_an_area():
    where = places(1, 20, 20)
    area = Area(0, Box(1, 19, 2, 20))
    drawn = sampler([Pair(where, where)], [area], batch=200, **PLAIN).batch(0).source
    assert set(drawn[:, 0, 0, 0]) == {20.0 * y + x for y in (1, 2, 3) for x in (2, 3, 4)}


def test_areas_are_drawn_by_their_pixels():
    small, large = np.zeros((1, 20, 20), np.float32), np.ones((3, 40, 40), np.float32)
    drawn = sampler([Pair(small, small), Pair(large, large)], batch=600).batch(0).source
    assert drawn[:, 0, 0, 0].mean() == pytest.approx(4800 / 5200, abs=0.04)


def test_smaller_images_are_reflected_never_resized():
    where = places(1, 10, 12)
    batch = sampler([Pair(where, where)], batch=6, **PLAIN).batch(0)
    for patch in batch.source[:, 0]:
        rows, columns = np.divmod(patch, 12)
        assert (np.abs(np.diff(rows, axis=0)) == 1).all()
        assert (np.abs(np.diff(columns, axis=1)) == 1).all()
        assert set(patch.ravel()) == set(where.ravel())


def test_a_single_pixel_is_enough():
    where = np.full((1, 1), 0.5, np.float32)
    batch = sampler([Pair(where, where)]).batch(0)
    assert (batch.source == 0.5).all()
    assert batch.source.shape == (4, 1, 16, 16)


def test_zoom_magnifies_by_its_factor():
    across = np.broadcast_to(np.arange(200, dtype=np.float32), (200, 200))
    batch = sampler([Pair(across, across)], zoom=(2.0, 2.0), **PLAIN).batch(0)
    np.testing.assert_allclose(np.diff(batch.source[..., 1:-1], axis=-1), 0.5, atol=1e-4)
    batch = sampler([Pair(across, across)], zoom=(0.5, 0.5), **PLAIN).batch(0)
    np.testing.assert_allclose(np.diff(batch.source, axis=-1), 2.0, atol=1e-4)


def test_interpolation_never_mixes_an_unlabelled_pixel_in():
    target = np.full((60, 60), 0.5, np.float32)
    target[::7, ::5] = np.nan
    batch = sampler([Pair(target * 0 + 0.5, target)], zoom=(1.3, 1.3)).batch(0)
    assert 0 < batch.valid.mean() < 1
    np.testing.assert_allclose(batch.target[batch.valid], 0.5, atol=1e-6)


def test_windows_with_nothing_valid_are_drawn_again():
    where = places(1, 200, 200)
    mask = np.zeros((200, 200), bool)
    mask[:, :100] = True
    batch = sampler([Pair(where, where, mask=mask)], batch=50, **PLAIN).batch(0)
    assert batch.valid.any(axis=(1, 2, 3)).all()


def test_validity_is_none_where_all_counts_and_one_plane_otherwise():
    image, other = np.zeros((2, 16, 16), np.float32), np.zeros((2, 16, 16), np.float32)
    other[1, 0, 0] = np.nan
    axis = {"channel_axis": 0}
    drawn = sampler([Pair(image, image, **axis)], channels=2)
    assert drawn.batch(0).valid is None
    mixed = sampler([Pair(image, image, **axis), Pair(image, other, **axis)], channels=2, batch=20)
    valid = mixed.batch(0).valid
    assert valid.shape == (20, 2, 16, 16)
    assert valid[:, 0].all()
    assert not valid[:, 1].all()


def test_content_draws_where_the_target_varies():
    target = np.zeros((128, 128), np.float32)
    target[96:, 96:] = np.random.default_rng(0).random((32, 32))
    pair = Pair(np.zeros_like(target), target)
    opened = [open_pair(pair)]
    blocks, _ = sample_blocks(opened, whole_areas(opened), size=32, seed=0)
    shares = []
    for content in (0.0, 0.5, 1.0):
        drawn = sampler([pair], patch=32, batch=200, content=content, content_blocks=blocks)
        shares.append(drawn.batch(0).target.any(axis=(1, 2, 3)).mean())
    assert shares[0] < 0.4 < shares[1] < 0.8 < shares[2] == 1


def test_content_blocks_must_lie_in_the_areas():
    image = np.eye(64, dtype=np.float32)
    pairs = [open_pair(Pair(image, image))]
    blocks, _ = sample_blocks(pairs, whole_areas(pairs), size=32, seed=0)
    with pytest.raises(InputError, match="outside the training areas"):
        sampler([Pair(image, image)], [Area(0, Box(0, 40, 0, 64))], content_blocks=blocks)


def test_intensity_changes_leave_the_target_alone():
    image = np.random.default_rng(0).uniform(-1, 1, (40, 40)).astype(np.float32)
    changes = IntensityChanges.measure(identity(), [image[np.newaxis]], jitter=0.1, noise=0.1)
    batch = sampler([Pair(image, image)], changes=changes, batch=4, **PLAIN).batch(0)
    assert not np.isin(batch.source, image).any()
    assert np.isin(batch.target, image).all()
    assert batch.source.dtype == np.float32


def test_conditions_are_indices_into_the_models():
    one, two = np.zeros((16, 16), np.float32), np.ones((16, 16), np.float32)
    pairs = [Pair(one, one, condition="a"), Pair(two, two, condition="b")]
    batch = sampler(pairs, conditions=("b", "c", "a"), batch=30).batch(0)
    assert batch.condition.dtype == np.int64
    assert set(zip(batch.source[:, 0, 0, 0].tolist(), batch.condition.tolist(), strict=True)) == {
        (0.0, 2),
        (1.0, 0),
    }
    assert (sampler(pairs).batch(0).condition == 0).all()
    with pytest.raises(InputError, match=r"is 'a', which is not among \['b'\]"):
        sampler(pairs, conditions=("b",))


@pytest.mark.parametrize("side", ["source", "target"])
def test_a_class_that_no_sampled_block_held_counts_as_unlabelled(side):
    labels = (places(1, 32, 32).astype(int) % 3).astype(np.uint8)
    known = ClassCodec("uint8", (0, 1), Layout())
    codecs = {"source_codec": identity(), "target_codec": identity(), f"{side}_codec": known}
    image = labels.astype(np.float32)
    other = {"source": image, "target": image} | {side: labels}
    pairs = [open_pair(Pair(**other))]
    drawn = PatchSampler(pairs, whole_areas(pairs), **codecs, patch=16, batch=4, seed=0, **PLAIN)
    with pytest.warns(UserWarning, match=f"The {side} holds label 2, which .* unlabelled") as said:
        batch, _ = drawn.batch(0), drawn.batch(1)
    assert len(said) == 1
    shown = batch.target if side == "source" else batch.source
    np.testing.assert_array_equal(batch.valid, shown < 2)
    assert not batch.valid.all()


def test_nothing_to_train_on_is_refused():
    with pytest.raises(InputError, match="nothing to train on"):
        PatchSampler([], [], identity(), identity(), patch=16, batch=1, seed=0)


@pytest.mark.parametrize(
    ("shape", "patch", "batch", "steps"),
    [
        ((1, 1), 64, 1, 100),
        ((1024, 1024), 64, 1, 256),
        ((10, 1024, 1024), 64, 4, 640),
        ((1000, 1024, 1024), 64, 4, 1000),
        ((1000, 1001), 32, 4, 245),
    ],
)
def test_steps_of_an_epoch(shape, patch, batch, steps):
    image = np.broadcast_to(np.uint8(0), shape)
    pairs = [open_pair(Pair(image, image))]
    assert epoch_steps(pairs, whole_areas(pairs), patch, batch) == steps


@pytest.mark.parametrize(
    ("shapes", "steps"),
    [
        pytest.param([(64, 128)], 8 / 4, id="each pixel once"),
        pytest.param([(3, 64, 128)], 24 / 4, id="in every frame"),
        pytest.param([(16, 8)] * 12, 12 / 4, id="each patch reflects a whole image"),
        # The larger image has four patches and is drawn in 4 of 5 cases.
        pytest.param([(64, 64), (64, 16)], 5 / (4 / 5 * 1 + 1 / 5 * 1 / 2) / 4, id="both"),
    ],
)
def test_steps_of_a_pass(shapes, steps):
    images = [np.broadcast_to(np.uint8(0), shape) for shape in shapes]
    pairs = [open_pair(Pair(image, image)) for image in images]
    assert pass_steps(pairs, whole_areas(pairs), patch=32, batch=4) == pytest.approx(steps)


def test_vertical_flips_can_be_left_out():
    """A gradient from top to bottom is never turned over."""
    image = np.repeat(np.arange(64, dtype=np.float32)[:, None], 64, axis=1)

    def directions(**flips):
        options = {"quarter_turns": False, "content": 0.0} | flips
        patches = sampler([Pair(image, image)], batch=32, **options).batch(0).source[:, 0]
        return set(np.sign(patches[:, -1, 0] - patches[:, 0, 0]))

    assert directions(vertical_flips=False) == {1.0}
    assert directions() == {1.0, -1.0}
    assert directions(flips=False) == {1.0}
