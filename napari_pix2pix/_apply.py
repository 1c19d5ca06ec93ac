"""Whole images through a model: arrays, dask arrays and napari layers in, the same kind out."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Hashable, Sequence
from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_pix2pix.data.channel_look import Looks
from napari_pix2pix.data.codecs import Codec, Output
from napari_pix2pix.data.inputs import check_finite, open_for_codec
from napari_pix2pix.data.lazy_image import LazyImage
from napari_pix2pix.errors import InputError, own_errors
from napari_pix2pix.inference.checks import (
    check_options,
    warn_of_intensities,
    warn_of_names,
    warn_of_pixel_size,
    warn_of_type,
)
from napari_pix2pix.inference.dask_arrays import is_lazy, predict_lazily
from napari_pix2pix.inference.devices import out_of_memory_in_words
from napari_pix2pix.inference.options import (
    NormStatistics,
    Precision,
    PredictOptions,
    Turns,
    check_callable,
    check_integer,
)
from napari_pix2pix.inference.predictor import Predictor, warn_of_invalid
from napari_pix2pix.inference.tiling import FrameCollector, OnTile, PredictedTile
from napari_pix2pix.inference.uncertainty import Spread, SpreadCollector, check_spread, shown_names
from napari_pix2pix.inference.unlikeness import share_unlike
from napari_pix2pix.napari_layers import (
    Snapshot,
    image_of,
    result_layer,
    result_layers,
    result_record,
)
from napari_pix2pix.napari_layers.keep_responsive import ProgressReporter, run_responsive
from napari_pix2pix.training.model_info import ModelInfo

_NO_MEMORY = "the image was translated", "Use smaller tiles, fewer samples, or a part of the image."


class ImagePredictor(Predictor):
    """What a `Translator` does with images; it adds what the model is."""

    info: ModelInfo

    @cached_property
    def digest(self) -> str:
        """Hash of the weights that are applied, 16 hexadecimal digits: the same in every file."""
        whole = hashlib.sha256()
        for name, tensor in sorted(self.generator.state_dict().items()):
            whole.update(name.encode())
            whole.update(tensor.detach().cpu().contiguous().numpy().tobytes())
        return whole.hexdigest()[:16]

    @own_errors()
    def __call__(
        self,
        image: Any,
        *,
        condition: Hashable = None,
        output: Output = "target",
        tile: int | None = None,
        batch: int | None = None,
        device: str | None = None,
        norm_statistics: NormStatistics = "running",
        dropout: bool = False,
        turns: Turns = 1,
        precision: Precision = "32-true",
        compile: bool = False,
        seed: int | None = None,
        samples: int = 1,
        resample: bool = False,
        pixel_size: float | None = None,
        plane_distance: float | None = None,
        on_tile: OnTile | None = None,
    ) -> Any:
        """Translate an image, or each frame of a stack.

        Parameters
        ----------
        image : array_like, napari layer, or tuple of layers
            Laid out as the sources of the training were: (..., H, W), (..., H, W, 3) for RGB, or
            with the channel axis where it was; leading axes are frames. Any height and width. A
            model of volumes (``ndim=3``) sees all planes of the last frame axis together. A
            tuple of layers is one image whose channels they are.
        condition : hashable, optional
            One of `conditions`; needed when there are any.
        output : {"target", "float"}
            The target's dtype, rounded and clipped, or floating point in the target's units, not
            clipped.
        tile : int, optional
            Side of the tiles in pixels; 0 is the whole image, None chooses by memory. Tiles equal
            the whole image. Where norms measure each image, they nearly do: it is measured once.
        batch : int, optional
            Tiles at once; None chooses by memory.
        device : str, optional
            ``cpu``, ``cuda``, ``mps``; the fastest that is found when not given.
        norm_statistics : {"running", "per-image"}
            Batch norm uses the statistics of the training, or measures each image, as the paper
            does.
        dropout : bool
            Keep dropout on, as the paper does at test time. What is dropped depends on seed and
            position, so tiles drop what the whole image drops.
        turns : {1, 8}
            8 translates the image in its eight flips and quarter turns and takes the mean: a little
            better, and eight times the work. Not where norms measure each image.
        precision : {"32-true", "bf16-mixed"}
            bf16-mixed computes in half precision: faster on a GPU, off by a root mean square of
            1 % at most, where the network's range is 2. The first tile is also computed in full
            precision; if they differ by more, everything is.
        compile : bool
            Let torch compile the network when it is first run. That takes half a minute or more and
            gains nothing on a CPU. Not with dropout or norms that measure each image.
        seed : int, optional
            Seed of dropout and noise planes; 0 when not given.
        samples : int
            How many samples of noise planes and dropout to draw. The first has the seed of the
            call; the others' seeds follow from it and their number. With ``turns=8`` each sees the
            image in the next turn, so a model without noise and dropout has eight samples too.
        resample : bool
            Compute at the pixel size that the model was trained on, and come back to the image's
            own pixels: for images of another magnification. The image is read linearly, without
            aliasing; labels come back by the nearest pixel.
        pixel_size : float, optional
            Height and width of the image's pixels, in the unit of
            ``info.made_for.pixel_size``, where the image does not state it. Layers state it by
            their scale and units.
        plane_distance : float, optional
            Distance of the image's planes, likewise. A model of volumes (``ndim=3``) needs it to
            resample planes.
        on_tile : callable, optional
            Called with the pixels done and the pixels of the frame, frame by frame, in the thread
            that called the translator.

        Returns
        -------
        numpy.ndarray, dask.array.Array for dask, or napari layer for a layer
            The same frames, height and width, with channels as the targets of the training had
            them. A layer lies where its source does, and is not yet in a viewer. Where the targets
            of the training were a layer each, or have channels with names or colours of their own,
            it is a list of layers, one for each. Several samples have an axis of their own in
            front; of a layer, they are a list of results.

        Raises
        ------
        InputError
            When the image or an option does not fit the model; the sentence says how.
        DeviceError
            When there is no such device, its memory does not suffice for the smallest tile, or
            there is nothing to compile with.

        Warns
        -----
        UserWarning
            When the image has another dtype than those of the training, looks like a target or
            lies outside the intensities of the training, is unlike its images in more places than
            is usual (see `Translator.unlikeness_map`), or has pixels that are NaN or infinite, or
            an alpha channel, which is left out. When its pixels are larger or smaller by more than
            20 %, or layers that are its channels have other names or another order.

        Notes
        -----
        Where a viewer is open, it stays responsive meanwhile; Cancel in napari's activity dock
        stops the work like Ctrl+C, with a KeyboardInterrupt.

        Of a dask array nothing is read yet. A chunk reads itself and its halo when it is computed,
        and equals that part of the whole image. Chunks are those of the source in Y and X, moved
        to the grid of the network's stride and joined to twice its halo; frames are chunks of their
        own. Objects have the numbers of the whole, so each chunk of a frame waits until all of its
        chunks were computed. Images that norms measure are chunked by frame where they fit into
        memory; larger ones are measured in a sample of windows, once for all chunks of a frame. The
        network is copied, and one chunk at a time is in it. Intensities and finite pixels are not
        checked in advance.
        """
        options = PredictOptions(
            condition=condition,
            output=output,
            tile=tile,
            batch=batch,
            device=device,
            norm_statistics=norm_statistics,
            dropout=dropout,
            turns=turns,
            precision=precision,
            compile=compile,
            seed=seed,
            samples=samples,
            resample=resample,
            pixel_size=pixel_size,
            plane_distance=plane_distance,
        )
        check_callable("on_tile", on_tile)
        self._check_takes_images()
        check_options(options, self)
        opened, layers = self._open(image)
        if is_lazy(opened):
            if on_tile is not None:
                raise InputError(
                    "A dask array is computed later, so there is no progress to report: leave "
                    "on_tile out."
                )
            warn_of_type(opened, self.source_codec, stacklevel=4)
            warn_of_pixel_size(opened, options, self, stacklevel=4)
            numbers = range(options.samples)
            drawn: list[Any] = [predict_lazily(self, opened, options.of_sample(k)) for k in numbers]
        else:
            self._check_image(opened, options)
            work = partial(draw_images, self, opened, options, on_tile)
            drawn = run_responsive(work, title="Translation")
        if not layers:
            return np.stack(drawn) if samples > 1 else drawn[0]
        results, codec = [], self.for_dtypes(opened.dtype).target_codec
        for number, array in enumerate(drawn, start=1):
            shown = f"sample {number}" if samples > 1 else ""
            record = self._record(layers, options, shown)
            looks = self.info.output_looks(condition)
            results.append(self._layers_of(array, layers[0], codec, record, looks))
        return results if samples > 1 else results[0]

    @own_errors()
    def spread(
        self,
        image: Any,
        n: int = 8,
        *,
        quantiles: Sequence[float] = (),
        condition: Hashable = None,
        tile: int | None = None,
        batch: int | None = None,
        device: str | None = None,
        norm_statistics: NormStatistics = "running",
        dropout: bool = False,
        turns: Turns = 1,
        precision: Precision = "32-true",
        compile: bool = False,
        seed: int | None = None,
        resample: bool = False,
        pixel_size: float | None = None,
        plane_distance: float | None = None,
        on_tile: OnTile | None = None,
    ) -> Spread:
        """Return mean, standard deviation and quantiles of several samples of an image.

        Parameters
        ----------
        image : array_like, napari layer, or tuple of layers
            As when the translator is called; dask arrays are read.
        n : int
            How many samples, 2 or more: those that ``samples=n`` gives.
        quantiles : sequence of float
            Levels from 0 to 1. With any, the samples of one frame are kept in memory.
        condition, tile, batch, device, norm_statistics, dropout, turns, precision, compile, seed, \
        resample, pixel_size, plane_distance, on_tile
            As when the translator is called. A model without noise planes needs ``dropout=True`` or
            ``turns=8``.

        Returns
        -------
        Spread
            ``mean``, ``std`` and ``quantiles``: float32 in the target's unit, or layers of a
            layer.

        Raises
        ------
        InputError, DeviceError
            As when the translator is called; for a model without noise and dropout, or of labels.

        Examples
        --------
        >>> from napari_pix2pix import train
        >>> image = np.random.default_rng(0).random((96, 96)).astype("float32")
        >>> model = train(image, 1 - image, steps=2, width=4, batch=2, patch=32)
        >>> mean, std, quantiles = model.spread(image, 3, turns=8, quantiles=[0.1, 0.9])
        >>> mean.shape, std.shape, quantiles.shape
        ((96, 96), (96, 96), (2, 96, 96))
        """
        options = PredictOptions(
            condition=condition,
            output="float",
            tile=tile,
            batch=batch,
            device=device,
            norm_statistics=norm_statistics,
            dropout=dropout,
            turns=turns,
            precision=precision,
            compile=compile,
            seed=seed,
            samples=check_integer("n", n, 2),
            resample=resample,
            pixel_size=pixel_size,
            plane_distance=plane_distance,
        )
        check_callable("on_tile", on_tile)
        self._check_takes_images()
        levels = check_spread(self.target_codec, quantiles)
        check_options(options, self)
        opened, layers = self._open(image)
        self._check_image(opened, options)
        work = partial(_draw_spread, self, opened, options, levels, on_tile)
        spread = run_responsive(work, title="Translation")
        if not layers:
            return spread
        codec = self.for_dtypes(opened.dtype).target_codec
        looks = self.info.output_looks(condition)
        names = shown_names(levels)
        mean, std, *between = (
            self._layers_of(array, layers[0], codec, self._record(layers, options, name), looks)
            for array, name in zip((*spread[:2], *spread.quantiles), names, strict=True)
        )
        return Spread(mean, std, between)

    def _record(
        self, sources: Sequence[Snapshot], options: PredictOptions, shown: str
    ) -> dict[str, Any]:
        """Return what a result layer says of how it was made."""
        return result_record(
            sources,
            model="pix2pix",
            digest=self.digest,
            weights=self.info.applied,
            condition=options.condition,
            trained_on=self.info.summary,
            scores=self.info.scores_by_side,
            channel_names=self.info.output_names(options.condition),
            samples=options.samples,
            shown=shown,
        )

    def _layers_of(
        self, array: Any, like: Snapshot, codec: Codec, record: dict[str, Any], looks: Looks
    ) -> Any:
        """Return the layer of an output, or one for each channel where the targets were so."""
        if self.info.splits_output:
            return result_layers(array, like, codec, record, looks)
        return result_layer(array, like, codec, record, looks)

    def _check_takes_images(self) -> None:
        if not self.source_codec.channels:
            raise InputError(
                "This model was trained without a source and takes no image: use sample."
            )

    def _open(self, image: Any) -> tuple[LazyImage, list[Snapshot]]:
        """Open an image like those of the training, and return the layers that it is made of."""
        given, layers = image_of(image, self.source_codec.layout)
        opened = open_for_codec(given, self.source_codec, self.z_context, self.ndim)
        if layers:  # of files, channels are chosen by their names
            warn_of_names(opened, self.info.source_channels, stacklevel=5)
        return opened, layers

    def _check_image(self, opened: LazyImage, options: PredictOptions) -> None:
        """Refuse an image without a finite pixel, and warn of one unlike those of the training."""
        run_responsive(lambda _: check_finite(opened), title="Reading")
        warn_of_type(opened, self.source_codec, stacklevel=5)
        warn_of_pixel_size(opened, options, self, stacklevel=5)
        codecs = self.source_codec, self.target_codec
        warn_of_intensities(opened, *codecs, self.info.intensities, stacklevel=5)


def draw_images(
    predictor: ImagePredictor,
    image: LazyImage,
    options: PredictOptions,
    on_tile: OnTile | None,
    report: ProgressReporter,
) -> list[NDArray[Any]]:
    """Predict all frames of all samples; one array a sample, laid out as the targets are."""
    collector = FrameCollector()
    samples: list[list[NDArray[Any]]] = [[] for _ in range(options.samples)]
    with out_of_memory_in_words(*_NO_MEMORY):
        for tile in predictor.predict(image, options):
            if (pixels := collector.add(tile)) is not None:
                samples[tile.sample].append(pixels)
            _show(report, on_tile, tile, image.frames, options.samples)
        _warn_of_seen(predictor, collector)
        layout = predictor.target_codec.layout
        return [layout.assemble(np.stack(frames), image.frame_shape) for frames in samples]


def _draw_spread(
    predictor: ImagePredictor,
    image: LazyImage,
    options: PredictOptions,
    levels: Sequence[float],
    on_tile: OnTile | None,
    report: ProgressReporter,
) -> Spread:
    collector = SpreadCollector(options.samples, predictor.target_codec.layout, levels)
    with out_of_memory_in_words(*_NO_MEMORY):
        for tile in predictor.predict(image, options):
            collector.add(tile)
            _show(report, on_tile, tile, image.frames, options.samples)
        _warn_of_seen(predictor, collector)
        return collector.spread(image.frame_shape)


def _warn_of_seen(predictor: ImagePredictor, collector: FrameCollector | SpreadCollector) -> None:
    """Warn of what only showed while an image was translated."""
    if collector.invalid:
        warn_of_invalid(predictor.source_codec)
    unlike = predictor.info.usual
    shares = {frame: share_unlike(cells) for frame, cells in collector.cells.items()}
    if unlike is not None and (sentence := unlike.warning(shares)):
        warnings.warn(sentence, UserWarning, stacklevel=3)


def _show(
    report: ProgressReporter,
    on_tile: OnTile | None,
    tile: PredictedTile,
    frames: int,
    samples: int,
) -> None:
    """Report a tile: to the viewer how much of all is done, to the caller how much of a frame."""
    before = tile.frame * samples + tile.sample
    report.show((before + tile.done / tile.area.pixels) / (frames * samples))
    if on_tile is not None:
        report.call(partial(on_tile, tile.done, tile.area.pixels))
