"""Train on two open layers, translate a third and add the result: what the console can do.

Run it with ``python examples/console.py``, or paste the lines of `translate` into napari's console.
The viewer can be used while it learns; Cancel in the activity dock keeps the model so far.
"""

from __future__ import annotations

import napari

import napari_pix2pix


def translate(viewer: napari.Viewer, seconds: float = 30) -> napari.layers.Image:
    """Learn phase contrast -> fluorescence on the sample, and translate its unseen part."""
    viewer.open_sample("napari-pix2pix", "phase_fluorescence")
    translator = napari_pix2pix.train(
        viewer.layers["phase train"], viewer.layers["fluorescence train"], max_seconds=seconds
    )
    unseen = viewer.layers["phase unseen"]
    result = translator(unseen)  # a layer that lies where its source does
    viewer.add_layer(result)
    scores = napari_pix2pix.evaluate(translator, unseen, viewer.layers["fluorescence unseen"])
    print({side: scores[side]["pearson"] for side in ("prediction", "baseline")})
    return result


if __name__ == "__main__":
    viewer = napari.Viewer()
    translate(viewer)
    napari.run()
