"""The table of missed and false objects; a click on a row shows the object in the viewer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from qtpy.QtCore import QEvent, Qt, Signal
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableWidget, QTableWidgetItem

from napari_pix2pix.metrics.object_errors import ObjectError
from napari_pix2pix.napari_layers import Snapshot
from napari_pix2pix.widgets.common.elements import ROW_PADDING

if TYPE_CHECKING:
    from napari_pix2pix.evaluation.scoring import ImageScores

_MOST = 500  # rows: more are read by nobody
_SHOWN = 6  # rows without scrolling
_SIDE = 8  # sides of an object that the view is high, at most


class Place(NamedTuple):
    """An object that is missed or false, and the frame that it lies in."""

    frame: int
    image: str  # its name
    error: ObjectError


class ObjectTable(QTableWidget):
    """One row for each object that is missed or false; hidden without any."""

    chosen = Signal(object)  # the `Place` of the row that was clicked

    def __init__(self) -> None:
        super().__init__()
        self._places: list[Place] = []
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setToolTip(
            "Objects without a match, large ones first: click one, and the view goes there"
        )
        self.setWordWrap(False)
        self.setColumnCount(3)
        header, rows = self.horizontalHeader(), self.verticalHeader()
        assert header is not None
        assert rows is not None
        header.setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        rows.hide()
        self.currentCellChanged.connect(self._take)
        self.hide()

    def show_errors(self, images: Sequence[ImageScores]) -> None:
        """Show the objects of all images that are missed or false."""
        volumes = any(image.case.volumes for image in images)
        self.setHorizontalHeaderLabels(["Object", "Image", "Voxels" if volumes else "Pixels"])
        found = [
            Place(
                image.number * image.case.depth + round(error.plane or 0),
                image.name if error.plane is None else f"{image.name} z={error.plane:.0f}".strip(),
                error,
            )
            for image in images
            for error in image.object_errors
        ]
        self._places = sorted(found, key=lambda place: -place.error.area)[:_MOST]
        self.blockSignals(True)
        self.setCurrentCell(-1, -1)
        self.setRowCount(len(self._places))
        for row, place in enumerate(self._places):
            for column, text in enumerate((place.error.kind, place.image, str(place.error.area))):
                item = QTableWidgetItem(text)
                item.setToolTip(text)
                if column == 2:
                    item.setTextAlignment(
                        Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
                    )
                self.setItem(row, column, item)
        self.blockSignals(False)
        self.setVisible(bool(self._places))
        self._fit_height()

    def changeEvent(self, a0: QEvent | None) -> None:  # noqa: N802
        """Give a larger font the room that it needs."""
        super().changeEvent(a0)
        if a0 is not None and a0.type() == QEvent.Type.FontChange:
            self._fit_height()

    def _fit_height(self) -> None:
        header, rows = self.horizontalHeader(), self.verticalHeader()
        assert header is not None
        assert rows is not None
        height = self.fontMetrics().height() + ROW_PADDING
        rows.setDefaultSectionSize(height)
        shown = min(len(self._places), _SHOWN)
        self.setFixedHeight(header.sizeHint().height() + shown * height + 2 * self.frameWidth())

    def _take(self, row: int, *_: int) -> None:
        if 0 <= row < len(self._places):
            self.chosen.emit(self._places[row])


def go_to(viewer: Any, truth: Snapshot, place: Place) -> None:
    """Move the view to an object of the truth's frame, and closer if it is small there."""
    shape, transform = truth.field_shape, truth.field_transform
    frame = np.unravel_index(place.frame, shape[:-2]) if len(shape) > 2 else ()
    point = [*(int(index) for index in frame), place.error.row, place.error.column]
    world = (transform.matrix @ [*point, 1.0])[:-1]
    dims, camera = viewer.dims, viewer.scene.camera
    for axis in dims.not_displayed:
        own = axis - dims.ndim
        if -own <= len(world):
            dims.set_point(axis, world[own])
    camera.center = tuple(world[-2:])
    axes = 2 if place.error.plane is None else 3
    side = place.error.area ** (1 / axes) * abs(transform.scale[-1])
    camera.zoom = max(camera.zoom, min(viewer.canvas.size) / (_SIDE * side))
