import numpy as np

from napari_pix2pix.metrics.object_errors import ObjectError, find_object_errors


def test_objects_without_a_match_are_found_large_ones_first():
    truth, found = np.zeros((20, 20), np.uint16), np.zeros((20, 20), np.uint16)
    truth[2:6, 2:6], found[2:6, 2:5] = 1, 9  # they match
    truth[10:14, 0:4], found[10:14, 0:1] = 2, 4  # too small to match: missed and false
    truth[15:18, 15:18] = 3
    errors = find_object_errors(found, truth, np.ones((20, 20), bool))
    assert errors == (
        ObjectError("missed", 11.5, 1.5, 16),
        ObjectError("missed", 16.0, 16.0, 9),
        ObjectError("false", 11.5, 0.0, 4),
    )


def test_pixels_that_do_not_count_hold_no_objects():
    truth = np.zeros((8, 8), int)
    truth[:2, :2], truth[5:7, 5:7] = 1, 2
    valid = np.zeros((8, 8), bool)
    valid[4:, 4:] = True
    (error,) = find_object_errors(np.zeros_like(truth), truth, valid)
    assert (error.row, error.column, error.area) == (5.5, 5.5, 4)
    assert find_object_errors(truth, truth, valid) == ()
