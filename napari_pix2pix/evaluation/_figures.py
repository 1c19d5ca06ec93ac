"""The figures of a report; matplotlib is imported with the first of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from skimage.color import label2rgb

from napari_pix2pix.data.layouts import Layout
from napari_pix2pix.evaluation._uncertainty import UncertaintyCheck
from napari_pix2pix.evaluation.result import EvaluationResult
from napari_pix2pix.evaluation.scoring import Array, EvaluationCase, Frame, difference
from napari_pix2pix.metrics.images import Channel
from napari_pix2pix.metrics.labels import THRESHOLDS
from napari_pix2pix.metrics.names import primary_metric
from napari_pix2pix.metrics.spectra import (
    FRC_THRESHOLD,
    SMALLEST_SPECTRUM_SIDE,
    radial_spectrum,
)
from napari_pix2pix.metrics.summary import Kind

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

COLOURS = {"truth": "black", "prediction": "#0072b2", "baseline": "#e69f00"}  # Okabe & Ito
# Only in the prediction, only in the truth, another class; the report explains the colours.
_DIFFERENCES = ("#d55e00", "#0072b2", "#cc79a7")

_WIDTH = 12.0  # inches
_LOWEST, _HIGHEST = 1.0, 9.0  # inches of a picture
_MOST_CHANNELS = 4  # of the target that are shown
_MOST_PIXELS = 1024  # of a side; of larger images every n-th pixel is shown
_GREY = "0.85"  # pixels that do not count


def show_frame(frame: Frame, case: EvaluationCase) -> Figure:
    """Show source, prediction, truth and difference side by side, a row for each channel."""
    frame = frame.fullest_plane()
    step = max(1, -(-max(frame.truth.shape[-2:]) // _MOST_PIXELS))
    thin = np.s_[:, ::step, ::step]
    truth, prediction = frame.truth[thin], frame.prediction[thin]
    valid = np.broadcast_to(frame.valid[thin], truth.shape)
    source = None if frame.source is None else frame.source[thin]
    rows, columns = min(len(truth), _MOST_CHANNELS), 4 if source is not None else 3
    height = truth.shape[1] / truth.shape[2] * _WIDTH / columns
    figure = _figure(rows * (min(max(height, _LOWEST), _HIGHEST) + 0.35))
    for row, row_axes in enumerate(figure.subplots(rows, columns, squeeze=False)):
        axes = list(row_axes)
        if source is not None:
            _show_source(axes.pop(0), source, _source_layout(case))
        planes = truth[row], prediction[row], valid[row]
        if case.codec.kind == "image":
            _show_intensities(axes, *planes)
        else:
            _show_labels(axes, *planes, case.codec.kind, source)
        if len(truth) > 1:
            axes[1].set_title(f"truth (channel {row + 1} of {len(truth)})")
    return figure


def show_ranks(result: EvaluationResult) -> Figure:
    """Show the primary metric of every image, from the best to the worst, and the baseline's."""
    from matplotlib.ticker import MaxNLocator

    ranked = result.ranked
    figure = _figure(2.6)
    axes = figure.subplots()
    for name in reversed(result.predictors):
        values = [primary_metric(image.scored[name].scores)[1] for image in ranked]
        numbers = range(1, len(ranked) + 1)
        axes.plot(numbers, values, "o", ms=4, color=COLOURS[name], label=name)
    axes.set_xlabel("images, best first")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.set_ylabel(primary_metric(result.pooled["prediction"])[0])
    return _finish(figure, axes)


def show_spectra(frames: Sequence[tuple[str, Frame]]) -> Figure | None:
    """Show the radial power spectra of up to 3 titled frames; None if all are too small."""

    def draw(axes: Axes, frame: Frame) -> None:
        images = {"truth": frame.truth, "baseline": frame.baseline, "prediction": frame.prediction}
        valid, channel = _first_channel(frame)
        for name, image in images.items():
            if image is None or not np.isfinite(image[channel][valid]).all():
                continue
            frequencies, powers = radial_spectrum(image[channel].astype(np.float64), valid)
            positive = np.where(powers > 0, powers, np.nan)  # a constant image has no power
            axes.semilogy(frequencies, positive, lw=1.5, color=COLOURS[name], label=name)

    return _show_frequencies(frames, draw, "power")


def show_ring_correlations(frames: Sequence[tuple[str, Frame]]) -> Figure | None:
    """Show the Fourier ring correlations of up to 3 titled frames; None if all are too small."""

    def draw(axes: Axes, frame: Frame) -> None:
        valid, channel = _first_channel(frame)
        truth = frame.truth[channel].astype(np.float64)
        for name, image in reversed(frame.predictions.items()):
            planes = image[channel].astype(np.float64), truth
            compared = Channel(*planes, valid, data_range=1.0)  # which no ring depends on
            rings = compared.rings if compared.scorable else None
            if rings is not None:
                correlations = rings.correlations
                axes.plot(rings.frequencies, correlations, lw=1.5, color=COLOURS[name], label=name)
        axes.axhline(FRC_THRESHOLD, color="0.6", lw=1, ls="--", label="1/7")
        axes.set_ylim(-0.25, 1.05)

    return _show_frequencies(frames, draw, "correlation")


def _show_frequencies(
    frames: Sequence[tuple[str, Frame]], draw: Callable[[Axes, Frame], None], quantity: str
) -> Figure | None:
    """Draw a quantity over frequencies for frames that are large enough, side by side."""
    large = [
        (title, frame)
        for title, frame in frames
        if min(frame.truth.shape[1:]) >= SMALLEST_SPECTRUM_SIDE
    ]
    if not large:
        return None
    figure = _figure(3.2)
    for axes, (title, frame) in zip(figure.subplots(1, 3).flat, large, strict=False):
        draw(axes, frame)
        axes.set_title(title)
        axes.set_xlabel("cycles per pixel")
        axes.set_ylabel(quantity)
        _finish(figure, axes)
    for axes in figure.axes[len(large) :]:
        axes.set_axis_off()
    return figure


def _first_channel(frame: Frame) -> tuple[NDArray[np.bool_], int]:
    """Return the pixels that count (H, W) in the first channel that has any, and its number."""
    valid = np.broadcast_to(frame.valid, frame.truth.shape)
    channel = int(valid.any(axis=(1, 2)).argmax())
    return valid[channel], channel


def show_thresholds(result: EvaluationResult) -> Figure:
    """Show F1 of objects over the overlap that a match needs."""
    figure = _figure(3.2, _WIDTH / 2)
    axes = figure.subplots()
    keys = ["f1", *(f"f1_{round(100 * threshold)}" for threshold in THRESHOLDS[1:])]
    for name in reversed(result.predictors):
        values = [result.pooled[name][key] for key in keys]
        axes.plot(THRESHOLDS, values, "o-", color=COLOURS[name], label=name)
    axes.set_xlabel("IoU above which an object is found")
    axes.set_ylabel("F1")
    axes.set_ylim(0, 1.02)
    return _finish(figure, axes)


def show_uncertainty(check: UncertaintyCheck) -> Figure:
    """Show a map of the spread, a map of the error, and error over spread."""
    height, width = check.spread.shape
    figure = _figure(min(6.0, max(3.2, 4 * height / width)))
    left, middle, right = figure.subplots(1, 3)
    unit = "parts of the range"
    for axes, image, title in (
        (left, check.spread, "spread of the samples"),
        (middle, np.abs(check.error), "error of their mean"),
    ):
        most = float(np.nanpercentile(image, 99.5)) or 1.0
        shown = axes.imshow(image, cmap=_with_grey("magma"), vmin=0, vmax=most)
        _title_picture(axes, title)
        figure.colorbar(shown, ax=axes, shrink=0.7)
    spreads, errors = check.calibration.spreads, check.calibration.errors
    right.axline((0, 0), slope=1, color="0.6", lw=1, label="calibrated")
    right.plot(spreads, errors, "o-", color=COLOURS["prediction"], label="measured")
    right.set_xlim(0, 1.05 * max(spreads) or 1.0)
    right.set_ylim(0, 1.05 * max(errors) or 1.0)
    right.set_box_aspect(1)
    right.ticklabel_format(scilimits=(-2, 3))
    right.set_xlabel(f"spread ({unit})")
    right.set_ylabel(f"error ({unit})")
    return _finish(figure, right)


def _figure(height: float, width: float = _WIDTH) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _finish(figure: Figure, axes: Axes) -> Figure:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="0.9", lw=0.6)
    axes.set_axisbelow(True)
    axes.legend(frameon=False)
    return figure


def _title_picture(axes: Axes, title: str) -> None:
    axes.set_title(title)
    axes.set_axis_off()


def _source_layout(case: EvaluationCase) -> Layout:
    opened = case.pair if case.translate is not None else case.source
    assert opened is not None
    return opened.source.layout


def _show_source(axes: Axes, source: Array, layout: Layout) -> None:
    """Show colours, or the channel in the middle, of a source (C, H, W)."""
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
    _title_picture(axes, title)


def _show_intensities(
    axes: Sequence[Axes], truth: Array, prediction: Array, valid: NDArray[np.bool_]
) -> None:
    counted = np.where(valid, truth, np.nan)
    low, high = _limits(counted)
    differences = np.where(valid, difference(prediction, truth, "image"), np.nan)
    most = (high - low) / 2
    for left, image, title in ((axes[0], prediction, "prediction"), (axes[1], counted, "truth")):
        left.imshow(image, cmap=_with_grey("gray"), vmin=low, vmax=high)
        _title_picture(left, title)
    axes[2].imshow(differences, cmap=_with_grey("RdBu_r"), vmin=-most, vmax=most)
    _title_picture(axes[2], f"difference (±{_short(most)})")


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _show_labels(
    axes: Sequence[Axes],
    truth: Array,
    prediction: Array,
    valid: NDArray[np.bool_],
    kind: Kind,
    source: Array | None,
) -> None:
    from matplotlib.colors import ListedColormap

    background = np.zeros(truth.shape) if source is None else _scaled(_middle(source))
    differences = np.where(valid, difference(prediction, truth, kind), 0)
    counted = np.where(valid, truth, 0)
    for left, labels, title in ((axes[0], prediction, "prediction"), (axes[1], counted, "truth")):
        overlay = label2rgb(labels.astype(int), background, alpha=0.45, bg_color=None)
        left.imshow(overlay, interpolation="none")
        _title_picture(left, title)
    colours = ListedColormap(["white", *_DIFFERENCES])
    axes[2].imshow(differences, cmap=colours, vmin=0, vmax=len(_DIFFERENCES), interpolation="none")
    _title_picture(axes[2], "difference")


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


def _with_grey(name: str) -> Colormap:
    """Return a colormap that shows NaN, the pixels that do not count, in grey."""
    from matplotlib import colormaps

    return colormaps[name].with_extremes(bad=_GREY)
