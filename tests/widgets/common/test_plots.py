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
    assert [table.item(0, column).font().bold() for column in (1, 2)] == bold


@pytest.mark.parametrize("size", [9, 18])
def test_long_titles_wrap_and_cut_no_value(qtbot, size):
    table = ScoreTable()
    qtbot.addWidget(table)
    table.setStyleSheet(f"font-size: {size}pt")
    names = ["segmented_object_mean_pearson", "segmented_pq"]
    scores = dict.fromkeys(names, 0.12345)
    table.show_scores({"prediction": scores, "baseline": scores})
    table.resize(table.minimumWidth(), 10)
    rows = table.verticalHeader()
    qtbot.waitUntil(lambda: table.viewport().height() >= rows.length())
    assert table.rowHeight(0) > table.rowHeight(1)
    for column in (1, 2):
        assert table.columnWidth(column) >= table.sizeHintForColumn(column)
    assert table.columnViewportPosition(2) + table.columnWidth(2) <= table.viewport().width()
