"""What the Train dock shows while the viewer is empty."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtWidgets import QDialog, QFrame, QMenu, QTextBrowser, QVBoxLayout, QWidget

from napari_pix2pix.widgets.common.elements import Sentence, lay_out_column, push_button, row_of
from napari_pix2pix.widgets.common.layer_choice import is_image
from napari_pix2pix.widgets.samples import open_sample

if TYPE_CHECKING:
    import napari.viewer

_GUIDE = Path(__file__).parents[1] / "guide.md"
_TEXT = (
    "A network learns from two images of the same field what one looks like in the other: phase "
    "contrast and a fluorescent stain, a stained tissue and the labels of its nuclei. Open both "
    "images in napari, or try it on drawn cells. That takes about a minute."
)


class Welcome(QFrame):
    """Says what the dock is for, and offers a first try; hidden once data is chosen."""

    try_clicked = Signal()

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self._viewer = viewer
        self.message = Sentence()
        self.message.set_text(_TEXT)
        self.try_it = push_button(
            "Try it",
            "Open the sample, train for at most a minute, apply the model to an unseen image and "
            "compare with the truth.",
        )
        self.open_sample = push_button("Open sample", "Open images to train on, and do the rest.")
        menu = QMenu(self.open_sample)
        menu.addAction("Phase contrast and fluorescence", self._open_phase)
        menu.addAction("Stained tissue and labels of nuclei", self._open_stain)
        self.open_sample.setMenu(menu)
        self.guide = push_button("Guide", "Read the first steps in a window.")
        buttons = row_of(self.try_it, self.open_sample, self.guide)
        lay_out_column(self, self.message, buttons, spacing=6)
        self.try_it.clicked.connect(self.try_clicked)
        self.guide.clicked.connect(self.show_guide)
        self.follow(is_files=False)

    def follow(self, *, is_files: bool) -> None:
        """Show this only while the viewer has no image and no files are chosen either."""
        has_image = any(is_image(layer) for layer in self._viewer.layers)
        self.setVisible(not has_image and not is_files)

    def show_guide(self) -> None:
        """Open the guide in a window."""
        Guide(self).show()

    def _open_phase(self) -> None:
        open_sample(self._viewer, "phase_fluorescence")

    def _open_stain(self) -> None:
        open_sample(self._viewer, "stain_nuclei")


class Guide(QDialog):
    """A window with the first steps in words."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowTitle("napari-pix2pix: the first steps")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.text = QTextBrowser()
        self.text.setMarkdown(_GUIDE.read_text(encoding="utf-8"))
        QVBoxLayout(self).addWidget(self.text)
        self.resize(self.sizeHint().expandedTo(QSize(560, 620)))
