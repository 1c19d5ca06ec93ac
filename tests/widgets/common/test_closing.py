import numpy as np
import pytest
from napari.components import ViewerModel
from qtpy.QtCore import QEvent, Qt
from qtpy.QtGui import QCloseEvent
from qtpy.QtWidgets import QDockWidget, QMainWindow, QMessageBox, QWidget

from napari_pix2pix.widgets.common.closing import (
    ClosingGuard,
    WindowGuard,
    ask_what_to_keep,
)


@pytest.fixture
def docked(qtbot):
    """Return a window and a widget that is docked in it, after the guard may have come."""
    window, inner = QMainWindow(), QWidget()
    qtbot.addWidget(window)
    return window, inner


def dock(window: QMainWindow, inner: QWidget) -> QDockWidget:
    made = QDockWidget()
    made.setWidget(inner)
    window.addDockWidget(Qt.DockWidgetArea.RightDockWidgetArea, made)
    return made


def spontaneous_close(window: QMainWindow) -> bool:
    """Send what a click on the window's button sends; return whether it was refused."""

    class Clicked(QCloseEvent):
        def spontaneous(self):
            return True

    return WindowGuard.of(window, ViewerModel()).eventFilter(window, Clicked())


@pytest.mark.parametrize("taken_out", [False, True])
def test_end_of_a_dock_is_told(docked, qtbot, taken_out):
    window, inner = docked
    guard = ClosingGuard(inner, ViewerModel(), lambda: "")
    dock(window, inner)
    with qtbot.waitSignal(guard.closing):
        if taken_out:
            inner.setParent(None)
        else:
            window.close()


@pytest.mark.parametrize("emptied", ["never", "before", "by the script that closes"])
def test_menu_and_shortcut_are_told_from_a_script(docked, qtbot, monkeypatch, emptied):
    window, inner = docked
    viewer = ViewerModel()
    viewer.add_image(np.zeros((4, 4)))
    asked: list[str] = []
    no = QMessageBox.StandardButton.No
    monkeypatch.setattr(QMessageBox, "question", lambda *told: asked.append(told[-1]) or no)
    guard = ClosingGuard(inner, viewer, lambda: "Close?")
    told: list[int] = []
    guard.closing.connect(lambda: told.append(1))
    dock(window, inner)
    window.show()
    if emptied != "never":
        viewer.layers.clear()
    if emptied == "before":
        qtbot.wait(10)  # the user removed the layers while the training went on
    by_script = emptied == "by the script that closes"
    assert window.close() is by_script
    assert bool(told) is by_script
    assert bool(asked) is not by_script
    guard.deleteLater()


def test_hiding_and_floating_close_nothing(docked, qtbot):
    window, inner = docked
    guard = ClosingGuard(inner, ViewerModel(), lambda: "")
    made = dock(window, inner)
    window.show()
    with qtbot.assertNotEmitted(guard.closing):
        made.hide()
        made.show()
        made.setFloating(True)
        made.setFloating(False)
    made.setFloating(True)
    with qtbot.waitSignal(guard.closing):
        window.close()


@pytest.mark.parametrize(
    ("question", "answer", "closes"),
    [
        ("", None, True),
        ("Stop?", QMessageBox.StandardButton.Yes, True),
        ("Stop?", QMessageBox.StandardButton.No, False),
    ],
)
def test_user_is_asked_once_while_there_is_something_to_ask(
    docked, qtbot, monkeypatch, question, answer, closes
):
    window, inner = docked
    asked: list[str] = []
    monkeypatch.setattr(QMessageBox, "question", lambda *told: asked.append(told[-1]) or answer)
    guard = ClosingGuard(inner, ViewerModel(), lambda: question)
    dock(window, inner)
    told: list[int] = []
    guard.closing.connect(lambda: told.append(1))
    window.show()
    is_held = spontaneous_close(window)
    # What the user agreed to closes the window without napari's own question.
    assert is_held is bool(question)
    qtbot.wait(20)
    assert window.isVisible() is (not closes or not question)
    assert asked == ([question] if question else [])
    assert bool(told) is closes
    guard.deleteLater()


def test_other_events_pass(docked):
    window, inner = docked
    ClosingGuard(inner, ViewerModel(), lambda: "")
    dock(window, inner)
    assert not WindowGuard.of(window, ViewerModel()).eventFilter(window, QEvent(QEvent.Type.Resize))


def test_nothing_ends_before_all_were_asked(docked, qtbot, monkeypatch):
    window, inner = docked
    other = QWidget()
    guards = [ClosingGuard(one, ViewerModel(), lambda: "Close?") for one in (inner, other)]
    dock(window, inner)
    dock(window, other)
    yes = QMessageBox.StandardButton.Yes
    answers = [yes, QMessageBox.StandardButton.No]
    monkeypatch.setattr(QMessageBox, "question", lambda *_: answers.pop(0) if answers else yes)
    told: list[int] = []
    for guard in guards:
        guard.closing.connect(lambda: told.append(1))
    assert spontaneous_close(window)
    assert answers == []
    assert told == []


def test_dock_that_is_gone_is_not_asked(docked):
    window, inner = docked
    ClosingGuard(inner, ViewerModel(), lambda: "Close?")
    made = dock(window, inner)
    inner.setParent(None)
    assert not spontaneous_close(window)
    made.deleteLater()


@pytest.mark.parametrize("answer", ["keep", "discard", "cancel"])
def test_three_answers_are_told_apart(docked, qtbot, monkeypatch, answer):
    window, _ = docked

    def click(box):
        assert box.text() == "What now?"
        assert [button.text().strip("&") for button in box.buttons()] != []
        next(one for one in box.buttons() if one.text().strip("&").lower() == answer).click()

    monkeypatch.setattr(QMessageBox, "exec", click)
    assert ask_what_to_keep(window, "What now?") == answer
