"""A model file that is dropped on a dock."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from qtpy.QtCore import QEvent, QObject, Signal
from qtpy.QtGui import QDropEvent
from qtpy.QtWidgets import QWidget

from napari_pix2pix.io.model_header import DESCRIPTIONS, ENDING, TORCH_ENDINGS, is_external

_ENDINGS = (ENDING, *TORCH_ENDINGS, ".onnx", ".zip")


class ModelDrops(QObject):
    """Takes model files, and folders that are packages, that are dropped on a widget."""

    dropped = Signal(object)  # the path of one

    def __init__(self, widget: QWidget) -> None:
        super().__init__(widget)
        widget.setAcceptDrops(True)
        widget.installEventFilter(self)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802
        """Accept a single model; leave all else to those below."""
        kinds = QEvent.Type.DragEnter, QEvent.Type.Drop
        if event is None or event.type() not in kinds:
            return False
        path = _model_in(cast(QDropEvent, event))
        if path is None:
            return False
        cast(QDropEvent, event).acceptProposedAction()
        if event.type() == QEvent.Type.Drop:
            self.dropped.emit(path)
        return True


def _model_in(event: QDropEvent) -> Path | None:
    """Return the one model that is dragged; None where there is another file or several."""
    data = event.mimeData()
    files = [url.toLocalFile() for url in data.urls()] if data is not None else []
    if len(files) != 1 or not files[0]:
        return None
    path = Path(files[0])
    is_named_so = path.suffix.lower() in _ENDINGS or path.name in DESCRIPTIONS
    is_model = is_named_so and path.is_file()
    return path if is_model or (path.is_dir() and is_external(path)) else None
