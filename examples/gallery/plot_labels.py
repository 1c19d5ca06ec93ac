"""
A stain and its labels
======================

Nuclei in stained tissue become objects with numbers, and are counted.
"""

# %%

import matplotlib.pyplot as plt
from skimage.color import label2rgb

from napari_pix2pix import evaluate, train
from napari_pix2pix.napari_layers.samples import stain_nuclei

layers = {meta["name"]: data for data, meta, _ in stain_nuclei()}
unseen, truth = layers["stain unseen"], layers["labels unseen"]
translator = train(layers["stain train"], layers["labels train"], steps=300)
print(translator.info.notes)

# %%
# F1 counts objects that are found. Otsu's threshold with a watershed is the baseline.

scores = evaluate(translator, unseen, truth)
labels = translator(unseen)
titles = {
    f"truth: {truth.max()} nuclei": truth,
    f"prediction: {labels.max()}, F1 {scores['prediction']['f1']:.2f}": labels,
}
figure, axes = plt.subplots(1, 3, figsize=(10, 3.6), layout="constrained")
axes[0].imshow(unseen)
axes[0].set_title("stain (unseen)")
for axis, (title, image) in zip(axes[1:], titles.items(), strict=True):
    axis.imshow(label2rgb(image, unseen, bg_label=0, alpha=0.5))
    axis.set_title(title)
for axis in axes:
    axis.set_axis_off()
print(f"baseline: F1 {scores['baseline']['f1']:.2f}")
