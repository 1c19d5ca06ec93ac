"""
Where to doubt a prediction
===========================

Two maps: how far several answers differ, and where the image is unlike the training.
"""

# %%

import matplotlib.pyplot as plt
import numpy as np

from napari_pix2pix import train
from napari_pix2pix.napari_layers.samples import phase_fluorescence

layers = {meta["name"]: data for data, meta, _ in phase_fluorescence()}
translator = train(layers["phase train"], layers["fluorescence train"], steps=200)

# %%
# A foreign structure is put into the unseen field: stripes, as of a ruler.

image = layers["phase unseen"].copy()
rows = np.arange(image.shape[0])[:, None]
stripes = np.where(rows % 12 < 6, image.max(), image.min())
image[:, :96] = np.broadcast_to(stripes, image.shape)[:, :96]

# %%
# Eight flips and quarter turns give eight answers. *Unlikeness* is above 1 where the network sees
# what it did not see in training.

mean, std, _ = translator.spread(image, n=8, turns=8)
unlike = translator.unlikeness_map(image)

figure, axes = plt.subplots(1, 4, figsize=(12, 3.4), layout="constrained")
pictures = {
    "source, with stripes": (image, "gray", None),
    "prediction (mean of 8)": (mean, "magma", None),
    "spread of 8 answers": (std, "viridis", None),
    "unlikeness": (unlike, "cividis", 2),
}
for axis, (title, (shown, colours, high)) in zip(axes, pictures.items(), strict=True):
    drawn = axis.imshow(shown, cmap=colours, vmin=0 if high else None, vmax=high)
    figure.colorbar(drawn, ax=axis, shrink=0.7)
    axis.set_title(title)
    axis.set_axis_off()
