import pytest
from pytestqt.qtbot import QtBot
from qtpy.QtCore import QPoint, Qt
from qtpy.QtWidgets import QLabel, QLineEdit, QPushButton, QVBoxLayout, QWidget

from napari_pix2pix.widgets.common.elements import Scroll, Section, Sentence, row_of


def column_of(*widgets: QWidget) -> QWidget:
    inside = QWidget()
    layout = QVBoxLayout(inside)
    for widget in widgets:
        layout.addWidget(widget)
    return inside


def show(widget: QWidget, qtbot: QtBot) -> None:
    qtbot.addWidget(widget)
    with qtbot.waitExposed(widget):
        widget.show()


class Column:
    """A column that does not fit: a button, a late line, much else, and what is wanted."""

    def __init__(self) -> None:
        self.button, self.late, self.filler = QPushButton("a"), QLabel("late"), QLabel("much")
        self.wanted = QLabel("wanted")
        inside = column_of(self.button, self.late, self.filler, self.wanted)
        self.late.setFixedHeight(150)
        self.filler.setFixedHeight(500)
        self.wanted.setFixedHeight(100)
        self.late.hide()
        self.wanted.hide()
        self.scroll = Scroll(inside)
        self.scroll.resize(200, 300)

    @property
    def is_shown(self) -> bool:
        """Whether all that is wanted can be seen."""
        top = self.wanted.mapTo(self.scroll.viewport(), QPoint(0, 0)).y()
        bottom = top + self.wanted.height()
        has_place = self.wanted.y() > self.filler.y()
        return has_place and top >= 0 and bottom <= self.scroll.viewport().height()


@pytest.fixture
def column(qtbot):
    made = Column()
    show(made.scroll, qtbot)
    return made


def show_wanted(column: Column, qtbot: QtBot) -> None:
    column.wanted.show()
    column.scroll.show_soon(column.wanted)
    qtbot.waitUntil(lambda: column.is_shown)


def test_what_is_wanted_comes_into_view(column, qtbot):
    assert not column.is_shown
    show_wanted(column, qtbot)


def test_what_comes_later_pushes_nothing_out_of_view(column, qtbot):
    show_wanted(column, qtbot)
    qtbot.wait(100)  # the layout is done by now
    column.late.show()
    qtbot.waitUntil(lambda: column.filler.y() > 150)
    qtbot.waitUntil(lambda: column.is_shown)
    column.scroll.resize(200, 150)
    qtbot.waitUntil(lambda: column.is_shown)


@pytest.mark.parametrize("does", ["click", "scroll", "type"])
def test_what_the_user_does_ends_it(column, qtbot, does):
    show_wanted(column, qtbot)
    bar = column.scroll.verticalScrollBar()
    if does == "click":
        qtbot.mouseClick(column.button, Qt.MouseButton.LeftButton)
    elif does == "type":
        qtbot.keyClick(column.button, Qt.Key.Key_Tab)
    else:
        qtbot.mouseClick(bar, Qt.MouseButton.LeftButton)
    bar.setValue(0)
    column.late.show()
    qtbot.waitUntil(lambda: column.filler.y() > 150)
    qtbot.wait(50)
    assert bar.value() == 0


def test_sentences_take_the_lines_that_they_need(qtbot):
    sentence, below = Sentence(), QLabel("below")
    inside = column_of(sentence, below)
    below.setFixedHeight(300)
    sentence.set_text("words that do not fit into a line " * 4)
    scroll = Scroll(inside)
    scroll.resize(400, 200)
    show(scroll, qtbot)
    needed = sentence.heightForWidth(sentence.width())
    assert needed > sentence.fontMetrics().height()
    assert sentence.height() == needed
    assert inside.height() == inside.layout().heightForWidth(inside.width())


class Shown:
    """A section in a window, with a field and an error that comes later."""

    def __init__(self) -> None:
        self.field, self.error = QLineEdit(), Sentence(is_error=True)
        self.section = Section("Advanced", column_of(self.field, self.error))
        self.window = QWidget()
        outer = QVBoxLayout(self.window)
        outer.addWidget(self.section)
        outer.addStretch(1)
        self.window.resize(200, 600)


@pytest.fixture
def shown(qtbot):
    made = Shown()
    show(made.window, qtbot)
    return made


def test_section_opens_and_closes_by_its_heading(shown, qtbot):
    heading = shown.section.toggleButton()
    assert heading.toolTip() == "Show or hide: Advanced"
    for is_open in (False, True, False):
        assert shown.section.isExpanded() is is_open
        assert shown.field.isVisible() is is_open  # else the tab key would find it
        qtbot.mouseClick(heading, Qt.MouseButton.LeftButton)


def test_open_section_grows_with_what_is_in_it(shown, qtbot):
    shown.section.expand(animate=False)
    qtbot.wait(50)
    height = shown.field.height()
    shown.error.set_text("words that do not fit into a line " * 8)
    qtbot.waitUntil(lambda: shown.error.height() == shown.error.heightForWidth(shown.error.width()))
    assert shown.error.height() > 3 * shown.error.fontMetrics().height()
    assert shown.field.height() == height


def test_open_section_has_room_for_rows_that_wrap(qtbot):
    inside = column_of(QLineEdit())
    inside.layout().addLayout(row_of(*(QPushButton("a long word") for _ in range(4))))
    section = Section("Files", inside)
    window = Scroll(column_of(section, QLabel("below")))
    show(window, qtbot)
    section.expand(animate=False)
    window.resize(window.minimumWidth(), 500)
    qtbot.waitUntil(lambda: inside.width() < 2 * inside.layout().itemAt(1).sizeHint().width() / 3)
    qtbot.waitUntil(lambda: inside.height() >= inside.heightForWidth(inside.width()))
    assert inside.heightForWidth(inside.width()) > inside.sizeHint().height()


def test_arrow_has_the_colour_of_the_text(shown, qtbot):
    for colour in ("#ff0000", "#00ff00"):
        shown.window.setStyleSheet(f"QWidget {{ color: {colour} }}")
        qtbot.wait(50)
        icon = shown.section.toggleButton().icon()
        image = icon.pixmap(icon.availableSizes()[0]).toImage()
        places = [(x, y) for x in range(image.width()) for y in range(image.height())]
        drawn = {
            image.pixelColor(*place).name()
            for place in places
            if image.pixelColor(*place).alpha() > 200
        }
        assert drawn == {colour}
