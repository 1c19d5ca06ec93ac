"""Pictures on labels."""

from __future__ import annotations

import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtGui import QImage, QPixmap
from qtpy.QtWidgets import QLabel


def picture_label(picture: np.ndarray, height: int) -> QLabel:
    """Return a label that shows a picture, uint8 (h, w, 3), so many pixels high."""
    label = QLabel()
    label.setPixmap(pixmap(picture, height))
    return label


def pixmap(picture: np.ndarray, height: int) -> QPixmap:
    """Bring a picture, uint8 (h, w, 3), to the screen, so many pixels high."""
    rows, columns, _ = picture.shape
    form = QImage.Format.Format_RGB888
    image = QImage(picture.tobytes(), columns, rows, 3 * columns, form).copy()
    how = Qt.TransformationMode.FastTransformation
    return QPixmap.fromImage(image).scaledToHeight(height, how)
