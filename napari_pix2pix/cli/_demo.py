"""The main tasks without data of one's own: train, translate unseen images, score them.

A stain in scikit-image's immunohistochemistry section, where the target is the DAB stain by
colour deconvolution (Ruifrok and Johnston 2001); then labels on the generated sample pair.
"""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_pix2pix._train import training_events
from napari_pix2pix.cli._console import Ended
from napari_pix2pix.cli._output import check_output
from napari_pix2pix.cli._progress import show_progress, to_json
from napari_pix2pix.data.pair import Pair
from napari_pix2pix.evaluation.evaluate import evaluate_pairs
from napari_pix2pix.io.paths import make_folder, replacing
from napari_pix2pix.napari_layers.samples import stain_nuclei
from napari_pix2pix.training.config import TrainConfig
from napari_pix2pix.training.events import Control
from napari_pix2pix.translator import Translator

_HELD_OUT = 160  # columns on the right
_GAP = 16  # columns between them and the training part
_LABELS_SHARE = 0.75  # of the training time of the stain


_REPORT, _PANELS = "report.json", ("panel.png", "panel_labels.png")
_MODELS = "model.safetensors", "labels.safetensors"


def run_demo(
    out: Path, *, max_seconds: float, overwrite: bool = False, quiet: bool = False
) -> dict[str, Any]:
    """Train, translate and score, and write ``report.json``, two panels and two models into `out`.

    `max_seconds` is the training time of the stain. Returns what the report holds.
    """
    # The stain follows from the colours without noise, so more passes help.
    whole = TrainConfig(max_seconds=max_seconds, validation=0.0, passes=0)
    shorter = whole.model_copy(update={"max_seconds": _LABELS_SHARE * max_seconds})
    make_folder(out)
    for name in (_REPORT, *_PANELS, *_MODELS):
        check_output(out / name, overwrite=overwrite)
    control = Control()  # of both, so that what stops one ends all
    try:
        report = _learn_stain(out, whole, control, quiet=quiet)
        report["labels"] = _learn_labels(out, shorter, control, quiet=quiet)
    except KeyboardInterrupt as error:
        kept = [name for name in (*_MODELS, *_PANELS) if (out / name).exists()]
        finished = f"{out} keeps {', '.join(kept)}" if kept else "Nothing was written"
        again = "run the demo again with --overwrite" if kept else "run the demo again"
        number = getattr(error, "number", signal.SIGINT)
        raise Ended(number, f"Stopped. {finished}; {again}.") from error
    with replacing(out / _REPORT) as fresh:
        fresh.write_text(to_json(report) + "\n")
    return report


def _learn_stain(
    out: Path, config: TrainConfig, control: Control, *, quiet: bool
) -> dict[str, Any]:
    """Train on the left of the section; write the model, and a panel of the right."""
    tissue, stain = _tissue_and_stain()
    edge = tissue.shape[1] - _HELD_OUT
    seen = Pair(tissue[:, : edge - _GAP], stain[:, : edge - _GAP], name="left part")
    unseen = Pair(tissue[:, edge:], stain[:, edge:], name="right part")
    translator, report = _learn(seen, unseen, out / _MODELS[0], config, control, quiet=quiet)
    with replacing(out / _PANELS[0]) as fresh:
        _write_stain_panel(fresh, unseen, translator(unseen.source))
    return {"device": str(next(translator.generator.parameters()).device), **report}


def _learn_labels(
    out: Path, config: TrainConfig, control: Control, *, quiet: bool
) -> dict[str, Any]:
    """Train on the sample's training image; write the model, and a panel of the unseen image."""
    source, labels, unseen_labels, unseen_source = (layer[0] for layer in stain_nuclei())
    unseen = Pair(unseen_source, unseen_labels, name="unseen image")
    seen = Pair(source, labels, name="training image")
    translator, report = _learn(seen, unseen, out / _MODELS[1], config, control, quiet=quiet)
    otsu = translator.info.baselines.predict(np.moveaxis(unseen_source, -1, 0), 0)
    with replacing(out / _PANELS[1]) as fresh:
        _write_labels_panel(
            fresh,
            unseen,
            {
                "prediction": translator(unseen_source),
                "baseline": translator.target_codec.as_target(otsu)[0],
            },
            report["validation"],
        )
    return report


def _learn(
    seen: Pair, unseen: Pair, model: Path, config: TrainConfig, control: Control, *, quiet: bool
) -> tuple[Translator, dict[str, Any]]:
    """Train on one pair, write the model, and score it on another pair."""
    began = time.perf_counter()
    translator = show_progress(
        lambda control: training_events([seen], config, held_out=[unseen], control=control),
        quiet=quiet,
        control=control,
    )
    translator.save(model)
    if control.signal is not None:
        raise Ended(control.signal)
    seconds = time.perf_counter() - began
    scores = evaluate_pairs(translator, [unseen])
    validation = {side: scores[side] for side in ("prediction", "baseline")}
    return translator, {"seconds": round(seconds, 1), "validation": validation}


def _tissue_and_stain() -> tuple[NDArray[np.uint8], NDArray[np.uint16]]:
    """Return the RGB image (512, 512, 3) uint8 and its DAB stain (512, 512) uint16."""
    from skimage.color import rgb2hed
    from skimage.data import immunohistochemistry

    tissue = immunohistochemistry()
    stain = rgb2hed(tissue)[..., 2].clip(min=0)
    return tissue, np.rint(stain / stain.max() * 65535).astype(np.uint16)


def _write_stain_panel(path: Path, pair: Pair, prediction: NDArray[Any]) -> None:
    from matplotlib.figure import Figure

    truth = pair.target
    difference = prediction.astype(float) - truth
    high = float(np.percentile(truth, 99.9))
    figure = Figure(figsize=(11, 8.5), layout="constrained")
    panels = {
        "source (not seen in training)": (pair.source, {}),
        "prediction": (prediction, {"cmap": "magma", "vmin": 0, "vmax": high}),
        "truth": (truth, {"cmap": "magma", "vmin": 0, "vmax": high}),
        "prediction - truth": (difference, {"cmap": "RdBu_r", "vmin": -high / 2, "vmax": high / 2}),
    }
    for axes, (title, (image, style)) in zip(figure.subplots(1, 4), panels.items(), strict=True):
        axes.imshow(image, interpolation="none", **style)
        axes.set_title(title)
        axes.set_axis_off()
    figure.savefig(path, dpi=100)


def _write_labels_panel(
    path: Path, pair: Pair, labels: dict[str, NDArray[Any]], scores: dict[str, Any]
) -> None:
    from matplotlib.figure import Figure

    captions = {side: f"F1 {s['f1']:.2f}, Dice {s['dice']:.2f}" for side, s in scores.items()}
    panels = {
        "truth": pair.target,
        f"prediction: {captions['prediction']}": labels["prediction"],
        f"Otsu's threshold: {captions['baseline']}": labels["baseline"],
    }
    figure = Figure(figsize=(11, 9.2), layout="constrained")
    first, *others = figure.subplots(2, 2).flat
    first.imshow(pair.source, interpolation="none")
    first.set_title("source (not seen in training)")
    for axes, (title, image) in zip(others, panels.items(), strict=True):
        overlay = _overlay(pair.source, image, _match_numbers(image, pair.target))
        axes.imshow(overlay, interpolation="none")
        axes.set_title(title)
    for axes in figure.axes:
        axes.set_axis_off()
    figure.savefig(path, dpi=100)


def _overlay(
    source: NDArray[Any], labels: NDArray[Any], numbers: NDArray[Any]
) -> NDArray[np.float64]:
    """Draw objects over the gray tissue, outlined and coloured by their numbers."""
    from matplotlib import colormaps
    from skimage.color import gray2rgb, rgb2gray
    from skimage.segmentation import mark_boundaries

    palette = np.delete(colormaps["tab10"](range(10))[:, :3], 7, axis=0)  # without its gray
    tissue = 0.4 + 0.6 * gray2rgb(rgb2gray(source))
    colours = 0.4 * tissue + 0.6 * palette[numbers % len(palette)]
    filled = np.where(labels[..., np.newaxis] > 0, colours, tissue)
    outlined: NDArray[np.float64] = mark_boundaries(filled, labels, (0, 0, 0), mode="inner")
    return outlined


def _match_numbers(labels: NDArray[Any], truth: NDArray[Any]) -> NDArray[Any]:
    """Give each object the number, and so the colour, of the true object it overlaps most."""
    numbers = np.zeros(int(labels.max()) + 1, np.int64)
    for number in np.unique(labels[labels > 0]):
        below = truth[labels == number]
        shared = np.bincount(below[below > 0], minlength=1)
        numbers[number] = shared.argmax() if shared.any() else int(truth.max()) + number
    return numbers[labels]
