"""A field for the halo of a model whose file does not say it."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QLabel, QSpinBox, QWidget

from napari_pix2pix.widgets.common.elements import lay_out_column, pass_wheel_on, row_of

_UNKNOWN = -1
_MOST = 4096
_TIP = (
    "On how many pixels around it a pixel of the result depends; the file does not say it. With "
    "it, large images are cut into tiles. Too few show as seams"
)


class HaloField(QWidget):
    """A number of pixels; hidden for a model whose halo is known."""

    changed = Signal()  # the user chose another number

    def __init__(self) -> None:
        super().__init__()
        self.box = QSpinBox()
        self.box.setRange(_UNKNOWN, _MOST)
        self.box.setSpecialValueText("not known")
        self.box.setSuffix(" px")
        self.box.setKeyboardTracking(False)
        self.box.setToolTip(_TIP)
        pass_wheel_on(self.box)
        self.box.valueChanged.connect(self.changed)
        column = lay_out_column(self, row_of(QLabel("Halo"), self.box))
        column.setContentsMargins(0, 0, 0, 0)
        self.hide()

    @property
    def value(self) -> int | None:
        """The halo in pixels; None where it is not known."""
        return None if self.box.value() == _UNKNOWN else self.box.value()

    def offer(self, halo: int | None, *, shown: bool) -> None:
        """Show the halo of another model, or hide the field."""
        self.box.blockSignals(True)
        self.box.setValue(_UNKNOWN if halo is None else halo)
        self.box.blockSignals(False)
        self.setVisible(shown)
