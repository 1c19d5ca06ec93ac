"""Frames of opened sources in, pixels of the target out: whole, part by part, or a region."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from copy import copy, deepcopy
from functools import partial
from typing import Any, NamedTuple, Self

import numpy as np

from napari_pix2pix.core import ResNet, UNet
from napari_pix2pix.data.codecs import Codec, Output
from napari_pix2pix.data.dtype_range import codecs_for_dtypes
from napari_pix2pix.data.inputs import check_channels, has_invalid_pixels
from napari_pix2pix.data.lazy_image import LazyImage
from napari_pix2pix.inference import calls
from napari_pix2pix.inference._run_tiles import mosaic, put_together
from napari_pix2pix.inference.dask_arrays import InTurn, Measuring, translate_lazily
from napari_pix2pix.inference.devices import choose_device
from napari_pix2pix.inference.model import Model, needs_whole, network_grid
from napari_pix2pix.inference.norm_statistics import Measured
from napari_pix2pix.inference.options import Statistics
from napari_pix2pix.inference.stochastic import NoiseKind
from napari_pix2pix.inference.tiling import Box, TileGrid


class Part(NamedTuple):
    """What is translated of one frame, see `Translator.iter_frame`.

    Attributes
    ----------
    box : Box
        Where in the frame.
    done : int
        Pixels of the frame that are done, this part included.
    missing : bool
        Whether the source had pixels so far that are NaN, infinite or of an unknown class.
    pixels : numpy.ndarray or None
        (C, h, w), in the target's values; None for labels before the last tile.
    """

    box: Box
    done: int
    missing: bool
    pixels: np.ndarray | None = None


class FrameTranslator:
    """A generator with its codecs and the names of its conditions.

    Parameters
    ----------
    generator : UNet or ResNet
        Takes source, condition and noise planes, stacked in this order.
    source_codec, target_codec : Codec
        How intensities become planes and back.
    conditions : tuple of hashable
        Names of the conditions to choose from; empty without any.
    z_context : int
        Neighbouring planes on either side that each frame is given.
    noise_channels : int
        Noise planes that the generator takes.
    noise : {"image", "pixel"}
        What they hold, see `noise_reader`.
    """

    def __init__(
        self,
        generator: UNet | ResNet,
        source_codec: Codec,
        target_codec: Codec,
        *,
        conditions: tuple[Hashable, ...] = (),
        z_context: int = 0,
        noise_channels: int = 0,
        noise: NoiseKind = "image",
    ) -> None:
        self.generator = generator
        self.source_codec = source_codec
        self.target_codec = target_codec
        self.conditions = conditions
        self._z_context = z_context
        self._noise_channels = noise_channels
        self._noise = noise

    def translate_planes(
        self,
        planes: LazyImage,
        frame: int,
        condition: Hashable = None,
        *,
        on_tile: Callable[[int, int], None] | None = None,
        **how: Any,
    ) -> np.ndarray:
        """Translate one frame of an opened source.

        Parameters
        ----------
        planes, frame, condition, **how
            See `iter_frame`.
        on_tile : callable, optional
            As when the translator is called.

        Returns
        -------
        numpy.ndarray
            (C, H, W).
        """
        missing = False

        def pieces() -> Iterator[tuple[slice, slice, np.ndarray]]:
            nonlocal missing
            for part in self.iter_frame(planes, frame, condition, **how):
                missing = missing or part.missing
                if part.pixels is not None:
                    yield part.box.rows, part.box.columns, part.pixels
                if on_tile is not None:
                    on_tile(part.done, planes.height * planes.width)

        translated = put_together(pieces(), planes.height, planes.width)
        if missing:
            calls.warn_of_missing(self.source_codec)
        return translated

    def translate_region(
        self,
        planes: LazyImage,
        frame: int,
        region: Box,
        condition: Hashable = None,
        **how: Any,
    ) -> np.ndarray:
        """Translate a part of a frame; it equals that part of the whole.

        Objects are told apart on the region alone, where the target has any.

        Parameters
        ----------
        planes, frame, condition, **how
            See `iter_frame`.
        region : Box
            Any rectangle within the frame. What needs the whole frame is given it.

        Returns
        -------
        numpy.ndarray
            (C, h, w).
        """
        parts = list(self.iter_frame(planes, frame, condition, region=region, **how))
        if parts[-1].missing:
            calls.warn_of_missing(self.source_codec)
        done = [(part.box, part.pixels) for part in parts if part.pixels is not None]
        box, pixels = mosaic(done)
        wanted = region.within(box)
        return pixels[:, wanted.rows, wanted.columns]

    def translate_lazily(self, planes: LazyImage, **how: Any) -> Any:
        """Lay out a dask array whose chunks are translated when they are computed.

        Parameters
        ----------
        planes : Planes
            An image made of dask arrays.
        **how
            See `iter_frame`.

        Returns
        -------
        dask.array.Array
            All frames, laid out as the targets of the training were.
        """
        pixel = self.for_dtypes(planes.dtype).target_like(how["output"])
        detached_copy = self.detached_copy()
        size, statistics = (planes.height, planes.width), how["statistics"]
        measuring = None
        whole = self.is_translated_whole(statistics)
        if whole and self.target_codec.kind != "instances":
            model = detached_copy._model(how["device"])
            whole = model.fits(*size, tile=how["tile"])
            names = ("condition", "seed", "dropout", "statistics", "tile", "device")
            measure = partial(detached_copy.measure_frame, **{name: how[name] for name in names})
            parts = model.measured_parts(*size, tile=how["tile"])
            measuring = None if whole else Measuring(InTurn(measure), parts)
        return translate_lazily(
            planes,
            InTurn(partial(detached_copy.translate_region, **how)),
            grid=TileGrid(*size, **network_grid(self.generator)),
            layout=self.target_codec.layout,
            channels=len(pixel),
            dtype=pixel.dtype,
            whole=whole,
            measuring=measuring,
        )

    def is_translated_whole(self, statistics: Statistics = "stored") -> bool:
        """Whether frames come out right only in one piece: see Notes of the call."""
        whole = needs_whole(self.generator, statistics)
        return whole or self.target_codec.kind == "instances"

    @property
    def planes_in(self) -> int:
        """How many planes the network is given: source, condition and noise."""
        return self.generator.in_channels

    def target_like(self, output: Output = "target") -> np.ndarray:
        """Return one pixel of what comes out, (C, 1, 1), to know its channels and dtype by."""
        planes = np.zeros((self.target_codec.planes, 1, 1), np.float32)
        return self.target_codec.decode(planes, output)

    def for_dtypes(self, source: np.dtype[Any], target: np.dtype[Any] | None = None) -> Self:
        """Return the translator for images of these dtypes.

        Parameters
        ----------
        source : numpy.dtype
        target : numpy.dtype, optional
            That of integer sources when not given.

        Returns
        -------
        FrameTranslator
            Itself, unless its file says nothing of intensities (``.pth``): then with the whole
            range of these dtypes as -1 to 1.
        """
        own = self.source_codec, self.target_codec
        codecs = codecs_for_dtypes(*own, source, target)
        if codecs == own:
            return self
        other = copy(self)
        other.source_codec, other.target_codec = codecs
        return other

    def detached_copy(self) -> FrameTranslator:
        """Return what translates alike, with a network of its own that no one else changes.

        Nothing else of a model goes with it where it is sent to another process.
        """
        return FrameTranslator(
            deepcopy(self.generator),
            self.source_codec,
            self.target_codec,
            conditions=self.conditions,
            z_context=self._z_context,
            noise_channels=self._noise_channels,
            noise=self._noise,
        )

    def iter_frame(
        self,
        planes: LazyImage,
        frame: int,
        condition: Hashable = None,
        *,
        output: Output = "target",
        device: str | None = None,
        **how: Any,
    ) -> Iterator[Part]:
        """Translate one frame of an opened source, and yield each part as soon as it is done.

        Parameters
        ----------
        planes : Planes
            The source, with its z-context where the model has one.
        frame : int
            Which of its frames.
        condition, output, device
            As when the translator is called.
        **how
            Passed on to `Model.iter_tiles`.

        Yields
        ------
        Part
            Intensities tile by tile; labels with the last tile, all at once, since where objects
            end is seen on the whole only.
        """
        check_channels(planes, self.source_codec.channels, self._z_context)
        index = calls.condition_index(self.conditions, condition)
        model = self.for_dtypes(planes.dtype)._model(device)
        missing = False

        def read(rows: slice, columns: slice) -> np.ndarray:
            nonlocal missing
            window = planes.read(frame, rows, columns)
            missing = missing or has_invalid_pixels(self.source_codec, window)
            return window

        at_once = self.target_codec.kind != "image"
        done = 0
        held: list[tuple[Box, np.ndarray]] = []
        for rows, columns, tile in model.iter_tiles(
            read, planes.height, planes.width, condition=index, **how
        ):
            if held:
                yield Part(held[-1][0], done, missing)
            done += tile[0].size
            box = Box(rows.start, rows.stop, columns.start, columns.stop)
            if at_once:
                held.append((box, tile))
            else:
                yield Part(box, done, missing, model.target_codec.decode(tile, output))
        if held:
            box, whole = mosaic(held)
            yield Part(box, done, missing, model.target_codec.decode(whole, output))

    def measure_frame(
        self,
        planes: LazyImage,
        frame: int,
        condition: Hashable = None,
        *,
        device: str | None = None,
        **how: Any,
    ) -> Measured:
        """Measure one frame for `iter_frame` where its regions are translated apart.

        Parameters
        ----------
        planes, frame, condition, device
            As for `iter_frame`.
        **how
            Passed on to `Model.measure`.

        Returns
        -------
        mapping of str to Moments
            To be given to `iter_frame` as ``measured``; empty where nothing is measured.
        """
        index = calls.condition_index(self.conditions, condition)
        read = partial(planes.read, frame)
        size = planes.height, planes.width
        model = self.for_dtypes(planes.dtype)._model(device)
        return model.measure(read, *size, condition=index, **how)

    def _model(self, device: str | None) -> Model:
        self.generator.to(choose_device(device or "auto"))
        return Model(
            self.generator,
            self.source_codec,
            self.target_codec,
            conditions=len(self.conditions),
            noise_channels=self._noise_channels,
            noise=self._noise,
        )
