import pytest

from napari_pix2pix.data.box import Box, middle, overlap


def test_a_box_around_others_holds_their_corners():
    assert Box.around([Box(0, 8, 4, 8), Box(4, 16, 0, 8)]) == Box(0, 16, 0, 8)


def test_spans_meet():
    assert overlap(slice(10, 20), slice(16, 40)) == (slice(6, 10), slice(0, 4))


def test_the_middle_of_a_span_is_no_longer_than_asked():
    assert middle(slice(10, 20), 4) == slice(13, 17)
    assert middle(slice(10, 20), 40) == slice(10, 20)


def test_grown_boxes_end_at_the_edge_and_boxes_apart_share_nothing():
    edge = Box(0, 40, 5, 60)
    assert Box(10, 20, 10, 20).grown(8, edge) == Box(2, 28, 5, 28)
    assert Box(0, 40, 5, 60).grown(8, edge) == edge
    assert Box(0, 9, 0, 9).shared(Box(4, 20, 6, 20)) == Box(4, 9, 6, 9)
    assert Box(0, 9, 0, 9).shared(Box(9, 20, 30, 40)).pixels == 0


@pytest.mark.parametrize("most", [1, 7, 10, 100])
def test_pieces_cover_a_box_once_and_are_about_as_large(most):
    box = Box(3, 24, 10, 40)
    pieces = box.pieces(most)
    assert Box.around(pieces) == box
    assert sum(piece.pixels for piece in pieces) == box.pixels
    sides = [side for piece in pieces for side in piece.size]
    assert max(sides) <= most
    assert len({piece.height for piece in pieces}) <= 2
