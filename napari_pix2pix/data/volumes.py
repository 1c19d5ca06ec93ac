"""Volumes: stacks whose planes are seen together, as frames (C, Z, h, w), and their planes."""
# All that is measured of a training set is measured plane by plane, as in images. Only what a
# network sees, and objects that reach over several planes, are volumes.

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_pix2pix.data.codecs import Codec, InstanceCodec
from napari_pix2pix.data.lazy_image import ImageView, LazyImage
from napari_pix2pix.errors import InputError


class VolumeImage(ImageView):
    """An image whose frames are volumes: all planes along the last frame axis are read together."""

    def __init__(self, image: LazyImage) -> None:
        super().__init__(image)
        if not image.frame_shape:
            raise InputError(
                f"The {image.what} is one plane of {image.height} x {image.width} pixels, and "
                "volumes are asked for (ndim=3): give a stack of planes, or train with ndim=2."
            )
        *frame_shape, self.depth = image.frame_shape
        self.is_volume = True
        self.frame_shape = tuple(frame_shape)
        self.frames = image.frames // self.depth

    @property
    def flat(self) -> LazyImage:
        """The same image, whose frames are planes."""
        return self._image

    def read(self, frame: int, rows: slice, columns: slice) -> NDArray[Any]:
        """Read one window (C, Z, h, w) of a volume."""
        members = self._image.members
        if type(self._image) is LazyImage and len(members) == 1:  # all planes at once
            return members[0].read_planes(self._frame_index(frame), rows, columns)
        first = frame * self.depth
        planes = [self._image.read(first + z, rows, columns) for z in range(self.depth)]
        return np.stack(planes, axis=1)

    def frames_seen(self, frame: int) -> list[tuple[int, ...]]:
        """Return the indices, those of planes last, of all planes of a volume."""
        first = frame * self.depth
        seen = (self._image.frames_seen(first + z) for z in range(self.depth))
        return [index for indices in seen for index in indices]


def as_seen(image: LazyImage, ndim: int) -> LazyImage:
    """Return an image as a network of images (2) or volumes (3) sees it."""
    return VolumeImage(image) if ndim == 3 and not image.is_volume else image


def flat_image(image: LazyImage) -> LazyImage:
    """Return an image whose frames are planes, whether it is one of volumes or not."""
    return image.flat if isinstance(image, VolumeImage) else image


def encode(codec: Codec, raw: NDArray[Any]) -> NDArray[np.float32]:
    """Map an image (C, H, W) or a volume (C, Z, H, W) to planes (P, ...) in [-1, 1]."""
    return in_planes(codec, codec.encode, raw)


def decode(codec: Codec, planes: NDArray[Any], output: str = "target") -> NDArray[Any]:
    """Map planes (P, H, W), or those of a volume (P, Z, H, W), to (C, ...)."""
    return in_planes(codec, lambda flat: codec.decode(flat, output), planes)  # type: ignore[arg-type]


def in_planes(
    codec: Codec, function: Callable[[NDArray[Any]], NDArray[Any]], values: NDArray[Any]
) -> NDArray[Any]:
    """Apply what sees pixels one by one to the planes of a volume, put below each other."""
    if values.ndim == 3 or codec.kind == "instances":
        return function(values)
    depth, height, width = values.shape[1:]
    found = function(values.reshape(len(values), depth * height, width))
    return found.reshape(-1, depth, height, width)


def middle_plane(planes: NDArray[Any]) -> NDArray[Any]:
    """Return the middle plane (C, h, w) of a volume (C, Z, h, w); of an image the image."""
    return planes if planes.ndim == 3 else planes[:, planes.shape[1] // 2]


def flat_codec(codec: Codec) -> Codec:
    """Return the codec that sees the planes of volumes one by one."""
    if isinstance(codec, InstanceCodec) and codec.ndim == 3:
        return replace(codec, ndim=2, z_step=1.0)
    return codec
