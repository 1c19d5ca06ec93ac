from napari_pix2pix.data.box import Box, middle, overlap


def test_a_box_around_others_holds_their_corners():
    assert Box.around([Box(0, 8, 4, 8), Box(4, 16, 0, 8)]) == Box(0, 16, 0, 8)


def test_spans_meet():
    assert overlap(slice(10, 20), slice(16, 40)) == (slice(6, 10), slice(0, 4))


def test_the_middle_of_a_span_is_no_longer_than_asked():
    assert middle(slice(10, 20), 4) == slice(13, 17)
    assert middle(slice(10, 20), 40) == slice(10, 20)
