"""The figures of a report; matplotlib is imported with the first of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from skimage.color import label2rgb

from napari_pix2pix.data.layouts import Layout
from napari_pix2pix.evaluation._uncertainty import Doubt
from napari_pix2pix.evaluation.cases import Array, Exam, Frame, difference
from napari_pix2pix.metrics.frequencies import SMALLEST, radial_spectrum
from napari_pix2pix.metrics.labels import THRESHOLDS
from napari_pix2pix.metrics.names import headline

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from napari_pix2pix.evaluation.result import Evaluation

COLOURS = {"truth": "black", "prediction": "#0072b2", "trivial": "#e69f00"}  # Okabe & Ito
WORDS = {"truth": "truth", "prediction": "prediction", "trivial": "trivial map"}
# What only the prediction has, what only the truth has, what is another class: said in the report.
_DIFFERENCES = ("#d55e00", "#0072b2", "#cc79a7")

_WIDTH = 12.0  # inches
_LOWEST, _HIGHEST = 1.0, 9.0  # inches of a picture
_MOST_CHANNELS = 4  # of the target that are shown
_MOST_PIXELS = 1024  # of a side; of larger images every n-th pixel is shown
_GREY = "0.85"  # what does not count


def show_frame(frame: Frame, exam: Exam) -> Figure:
    """Show source, prediction, truth and difference side by side, a row for each channel."""
    step = max(1, -(-max(frame.truth.shape[-2:]) // _MOST_PIXELS))
    thin = np.s_[:, ::step, ::step]
    truth, prediction = frame.truth[thin], frame.prediction[thin]
    valid = np.broadcast_to(frame.valid[thin], truth.shape)
    source = None if frame.source is None else frame.source[thin]
    rows, columns = min(len(truth), _MOST_CHANNELS), 4 if source is not None else 3
    height = truth.shape[1] / truth.shape[2] * _WIDTH / columns
    figure = _figure(rows * (min(max(height, _LOWEST), _HIGHEST) + 0.35))
    for row, line in enumerate(figure.subplots(rows, columns, squeeze=False)):
        axes = list(line)
        if source is not None:
            _show_source(axes.pop(0), source, _source_layout(exam))
        one = truth[row], prediction[row], valid[row]
        if exam.codec.kind == "image":
            _show_intensities(axes, *one)
        else:
            _show_labels(axes, *one, exam.codec.kind, source)
        if len(truth) > 1:
            axes[1].set_title(f"truth (channel {row + 1} of {len(truth)})")
    return figure


def show_ranks(evaluation: Evaluation) -> Figure:
    """Show the score of every image, from the best to the worst, beside the trivial map's."""
    from matplotlib.ticker import MaxNLocator

    ranked = evaluation.ranked
    figure = _figure(2.6)
    axes = figure.subplots()
    for side in reversed(evaluation.sides):
        values = [headline(one.sides[side].scores)[1] for one in ranked]
        numbers = range(1, len(ranked) + 1)
        axes.plot(numbers, values, "o", ms=4, color=COLOURS[side], label=WORDS[side])
    axes.set_xlabel("images, best first")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.set_ylabel(headline(evaluation["prediction"])[0])
    return _finished(figure, axes)


def show_spectra(frames: Sequence[tuple[str, Frame]]) -> Figure | None:
    """Show the radial power spectra of some images; None where all are too small.

    Of several channels the first that has any pixel that counts.
    """
    large = [one for one in frames if min(one[1].truth.shape[1:]) >= SMALLEST]
    if not large:
        return None
    figure = _figure(3.2)
    for axes, (title, frame) in zip(figure.subplots(1, 3).flat, large, strict=False):
        sides = {"truth": frame.truth, "trivial": frame.trivial, "prediction": frame.prediction}
        valid = np.broadcast_to(frame.valid, frame.truth.shape)
        channel = int(valid.any(axis=(1, 2)).argmax())
        for side, image in sides.items():
            if image is None or not np.isfinite(image[channel][valid[channel]]).all():
                continue
            plane = image[channel].astype(np.float64)
            frequencies, powers = radial_spectrum(plane, valid[channel])
            how = {"color": COLOURS[side], "label": WORDS[side]}
            known = np.where(powers > 0, powers, np.nan)  # a constant image has no power
            axes.semilogy(frequencies, known, lw=1.5, **how)
        axes.set_title(title)
        axes.set_xlabel("cycles per pixel")
        axes.set_ylabel("power")
        _finished(figure, axes)
    for axes in figure.axes[len(large) :]:
        axes.set_axis_off()
    return figure


def show_thresholds(evaluation: Evaluation) -> Figure:
    """Show F1 of objects over the overlap that is asked for."""
    figure = _figure(3.2, _WIDTH / 2)
    axes = figure.subplots()
    keys = ["f1", *(f"f1_{round(100 * one)}" for one in THRESHOLDS[1:])]
    for side in reversed(evaluation.sides):
        values = [evaluation[side][key] for key in keys]
        axes.plot(THRESHOLDS, values, "o-", color=COLOURS[side], label=WORDS[side])
    axes.set_xlabel("IoU that an object must have to be found")
    axes.set_ylabel("F1")
    axes.set_ylim(0, 1.02)
    return _finished(figure, axes)


def show_doubt(doubt: Doubt) -> Figure:
    """Show a map of the spread, one of the error, and how they go together."""
    height, width = doubt.spread.shape
    figure = _figure(min(6.0, max(3.2, 4 * height / width)))
    left, middle, right = figure.subplots(1, 3)
    unit = "parts of the range"
    for axes, image, title in (
        (left, doubt.spread, "spread of the samples"),
        (middle, np.abs(doubt.error), "error of their mean"),
    ):
        most = float(np.nanpercentile(image, 99.5)) or 1.0
        shown = axes.imshow(image, cmap=_with_bad("magma"), vmin=0, vmax=most)
        axes.set_title(title)
        axes.set_axis_off()
        figure.colorbar(shown, ax=axes, shrink=0.7)
    found = doubt.calibration
    across, up = (1.05 * max(values) or 1.0 for values in (found.spreads, found.errors))
    right.axline((0, 0), slope=1, color="0.6", lw=1, label="calibrated")
    right.plot(found.spreads, found.errors, "o-", color=COLOURS["prediction"], label="found")
    right.set_xlim(0, across)
    right.set_ylim(0, up)
    right.set_box_aspect(1)
    right.ticklabel_format(scilimits=(-2, 3))
    right.set_xlabel(f"spread ({unit})")
    right.set_ylabel(f"error ({unit})")
    return _finished(figure, right)


def _figure(height: float, width: float = _WIDTH) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _finished(figure: Figure, axes: Axes) -> Figure:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="0.9", lw=0.6)
    axes.set_axisbelow(True)
    axes.legend(frameon=False)
    return figure


def _source_layout(exam: Exam) -> Layout:
    opened = exam.pair if exam.translate is not None else exam.source
    assert opened is not None
    return opened.source.layout


def _show_source(axes: Axes, source: Array, layout: Layout) -> None:
    title = "source"
    if layout.rgb and len(source) == 3:
        top = np.iinfo(source.dtype).max if source.dtype.kind in "iu" else max(1.0, source.max())
        axes.imshow(np.moveaxis(source, 0, -1).astype(float).clip(0) / top)
    else:
        plane = _middle(source)
        low, high = _limits(plane)
        axes.imshow(plane, cmap="gray", vmin=low, vmax=high)
        if len(source) > 1:
            title += f" (channel {len(source) // 2 + 1} of {len(source)})"
    axes.set_title(title)
    axes.set_axis_off()


def _show_intensities(
    axes: Sequence[Axes], truth: Array, prediction: Array, valid: NDArray[np.bool_]
) -> None:
    known = np.where(valid, truth, np.nan)
    low, high = _limits(known)
    apart = np.where(valid, difference(prediction, truth, "image"), np.nan)
    most = (high - low) / 2
    for one, image, title in zip(axes, (prediction, known), ("prediction", "truth"), strict=False):
        one.imshow(image, cmap=_with_bad("gray"), vmin=low, vmax=high)
        one.set_title(title)
    axes[2].imshow(apart, cmap=_with_bad("RdBu_r"), vmin=-most, vmax=most)
    axes[2].set_title(f"difference (±{_short(most)})")
    for one in axes:
        one.set_axis_off()


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _show_labels(
    axes: Sequence[Axes],
    truth: Array,
    prediction: Array,
    valid: NDArray[np.bool_],
    kind: str,
    source: Array | None,
) -> None:
    from matplotlib.colors import ListedColormap

    ground = np.zeros(truth.shape) if source is None else _scaled(_middle(source))
    apart = np.where(valid, difference(prediction, truth, kind), 0)
    known = np.where(valid, truth, 0).astype(int)
    shown = ((prediction.astype(int), "prediction"), (known, "truth"))
    for one, (labels, title) in zip(axes, shown, strict=False):
        one.imshow(label2rgb(labels, ground, alpha=0.45, bg_color=None), interpolation="none")
        one.set_title(title)
    colours = ListedColormap(["white", *_DIFFERENCES])
    axes[2].imshow(apart, cmap=colours, vmin=0, vmax=len(_DIFFERENCES), interpolation="none")
    axes[2].set_title("difference")
    for one in axes:
        one.set_axis_off()


def _middle(source: Array) -> Array:
    """Return the channel in the middle: of a stack, the plane nearest to focus."""
    return source[len(source) // 2]


def _limits(image: Array) -> tuple[float, float]:
    finite = image[np.isfinite(image)]
    low, high = np.percentile(finite, (0.1, 99.9)).tolist() if finite.size else (0.0, 1.0)
    return low, high if high > low else low + 1


def _scaled(image: Array) -> NDArray[np.float64]:
    low, high = _limits(image)
    return np.asarray(((np.nan_to_num(image) - low) / (high - low)).clip(0, 1))


def _with_bad(name: str) -> Any:
    from matplotlib import colormaps

    return colormaps[name].with_extremes(bad=_GREY)
