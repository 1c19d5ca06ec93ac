import re
from dataclasses import replace

import dask.array
import numpy as np
import pytest
from helpers import CountedClock

from napari_pix2pix.data import sample
from napari_pix2pix.data.pair import Pair
from napari_pix2pix.errors import InputError
from napari_pix2pix.training import dataset
from napari_pix2pix.training.config import TrainConfig
from napari_pix2pix.training.dataset import prepare


def test_what_is_held_out_is_never_trained_on(make_pair, tiny):
    """Held-out pixels are marked by a value of their own, which no patch shows."""
    pair = make_pair(shape=(96, 80))
    data = prepare([pair], tiny())
    marked = pair.target.copy()
    for block in data.validation.blocks:
        marked[block.rows, block.columns] = 1e6
    again = prepare([replace(pair, target=marked)], tiny())
    assert again.target_codec == data.target_codec
    assert all((block.target == 1e6).all() for block in again.validation.blocks)
    assert max(again.sampler.batch(step).target.max() for step in range(50)) < 10


def test_pairs_given_for_validation_are_used_for_it_alone(make_pair, tiny):
    held_out = [make_pair(seed=3), make_pair(seed=4)]
    data = prepare([make_pair()], tiny(), held_out=held_out)
    assert {block.pair for block in data.validation.blocks} == {1, 2}
    assert np.array_equal(
        np.concatenate([b.target[0] for b in data.validation.blocks if b.pair == 1]),
        held_out[0].target,
    )
    assert any("Validated on 2 pairs" in note for note in data.notes)
    alone = prepare([make_pair()], tiny(validation=0))
    assert data.source_codec == alone.source_codec
    assert np.array_equal(data.sampler.batch(3).source, alone.sampler.batch(3).source)
    # Its description is of the training set.
    assert "1 pair of 96 x 80 pixels" in data.summary


@pytest.mark.parametrize(
    ("shape", "fields", "words"),
    [
        ((96, 80), {"validation": 0}, "as asked"),
        ((24, 24), {}, "No validation: the images are too small"),
    ],
)
def test_why_nothing_is_held_out_is_said(shape, fields, words, make_pair, tiny):
    data = prepare([make_pair(shape=shape)], tiny(**fields))
    assert data.validation is None
    assert any(words in note for note in data.notes)


def test_summary_says_what_was_understood(make_pair, tiny):
    data = prepare([make_pair(), make_pair(seed=1)], tiny())
    assert data.summary == (
        "32-bit floating point images to 32-bit floating point images, 2 pairs of 96 x 80 pixels, "
        "10 training patches, shift unknown"
    )


def test_missing_pixels_are_noted(make_pair, tiny):
    pair = make_pair()
    pair.target[3:5, 3:5] = np.nan
    data = prepare([pair], tiny(validation=0))
    assert any("NaN" in note and "unlabelled" in note for note in data.notes)


def test_conditions_are_planes_in_the_order_met(make_pair, tiny):
    pairs = [make_pair(seed, condition=name) for seed, name in enumerate(["b", "a", "b"])]
    data = prepare(pairs, tiny())
    assert data.conditions == ("b", "a")
    for block, index in zip(data.validation.blocks, data.validation.conditions, strict=True):
        assert data.conditions[index] == pairs[block.pair].condition
    seen = np.concatenate([data.sampler.batch(step).condition for step in range(20)])
    assert set(seen.tolist()) == {0, 1}


def test_numpy_scalars_become_conditions_that_a_file_can_keep(make_pair, tiny):
    pairs = [make_pair(seed, condition=np.int64(seed)) for seed in range(2)]
    conditions = prepare(pairs, tiny()).conditions
    assert conditions == (0, 1)
    assert {type(condition) for condition in conditions} == {int}


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        (b"bytes", "must be text, a number"),
        ({"a": 1}, "must be text, a number"),
        (frozenset([1]), "must be text, a number"),
        (float("nan"), "is NaN"),
    ],
)
def test_conditions_that_no_file_can_keep_are_refused(condition, words, make_pair, tiny):
    with pytest.raises(InputError, match=f"A condition {words}"):
        prepare([make_pair(condition=condition)], tiny())


def test_the_sampler_does_what_the_config_says(make_pair, tiny, monkeypatch):
    given = {}
    monkeypatch.setattr(dataset, "PatchSampler", lambda *_, **options: given.update(options))
    wanted = {"flips": False, "vertical_flips": False, "quarter_turns": False, "content": 0.75}
    wanted |= {"zoom": (1.0, 1.5), "patch": 16, "batch": 3, "seed": 7}
    prepare([make_pair()], tiny(**wanted, depth=2, intensity_jitter=0.25, source_noise=0.5))
    assert {name: given[name] for name in wanted} == wanted
    assert (given["changes"].jitter, given["changes"].noise) == (0.25, 0.5)


def test_some_conditions_missing(make_pair, tiny):
    pairs = [make_pair(condition="a"), make_pair(seed=1)]
    with pytest.raises(InputError, match="Some pairs have a condition and some have none"):
        prepare(pairs, tiny())


@pytest.mark.parametrize("what", ["source", "target"])
def test_labels_are_found_and_said(what, make_pair, tiny):
    labels = np.zeros((96, 80), np.uint16)
    for number, (y, x) in enumerate([(4, 4), (30, 40), (60, 8), (64, 50), (10, 55)], start=1):
        labels[y : y + 18, x : x + 18] = number
    pair = replace(make_pair(), **{what: labels})
    data = prepare([pair], tiny())
    assert getattr(data, f"{what}_codec").kind == "instances"
    assert getattr(data.config, f"{what}_kind") == "instances"
    assert any(re.match(rf"{what} uint16 -> \d instances", note) for note in data.notes)
    taken = prepare([pair], tiny(**{f"{what}_kind": "image"}))
    assert getattr(taken, f"{what}_codec").kind == "image"


def test_label_targets_turn_the_adversarial_term_off_unless_asked(make_pair, tiny):
    mask = np.zeros((96, 80), bool)
    mask[20:60, 10:70] = True
    pair = replace(make_pair(), target=mask)
    unset = TrainConfig(**tiny().model_dump(exclude={"adversarial_weight"}))
    assert prepare([pair], unset).config.adversarial_weight == 0
    assert prepare([pair], tiny(adversarial_weight=0.5)).config.adversarial_weight == 0.5
    assert prepare([pair], tiny(feature_matching=1.0)).config.adversarial_weight == 1
    assert prepare([make_pair()], unset).config.adversarial_weight == 1


def test_labels_of_one_value_are_refused_in_words(make_pair, tiny):
    pair = replace(make_pair(), target=np.ones((96, 80), np.uint16))
    with pytest.raises(InputError, match="constant"):
        prepare([pair], tiny(target_kind="classes"))


@pytest.mark.parametrize("what", ["source", "target"])
def test_pairs_of_other_channels_or_dtypes_are_refused(what, make_pair, tiny):
    first, second = make_pair(), make_pair(seed=1)
    array = getattr(second, what)
    other_dtype = replace(second, **{what: array.astype(np.float64)})
    with pytest.raises(InputError, match=f"The {what} of .* float64.*float32"):
        prepare([first, other_dtype], tiny())
    other_channels = replace(second, **{what: (array, array)})
    with pytest.raises(InputError, match=f"The {what} of .* has 2 channels"):
        prepare([first, other_channels], tiny())


def test_fingerprint_knows_the_pairs(make_pair, tiny):
    def fingerprint(pair, **fields):
        return prepare([pair], tiny(**fields)).fingerprint

    first = fingerprint(make_pair())
    assert fingerprint(make_pair()) == first
    others = [make_pair(seed=1), make_pair(condition="a"), make_pair(shape=(96, 84))]
    for what in ("source", "target"):
        changed = make_pair()
        # In the middle: the outer columns may be held out.
        getattr(changed, what)[48, 40] += 1e-3
        others.append(changed)
    mask = np.ones((96, 80), bool)
    mask[40:50, 40:50] = False
    others.append(make_pair(mask=mask))
    prints = [fingerprint(pair) for pair in others]
    prints.append(fingerprint(make_pair(), validation=0.3))
    assert len({first, *prints}) == len(prints) + 1


def test_a_rare_condition_has_a_baseline_of_its_own(make_pair, tiny):
    pairs = [make_pair(0, (32, 16 * 300), condition="common")]
    pairs.append(replace(make_pair(1, (16, 16)), condition="rare"))
    pairs[1] = replace(pairs[1], target=7 - 2 * pairs[1].source)
    data = prepare(pairs, tiny(validation=0, patch=16))
    assert any("256 of 601 blocks" in note for note in data.notes)
    rare = data.baseline.predict(pairs[1].source[np.newaxis], data.conditions.index("rare"))
    np.testing.assert_allclose(rare[0], pairs[1].target, atol=1e-4)


def test_a_copy_that_is_held_out_is_said(make_pair, tiny):
    pairs = [make_pair(seed, name=f"p{seed}") for seed in range(4)]
    assert not any("also trained on" in note for note in prepare(pairs, tiny()).notes)
    given = prepare(pairs[:2], tiny(), held_out=[replace(pairs[1], name="copy"), pairs[3]])
    assert any("1 of 2 held-out sources is also trained on (copy = p1)" in n for n in given.notes)


@pytest.mark.parametrize("what", ["source", "target"])
def test_saturation_is_said_of_intensities_alone(what, make_pair, tiny):
    pair = make_pair()
    clipped = np.minimum(getattr(pair, what), np.quantile(getattr(pair, what), 0.8))
    data = prepare([replace(pair, **{what: clipped})], tiny())
    (note,) = (note for note in data.notes if "saturated" in note)
    assert re.match(rf"(19|20|21) % of the {what}'s values are", note)
    labels = np.digitize(pair.source, np.linspace(-1, 0, 20)).astype(np.uint8)
    taken = prepare([replace(pair, **{what: labels})], tiny(**{f"{what}_kind": "classes"}))
    assert not any("saturated" in note for note in taken.notes)


def test_a_run_that_goes_on_reads_as_much_as_before(make_pair, tiny, monkeypatch):
    """What could be read in time must not change what a run is resumed on."""
    pair, config = make_pair(shape=(400, 300)), tiny(max_seconds=50, patch=16)
    with monkeypatch.context() as slow:
        slow.setattr(sample, "time", CountedClock(seconds=0.5))
        first = prepare([pair], config)
    assert first.sampled[0] == 10
    assert any("no more could be read in 5 s" in note for note in first.notes)
    assert any("not measured" in note for note in first.notes)
    again = prepare([pair], config, sampled=first.sampled)
    codecs = ("source_codec", "target_codec")
    for part in ("fingerprint", *codecs, "baseline", "intensities", "sampled"):
        assert getattr(again, part) == getattr(first, part), part
    assert np.array_equal(again.sampler.batch(5).source, first.sampler.batch(5).source)
    whole = prepare([pair], config)
    assert whole.sampled[0] == 256
    assert whole.fingerprint != first.fingerprint


class Chunks:
    """A lazy image of 50 GB that counts what is computed."""

    def __init__(self, seed: int, side: int = 2000) -> None:
        self.computed: list[int] = []

        def block(block_info):
            place = block_info[None]["array-location"]
            rows, columns = (np.arange(*span).astype(np.uint16) for span in place)
            self.computed.append(len(rows) * len(columns))
            return rows[:, np.newaxis] * np.uint16(79 + seed) ^ columns

        self.array = dask.array.map_blocks(
            block,
            chunks=((side,) * (100_000 // side), (side,) * (250_000 // side)),
            dtype=np.uint16,
            meta=np.empty((0, 0), np.uint16),
        )


def test_images_larger_than_memory_are_read_by_patches(tiny):
    source, target = Chunks(0), Chunks(1)
    assert source.array.nbytes == 50e9
    data = prepare([Pair(source.array, target.array)], tiny(), sampled=(12, 2))
    assert data.sampled == (12, 2)
    assert data.summary.startswith(
        "16-bit images to 16-bit images, 1 pair of 100000 x 250000 pixels, 19,529,688 training "
        "patches,"
    )
    # 12 blocks, 2 windows to validate on; each lies in one chunk, four at most.
    assert 14 <= len(source.computed) <= 4 * 14
    before = len(source.computed)
    for step in range(3):
        assert data.sampler.batch(step).source.shape == (2, 1, 32, 32)
    assert 6 <= len(source.computed) - before <= 4 * 6


class Windows:
    """An image of 50 GB whose windows cost nothing, and are counted."""

    shape, dtype = (100_000, 250_000), np.dtype(np.uint16)

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.read: list[int] = []

    def __getitem__(self, index: tuple[slice, slice]) -> np.ndarray:
        rows, columns = (np.arange(part.start, part.stop) for part in index)
        self.read.append(len(rows) * len(columns))
        return np.random.default_rng([self.seed, rows[0], columns[0]]).integers(
            0, 60_000, (len(rows), len(columns)), np.uint16
        )


def test_all_that_is_looked_at_before_training_is_bounded(tiny, monkeypatch):
    monkeypatch.setattr(dataset, "_VALIDATION_SIZE", 64)  # scores take a while
    source, target = Windows(0), Windows(1)
    data = prepare([Pair(source, target)], tiny())
    for image in (source, target):
        assert max(image.read) <= 256 * 256
        assert sum(image.read) < 2_000_000
        image.read.clear()
    data.sampler.batch(0)
    assert source.read == target.read == [32 * 32] * 2


def test_an_epoch_has_a_hundred_steps_at_least(make_pair, tiny):
    assert prepare([make_pair()], tiny()).steps_per_epoch == 100
