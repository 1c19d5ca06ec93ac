"""A generator with its codecs, and the one driver that predicts: an iterator of tiles."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from copy import copy, deepcopy
from functools import partial
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from torch import nn

from napari_pix2pix.data.box import Box
from napari_pix2pix.data.codecs import Codec, InstanceCodec, Output, codecs_for_dtypes
from napari_pix2pix.data.inputs import check_channels, unlabelled_note
from napari_pix2pix.data.lazy_image import EmptyImage, LazyImage
from napari_pix2pix.data.object_parts import FoundObjects, find_objects, object_halos
from napari_pix2pix.data.pixel_size import PixelSize
from napari_pix2pix.data.resampling import ResampledImage
from napari_pix2pix.data.volumes import as_seen, decode
from napari_pix2pix.errors import InputError
from napari_pix2pix.inference._frame_job import FrameJob, choose_grid
from napari_pix2pix.inference._object_blocks import decode_in_blocks, needs_blocks
from napari_pix2pix.inference._run_tiles import FloatPlanes, iter_tiles
from napari_pix2pix.inference._stochastic import NoiseKind
from napari_pix2pix.inference.networks import Network, device_of, measures_input
from napari_pix2pix.inference.norm_statistics import (
    Measured,
    norms_that_measure,
    sample_tiles,
    sample_windows,
)
from napari_pix2pix.inference.options import PredictOptions
from napari_pix2pix.inference.resampled import (
    find_resampled,
    predict_resampled,
    resample_image,
)
from napari_pix2pix.inference.tiling import (
    FrameCollector,
    OnTile,
    PredictedTile,
    mosaic,
    mosaic_region,
)
from napari_pix2pix.inference.unlikeness import Cells


class Predictor:
    """A generator of source, condition and noise planes, with its codecs and conditions."""

    def __init__(
        self,
        generator: Network,
        source_codec: Codec,
        target_codec: Codec,
        *,
        conditions: tuple[Hashable, ...] = (),
        z_context: int = 0,
        noise_channels: int = 0,
        noise: NoiseKind = "image",
        usual: nn.Module | None = None,
        pixel_size: PixelSize | None = None,
    ) -> None:
        self.generator = generator
        self.source_codec = source_codec
        self.target_codec = target_codec
        self.conditions = conditions
        self.z_context = z_context
        self.noise_channels = noise_channels
        self.noise = noise
        self.usual = usual  # what is measured of the generator's features, see `FeatureWatch`
        self.pixel_size = pixel_size  # of the images that it was trained on

    @property
    def ndim(self) -> int:
        """Axes of what it sees at once: 2 of an image, 3 of a volume."""
        return self.generator.ndim

    def predict(
        self,
        image: LazyImage,
        options: PredictOptions,
        *,
        frames: Iterable[int] | None = None,
        region: Box | None = None,
        first: Box | None = None,
        measured: Sequence[Measured] = (),
        decoded: bool = True,
    ) -> Iterator[PredictedTile]:
        """Predict frames of an image, and yield each tile as soon as it is finished."""
        # Tiles in and near `first` come first. `measured` holds what `measure_frame` returned for
        # each sample, where regions are predicted apart. Labels come with the last tile, all at
        # once, since objects are numbered over the whole.
        check_channels(image, self.source_codec.channels, self.z_context)
        if options.resample:
            yield from predict_resampled(
                self, image, options, frames=frames, region=region, measured=measured
            )
            return
        image = as_seen(image, self.ndim)
        codecs = self.for_dtypes(image.dtype)
        at_once = decoded and self.target_codec.kind != "image"
        in_units = partial(decode, codecs.target_codec, output=options.output)
        for frame in range(image.frames) if frames is None else frames:
            for sample in range(options.samples):
                usual = self.usual if sample == 0 else None
                job = codecs._job(image, frame, options.of_sample(sample), usual)
                statistics = measured[sample] if measured else None
                held: list[tuple[Box, FloatPlanes]] = []
                done = 0
                with job.prepared(statistics, region) as run:
                    tile = partial(PredictedTile, frame, sample, area=run.area)
                    if at_once and needs_blocks(codecs.target_codec, run, image.depth):
                        for box, done, labels in decode_in_blocks(
                            codecs.target_codec, run, job.read, image
                        ):
                            cells = run.seen_cells(done)
                            yield tile(
                                box=box, done=done, invalid=job.invalid, pixels=labels, cells=cells
                            )
                        continue
                    for box, planes in iter_tiles(
                        run.network,
                        job.read,
                        run.grid,
                        batch=run.batch,
                        region=run.area,
                        first=first,
                        whole=run.whole,
                        before_cut=run.before_cut,
                    ):
                        if held:
                            yield tile(box=held[-1][0], done=done, invalid=job.invalid)
                        done += box.pixels
                        if at_once:
                            held.append((box, planes))
                            continue
                        pixels = in_units(planes) if decoded else planes
                        cells = run.seen_cells(done)
                        yield tile(
                            box=box, done=done, invalid=job.invalid, pixels=pixels, cells=cells
                        )
                if held:
                    area, planes = mosaic(held)
                    pixels = in_units(planes)
                    cells = run.seen_cells(done)
                    yield tile(box=area, done=done, invalid=job.invalid, pixels=pixels, cells=cells)

    def predict_frame(
        self,
        image: LazyImage,
        frame: int,
        options: PredictOptions,
        *,
        on_tile: OnTile | None = None,
    ) -> NDArray[Any]:
        """Predict one sample of a frame, (C, H, W)."""
        collector = FrameCollector()
        pixels = None
        for tile in self.predict(image, options.of_sample(0), frames=[frame]):
            pixels = collector.add(tile)
            if on_tile is not None:
                on_tile(tile.done, tile.area.pixels)
        assert pixels is not None  # there is a last tile
        if collector.invalid:
            warn_of_invalid(self.source_codec)
        return pixels

    def predict_region(
        self,
        image: LazyImage,
        frame: int,
        region: Box,
        options: PredictOptions,
        *,
        measured: Measured | None = None,
    ) -> NDArray[Any]:
        """Predict any rectangle of a frame, (C, h, w); it equals that part of the whole."""
        # What needs the whole frame is given it, but objects are told apart on the region alone:
        # see `find_objects`.
        pixels, invalid = self._predict_box(image, frame, region, options, measured)
        if invalid:
            warn_of_invalid(self.source_codec)
        return pixels

    def find_objects(
        self,
        image: LazyImage,
        frame: int,
        box: Box,
        options: PredictOptions,
        *,
        area: Box | None = None,
        measured: Measured | None = None,
        beyond: int = 0,
    ) -> FoundObjects:
        """Tell the objects of a rectangle apart as on the whole; numbers are not dense yet."""
        # Objects end where `area` ends; without it, where the frame does.
        area = area or Box.of_size(image.height, image.width)
        if options.resample:
            return find_resampled(self, image, frame, box, options, area=area, measured=measured)
        size = image.height, image.width
        codec = self.for_dtypes(image.dtype).target_codec
        assert isinstance(codec, InstanceCodec)
        invalid = False
        for halo in self.object_halos(image):
            seen = box.grown(halo, area)
            planes, invalid = self._predict_box(
                image, frame, seen, options, measured, decoded=False
            )
            found = find_objects(
                planes,
                seen,
                box,
                area=area,
                size=size,
                codec=codec,
                halo=halo,
                beyond=beyond,
            )
            del planes  # before more of them are made
            if not found.cut:
                break
        if invalid:
            warn_of_invalid(self.source_codec)
        return found

    def _predict_box(
        self,
        image: LazyImage,
        frame: int,
        box: Box,
        options: PredictOptions,
        measured: Measured | None,
        *,
        decoded: bool = True,
    ) -> tuple[NDArray[Any], bool]:
        """Predict one sample of a rectangle; tell whether it has pixels without a meaning."""
        tiles = list(
            self.predict(
                image,
                options.of_sample(0),
                frames=[frame],
                region=box,
                measured=[] if measured is None else [measured],
                decoded=decoded,
            )
        )
        return mosaic_region(_with_pixels(tiles), box), tiles[-1].invalid

    def object_halos(self, image: LazyImage) -> list[int]:
        """Return halos in pixels, to tell a part's objects apart by the first one that suffices.

        It is 0 alone where the targets are no objects.
        """
        codec = self.target_codec
        depth = as_seen(image, self.ndim).depth
        return object_halos(codec, depth) if isinstance(codec, InstanceCodec) else [0]

    def object_reach(self, image: LazyImage, options: PredictOptions) -> list[int]:
        """Return the halos of `object_halos` in pixels of the image, also where it is resampled."""
        halos = self.object_halos(image)
        if not (options.resample and self.finds_objects):
            return halos
        computed = self.resampled(image, options)
        scale = max(image.height / computed.height, image.width / computed.width)
        # A pixel more, since the edges of pixels do not meet.
        return [math.ceil((halo + 1) * scale) + 1 for halo in self.object_halos(computed)]

    def predict_window(
        self,
        window: NDArray[Any],
        condition: int = 0,
        *,
        tile: int | None = None,
        decoded: bool = True,
    ) -> NDArray[Any]:
        """Predict a raw source window (C, h, w), under a condition by its index, for training.

        Of a model of volumes the window is (C, Z, h, w).
        """
        *depth, height, width = window.shape[1:]
        empty = EmptyImage(height, width, tuple(depth))
        image = LazyImage(window, channel_axis=0) if len(window) else empty
        options = PredictOptions(
            condition=self.conditions[condition] if self.conditions else None,
            tile=tile,
            device=str(device_of(self.generator)),  # where it is trained
        )
        tiles = self.predict(image, options, decoded=decoded)
        return mosaic(_with_pixels(tiles))[1]

    def predict_cells(
        self,
        image: LazyImage,
        options: PredictOptions,
        on_tile: Callable[[int, int, int], None] | None = None,
        *,
        frames: Iterable[int] | None = None,
    ) -> list[Cells]:
        """Return what `usual` measures of the features of each frame, (J, h, w)."""
        # `on_tile` is called with the frame's number, the pixels done and those of the frame.
        measured = []
        for tile in self.predict(image, options, frames=frames, decoded=False):
            if on_tile is not None:
                on_tile(tile.frame, tile.done, tile.area.pixels)
            if tile.is_last:
                assert tile.cells is not None
                measured.append(tile.cells)
        return measured

    def measure_frame(self, image: LazyImage, frame: int, options: PredictOptions) -> Measured:
        """Measure norm statistics of a frame whose regions are predicted apart, by norm's name."""
        image = as_seen(self.as_computed(image, options), self.ndim)
        return self.for_dtypes(image.dtype)._job(image, frame, options.of_sample(0)).measure()

    def measured_parts(self, image: LazyImage, options: PredictOptions) -> list[Box]:
        """Return which parts of a frame `measure_frame` reads, if memory does not run out."""
        grid = choose_grid(self.generator, image, options)[0]
        return [grid.shown(tile.window) for tile in sample_tiles(sample_windows(grid))]

    def fits(self, image: LazyImage, options: PredictOptions) -> bool:
        """Whether a frame of an image is given to the network whole."""
        return choose_grid(self.generator, image, options)[0].whole

    def is_predicted_whole(self, options: PredictOptions) -> bool:
        """Whether frames come out right only in one piece."""
        return measures_input(self.generator, options.norm_statistics)

    def is_measured_apart(self, options: PredictOptions) -> bool:
        """Whether a frame can be measured once, and its regions then predicted apart."""
        return bool(norms_that_measure(self.generator, options.norm_statistics))

    @property
    def finds_objects(self) -> bool:
        """Whether objects are found part by part (see `find_objects`), and numbered at the end."""
        return isinstance(self.target_codec, InstanceCodec)

    def target_like(self, output: Output = "target") -> NDArray[Any]:
        """Return one pixel of what comes out, (C, 1, 1), to know its channels and dtype by."""
        planes = np.zeros((self.target_codec.planes, *(1,) * self.ndim), np.float32)
        pixel = decode(self.target_codec, planes, output)
        return pixel.reshape(len(pixel), 1, 1)

    def part_like(self, image: LazyImage, output: Output = "target") -> NDArray[Any]:
        """Return one pixel (C, 1, 1) in a dtype that holds any part of what comes out."""
        pixel, codec = self.for_dtypes(image.dtype).target_like(output), self.target_codec
        if not isinstance(codec, InstanceCodec):
            return pixel
        return pixel.astype(codec.dtype_of_parts(image.depth * image.height, image.width))

    def for_dtypes(self, source: np.dtype[Any], target: np.dtype[Any] | None = None) -> Self:
        """Return the predictor for images of these dtypes: itself, if its file knows ranges."""
        own = self.source_codec, self.target_codec
        codecs = codecs_for_dtypes(*own, source, target)
        if codecs == own:
            return self
        other = copy(self)
        other.source_codec, other.target_codec = codecs
        return other

    def detached_copy(self) -> Predictor:
        """Return an independent copy, safe to use in another thread or process."""
        return Predictor(
            deepcopy(self.generator),
            self.source_codec,
            self.target_codec,
            conditions=self.conditions,
            z_context=self.z_context,
            noise_channels=self.noise_channels,
            noise=self.noise,
            usual=deepcopy(self.usual),
            pixel_size=self.pixel_size,
        )

    def resampled(self, image: LazyImage, options: PredictOptions) -> ResampledImage:
        """Return an image at the pixel size of the training; raises `InputError` if it can't be."""
        seen = as_seen(image, self.ndim)
        return resample_image(seen, options, self.pixel_size, self.source_codec)

    def as_computed(self, image: LazyImage, options: PredictOptions) -> LazyImage:
        """Return an image as the network sees it: resampled, where the options say so."""
        return self.resampled(image, options) if options.resample else image

    def _job(
        self,
        image: LazyImage,
        frame: int,
        options: PredictOptions,
        usual: nn.Module | None = None,
    ) -> FrameJob:
        return FrameJob(
            self.generator,
            self.source_codec,
            image,
            frame,
            options,
            condition=condition_index(self.conditions, options.condition),
            conditions=len(self.conditions),
            noise_channels=self.noise_channels,
            noise=self.noise,
            usual=usual,
        )


def _with_pixels(tiles: Iterable[PredictedTile]) -> list[tuple[Box, NDArray[Any]]]:
    """Return where tiles lie and their pixels, for those that have any."""
    return [(tile.box, tile.pixels) for tile in tiles if tile.pixels is not None]


def condition_index(conditions: Sequence[Hashable], condition: Hashable) -> int:
    """Return which of a model's conditions is asked for; 0 for a model without any."""
    if not conditions and condition is not None:
        raise InputError(f"This model has no conditions, got {condition!r}: leave condition out.")
    if conditions and condition not in conditions:
        names = ", ".join(map(repr, conditions))
        raise InputError(f"condition must be one of {names}, got {condition!r}.")
    return conditions.index(condition) if conditions else 0


def warn_of_invalid(codec: Codec) -> None:
    """Warn that an image has pixels that the model has no meaning for."""
    warnings.warn(unlabelled_note(codec), UserWarning, stacklevel=3)
