"""The main job on a real image: learn a stain, translate what was never seen, show how good it is.

The image is the immunohistochemistry section that scikit-image ships. Its source is the RGB image,
its target the DAB stain by colour deconvolution (Ruifrok and Johnston 2001).
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

from napari_pix2pix.evaluation import evaluate_pairs
from napari_pix2pix.fitting import training_events
from napari_pix2pix.formats.atomic import replacing
from napari_pix2pix.formats.paths import make_folder
from napari_pix2pix.pairs.pair import Pair
from napari_pix2pix.progress import show_progress, to_json
from napari_pix2pix.training.config import TrainConfig

_HELD_OUT = 160  # columns on the right
_GAP = 16  # columns between them and the training part


def run_demo(out: Path, *, max_seconds: float, quiet: bool = False) -> dict[str, Any]:
    """Train, translate, score, and write ``report.json``, ``panel.png`` and the model.

    Parameters
    ----------
    out : Path
        Folder, made when it is not there; its files are replaced.
    max_seconds : float
        Time to train.
    quiet : bool
        Show no progress.

    Returns
    -------
    dict
        ``seconds`` of training, ``device``, ``validation.prediction`` and
        ``validation.trivial``.
    """
    config = TrainConfig(max_seconds=max_seconds, validation=0.0)
    make_folder(out)
    tissue, stain = _tissue_and_stain()
    edge = tissue.shape[1] - _HELD_OUT
    seen = Pair(tissue[:, : edge - _GAP], stain[:, : edge - _GAP], name="left part")
    unseen = Pair(tissue[:, edge:], stain[:, edge:], name="right part")
    began = time.perf_counter()
    translator = show_progress(
        lambda control: training_events([seen], config, held_out=[unseen], control=control),
        quiet=quiet,
    )
    seconds = time.perf_counter() - began
    translator.save(out / "model.safetensors")
    scores = evaluate_pairs(translator, [unseen])
    report = {
        "seconds": round(seconds, 1),
        "device": str(next(translator.generator.parameters()).device),
        "validation": {side: scores[side] for side in ("prediction", "trivial")},
    }
    with replacing(out / "panel.png") as fresh:
        _write_panel(fresh, unseen, translator(unseen.source))
    with replacing(out / "report.json") as fresh:
        fresh.write_text(to_json(report) + "\n")
    return report


def _tissue_and_stain() -> tuple[np.ndarray, np.ndarray]:
    """Return the RGB image (512, 512, 3) uint8 and its DAB stain (512, 512) uint16."""
    from skimage.color import rgb2hed
    from skimage.data import immunohistochemistry

    tissue = immunohistochemistry()
    stain = rgb2hed(tissue)[..., 2].clip(min=0)
    return tissue, np.rint(stain / stain.max() * 65535).astype(np.uint16)


def _write_panel(path: Path, pair: Pair, prediction: np.ndarray) -> None:
    from matplotlib.figure import Figure

    truth = pair.target
    difference = prediction.astype(float) - truth
    high = float(np.percentile(truth, 99.9))
    figure = Figure(figsize=(11, 8.5), layout="constrained")
    shown = {
        "source (never seen)": (pair.source, {}),
        "prediction": (prediction, {"cmap": "magma", "vmin": 0, "vmax": high}),
        "truth": (truth, {"cmap": "magma", "vmin": 0, "vmax": high}),
        "prediction - truth": (difference, {"cmap": "RdBu_r", "vmin": -high / 2, "vmax": high / 2}),
    }
    for axes, (title, (image, how)) in zip(figure.subplots(1, 4), shown.items(), strict=True):
        axes.imshow(image, interpolation="none", **how)
        axes.set_title(title)
        axes.set_axis_off()
    figure.savefig(path, dpi=100)
