"""
A first translation
===================

Phase contrast becomes fluorescence, on a field that the network never saw.
"""

# %%
# The sample has a pair to train on and an unseen pair.

import matplotlib.pyplot as plt

from napari_pix2pix import evaluate, train
from napari_pix2pix.napari_layers.samples import phase_fluorescence

layers = {meta["name"]: data for data, meta, _ in phase_fluorescence()}
print({name: (data.shape, str(data.dtype)) for name, data in layers.items()})

# %%
# Train. These 200 steps take some 15 seconds; a minute or more is better.

translator = train(layers["phase train"], layers["fluorescence train"], steps=200)
print(translator.info)

# %%
# Apply it to the unseen field, and compare with the truth.

unseen, truth = layers["phase unseen"], layers["fluorescence unseen"]
made = translator(unseen)
scores = evaluate(translator, unseen, truth)
network, linear = scores["prediction"]["pearson"], scores["baseline"]["pearson"]

figure, axes = plt.subplots(1, 3, figsize=(10, 3.6), layout="constrained")
pictures = {
    "phase contrast (unseen)": (unseen, {"cmap": "gray"}),
    f"prediction, Pearson {network:.2f}": (made, {"cmap": "magma", "vmax": truth.max()}),
    "truth": (truth, {"cmap": "magma", "vmax": truth.max()}),
}
for axis, (title, (image, style)) in zip(axes, pictures.items(), strict=True):
    axis.imshow(image, **style)
    axis.set_title(title)
    axis.set_axis_off()

# %%
# The baseline, a straight line from gray value to gray value, stands beside every score.

print(f"network {network:.3f}, baseline {linear:.3f}")
