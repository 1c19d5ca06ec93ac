from __future__ import annotations

import numpy as np

from napari_pix2pix.data.class_codec import ClassCodec
from napari_pix2pix.data.codecs import ImageCodec
from napari_pix2pix.data.layouts import Layout
from napari_pix2pix.data.pictures import picture

RAMP = np.linspace(0, 1, 12, dtype=np.float32).reshape(1, 3, 4)


def test_one_channel_is_gray_from_black_to_white() -> None:
    codec = ImageCodec.fit([RAMP], layout=Layout(), method="minmax")
    shown = picture(codec.encode(RAMP), codec)
    assert shown.shape == (3, 4, 3)
    assert shown.dtype == np.uint8
    assert shown.min() == 0
    assert shown.max() == 255
    np.testing.assert_array_equal(shown[..., 0], shown[..., 2])


def test_colours_stay_colours() -> None:
    image = np.concatenate([RAMP, 1 - RAMP, RAMP**2])
    codec = ImageCodec.fit([image], layout=Layout(channel_axis=-1, rgb=True), method="minmax")
    shown = picture(codec.encode(image), codec)
    np.testing.assert_allclose(shown / 255, image.transpose(1, 2, 0), atol=0.01)


def test_labels_have_colours_and_background_is_black() -> None:
    labels = np.array([[[0, 1, 2], [0, 2, 2]]], np.uint8)
    codec = ClassCodec.fit([labels], layout=Layout())
    shown = picture(codec.encode(labels), codec)
    assert not shown[labels[0] == 0].any()
    assert len(np.unique(shown.reshape(-1, 3), axis=0)) == 3
