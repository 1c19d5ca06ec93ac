"""
What L1 and the adversarial term do
===================================

The paper's experiment in the small: the same network, data and number of steps, with L1 alone and
with both terms.
"""

# %%

import matplotlib.pyplot as plt

from napari_pix2pix import evaluate, train
from napari_pix2pix.napari_layers.samples import phase_fluorescence

layers = {meta["name"]: data for data, meta, _ in phase_fluorescence()}
unseen, truth = layers["phase unseen"], layers["fluorescence unseen"]
recipes = {
    "L1": {"adversarial_weight": 0.0},
    "L1 + cGAN": {"adversarial_weight": 1.0, "adversarial_start": 0.2, "adversarial_full": 0.4},
}

made, scores = {}, {}
for name, recipe in recipes.items():
    translator = train(layers["phase train"], layers["fluorescence train"], steps=150, **recipe)
    made[name] = translator(unseen)
    scores[name] = evaluate(translator, unseen, truth)["prediction"]

# %%
# L1 alone scores as well or better, pixel by pixel. The adversarial term is for fine texture, which
# takes it longer than these few steps.

figure, axes = plt.subplots(1, 3, figsize=(10, 3.6), layout="constrained")
part = (slice(0, 128), slice(0, 128))
for axis, (name, image) in zip(axes, {**made, "truth": truth}.items(), strict=True):
    axis.imshow(image[part], cmap="magma", vmax=truth[part].max())
    axis.set_title(name)
    axis.set_axis_off()
for name, found in scores.items():
    print(f"{name}: Pearson {found['pearson']:.3f}, SSIM {found['ssim']:.3f}")
