"""An image computed at the pixel size that a model was trained on, and put back on its own grid."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

from numpy.typing import NDArray

from napari_pix2pix.data.box import Box
from napari_pix2pix.data.codecs import Codec, Output
from napari_pix2pix.data.lazy_image import LazyImage
from napari_pix2pix.data.object_parts import FoundObjects
from napari_pix2pix.data.pixel_size import PixelSize, planes_note, size_note, told_size
from napari_pix2pix.data.resampling import ResampledImage, Resampling
from napari_pix2pix.errors import InputError
from napari_pix2pix.inference.options import PredictOptions
from napari_pix2pix.inference.tiling import FrameCollector, PredictedTile, TileGrid

if TYPE_CHECKING:
    from napari_pix2pix.inference.norm_statistics import Measured

_OWN_SIZE = {"resample": False, "pixel_size": None, "plane_distance": None}
_MOST = 16.0  # times as high or wide, at most


class _Predictor(Protocol):
    """What of a `Predictor` is needed here."""

    generator: Any
    target_codec: Codec

    def resampled(self, image: LazyImage, options: PredictOptions) -> ResampledImage: ...
    def target_like(self, output: Output = "target") -> NDArray[Any]: ...
    def predict(
        self,
        image: LazyImage,
        options: PredictOptions,
        *,
        frames: Iterable[int] | None = None,
        region: Box | None = None,
        measured: Sequence[Measured] = (),
    ) -> Iterator[PredictedTile]: ...
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
    ) -> FoundObjects: ...


def _size_of(
    image: LazyImage, options: PredictOptions, model: PixelSize | None
) -> PixelSize | None:
    """Return how large an image's pixels are: what the options say, or else the image."""
    unit = "micrometer" if model is None else model.unit
    return told_size(image.pixel_size, options.pixel_size, options.plane_distance, unit)


def pixel_size_note(image: LazyImage, options: PredictOptions, model: PixelSize | None) -> str:
    """Say that an image's pixels are not as large as the model's; "" if it is resampled."""
    if options.resample:
        return ""
    return size_note(_size_of(image, options, model), model)


def plane_distance_note(
    image: LazyImage, options: PredictOptions, model: PixelSize | None, z_context: int, ndim: int
) -> str:
    """Say that planes are not as far apart as the model's; "" if volumes are resampled."""
    if options.resample and ndim == 3:
        return ""
    return planes_note(_size_of(image, options, model), model, z_context, ndim)


def resample_image(
    image: LazyImage, options: PredictOptions, model: PixelSize | None, codec: Codec
) -> ResampledImage:
    """Open an image at a model's pixel size; raises `InputError` if the sizes are not known.

    `codec` is that of the sources.
    """
    size = _size_of(image, options, model)
    if model is None:
        raise InputError(
            "The model does not know the pixel size that it was trained on, so it can't resample: "
            "turn resample off, or train it on images that state their pixel size."
        )
    if size is None:
        raise InputError(
            "The image does not state its pixel size, so it can't be resampled: give pixel_size, "
            "or turn resample off."
        )
    factors = size.factors(model)
    if factors is None:
        raise InputError(
            f"The image has {size.of_plane}, the model {model.of_plane}, and these units can't be "
            "compared: give pixel_size, or turn resample off."
        )
    if image.is_volume and model.z is not None and factors.z is None:
        raise InputError(
            "The image does not state how far apart its planes lie, so it can't be resampled: give "
            "plane_distance, or turn resample off."
        )
    depth = factors.z if image.is_volume and factors.z is not None else 1.0
    if max(factors.y, factors.x, depth) > _MOST:
        raise InputError(
            f"The image has {size if image.is_volume else size.of_plane}, the model "
            f"{model if image.is_volume else model.of_plane}: it would become more than "
            f"{_MOST:.0f} times as large. Check the pixel size, or turn resample off."
        )
    before = image.height, image.width
    after = max(1, round(before[0] * factors.y)), max(1, round(before[1] * factors.x))
    nearest = codec.kind != "image" or image.dtype.kind == "b"
    planes = (image.depth, max(1, round(image.depth * depth))) if image.is_volume else None
    resampled = ResampledImage(image, Resampling(before, after, nearest, planes))
    known = model if image.is_volume else size.in_unit(model.unit)
    resampled.pixel_size = replace(model, z=None if known is None else known.z)
    return resampled


def predict_resampled(
    predictor: _Predictor,
    image: LazyImage,
    options: PredictOptions,
    *,
    frames: Iterable[int] | None = None,
    region: Box | None = None,
    measured: Sequence[Measured] = (),
) -> Iterator[PredictedTile]:
    """Predict as `Predictor.predict` does, at the model's pixel size.

    Tiles show the progress; the pixels of an area come with its last tile, on the image's own grid.
    """
    there = predictor.resampled(image, options)
    grid = TileGrid.of_network(predictor.generator, image.height, image.width)
    area = grid.rounded(region or Box.of_size(image.height, image.width))
    back = _way_back(predictor, there, options)
    plain = options.model_copy(update=_OWN_SIZE)
    collector = FrameCollector()
    region = _needs_to_edges(back, area)
    for tile in predictor.predict(there, plain, frames=frames, region=region, measured=measured):
        pixels = collector.add(tile)
        shown = tile._replace(box=area, area=area, pixels=None)
        if pixels is None:
            done = int(area.pixels * tile.done / tile.area.pixels)
            yield shown._replace(done=min(done, area.pixels - 1))
        else:
            whole = _Part(pixels, tile.area)
            yield shown._replace(done=area.pixels, pixels=back.window(whole.read, area))


def find_resampled(
    predictor: _Predictor,
    image: LazyImage,
    frame: int,
    box: Box,
    options: PredictOptions,
    *,
    area: Box,
    measured: Measured | None,
) -> FoundObjects:
    """Find objects as `Predictor.find_objects` does, at the model's pixel size.

    Their parts are those of the resampled image, their numbers are on the image's own grid.
    """
    there = predictor.resampled(image, options)
    back = _way_back(predictor, there, options)
    own, whole = boxes_there(back, box, area)
    found = predictor.find_objects(
        there,
        frame,
        own,
        options.model_copy(update=_OWN_SIZE),
        area=whole,
        measured=measured,
        beyond=1,
    )
    numbers: NDArray[Any] = back.window(_Part(found.numbers, own).read, box)
    return replace(found, numbers=numbers)


def boxes_there(back: Resampling, box: Box, area: Box) -> tuple[Box, Box]:
    """Return which pixels before a resampling by the nearest belong to a box, and which to an area.

    Boxes that the area is cut into have these pixels apart, and all of them. A box is made of them
    and of a row and a column more, since its neighbours may be made of the same pixel.
    """
    whole, own = _needs_to_edges(back, area), back.needs(box)
    after = Box(box.bottom, box.bottom + 1, box.right, box.right + 1)
    own = Box(
        own.top if box.top > area.top else whole.top,
        back.needs(after).top if box.bottom < area.bottom else whole.bottom,
        own.left if box.left > area.left else whole.left,
        back.needs(after).left if box.right < area.right else whole.right,
    )
    return own, whole


def _needs_to_edges(resampling: Resampling, box: Box) -> Box:
    """Return what a box is made of, up to the edges that it reaches: objects don't end before."""
    needs, (height, width) = resampling.needs(box), resampling.before
    return Box(
        needs.top if box.top else 0,
        height if box.bottom == resampling.after[0] else needs.bottom,
        needs.left if box.left else 0,
        width if box.right == resampling.after[1] else needs.right,
    )


def box_seen(predictor: _Predictor, image: LazyImage, options: PredictOptions, region: Box) -> Box:
    """Return the pixels of an image that a region of its translation is computed from."""
    if not options.resample:
        return _seen(predictor, image, region)
    there = predictor.resampled(image, options)
    grid = TileGrid.of_network(predictor.generator, image.height, image.width)
    wanted = _needs_to_edges(_way_back(predictor, there, options), grid.rounded(region))
    return there.resampling.needs(_seen(predictor, there, wanted))


def put_back(image: ResampledImage, pixels: NDArray[Any]) -> NDArray[Any]:
    """Return pixels (C, ...) of a resampled image on its own grid: the nearest, none mixed."""
    back = image.resampling.reversed(nearest=True)
    return back.window(lambda rows, columns: pixels[..., rows, columns], Box.of_size(*back.after))


def _way_back(predictor: _Predictor, there: ResampledImage, options: PredictOptions) -> Resampling:
    """Return the way from a translation to the image's own grid; labels are never mixed."""
    is_labels = predictor.target_codec.kind != "image"
    is_boolean = predictor.target_like(options.output).dtype.kind == "b"
    return there.resampling.reversed(nearest=is_labels or is_boolean)


def _seen(predictor: _Predictor, image: LazyImage, region: Box) -> Box:
    grid = TileGrid.of_network(predictor.generator, image.height, image.width)
    return grid.seen(grid.rounded(region))


@dataclass(frozen=True, eq=False)
class _Part:
    """A part of an image."""

    pixels: NDArray[Any]  # (C, h, w), or of a volume (C, Z, h, w)
    box: Box  # where it lies

    def read(self, rows: slice, columns: slice) -> NDArray[Any]:
        """Read a window of the image, which lies in this part."""
        top, left = self.box.top, self.box.left
        return self.pixels[
            ..., rows.start - top : rows.stop - top, columns.start - left : columns.stop - left
        ]
