"""Scores say what they are of: a truth of another kind, empty parts, masks, copies, label files."""

import warnings

import helpers
import numpy as np
import pytest
import tifffile
from click.testing import CliRunner
from scipy import ndimage
from skimage.measure import label

from napari_pix2pix import evaluate, train
from napari_pix2pix.cli import main
from napari_pix2pix.data.pair import Pair
from napari_pix2pix.errors import InputError
from napari_pix2pix.evaluation.evaluate import evaluate_pairs
from napari_pix2pix.metrics.segmentation import segment_otsu
from napari_pix2pix.training.config import TrainConfig
from napari_pix2pix.training.dataset import prepare

TINY = helpers.TINY | {"steps": 2, "adversarial_weight": 0.0}
# Tiny networks that took two steps are below any baseline.
pytestmark = pytest.mark.filterwarnings(
    "ignore:Past half of the budget:UserWarning", "ignore:The output is constant:UserWarning"
)


def mask_of(seed, size=96, count=14):
    """Round cells, as 0 and 1."""
    rows, columns = np.mgrid[:size, :size]
    inside = np.zeros((size, size), bool)
    for row, column in np.random.default_rng(seed).integers(8, size - 8, (count, 2)):
        inside |= (rows - row) ** 2 + (columns - column) ** 2 < 25
    return inside.astype(np.uint8)


def bright(mask, seed=0, dtype=np.uint16):
    """What a camera sees of a mask."""
    made = 200 + 3000 * ndimage.gaussian_filter(mask.astype(float), 1)
    return (made + np.random.default_rng(seed).normal(0, 20, mask.shape)).astype(dtype)


def objects(mask):
    return label(mask).astype(np.uint16)


def shown(seed):
    return bright(mask_of(seed), seed + 50)


TARGETS = {"classes": mask_of, "instances": lambda seed: objects(mask_of(seed)), "image": shown}


@pytest.fixture(scope="module")
def models():
    """A model of each kind of target, from the same sources."""
    with warnings.catch_warnings(action="ignore"):  # they learn nothing
        return {
            kind: train(
                [bright(mask_of(seed)) for seed in range(4)], list(map(make, range(4))), **TINY
            )
            for kind, make in TARGETS.items()
        }


def jpeg(mask):
    """A mask as JPEG leaves it: near 0 and 255."""
    large = ndimage.zoom(mask, 4, order=0) * 255.0
    noise = np.random.default_rng(0).normal(0, 3, large.shape)
    return np.clip(ndimage.gaussian_filter(large, 0.5) + noise, 0, 255).astype(np.uint8)


# --- is the truth what the model makes? -----------------------------------------------------------

MATCHED = {
    "0 and 255": ("classes", lambda mask: mask * np.uint8(255)),
    "0 and 65535": ("classes", lambda mask: mask * np.uint16(65535)),
    "booleans": ("classes", lambda mask: mask > 0),
    "float labels": ("classes", lambda mask: mask.astype(np.float32)),
    "float objects": ("instances", lambda mask: objects(mask).astype(np.float64)),
    "objects in a byte": ("instances", lambda mask: objects(mask).astype(np.uint8)),
    "the same values as floats": ("image", lambda mask: bright(mask, 59).astype(np.float32)),
}


@pytest.mark.parametrize("name", MATCHED)
def test_a_truth_that_differs_only_by_name_scores_the_same(name, models):
    kind, change = MATCHED[name]
    source, mask = bright(mask_of(9)), mask_of(9)
    truth = TARGETS[kind](9)
    expected = evaluate(models[kind], source, truth)
    scores = evaluate(models[kind], source, change(mask))
    for side in ("prediction", "baseline"):
        assert scores[side] == pytest.approx(expected[side], nan_ok=True, rel=1e-4)
    assert ("matched in rising order" in str(scores.notes)) == name.startswith("0 and")


REFUSED = {
    "a mask for objects": ("instances", lambda mask: mask * np.uint8(255), "many share label 255"),
    "objects for classes": ("classes", objects, "the model's labels"),
    "other classes": (
        "classes",
        lambda mask: mask * 2 + (np.indices(mask.shape)[0] > 60),
        "labels 0",
    ),
    "an image for classes": ("classes", bright, "the model's labels"),
    "an image for objects": ("instances", bright, "looks like an image"),
    "fractions for objects": ("instances", lambda mask: bright(mask) / 4000, "not whole numbers"),
    "objects for an image": ("image", objects, "looks like instances"),
    "a mask for an image": ("image", lambda mask: mask * np.uint8(255), "looks like classes"),
    "a copy in bytes": ("image", lambda mask: (bright(mask) >> 8).astype(np.uint8), "one unit"),
    "a stretched copy in bytes": (
        "image",
        lambda mask: (bright(mask) / 3300 * 255).astype(np.uint8),
        "one unit",
    ),
    "a copy from 0 to 1": ("image", lambda mask: bright(mask) / 65535, "one unit"),
    "a copy of 16 bits": ("image", lambda mask: bright(mask) * np.uint16(16), "one unit"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_truth_of_another_kind_is_refused_before_it_is_predicted(name, models, monkeypatch):
    kind, change, words = REFUSED[name]
    monkeypatch.setattr(type(models[kind]), "predict_frame", None)
    with pytest.raises(InputError, match=words):
        evaluate(models[kind], bright(mask_of(9)), change(mask_of(9)))


@pytest.mark.parametrize("name", ["a mask for an image", "a copy from 0 to 1", "a copy of 16 bits"])
def test_one_truth_of_another_kind_among_good_ones_is_refused(name, models):
    _, change, _ = REFUSED[name]
    masks = [mask_of(seed) for seed in range(7, 10)]
    truths = [bright(masks[0]), bright(masks[1]), change(masks[2])]
    if name == "a copy of 16 bits":
        truths[2] = (bright(masks[2]) // 16).astype(np.uint8)
    with pytest.raises(InputError, match=r"one unit|mask"):
        evaluate(models["image"], [bright(mask) for mask in masks], truths)


def test_a_source_in_another_unit_is_said_with_the_scores(models):
    source = bright(mask_of(9))
    assert evaluate(models["image"], source, source).notes == ()
    notes = evaluate(models["image"], (source / 65535).astype(np.float32), source).notes
    assert any("trained on uint16 images, got float32" in note for note in notes)


def test_files_with_masks_of_either_kind_are_matched_one_by_one(models):
    pairs = [Pair(bright(mask_of(s)), mask_of(s) * np.uint8(255 if s else 1)) for s in range(2)]
    scores = evaluate_pairs(models["classes"], pairs)
    plain = evaluate_pairs(models["classes"], [Pair(p.source, p.target > 0) for p in pairs])
    assert scores["baseline"]["dice"] == plain["baseline"]["dice"]


def test_labels_of_no_class_are_unlabelled_and_said(models):
    truth = mask_of(9)
    truth[:6] = 255
    scores = evaluate(models["classes"], bright(mask_of(9)), truth)
    masked = evaluate(models["classes"], bright(mask_of(9)), mask_of(9), mask=truth != 255)
    assert scores["prediction"] == pytest.approx(masked["prediction"], nan_ok=True)
    assert "also holds label 255: such pixels are unlabelled" in scores["notes"][0]


def test_a_mask_is_no_truth_for_a_segmenter_of_objects(models):
    found = {"segmenter": segment_otsu, "labels": mask_of(9) * np.uint8(255)}
    with pytest.raises(InputError, match="many share one, as in a mask"):
        evaluate(models["image"], bright(mask_of(9)), bright(mask_of(9), 59), **found)
    found["labels"] = objects(mask_of(9)).astype(np.float32)
    scores = evaluate(models["image"], bright(mask_of(9)), bright(mask_of(9), 59), **found)
    assert scores["truth"]["segmented_f1"] > 0.5


def test_what_training_calls_an_image_may_be_a_mask():
    masks = [mask_of(seed) * np.uint8(255) for seed in range(2)]
    model = train([bright(mask) for mask in masks], masks, target_kind="image", **TINY)
    assert (
        evaluate(model, bright(mask_of(9)), mask_of(9) * np.uint8(255))["baseline"]["pearson"] > 0
    )
    with pytest.raises(InputError, match="one unit"):
        evaluate(model, bright(mask_of(9)), mask_of(9))


@pytest.mark.parametrize("kind", TARGETS)
def test_darker_and_empty_images_are_scored(kind, models):
    empty = np.zeros((96, 96), np.uint8)
    truth = {"image": bright(empty), "instances": empty}.get(kind, empty)
    assert evaluate(models[kind], bright(empty), truth)["images"]


def test_pairs_given_for_validation_are_matched_or_refused():
    pairs = [Pair(bright(mask_of(seed)), mask_of(seed)) for seed in range(2)]
    config = TrainConfig(**TINY)
    given = Pair(bright(mask_of(5)), mask_of(5) * np.uint8(255))
    matched = prepare(pairs, config, held_out=[given])
    plain = prepare(pairs, config, held_out=[Pair(given.source, mask_of(5))])
    assert matched.validation.baseline == plain.validation.baseline
    assert any("255 counts as 1" in note for note in matched.notes)
    images = [Pair(pair.source, bright(pair.target, 7)) for pair in pairs]
    with pytest.raises(InputError, match="one unit"):
        prepare(images, config, held_out=[Pair(given.source, bright(mask_of(5)) * np.uint16(16))])


def test_the_shell_matches_or_refuses_a_truth(models, tmp_path):
    model, source, truth = (tmp_path / name for name in ("m.safetensors", "s.tif", "t.tif"))
    models["classes"].save(model)
    tifffile.imwrite(source, bright(mask_of(9)))
    tifffile.imwrite(truth, mask_of(9) * np.uint8(255))
    done = CliRunner().invoke(main, ["evaluate", str(model), str(source), str(truth)])
    assert done.exit_code == 0
    assert done.stdout.count("255 counts as 1.") == 1
    assert "dice, iou: mean over images." in done.stdout
    tifffile.imwrite(truth, objects(mask_of(9)))
    refused = CliRunner().invoke(main, ["evaluate", str(model), str(source), str(truth)])
    assert refused.exit_code == 2
    assert "the model's labels" in refused.stderr


# --- nothing to find is no score ------------------------------------------------------------------


def test_images_without_content_are_counted_and_left_out():
    sources = [bright(mask_of(seed)) for seed in range(3)]
    model = train(sources, [mask_of(seed) for seed in range(3)], **TINY, validation=0.0)
    empty = np.full((96, 96), 200, np.uint16)  # Otsu finds nothing in it
    filled = evaluate_pairs(model, [Pair(sources[0], mask_of(0))])
    both = evaluate_pairs(model, [Pair(sources[0], mask_of(0)), Pair(empty, mask_of(0) * 0)])
    assert both["baseline"]["dice"] == filled["baseline"]["dice"] < 1
    assert np.isnan(both["images"][1]["baseline"]["dice"])


@pytest.mark.parametrize("seed", range(4))
def test_held_out_images_hold_objects_where_there_are_any(seed):
    masks = [mask_of(number) * (number < 3) for number in range(10)]
    pairs = [Pair(bright(mask, n), mask, name=f"p{n}") for n, mask in enumerate(masks)]
    data = prepare(pairs, TrainConfig(**TINY, seed=seed))
    assert all(block.target.any() for block in data.validation.blocks)
    assert any(block.any() for block in [p.target for p in pairs[:3]])


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_held_out_strip_holds_a_part_of_the_only_object(seed, dtype):
    mask = np.zeros((200, 96), np.uint8)
    mask[90:120, 30:60] = 1
    target = mask if dtype == np.uint8 else bright(mask)
    config = TrainConfig(**TINY, seed=seed, content=0.5)
    data = prepare([Pair(bright(mask, 1), target)], config)
    inside = [block.target > (0 if dtype == np.uint8 else 1000) for block in data.validation.blocks]
    assert any(part.any() for part in inside)
    assert data.sampler.batch(0).target.max() > 0.5  # and the training, another one


def test_a_held_out_part_of_background_is_said_before_training():
    pairs = [Pair(bright(mask_of(n)), mask_of(n) * (n == 0)) for n in range(5)]
    warnings = prepare(pairs, TrainConfig(**TINY)).warnings
    assert any(
        warning.startswith("The held-out part holds nothing but back") for warning in warnings
    )


def test_frames_of_different_fields_are_held_out_whole_and_those_of_one_field_are_not():
    fields = np.stack([bright(mask_of(seed)) for seed in range(8)])
    data = prepare([Pair(fields, fields + 1)], TrainConfig(**TINY))
    held_out = {block.frame for block in data.validation.blocks}
    assert len(held_out) == 2
    assert {block[1] for block in data.sampler._blocks}.isdisjoint(held_out)
    assert "2 of 8 frames, which show different fields, are held out." in data.notes
    film = np.stack([bright(mask_of(0), seed) for seed in range(8)])
    data = prepare([Pair(film, film + 1)], TrainConfig(**TINY))
    assert any("rows of 96" in note for note in data.notes)


# --- the held-out part lies inside the mask -------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("span", [(20, 180), (0, 150), (120, 200)])
def test_a_strip_is_held_out_inside_the_mask(seed, span):
    image = helpers.noise(240, 80)
    mask = np.zeros((240, 80), bool)
    mask[slice(*span)] = True
    data = prepare([Pair(image, 1 - image, mask=mask)], TrainConfig(**TINY, seed=seed))
    assert np.isfinite(data.validation.baseline["l1"])
    for block in data.validation.blocks:
        assert span[0] <= block.rows.start < block.rows.stop <= span[1]
        for area, *_ in data.sampler._blocks:
            gap = max(area.box.top - block.rows.stop, block.rows.start - area.box.bottom)
            assert gap >= 16


def test_a_mask_of_few_frames_is_found():
    film = helpers.noise(1, 120, 80) + 0.01 * helpers.noise(90, 120, 80, seed=1)
    mask = np.zeros(film.shape, bool)
    mask[41:43, 20:110] = True
    data = prepare([Pair(film, 1 - film, mask=mask)], TrainConfig(**TINY))
    assert {block.frame for block in data.validation.blocks} == {41, 42}
    assert all(block.valid.all() for block in data.validation.blocks)


def test_objects_of_few_frames_are_found():
    labels = np.zeros((90, 120, 80), np.uint8)
    labels[41:43, 20:110, 20:60] = 1
    film = bright(labels[0]) + labels * np.uint16(1000)
    data = prepare([Pair(film, labels)], TrainConfig(**TINY, target_kind="classes"))
    assert all(block.target.any() for block in data.validation.blocks)


def test_a_mask_too_small_for_a_strip_is_said_before_training():
    image, mask = helpers.noise(240, 80), np.zeros((240, 80), bool)
    mask[100:120, 30:50] = True
    data = prepare([Pair(image, 1 - image, mask=mask)], TrainConfig(**TINY))
    assert data.validation is None
    assert any(n.startswith("No validation: the images are too small inside") for n in data.notes)


def test_masked_out_images_are_not_held_out():
    pairs = [
        Pair(
            helpers.noise(64, 64, seed=n),
            helpers.noise(64, 64, seed=n + 9),
            mask=np.full((64, 64), n < 2),
        )
        for n in range(6)
    ]
    data = prepare(pairs, TrainConfig(**TINY))
    assert data.validation is not None


# --- labels are labels, whatever a file has them in -----------------------------------------------


@pytest.mark.parametrize("kind", ["classes", "instances"])
def test_float_labels_are_labels_where_the_kind_is_given(kind):
    targets = [TARGETS[kind](seed) for seed in range(3)]
    floats = [target.astype(np.float32) for target in targets]
    floats[0][:2] = np.nan
    sources = [bright(mask_of(seed)) for seed in range(3)]
    config = TrainConfig(**TINY, target_kind=kind)
    data = prepare([Pair(s, t) for s, t in zip(sources, floats, strict=True)], config)
    assert (data.target_codec.kind, data.target_codec.dtype) == (kind, "uint16")
    masks = [np.isfinite(target) for target in floats]
    plain = prepare(
        [Pair(s, t, mask=m) for s, t, m in zip(sources, targets, masks, strict=True)], config
    )
    assert data.validation.baseline == plain.validation.baseline
    with pytest.raises(InputError, match="whole numbers"):
        prepare([Pair(s, t / 2) for s, t in zip(sources, floats, strict=True)], config)


def test_float_label_sources_are_read_by_training_and_model():
    masks = [mask_of(seed).astype(np.float32) for seed in range(2)]
    model = train(masks, [bright(mask) for mask in masks], source_kind="classes", **TINY)
    np.testing.assert_array_equal(model(masks[0]), model(masks[0].astype(np.uint8)))


@pytest.mark.parametrize("kind", ["auto", "instances"])
def test_label_files_of_several_dtypes_are_one_set(kind, tmp_path):
    targets = [
        objects(mask_of(n)).astype(d) for n, d in enumerate((np.uint8, np.uint16, np.uint32))
    ]
    pairs = [Pair(bright(mask_of(n)), target) for n, target in enumerate(targets)]
    data = prepare(pairs, TrainConfig(**TINY, target_kind=kind))
    assert (data.target_codec.kind, data.target_codec.dtype) == ("instances", "uint32")
    same = prepare([Pair(p.source, p.target.astype(np.uint32)) for p in pairs], TrainConfig(**TINY))
    assert data.target_codec == same.target_codec
    with pytest.raises(InputError, match="same channels and dtype"):
        prepare(
            [Pair(p.source, bright(mask_of(0), 1, p.target.dtype)) for p in pairs],
            TrainConfig(**TINY),
        )


def test_few_objects_get_a_hint():
    targets = []
    for number in range(4):
        target = np.zeros((96, 96), np.uint8)
        target[10:30, 10:40], target[50:80, 40 + number : 80] = 1, 2
        targets.append(target)
    pairs = [Pair(bright(target), target) for target in targets]
    (note,) = (n for n in prepare(pairs, TrainConfig(**TINY)).notes if "3 classes" in n)
    assert note.endswith("set target_kind='instances'")
    several = [Pair(bright(mask_of(n)), mask_of(n) + mask_of(n + 9)) for n in range(4)]
    (note,) = (n for n in prepare(several, TrainConfig(**TINY)).notes if "3 classes" in n)
    assert note.endswith("3 classes")


def test_a_mask_saved_as_jpeg_is_recognised_and_read():
    masks = [jpeg(mask_of(seed)) for seed in range(2)]
    pairs = [Pair(helpers.noise(384, 384, seed=n), mask) for n, mask in enumerate(masks)]
    said = prepare(pairs, TrainConfig(**TINY)).warnings
    assert any("looks like a mask that was saved as JPEG" in warning for warning in said)
    data = prepare(pairs, TrainConfig(**TINY, target_kind="classes"))
    assert data.target_codec.values == (0, 255)


def test_masks_of_1_and_of_255_in_one_set_are_said():
    values = (1, 255, 1, 255)
    pairs = [
        Pair(bright(mask_of(n)), mask_of(n) * np.uint8(v), name=f"p{n}")
        for n, v in enumerate(values)
    ]
    (said,) = prepare(pairs, TrainConfig(**TINY)).warnings
    assert "masks of 0 and 1 (p" in said


@pytest.mark.parametrize("value", [1, 255])
def test_a_mask_is_not_trained_on_as_objects(value):
    pairs = [Pair(bright(mask_of(n)), mask_of(n) * np.uint8(value)) for n in range(2)]
    with pytest.raises(InputError, match="many share one, as in a mask"):
        prepare(pairs, TrainConfig(**TINY, target_kind="instances"))


# --- overlapping tiles are copies -----------------------------------------------------------------


def tiles(image, side, step):
    rows, columns = (range(0, length - side + 1, step) for length in image.shape[:2])
    return [image[y : y + side, x : x + side] for y in rows for x in columns]


def overlaps(sources):
    pairs = [Pair(source, 255 - source, name=f"t{n}") for n, source in enumerate(sources)]
    said = prepare(pairs, TrainConfig(**TINY)).warnings
    return [warning for warning in said if "as tiles of one image do" in warning]


@pytest.mark.parametrize("share", [0.25, 0.5])
@pytest.mark.parametrize("channels", [(), (3,)])
def test_tiles_that_overlap_are_found(share, channels):
    image = helpers.gray_noise(200, 240, *channels)
    (warning,) = overlaps(tiles(image, 80, round(80 * (1 - share))))
    assert "so the scores are too good" in warning


def test_tiles_of_a_large_image_are_found_by_bands():
    (_,) = overlaps(tiles(helpers.gray_noise(500, 1700), 500, 400))


EMPTY = np.random.default_rng(3).random((300, 300)) < 0.02  # few photons on a dark ground
STATIC = helpers.gray_noise(80, 80) // 8


@pytest.mark.parametrize(
    "sources",
    [
        tiles(helpers.gray_noise(240, 320), 80, 80),
        [np.where(mask_of(n) > 0, helpers.gray_noise(96, 96, seed=n), 0) for n in range(6)],
        tiles(EMPTY.astype(np.uint8), 75, 75),
        [STATIC + helpers.gray_noise(80, 80, seed=n) // 16 for n in range(6)],
        [np.tile(helpers.gray_noise(10, 10), (8, 8)) // 2 + np.uint8(n) for n in range(6)],
    ],
    ids=["no overlap", "empty background", "dark ground", "one static field", "a pattern"],
)
def test_what_only_looks_alike_is_no_overlap(sources):
    assert overlaps(sources) == []
