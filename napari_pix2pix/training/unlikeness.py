"""What a trained generator usually sees: measured on windows of the training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from napari_pix2pix.core.encoder import UsualFeatures, cell_sides
from napari_pix2pix.data.cells import cell_sums
from napari_pix2pix.data.lazy_image import LazyImage
from napari_pix2pix.data.sample import SampleBlock, sample_blocks, until
from napari_pix2pix.data.volume_blocks import sample_volumes
from napari_pix2pix.inference.networks import own_generator
from napari_pix2pix.inference.options import PredictOptions
from napari_pix2pix.inference.predictor import Predictor
from napari_pix2pix.training._unlike_shares import UnlikeShares
from napari_pix2pix.training.dataset import TrainingData

_WINDOWS, _SIDE = 32, 256  # that are looked at: 2 million pixels, one or two seconds on a CPU
# Of volumes 5 million voxels, some ten seconds.
_VOLUMES, _VOLUME_PLANES, _VOLUME_SIDE = 8, 64, 96
_HELD_OUT = 8  # windows, up to four times as large
_FEWEST_CELLS = 100  # of a window whose share tells what is usual: a few odd cells are no share
_MOST_CELLS = 2**15  # that the statistics are measured of; a ResNet has more
# A budget in seconds gives this share of it for reading windows, and for looking at each kind.
_SHARE = 0.02


def learn_usual(
    model: Predictor, data: TrainingData
) -> tuple[dict[str, Tensor], UnlikeShares | None]:
    """Measure a trained model's features on uniform windows of the training, never held-out ones.

    Returns the tensors of `UsualFeatures`; none, and None, without a source or a finite feature.
    """
    if not model.source_codec.channels:
        return {}, None
    seconds = None if data.config.max_seconds is None else _SHARE * data.config.max_seconds
    blocks = _sample(data, seconds)
    model.usual = nn.Identity()
    trained = [cells for cells in _valid_cells(model, data, blocks, seconds) if len(cells)]
    if not trained or not all(np.isfinite(cells).all() for cells in trained):
        return {}, None
    joined = np.concatenate(trained)
    usual = UsualFeatures.fit(torch.from_numpy(joined[:: -(-len(joined) // _MOST_CELLS)]))
    most = largest_share([_distances(usual, cells) for cells in trained])
    model.usual = usual
    held_out = None
    if data.validation is not None:
        held = data.validation.blocks[:: -(-len(data.validation.blocks) // _HELD_OUT)]
        values = np.concatenate(list(_valid_cells(model, data, held, seconds)))
        held_out = float((values > 1).mean()) if values.size else None
    tensors = {name: tensor.cpu() for name, tensor in usual.state_dict().items()}
    return tensors, UnlikeShares(len(joined), most, held_out)


def _sample(data: TrainingData, seconds: float | None) -> list[SampleBlock]:
    """Read windows of the training, or volumes."""
    where, seed = (data.opened, data.areas), data.config.seed
    if data.config.ndim == 2:
        return sample_blocks(*where, size=_SIDE, seed=seed, most=_WINDOWS, seconds=seconds)[0]
    return sample_volumes(
        *where,
        size=_VOLUME_SIDE,
        planes=_VOLUME_PLANES,
        seed=seed,
        most=_VOLUMES,
        seconds=seconds,
    )


def largest_share(windows: Sequence[NDArray[np.float32]]) -> float:
    """Return the largest share above 1 in one window of distances (N,), N at least 100; else 0."""
    shares = (float((window > 1).mean()) for window in windows if len(window) >= _FEWEST_CELLS)
    return max(shares, default=0.0)


def _valid_cells(
    model: Predictor,
    data: TrainingData,
    blocks: Sequence[SampleBlock],
    seconds: float | None,
) -> Iterator[NDArray[np.float32]]:
    """Yield what a model measures of the cells (N, J) of each block that hold a valid pixel."""
    device = str(next(model.generator.parameters()).device)
    sides = cell_sides(own_generator(model.generator))
    order = np.random.default_rng(data.config.seed).permutation(len(blocks))
    for number in until(seconds, order.tolist(), 1):
        block = blocks[number]
        condition = data.opened[block.pair].condition if data.conditions else None
        options = PredictOptions(condition=condition, device=device)
        [cells] = model.predict_cells(LazyImage(block.source, channel_axis=0), options)
        yield cells[:, cell_sums(block.valid, sides) > 0].T


def _distances(usual: UsualFeatures, cells: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the distances (N,) of features (N, K)."""
    features = torch.from_numpy(cells).T[None, :, None]
    return usual(features).numpy().ravel()
