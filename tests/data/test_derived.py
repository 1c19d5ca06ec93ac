import dask.array as da
import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.color import rgb2gray
from skimage.filters import gaussian

from napari_pix2pix.data.derived import _KINDS, derive_source, with_derived_source
from napari_pix2pix.data.lazy_image import LazyImage
from napari_pix2pix.data.pair import Pair, open_pair
from napari_pix2pix.errors import ConfigError, InputError
from napari_pix2pix.training._config_fields import DERIVE_OPTIONS
from napari_pix2pix.training.config import TrainConfig

rng = np.random.default_rng(0)
SIZE = (83, 71)
GRAY = rng.integers(0, 60000, SIZE).astype(np.uint16)
RGB = rng.integers(0, 256, (*SIZE, 3)).astype(np.uint8)
CHANNELS = rng.normal(size=(2, 2, *SIZE)).astype(np.float32)
KINDS = [
    ("edges", {}),
    ("edges", {"thin": False, "sigma": 0.7}),
    ("blur", {"sigma": 3}),
    ("downsample", {"factor": 5}),
    ("downsample", {"interpolation": "nearest"}),
    ("holes", {"cell": 24}),
    ("holes", {"place": "centre"}),
    ("noise", {}),
    ("noise", {"model": "poisson", "photons": 5}),
]
TARGETS = {"gray": (GRAY, None), "rgb": (RGB, None), "channels": (CHANNELS, 1)}


def derive(kind, options, name):
    target, axis = TARGETS[name]
    return derive_source(target, kind, channel_axis=axis, **options)


WHOLE = {
    (number, name): np.asarray(derive(kind, options, name))
    for number, (kind, options) in enumerate(KINDS)
    for name in TARGETS
}


@st.composite
def spans(draw, length):
    start = draw(st.integers(0, length))
    return slice(start, draw(st.integers(start, length)))


@pytest.mark.parametrize("number", range(len(KINDS)))
@settings(deadline=None, max_examples=12)
@given(rows=spans(SIZE[0]), columns=spans(SIZE[1]), name=st.sampled_from(sorted(TARGETS)))
def test_any_window_equals_the_crop_of_the_whole(number, rows, columns, name):
    derived = derive(*KINDS[number], name)
    index = (rows, columns) if name != "channels" else (..., rows, columns)
    np.testing.assert_array_equal(derived[index], WHOLE[number, name][index])


@pytest.mark.parametrize("number", range(len(KINDS)))
@pytest.mark.parametrize("name", sorted(TARGETS))
def test_layout_and_dtype_are_the_targets(number, name):
    target, axis = TARGETS[name]
    whole = WHOLE[number, name]
    if KINDS[number][0] == "edges":
        wanted = {"gray": SIZE, "rgb": SIZE, "channels": (2, *SIZE)}[name]
        assert (whole.shape, whole.dtype) == (wanted, np.uint8)
        assert whole.any()
    else:
        assert (whole.shape, whole.dtype) == (target.shape, target.dtype)
        assert (whole != target).any()
        assert not derive(*KINDS[number], name)[..., :0].size
    pair = Pair(derive(*KINDS[number], name), target, channel_axis=axis)
    opened = open_pair(pair)
    source, _, _ = opened.read(opened.frames - 1, slice(5, 40), slice(3, 30))
    expected = LazyImage(whole, channel_axis=axis if whole.ndim == target.ndim else None)
    wanted = expected.read(opened.frames - 1, slice(5, 40), slice(3, 30))
    np.testing.assert_array_equal(source, wanted)


def test_integers_and_steps_index_like_numpy():
    derived, whole = derive("noise", {}, "channels"), WHOLE[7, "channels"]
    np.testing.assert_array_equal(derived[1, -1, ::7, 3], whole[1, -1, ::7, 3])
    np.testing.assert_array_equal(derived[1], whole[1])
    np.testing.assert_array_equal(derived[:, 1, ..., 5], whole[:, 1, ..., 5])
    for wrong in [(5,), (0, 0, 0, 0, 0), ([1, 2],), (slice(None, None, -1),), (..., ...)]:
        with pytest.raises(IndexError):
            derived[wrong]


def test_lazy_targets_are_read_by_window_and_give_the_same():
    seen = []

    def look(block):
        seen.append(block.size)
        return block

    lazy = da.from_array(GRAY, chunks=16).map_blocks(look, dtype=GRAY.dtype, meta=GRAY[:0, :0])
    derived = derive_source(lazy, "blur", sigma=1)
    seen.clear()
    window = derived[20:24, 20:24]
    assert len(seen) == 1
    stored = zarr.array(GRAY, chunks=(16, 16))
    np.testing.assert_array_equal(window, derive_source(stored, "blur", sigma=1)[20:24, 20:24])
    np.testing.assert_array_equal(window, derive_source(GRAY, "blur", sigma=1)[20:24, 20:24])


def test_blur_and_gray_agree_with_scikit_image():
    blurred = gaussian(CHANNELS[1, 0].astype(float), 2, mode="reflect")
    derived = derive_source(CHANNELS[1, 0], "blur")
    np.testing.assert_allclose(np.asarray(derived), blurred, atol=1e-6)
    gray = np.asarray(derive_source(RGB, "gray"))
    assert gray.dtype == np.uint8
    np.testing.assert_allclose(gray, 255 * rgb2gray(RGB), atol=0.51)


def test_alpha_is_left_out():
    rgba = np.concatenate([RGB, np.full((*SIZE, 1), 7, np.uint8)], axis=-1)
    with pytest.warns(UserWarning, match="alpha channel of the target is left out"):
        derived = derive_source(rgba, "blur")
    np.testing.assert_array_equal(np.asarray(derived), np.asarray(derive_source(RGB, "blur")))


def test_edges_are_thin_and_lie_on_the_edge():
    target = np.zeros((40, 40), np.float32)
    target[:, 20:] = 5
    edges = np.asarray(derive_source(target, "edges"))
    assert np.flatnonzero(edges[10]).tolist() in ([19], [20])
    assert edges[10].max() == 255


def test_downsampling_keeps_the_mean_of_each_block():
    nearest = np.asarray(
        derive_source(GRAY[:80, :64].astype(float), "downsample", interpolation="nearest")
    )
    means = GRAY[:80, :64].reshape(20, 4, 16, 4).mean((1, 3))
    np.testing.assert_allclose(nearest, np.kron(means, np.ones((4, 4))))
    ramp = np.add.outer(np.arange(40.0), 2 * np.arange(40.0))
    linear = np.asarray(derive_source(ramp, "downsample"))
    np.testing.assert_allclose(linear[2:-2, 2:-2], ramp[2:-2, 2:-2])


def test_holes_are_filled_with_the_mean():
    holes = np.asarray(derive_source(GRAY, "holes", cell=40))
    hidden = holes != GRAY
    assert 0.05 < hidden.mean() < 0.3
    assert len(np.unique(holes[hidden])) == 1
    assert holes[hidden][0] == pytest.approx(GRAY.mean(), rel=0.02)
    centre = np.asarray(derive_source(RGB[:80, :60], "holes", place="centre")) != RGB[:80, :60]
    assert not centre[:20].any()
    assert not centre[:, 45:].any()
    assert centre[20:60, 15:45].mean() > 0.95


def test_noise_is_as_strong_as_asked_and_follows_the_seed():
    noisy = np.asarray(derive_source(CHANNELS, "noise", channel_axis=1, strength=0.5))
    assert np.std(noisy - CHANNELS) == pytest.approx(0.5 * CHANNELS.std(), rel=0.05)
    frames = (noisy - CHANNELS).reshape(4, -1)
    assert np.abs(np.corrcoef(frames) - np.eye(4)).max() < 0.1
    other = np.asarray(derive_source(CHANNELS, "noise", channel_axis=1, strength=0.5, seed=1))
    assert (other != noisy).mean() > 0.99
    flat = np.full((64, 64), 100.0)
    flat[0] = 0
    counts = np.asarray(derive_source(flat, "noise", model="poisson", photons=25))[1:] / 4
    assert counts.mean() == pytest.approx(25, rel=0.02)
    assert counts.var() == pytest.approx(25, rel=0.1)


def test_missing_pixels_stay_missing_in_noise():
    target = CHANNELS[0, 0].copy()
    target[3, 4] = np.nan
    for model in ("gaussian", "poisson"):
        noisy = np.asarray(derive_source(target, "noise", model=model))
        assert np.isnan(noisy).sum() == 1
    assert np.asarray(derive_source(target, "edges")).max() == 255


def test_extremes_of_the_dtype_are_clipped():
    for dtype in (np.int8, np.uint8, np.int64, np.uint64):
        info = np.iinfo(dtype)
        target = np.where(np.eye(32, dtype=bool), info.max, info.min).astype(dtype)
        for kind in ("noise", "blur"):
            whole = np.asarray(derive_source(target, kind))
            assert whole.dtype == dtype
            assert whole.max() > 0.1 * info.max + 0.9 * info.min
    assert np.asarray(derive_source(np.eye(32, dtype=bool), "noise")).dtype == bool


@pytest.mark.parametrize(
    ("kind", "options", "sentence"),
    [
        ("sketch", {}, "can't be derived as 'sketch'; choose one of edges, gray"),
        ("blur", {"factor": 2}, "'blur' has no option 'factor'; it takes sigma"),
        ("gray", {"sigma": 2}, "'gray' has no option 'sigma'; it takes none"),
        ("gray", {}, "got 1 channel"),
        ("blur", {"sigma": 0}, "sigma must be a number above 0; got 0"),
        ("edges", {"sigma": np.inf}, "sigma must be a number above 0"),
        ("downsample", {"factor": 1}, "factor must be a whole number, at least 2; got 1"),
        ("downsample", {"interpolation": "cubic"}, "must be 'linear' or 'nearest'; got 'cubic'"),
        ("holes", {"cell": 3}, "cell must be a whole number, at least 4"),
        ("holes", {"place": "left"}, "place must be 'random' or 'centre'"),
        ("noise", {"model": "salt"}, "model must be 'gaussian' or 'poisson'"),
        ("noise", {"photons": 3}, "gaussian noise has no photons; leave it out"),
        ("noise", {"model": "poisson", "strength": 1}, "poisson noise has no strength"),
    ],
)
def test_bad_options_are_refused(kind, options, sentence):
    with pytest.raises(InputError, match=sentence):
        derive_source(GRAY, kind, **options)


def test_a_pair_without_a_source_gets_one_that_lies_like_its_target():
    target = np.zeros((20, 24, 3), np.uint8)
    target[:, 12:] = 200
    blurred = open_pair(with_derived_source(Pair(None, target), "blur"))
    assert (blurred.source.channels, blurred.source.layout.rgb) == (3, True)
    edges = open_pair(with_derived_source(Pair(None, target), "edges"))
    assert (edges.source.channels, edges.source.frame_shape) == (1, ())
    stack = np.moveaxis(np.stack([target] * 2), -1, 1)
    noisy = open_pair(with_derived_source(Pair(None, stack, channel_axis=1), "noise"))
    assert (noisy.source.channels, noisy.source.frames) == (3, 2)
    with pytest.raises(InputError, match="The pair has a source, and derive='edges' makes one"):
        with_derived_source(Pair(target, target), "edges")


def test_fields_of_a_training_are_the_options_with_their_defaults():
    assert {kind: tuple(make.__kwdefaults__ or ()) for kind, make in _KINDS.items()} == (
        DERIVE_OPTIONS
    )
    for kind, make in _KINDS.items():
        for name, default in (make.__kwdefaults__ or {}).items():
            # What is None depends on the kind, or on the model of the noise.
            field = TrainConfig.model_fields[f"derive_{name}"].default
            assert field == default or None in (field, default), (kind, name)


def test_options_of_the_config_reach_the_source():
    config = TrainConfig(derive="blur", derive_sigma=5)
    assert config.derive_options == {"sigma": 5.0}
    pair = with_derived_source(Pair(None, GRAY), config.derive, **config.derive_options)
    read = open_pair(pair).source.read(0, slice(0, 9), slice(0, 9))
    np.testing.assert_array_equal(read[0], derive_source(GRAY, "blur", sigma=5)[:9, :9])
    assert TrainConfig(derive="noise").derive_options == {}
    few = TrainConfig(derive="noise", derive_model="poisson", derive_photons=4)
    assert few.derive_options == {"model": "poisson", "photons": 4.0}
    with pytest.raises(ConfigError, match=r"derive_photons=4\.0 is for sources of another kind"):
        TrainConfig(derive="noise", derive_photons=4)
    with pytest.raises(ConfigError, match=r"derive_sigma=5\.0 .* there is no derive"):
        TrainConfig(derive_sigma=5)
