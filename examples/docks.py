"""Drive the docks by their methods: what the mouse does, in a script.

Run it with ``python examples/docks.py``. It opens the generated pair of phase contrast and
fluorescence, trains for half a minute in the Train dock, applies the model in place in the Apply
dock and scores the result in the Evaluate dock. The viewer stays alive all the time.
"""

from __future__ import annotations

import napari
from qtpy.QtCore import QEventLoop


def wait_for(signal) -> None:
    """Wait for a Qt signal while the viewer stays alive."""
    loop = QEventLoop()
    signal.connect(loop.quit)
    loop.exec()


def open_dock(viewer: napari.Viewer, name: str):
    """Open a dock and return its widget."""
    _, widget = viewer.window.add_plugin_dock_widget("napari-pix2pix", name, tabify=True)
    return widget


def main(viewer: napari.Viewer, **fields) -> dict:
    """Train with some fields of the config, apply and evaluate; return the scores."""
    viewer.open_sample("napari-pix2pix", "phase_fluorescence")
    layers = viewer.layers

    train = open_dock(viewer, "Train")
    train.add_pair(layers["phase train"], layers["fluorescence train"])
    train.set_fields(**fields)
    train.train()
    while train.state in ("preparing", "training"):
        wait_for(train.state_changed)

    apply = open_dock(viewer, "Apply")  # it takes the model that was trained last
    apply.set_layers([layers["phase unseen"]])
    apply.apply()
    wait_for(apply.ended)

    evaluate = open_dock(viewer, "Evaluate")
    (result,) = apply.results
    evaluate.set_prediction(result, layers["fluorescence unseen"], source=layers["phase unseen"])
    evaluate.evaluate()
    wait_for(evaluate.ended)
    return evaluate.scores


if __name__ == "__main__":
    viewer = napari.Viewer()
    scores = main(viewer, max_seconds=30)
    print({side: round(scores[side]["pearson"], 3) for side in ("prediction", "baseline")})
    napari.run()
