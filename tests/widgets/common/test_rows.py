from qtpy.QtCore import QRect
from qtpy.QtWidgets import QCheckBox, QSizePolicy, QWidget

from napari_pix2pix.widgets.common.elements import row_of, wrap_text


def boxes(count: int, width: int = 100) -> list[QWidget]:
    made = []
    for _ in range(count):
        box = QWidget()
        box.setMinimumSize(width, 20)
        made.append(box)
    return made


def laid_out(widgets: list[QWidget], width: int) -> tuple[QWidget, list[tuple[int, int, int]]]:
    """Place widgets in a row of this width; return left end, top and width of each."""
    parent = QWidget()
    row = row_of(*widgets)
    row.setContentsMargins(0, 0, 0, 0)
    parent.setLayout(row)
    parent.resize(width, row.heightForWidth(width))
    row.setGeometry(QRect(0, 0, width, row.heightForWidth(width)))
    return parent, [(box.x(), box.y(), box.width()) for box in widgets]


def test_row_shares_its_width_among_all_widgets(qtbot):
    parent, places = laid_out(boxes(2), 306)
    qtbot.addWidget(parent)
    assert places == [(0, 0, 150), (156, 0, 150)]


def test_row_goes_on_in_the_next_line_where_it_is_too_narrow(qtbot):
    parent, places = laid_out(boxes(3), 210)
    qtbot.addWidget(parent)
    assert [(x, y) for x, y, _ in places] == [(0, 0), (108, 0), (0, 26)]
    assert places[2][2] == 210
    assert parent.layout().minimumSize().width() == 100


def test_row_leaves_what_is_over_to_the_widget_that_grows(qtbot):
    fixed, growing = boxes(2)
    growing.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
    parent, places = laid_out([fixed, growing], 406)
    qtbot.addWidget(parent)
    assert [width for _, _, width in places] == [100, 300]


def test_hidden_widgets_take_no_place_in_a_row(qtbot):
    first, hidden, last = boxes(3)
    hidden.hide()
    parent, places = laid_out([first, hidden, last], 206)
    qtbot.addWidget(parent)
    assert places[0] == (0, 0, 100)
    assert places[2] == (106, 0, 100)


def test_text_of_a_check_box_wraps_and_comes_back(qtbot):
    box = QCheckBox("Score objects found by a threshold")
    whole = box.sizeHint().width()
    wrap_text(box)
    qtbot.addWidget(box)
    box.resize(whole // 2, 40)
    box.show()
    qtbot.waitUntil(lambda: "\n" in box.text())
    assert box.text().split() == ["Score", "objects", "found", "by", "a", "threshold"]
    assert box.accessibleName() == "Score objects found by a threshold"
    box.resize(whole + 20, 40)
    qtbot.waitUntil(lambda: box.text() == "Score objects found by a threshold")
