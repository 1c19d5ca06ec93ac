"""A shift is taken out when that is asked for, and offered when it is not."""

from dataclasses import replace

import dask.array as da
import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from napari_pix2pix._train import train
from napari_pix2pix.data.alignment import check_alignment
from napari_pix2pix.data.pair import Pair, open_pair
from napari_pix2pix.data.split import whole_areas
from napari_pix2pix.errors import ConfigError, InputError
from napari_pix2pix.training.dataset import TrainingData, prepare
from napari_pix2pix.training.events import Event, Preview


def field(seed: int = 0, size: int = 260) -> NDArray[np.float32]:
    """Blobs whose values tell all pixels apart."""
    made = gaussian_filter(np.random.default_rng(seed).normal(size=(size, size)), 2)
    return (made / made.std()).astype(np.float32)


def shifted(down: int, right: int, seed: int = 0, **fields) -> Pair:
    """A pair of one image, the target lying ``(down, right)`` of the source."""
    whole, m = field(seed), 12
    target = whole[m - down : 260 - m - down, m - right : 260 - m - right]
    return Pair(whole[m:-m, m:-m], target, **fields)


def alignment_note(data: TrainingData) -> str:
    (note,) = (n for n in data.notes if "lignment" in n or "of the source" in n)
    return note


@pytest.mark.parametrize("offset", [(5, 0), (-3, 4), (0, -6)])
def test_source_and_target_lie_on_each_other_afterwards(offset, tiny):
    data = prepare([shifted(*offset)], tiny(correct_shift=True))
    for step in range(5):
        batch = data.sampler.batch(step)
        decoded = data.target_codec.decode(batch.target), data.source_codec.decode(batch.source)
        np.testing.assert_allclose(*decoded, atol=1e-4)
    for block in data.validation.blocks:
        np.testing.assert_array_equal(block.source, block.target)
    note = alignment_note(data)
    assert note.startswith(f"The target lay {abs(offset[0])}.")
    assert "corrected by whole pixels" in note
    assert note.endswith("Alignment: within 0.1 px.")
    assert data.origin == (max(-offset[0], 0), max(-offset[1], 0))


def test_one_offset_is_taken_out_of_all_pairs_and_their_masks(tiny):
    mask = np.ones((236, 236), bool)
    mask[:40] = False
    pairs = [shifted(4, -3, seed, mask=mask) for seed in range(2)]
    held_out = [shifted(4, -3, 2)]
    data = prepare(pairs, tiny(correct_shift=True, content=0.5), held_out=held_out)
    (block,) = data.validation.blocks
    np.testing.assert_array_equal(block.source, block.target)
    np.testing.assert_array_equal(block.target[0], held_out[0].target[4:, :-3])
    valid = [data.sampler.batch(step).valid for step in range(10)]
    assert any(one is not None and not one.all() for one in valid)


def test_without_being_asked_it_is_offered(tiny):
    pair = shifted(5, 0)
    data = prepare([pair], tiny())
    note = alignment_note(data)
    assert note.startswith("The target lies 5.0 px down")
    assert note.endswith("Correct it unless it is meant (correct_shift=True).")
    assert data.origin == (0, 0)
    assert "236 x 236" in data.summary
    assert data.fingerprint != prepare([pair], tiny(correct_shift=True)).fingerprint


def test_what_is_aligned_or_unknown_is_left_alone(tiny):
    for pair, says in (
        (shifted(0, 0), "Alignment: within 0.1 px. Nothing was shifted."),
        (Pair(field(0), field(1)), "share too little structure. Nothing was shifted."),
    ):
        asked, plain = (prepare([pair], tiny(correct_shift=c)) for c in (True, False))
        assert alignment_note(asked).endswith(says)
        assert asked.fingerprint == plain.fingerprint
        assert asked.summary == plain.summary


def test_pairs_stay_lazy(tiny, monkeypatch):
    pair = shifted(5, 0)
    eager = prepare([pair], tiny(correct_shift=True))
    lazy = replace(
        pair, **{k: da.from_array(getattr(pair, k), chunks=48) for k in ("source", "target")}
    )
    data = prepare([lazy], tiny(correct_shift=True))
    assert data.fingerprint == eager.fingerprint
    read: list[tuple[int, ...]] = []
    compute = da.Array.__array__

    def spy(self, *args, **kwargs):
        read.append(self.shape)
        return compute(self, *args, **kwargs)

    monkeypatch.setattr(da.Array, "__array__", spy)
    np.testing.assert_array_equal(data.sampler.batch(1).target, eager.sampler.batch(1).target)
    assert set(read) == {(32, 32)}


def test_a_pair_smaller_than_the_shift_is_refused(tiny):
    small = Pair(np.ones((4, 40), np.float32), np.ones((4, 40), np.float32), name="small")
    with pytest.raises(InputError, match=r"\(5, 0\) pixels leaves nothing of small"):
        prepare([shifted(5, 0), shifted(5, 0, 1), small], tiny(correct_shift=True))


def test_a_resumed_run_has_the_same_correction_and_previews_lie_in_the_source(tmp_path):
    pair = shifted(-6, -4)
    tiny = {"width": 4, "depth": 3, "batch": 2, "patch": 32, "adversarial_weight": 0.0}
    tiny |= {"checkpoint": tmp_path / "run.ckpt", "device": "cpu", "correct_shift": True}
    seen: list[Event] = []
    with pytest.warns(UserWarning, match="identical"):  # once the shift is taken out
        train(pair.source, pair.target, steps=2, **tiny)
    model = train(pair.source, pair.target, steps=3, resume=True, callback=seen.append, **tiny)
    assert [record.step for record in model.history] == [2, 3]
    (preview,) = (event for event in seen if isinstance(event, Preview))
    height, width = preview.image.shape[-2:]
    # Held out is a strip at one end; the source's first 6 rows and 4 columns have no partner.
    assert preview.top in (6, 236 - height)
    assert preview.left in (4, 236 - width)
    assert (height == 230) == (preview.top == 6)


def test_phase_and_fluorescence(real_data, tiny):
    folder = real_data / "phase_to_fluorescence"
    phase = tifffile.imread(folder / "source_phase_ZYX.tif")[6]
    target = tifffile.imread(folder / "target_DAPI_MAP2_NFH_CYX.tif")[1]
    pair = Pair(phase[12:-12, 12:-12], target[7:-17, 12:-12])  # 5 px down
    config = tiny(correct_shift=True, validation=0)
    note = alignment_note(prepare([pair], config))
    assert "corrected by whole pixels" in note
    corrected = [open_pair(Pair(phase[12:-12, 12:-12][:-5], target[7:-17, 12:-12][5:]))]
    wanted = check_alignment(corrected, whole_areas(corrected), seed=0)
    assert np.hypot(*wanted.offset) < 1
    assert note.endswith(wanted.sentence)


def test_volumes_are_corrected_along_z_too(tiny):
    whole = gaussian_filter(np.random.default_rng(0).normal(size=(20, 100, 100)), (1, 2, 2))
    whole = (whole / whole.std()).astype(np.float32)
    mask = np.ones((17, 94, 94), bool)
    mask[0] = False
    pair = Pair(whole[3:, 3:-3, 3:-3], whole[1:-2, :-6, 3:-3], mask=mask)  # 2 later, 3 down
    fields = {"ndim": 3, "patch_planes": 8, "patch": 16, "depth": 2}
    assert "Correct it" in alignment_note(prepare([pair], tiny(**fields)))
    data = prepare([pair], tiny(**fields, correct_shift=True))
    note = alignment_note(data)
    assert note.startswith("The target lay 2 planes later, 3.0 px down")
    assert note.endswith("Alignment: within 0.1 px.")
    assert data.opened[0].target.frame_shape == data.opened[0].source.frame_shape == (15,)
    for plane in range(15):
        source, target, valid = data.opened[0].read_with_mask(plane, slice(None), slice(None))
        np.testing.assert_array_equal(source, target)
        np.testing.assert_array_equal(source[0], pair.source[plane, :-3])
        assert valid.all()  # the plane outside the mask is among those that were cut off
    assert data.cut_planes == (0, 2)
    assert data.frame_of_source(0, 4) == 4


@pytest.mark.parametrize("planes", [2, -2])
def test_previews_of_corrected_volumes_lie_where_the_source_does(planes, tiny):
    volumes = gaussian_filter(np.random.default_rng(0).normal(size=(2, 20, 90, 90)), (0, 1, 2, 2))
    late, early = volumes[:, 2:].astype(np.float32), volumes[:, :-2].astype(np.float32)
    pair = Pair(late, early) if planes > 0 else Pair(early, late)
    fields = {"ndim": 3, "patch_planes": 8, "patch": 16, "depth": 2}
    data = prepare([pair], tiny(**fields, correct_shift=True))
    first = max(-planes, 0)
    assert data.cut_planes == (first, 2 - first)
    for volume, plane in ((0, 0), (1, 5)):
        frame = data.frame_of_source(0, 16 * volume + plane)
        assert frame == 18 * volume + plane + first
        assert data.frame_of_pair(0, frame) == 16 * volume + plane
    whole = slice(0, 90), slice(0, 90)
    read = data.opened[0].source.read(data.frame_of_pair(0, 20), *whole)
    np.testing.assert_array_equal(read[0], pair.source[1, 2])


# --- chosen by hand ------------------------------------------------------------------------------


def test_named_frames_are_validated_on_and_no_others(tiny, make_pair):
    data = prepare([make_pair(shape=(6, 48, 40))], tiny(hold_out=[2, "4-5"]))
    assert data.config.hold_out == "2, 4-5"
    assert [area.frames for area in data.areas] == [(0, 1, 3)]
    assert {block.frame for block in data.validation.blocks} == {2, 4, 5}
    assert data.held_out == "Held out, as asked: frames 2 and 4 to 5 (3 of 6)."
    assert data.held_out in data.notes


def test_pairs_given_for_validation_come_beside_named_ones(tiny, make_pair):
    pairs = [make_pair(seed, name=name) for seed, name in enumerate("abc")]
    data = prepare(pairs[:2], tiny(hold_out="b"), held_out=pairs[2:])
    assert [area.pair for area in data.areas] == [0]
    assert {block.pair for block in data.validation.blocks} == {1, 2}


def test_a_fraction_and_names_are_two_ways_to_hold_out(tiny):
    with pytest.raises(ConfigError, match="leave one of them out"):
        tiny(hold_out="1", validation=0.4)


def test_without_a_source_nothing_is_held_out_by_name(tiny, make_pair):
    pair = replace(make_pair(shape=(4, 48, 40)), source=None)
    with pytest.raises(ConfigError, match="hold_out='1' needs a source"):
        prepare([pair], tiny(hold_out="1"))
