"""Rare classes count for more, and only where the target is classes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray

from napari_pix2pix._train import train
from napari_pix2pix.data.class_codec import ClassCodec
from napari_pix2pix.data.layouts import Layout
from napari_pix2pix.data.pair import Pair
from napari_pix2pix.errors import InputError
from napari_pix2pix.training._step import Pix2PixStep, TensorBatch
from napari_pix2pix.training.config import TrainConfig
from napari_pix2pix.training.dataset import prepare
from napari_pix2pix.training.state import TrainingState, build_generator

Tiny = Callable[..., TrainConfig]
OBJECTIVE = {"adversarial_weight": 0.0, "reconstruction_weight": 1.0}


@pytest.fixture
def labels() -> NDArray[np.uint8]:
    """Return 98 % of class 0, and 2 % of class 7: 8 x 16 of 80 x 80 pixels."""
    made = np.zeros((80, 80), np.uint8)
    made[30:38, 20:36] = 7
    return made


def step_loss(
    labels: NDArray[Any],
    predicted: NDArray[Any],
    config: TrainConfig,
    fabric: Fabric,
    valid: NDArray[np.bool_] | None = None,
) -> float:
    """Return the loss of a step whose generator predicts given labels."""
    codec = ClassCodec.fit([labels[None]], layout=Layout())
    weights = codec.class_weights([labels[None]])
    target, planes = (
        torch.from_numpy(codec.encode(one[None]))[None] for one in (labels, predicted)
    )
    generator = build_generator(config, planes_in=1, planes_out=2)
    # Whatever it computes is replaced, with its graph kept.
    generator.register_forward_hook(lambda _, __, output: 0 * output + planes)
    step = Pix2PixStep(
        TrainingState(config, generator, None), fabric, conditions=0, class_weights=weights
    )
    mask = None if valid is None else torch.from_numpy(valid)[None, None]
    batch = TensorBatch(torch.zeros(1, 1, *labels.shape), target, mask, torch.zeros(1).long())
    return step(batch, adversarial=False, adversarial_weight=0.0, rate=1.0)["G_L1"].item()


def test_a_wrong_pixel_counts_by_its_class(
    labels: NDArray[np.uint8], tiny: Tiny, fabric: Fabric
) -> None:
    # Weights go with 1 / sqrt(0.98) and 1 / sqrt(0.02); their mean over the pixels is 1.
    mean = 0.98**0.5 + 0.02**0.5
    rare, common = 0.02**-0.5 / mean, 0.98**-0.5 / mean
    assert 0.02 * rare + 0.98 * common == pytest.approx(1)
    config = tiny(**OBJECTIVE)
    for (row, column), weight in (((31, 21), rare), ((0, 0), common)):
        predicted = labels.copy()
        predicted[row, column] = 7 - labels[row, column]
        # Both planes are off by 2; the mean goes over 80 x 80 pixels.
        loss = step_loss(labels, predicted, config, fabric)
        assert loss == pytest.approx(weight * 2 / 6400, rel=1e-5)
    assert step_loss(labels, 7 - labels, config, fabric) == pytest.approx(2, rel=1e-5)


def test_ignored_pixels_count_for_nothing(
    labels: NDArray[np.uint8], tiny: Tiny, fabric: Fabric
) -> None:
    valid = np.ones(labels.shape, bool)
    valid[30:34] = False
    predicted = np.where(valid, labels, 7 - labels)
    assert step_loss(labels, predicted, tiny(**OBJECTIVE), fabric, valid) == 0


def test_several_class_maps_are_weighed_each_by_its_own(tiny: Tiny, fabric: Fabric) -> None:
    state = TrainingState(tiny(), build_generator(tiny(), planes_in=1, planes_out=6), None)
    step = Pix2PixStep(state, fabric, conditions=0, class_weights=(1.0, 2.0, 5.0))
    codec = ClassCodec("uint8", (0, 1, 4), Layout(-3), 2)
    raw = np.array([[[0, 1], [4, 4]], [[4, 0], [0, 1]]], np.uint8)
    weights = step._pixel_weights(torch.from_numpy(codec.encode(raw))[None])
    assert weights is not None
    expected = np.array([1, 2, 0, 0, 5])[raw].repeat(3, axis=0)
    assert weights[0].tolist() == expected.tolist()


def test_weights_change_the_training(labels: NDArray[np.uint8]) -> None:
    image = labels + np.random.default_rng(0).normal(0, 2, labels.shape)

    def planes(**fields: Any) -> NDArray[Any]:
        translator = train(
            image, labels, steps=2, width=4, depth=3, batch=2, patch=32, validation=0.0,
            device="cpu", target_kind="classes", **fields,
        )  # fmt: skip
        return np.concatenate([p.detach().ravel() for p in translator.generator.parameters()])

    assert np.array_equal(planes(), planes(class_weights=False))
    assert not np.array_equal(planes(), planes(class_weights=True))


@pytest.mark.parametrize("kind", ["image", "instances"])
def test_other_targets_are_refused(kind: str, labels: NDArray[np.uint8], tiny: Tiny) -> None:
    pair = Pair(np.random.default_rng(0).random(labels.shape), labels)
    config = tiny(class_weights=True, target_kind=kind)
    with pytest.raises(InputError, match=f"the target is taken for {kind}: leave class_weights"):
        prepare([pair], config)
    data = prepare([pair], tiny(class_weights=True, target_kind="classes", validation=0))
    assert data.class_weights == pytest.approx((0.892, 6.245), abs=0.01)
    masked = replace(pair, mask=np.arange(6400).reshape(80, 80) < 38 * 80)
    data = prepare([masked], tiny(class_weights=True, target_kind="classes", validation=0))
    assert data.class_weights == pytest.approx((0.863, 4.116), abs=0.01)
