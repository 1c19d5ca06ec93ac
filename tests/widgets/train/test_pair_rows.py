import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtWidgets import QComboBox, QLabel, QToolButton

from napari_pix2pix.errors import InputError
from napari_pix2pix.widgets.common.layer_choice import PREVIEW
from napari_pix2pix.widgets.train._pair_row import PairRow
from napari_pix2pix.widgets.train._pair_rows import PairChoice, PairRows


@pytest.fixture
def rows(viewer, qtbot):
    """Return rows that follow the viewer as napari lets a dock's."""
    made = PairRows(viewer)
    viewer.window.add_dock_widget(made, name="rows")
    return made


def image(viewer, name: str, **kwargs):
    return viewer.add_image(np.zeros((20, 30)), name=name, **kwargs)


def labels(viewer, name: str):
    return viewer.add_labels(np.zeros((20, 30), int), name=name)


def names(rows: PairRows) -> list[tuple[list[str], list[str]]]:
    return [
        ([layer.name for layer in one.sources], [layer.name for layer in one.targets])
        for one in rows.choices()
    ]


def entries(combo: QComboBox) -> list[str]:
    return [combo.itemText(index) for index in range(combo.count())]


def test_first_row_takes_the_only_two_layers(viewer, rows):
    assert names(rows) == [([], [])]
    labels(viewer, "nuclei")
    image(viewer, "stain")
    assert names(rows) == [(["stain"], ["nuclei"])]


@pytest.mark.parametrize("size", [9, 14])
@pytest.mark.parametrize(("width", "are_below"), [(250, True), (700, False)])
def test_narrow_row_gives_names_the_room_and_has_its_buttons_below(qtbot, size, width, are_below):
    row = PairRow()
    qtbot.addWidget(row)
    row.setStyleSheet(f"* {{font-size: {size}pt}}")
    row.resize(width, 200)
    row.show()
    buttons = row.swap.parentWidget()
    assert buttons.findChildren(QToolButton) == [row.swap, row.expand, row.remove]
    top = buttons.mapTo(row, buttons.rect().topLeft()).y()
    assert (top > row.target.geometry().bottom()) == are_below
    boxes = row.source.width(), row.target.width()
    assert min(boxes) >= 150
    assert (boxes[0] == boxes[1]) == are_below


def test_row_is_added_from_the_two_selected_layers(viewer, rows):
    a, b, c, d = (image(viewer, name) for name in "abcd")
    rows.clear()
    viewer.layers.selection = {b, d}
    rows.remove(0)
    rows._add.click()
    assert names(rows)[-1] == (["b"], ["d"])
    viewer.layers.selection = {a, c}
    rows._add.click()
    assert names(rows)[-1] == (["a"], ["c"])


def test_empty_row_is_filled_by_the_button_and_no_second_one_is_added(viewer, rows):
    rows._add.click()
    assert names(rows) == [([], [])]
    for name in "abc":
        image(viewer, name)
    rows.clear()
    rows._add.click()
    assert names(rows) == [([], [])]  # of three layers it can't be known which are meant
    viewer.layers.remove("c")
    rows.clear()
    rows._add.click()
    assert names(rows) == [(["a"], ["b"])]


def test_empty_row_follows_the_selection_and_a_filled_one_does_not(viewer, rows):
    a, b, c, d = (image(viewer, name) for name in "abcd")
    rows.clear()
    viewer.layers.selection = {c, d}
    assert names(rows) == [(["c"], ["d"])]
    viewer.layers.selection = {a, b}
    assert names(rows) == [(["c"], ["d"])]


def test_sides_are_named_and_swapped(viewer, rows):
    a, b = image(viewer, "a"), image(viewer, "b")
    row = rows._rows[0]
    row.set(PairChoice((a.__wrapped__,), (b.__wrapped__,)))
    assert [label.text() for label in row.findChildren(QLabel)][:2] == ["Source", "Target"]
    row.swap.click()
    assert names(rows) == [(["b"], ["a"])]


def test_long_name_is_whole_in_the_tooltip(viewer, rows):
    name = f"{'long ' * 20}name"
    image(viewer, name), image(viewer, "b")
    row = rows._rows[0]
    assert row.source.toolTip().startswith(f"{name}\n\n")
    assert "input" in row.source.toolTip()


def test_layer_on_both_sides_is_refused_beside_the_row(viewer, rows):
    a = image(viewer, "a")
    with pytest.raises(InputError, match="'a' is source and target at a time"):
        PairChoice((a,), (a,)).pair(copy=False)


def test_combos_follow_the_layers(viewer, rows, qtbot):
    a, b = image(viewer, "a"), labels(viewer, "b")
    row = rows._rows[0]
    assert entries(row.source) == ["a", "b"]
    c = image(viewer, "c")
    viewer.add_points(np.zeros((1, 2)), name="points")
    viewer.add_image(np.zeros((4, 4)), name="preview", metadata={PREVIEW: True})
    assert entries(row.source) == ["a", "b", "c"]
    viewer.layers.move(0, 3)
    assert entries(row.source) == ["b", "c", "a"]
    a.name = "renamed"
    assert entries(row.source) == ["b", "c", "renamed"]
    assert row.source.text() == "renamed"
    assert names(rows) == [(["renamed"], ["b"])]
    with qtbot.waitSignal(rows.changed):
        viewer.layers.remove("renamed")
    assert names(rows) == [([], ["b"])]
    assert row.source.text() == "choose a source"
    assert (b in viewer.layers, c in viewer.layers) == (True, True)


def test_masks_are_labels_or_shapes(viewer, rows):
    image(viewer, "a"), image(viewer, "b"), labels(viewer, "inside")
    viewer.add_shapes(name="drawn")
    assert entries(rows._rows[0].mask_choice) == ["none", "inside", "drawn"]


def test_several_layers_become_channels(viewer, rows, qtbot):
    a, b, c = (image(viewer, name) for name in "abc")
    rows.clear()
    rows.add([a, b], [c], None, "stain 1")
    (choice,) = rows.choices()
    pair = choice.pair(copy=False)
    assert (pair.source.channels, pair.target.channels, pair.condition) == (2, 1, "stain 1")
    row = rows._rows[0]
    assert row.source.text() == "a + b"
    row.source.toggle(a)
    assert names(rows) == [(["b"], ["c"])]
    row.source.toggle(a)
    assert names(rows) == [(["b", "a"], ["c"])]


def test_click_on_a_box_ticks_it_and_a_click_on_a_name_takes_it_alone(viewer, rows, qtbot):
    a, _b, _c = (image(viewer, name) for name in "abc")
    rows.clear()
    combo = rows._rows[0].source
    combo.choose([a])
    rows.window().show()
    combo.showPopup()
    view = combo.view()
    place = view.visualRect(combo.model().index(2, 0))
    qtbot.mouseClick(view.viewport(), Qt.MouseButton.LeftButton, pos=place.topLeft() + QPoint(8, 8))
    assert [layer.name for layer in combo.layers] == ["a", "c"]
    combo.hidePopup()
    combo.activated.emit(1)
    assert [layer.name for layer in combo.layers] == ["b"]
    rows.window().hide()


def test_layers_themselves_are_kept(viewer, rows):
    a, _b = image(viewer, "a"), image(viewer, "b")
    a.name = "x"
    assert rows.choices()[0].sources[0] is a.__wrapped__


def test_other_pixels_and_removed_rows_are_told(viewer, rows, qtbot):
    a, b = image(viewer, "a"), labels(viewer, "b")
    with qtbot.waitSignal(rows.changed):
        a.data = np.ones((20, 30))
    with qtbot.waitSignal(rows.changed):
        b.paint((5, 5), 3)
    rows.add([a], [b])
    with qtbot.waitSignal(rows.changed):
        rows._rows[1].remove.click()
    assert len(rows.choices()) == 1
    rows._rows[0].remove.click()
    assert names(rows) == [([], [])]
    with qtbot.assertNotEmitted(rows.changed):
        a.data = np.zeros((20, 30))


def test_mask_and_condition_show_when_they_are_set(viewer, rows):
    a, b, m = image(viewer, "a"), image(viewer, "b"), labels(viewer, "m")
    rows.clear()
    rows.add([a], [b], m)
    row = rows._rows[0]
    assert row.extra.isVisibleTo(rows)
    assert rows.choices()[0].mask is m.__wrapped__
    viewer.layers.remove("m")
    assert rows.choices()[0].mask is None


def test_error_stands_below_its_row(viewer, rows):
    a, b = image(viewer, "a"), image(viewer, "b")
    rows.add([a], [b])
    rows.show_error(1, "Give other layers.")
    assert rows.has_error()
    assert rows._rows[1].error.text() == "Give other layers."
    rows.clear_errors()
    assert not rows.has_error()


def test_a_condition_in_one_row_opens_that_of_all(viewer, rows):
    a, b, c, d = (image(viewer, name) for name in "abcd")
    rows.clear()
    rows.add([a], [b])
    rows.add([c], [d], condition="DAPI", held_out=True)
    assert all(row.expand.isChecked() for row in rows._rows)
    assert [one.held_out for one in rows.choices()] == [False, True]
    rows.show_sources(False)
    assert all(row.source.isHidden() for row in rows._rows)
