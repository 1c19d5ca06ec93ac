import numpy as np
import pytest

from napari_pix2pix.data.hold_out import hold_out
from napari_pix2pix.data.pair import OpenPair, Pair, open_pair
from napari_pix2pix.data.split import Split
from napari_pix2pix.errors import ConfigError


def pair_of(*shape: int, name: str = "", condition: str | None = None) -> OpenPair:
    image = np.broadcast_to(np.uint8(0), (*shape, 32, 24))
    return open_pair(Pair(image, image, name=name, condition=condition))


def images(*names: str) -> list[OpenPair]:
    return [pair_of(name=name) for name in names]


def numbers(parts: Split) -> tuple[list[int], list[int]]:
    """Return the pairs that are trained on, and those that are held out."""
    return [area.pair for area in parts.train], [area.pair for area in parts.validation]


@pytest.mark.parametrize(
    ("wanted", "held"),
    [("2", [2]), ("0, 2-3", [0, 2, 3]), ("b", [1]), ("b.tif, 3", [1, 3]), ("d -> e", [3])],
)
def test_images_are_held_out_by_name_or_number(wanted, held):
    parts = hold_out(images("a.tif", "b.tif", "c.tif", "d -> e"), wanted)
    assert numbers(parts) == ([i for i in range(4) if i not in held], held)


def test_pairs_of_a_table_are_named_as_their_files():
    parts = hold_out(images("a.tif (pairs.csv, line 2)", "b.tif (pairs.csv, line 3)"), "b")
    assert numbers(parts) == ([0], [1])


def test_all_pairs_that_show_an_image_are_held_out_together():
    parts = hold_out(images("phase -> DAPI", "phase -> MAP2", "other -> DAPI"), "phase")
    assert numbers(parts) == ([2], [0, 1])


def test_numbers_are_frames_of_a_single_stack():
    parts = hold_out([pair_of(9)], "1, 3-4, 8")
    assert parts.train[0].frames == (0, 2, 5, 6, 7)
    assert parts.validation[0].frames == (1, 3, 4, 8)
    assert parts.note == "Held out, as asked: frames 1, 3 to 4 and 8 (4 of 9)."


def test_frames_of_one_of_several_images_stand_behind_a_colon():
    parts = hold_out([pair_of(4, name="a.tif"), pair_of(4, name="b.tif")], "b: 0-1")
    assert [(area.pair, area.frames) for area in parts.train] == [(0, None), (1, (2, 3))]
    assert [(area.pair, area.frames) for area in parts.validation] == [(1, (0, 1))]
    assert parts.note == "Held out, as asked: frames 0 to 1 of b.tif (2 of 4)."


def test_planes_of_one_time_stay_together():
    parts = hold_out([pair_of(3, 2)], "1")
    assert parts.validation[0].frames == (2, 3)
    assert parts.train[0].frames == (0, 1, 4, 5)
    volumes = hold_out([pair_of(3, 2)], "1", volumes=True)
    assert volumes.validation == parts.validation
    assert "volume 1 (1 of 3)" in volumes.note


def test_planes_that_see_a_held_out_plane_are_not_trained_on():
    parts = hold_out([pair_of(10)], "4", z_context=2)
    assert parts.train[0].frames == (0, 1, 7, 8, 9)
    in_time = hold_out([pair_of(3, 5)], "1", z_context=2)  # the planes of other times see none
    assert in_time.train[0].frames == (*range(5), *range(10, 15))


@pytest.mark.parametrize(
    ("pairs", "wanted", "message"),
    [
        (images("a", "b"), "c", "there is no such image among a, b"),
        (images("a", "b"), "7", "names image 7, and the set has 2 images, numbered from 0 to 1"),
        (images("a", "b"), "1-0", "write the smaller number first"),
        (images("a", "b"), "a, b", "leaves nothing to train on"),
        (images("a", "b"), "a: 0", "has one alone"),
        (images("a", "b"), "a,", "names ''"),
        ([pair_of(4)], "0-3", "leaves nothing to train on"),
        ([pair_of(4)], "4", "names frame 4, and the pair has 4 frames"),
        ([pair_of(4)], "first", "should name frames of the pair"),
        ([pair_of()], "0", "has one alone"),
        (
            [pair_of(name="a", condition="x"), pair_of(name="b", condition="y")],
            "b",
            "of the condition 'y'",
        ),
    ],
)
def test_what_can_not_be_held_out_is_refused_in_words(pairs, wanted, message):
    with pytest.raises(ConfigError, match=message) as error:
        hold_out(pairs, wanted)
    assert str(error.value).startswith("hold_out")


def test_a_single_volume_has_no_other_to_be_held_out_of():
    with pytest.raises(ConfigError, match="asks for volume 3"):
        hold_out([pair_of(8)], "3", volumes=True)
