import math

import pytest

from napari_pix2pix.widgets.common.plots import ScoreTable


@pytest.mark.parametrize(
    ("name", "prediction", "baseline", "bold"),
    [
        ("pearson", 0.8, 0.4, [True, False]),
        ("l1", 0.8, 0.4, [False, True]),
        ("pearson", 0.5, 0.5, [False, False]),
        ("pearson", math.nan, 0.5, [False, False]),
    ],
)
def test_the_better_score_is_bold(qtbot, name, prediction, baseline, bold):
    table = ScoreTable()
    qtbot.addWidget(table)
    table.show_scores({"prediction": {name: prediction}, "baseline": {name: baseline}})
    assert [table.item(0, column).font().bold() for column in range(2)] == bold
