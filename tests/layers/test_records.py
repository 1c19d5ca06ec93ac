from __future__ import annotations

from typing import Any

import numpy as np
from napari.layers import Image

from napari_pix2pix.layers import answer_in, is_result_of, result_name, result_record, snapshot


def record_of(*layers: Image, **given: Any) -> dict[str, Any]:
    known = {"model": "m", "digest": "abc", "condition": None, "trained_on": "", "scores": {}}
    return result_record([snapshot(one) for one in layers], **{**known, **given})


def test_a_result_is_known_by_source_condition_and_answer() -> None:
    stain = Image(np.zeros((4, 5)), name="stain")
    other = Image(np.zeros((4, 5)), name="stain")
    record = record_of(stain, condition="a", samples=3, shown="mean")
    assert is_result_of(record, str(stain.unique_id), "a")
    assert not is_result_of(record, str(stain.unique_id), "b")
    assert not is_result_of(record, str(other.unique_id), "a")
    assert not is_result_of(None, str(stain.unique_id), "a")
    assert answer_in(record) == ("abc", "mean")


def test_names_say_what_differs() -> None:
    one, two = (Image(np.zeros((4, 5)), name=name) for name in "xy")
    assert result_name(record_of(one)) == "x [m]"
    assert result_name(record_of(one, two, condition="a")) == "x + y [m, a]"
    assert result_name(record_of(one, samples=3, shown="sample 2")) == "x [m, sample 2 of 3]"
