"""The trained translator that `train` and `load` return."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from napari_pix2pix._draw import draw_samples, judge_frames, spread_samples
from napari_pix2pix.core import DiscriminatorMap, ResNet, UNet
from napari_pix2pix.data.codecs import Output
from napari_pix2pix.data.gray import takes_gray
from napari_pix2pix.data.inputs import check_finite, open_source_image
from napari_pix2pix.data.lazy_image import EmptyImage, LazyImage, as_lazy_image
from napari_pix2pix.errors import FileError, InputError
from napari_pix2pix.inference import calls
from napari_pix2pix.inference.acceleration import check_can_be_compiled
from napari_pix2pix.inference.dask_arrays import is_lazy
from napari_pix2pix.inference.devices import choose_device
from napari_pix2pix.inference.discriminator_map import DiscriminatorPredictor
from napari_pix2pix.inference.frames import FrameTranslator
from napari_pix2pix.inference.options import Precision, Statistics
from napari_pix2pix.inference.stochastic import sample_seed
from napari_pix2pix.inference.uncertainty import Spread, check_spread
from napari_pix2pix.io.model_file import write_container
from napari_pix2pix.io.paths import as_path
from napari_pix2pix.napari_layers import (
    Snapshot,
    discriminator_layer,
    image_of,
    result_layer,
    result_record,
)
from napari_pix2pix.napari_layers.keep_responsive import run_responsive
from napari_pix2pix.training.config import TrainConfig
from napari_pix2pix.training.model_info import EpochRecord, HeldOutScores, ModelInfo
from napari_pix2pix.training.networks import (
    Discriminator,
    build_discriminator,
    build_generator,
)
from napari_pix2pix.training.state import Weights, part_of

if TYPE_CHECKING:
    from torch import Tensor


class Translator(FrameTranslator):
    """A trained translator: apply, inspect and save it.

    Made by `train` and `load`. Call it on an image to translate it; one that was trained without
    a source makes images by `sample`.

    Parameters
    ----------
    tensors : mapping of str to torch.Tensor
        Weights of a model file: ``generator.*`` and, where there are any, ``averaged.*``,
        ``best.*`` and ``discriminator.*``.
    info : ModelInfo
        All else that is true of the model.

    Attributes
    ----------
    info : ModelInfo
        Summary, notes, scores, baselines, thumbnail and more: what the file says of the model.
    generator : UNet or ResNet
        The network that is applied, with the weights that ``config.keep`` asks for.
    source_codec, target_codec : ImageCodec, ClassCodec or InstanceCodec
        How intensities become planes and back.
    conditions : tuple of hashable
        Names of the conditions to choose from; empty without any.
    """

    def __init__(self, tensors: Mapping[str, Tensor], info: ModelInfo) -> None:
        self.info = info
        self._tensors = dict(tensors)
        self._applied = info.applied_weights(tensors)
        if info.has_discriminator != any(name.startswith("discriminator.") for name in tensors):
            raise ValueError(f"has_discriminator is {info.has_discriminator}, unlike its weights")
        super().__init__(
            self._build_generator(),
            info.source_codec,
            info.target_codec,
            conditions=info.conditions,
            z_context=info.config.z_context,
            noise_channels=info.config.noise_channels,
            noise=info.config.noise,
        )

    def __repr__(self) -> str:
        return f"<Translator {self.info}>"

    @property
    def config(self) -> TrainConfig:
        """How it was trained."""
        return self.info.config

    @property
    def scores(self) -> HeldOutScores | None:
        """``prediction`` and ``baseline`` on the held-out data; None without validation."""
        return self.info.scores

    @property
    def history(self) -> tuple[EpochRecord, ...]:
        """One record an epoch: ``step``, ``epoch``, mean ``losses`` and ``validation`` scores."""
        return self.info.history

    @property
    def tensors(self) -> dict[str, Tensor]:
        """Weights of the model file by name, on the CPU: see Parameters."""
        return dict(self._tensors)

    @property
    def discriminator(self) -> Discriminator | None:
        """The discriminator as it was at the end of training; None in a slim model."""
        if not self.info.has_discriminator:
            return None
        planes_in = self.info.planes.discriminator_in
        network = build_discriminator(self.config, planes_in=planes_in)
        assert network is not None
        network.load_state_dict(part_of(self._tensors, "discriminator"))
        return network.eval()

    @cached_property
    def digest(self) -> str:
        """Hash of the weights that are applied, 16 hexadecimal digits: the same in every file."""
        whole = hashlib.sha256()
        for name, tensor in sorted(self.generator.state_dict().items()):
            whole.update(name.encode())
            whole.update(tensor.detach().cpu().contiguous().numpy().tobytes())
        return whole.hexdigest()[:16]

    def __call__(
        self,
        image: Any,
        *,
        condition: Hashable = None,
        samples: int = 1,
        seed: int | None = None,
        dropout: bool = False,
        statistics: Statistics = "stored",
        tile: int | None = None,
        batch: int | None = None,
        device: str | None = None,
        precision: Precision = "32-true",
        compile: bool = False,
        output: Output = "target",
        on_tile: Callable[[int, int], None] | None = None,
    ) -> Any:
        """Translate an image, or each frame of a stack.

        Parameters
        ----------
        image : array_like, napari layer, or tuple of layers
            Laid out as the sources of the training were: (..., H, W), (..., H, W, 3) for RGB, or
            with the channel axis where it was; leading axes are frames. Any height and width. A
            tuple of layers is one image whose channels they are.
        condition : hashable, optional
            One of `conditions`; needed when there are any.
        samples : int
            How many draws of noise planes and dropout. The first has the seed of the call, the
            others follow from it and their number.
        seed : int, optional
            Seed of dropout and noise planes; 0 when not given.
        dropout : bool
            Let dropout drop, as the paper does at test time; by seed and place, so that tiles
            drop what the whole image drops.
        statistics : {"stored", "image"}
            Batch norm with the statistics of the training (tiles then equal the whole image), or
            with those of each image, as the paper does.
        tile : int, optional
            Side of the tiles in pixels; 0 is the whole image, None chooses by memory. Where each
            image is measured (so, and by instance and group norm), this is done once for all
            tiles, which then nearly equal the whole.
        batch : int, optional
            Tiles at once; None chooses by memory.
        device : str, optional
            ``cpu``, ``cuda``, ``mps``; the fastest that is found when not given.
        precision : {"32-true", "bf16-mixed"}
            bf16-mixed computes in half precision: faster on a GPU, off by a root mean square of
            1 % at most, where the network's range is 2. The first tile is also computed in full
            precision; where they are further apart, all is.
        compile : bool
            Let torch compile the network when it is first run: takes half a minute and more, gains
            nothing on a CPU. For fixed statistics without dropout.
        output : {"target", "float"}
            The target's dtype, rounded and clipped, or floating point in the target's units, not
            clipped.
        on_tile : callable, optional
            Called with the number of pixels done and of all, frame by frame; in the thread that
            called the translator.

        Returns
        -------
        numpy.ndarray, dask.array.Array for dask, or napari layer for a layer
            The same frames, height and width; channels as the targets of the training had them. A
            layer lies where its source does, and is not yet in a viewer. Several samples have an
            axis of their own in front, of length `samples`; of a layer, they are a list of layers.
            Of dask nothing is read yet, see Notes.

        Raises
        ------
        InputError
            When the image does not fit the model; the sentence says how.
        DeviceError
            When there is no such device, or its memory does not suffice for the smallest tile; when
            there is nothing to compile with.

        Warns
        -----
        UserWarning
            When the image has another dtype than those of the training, looks like a target or
            lies outside the intensities of the training, or has pixels that are NaN or infinite.

        Notes
        -----
        Called where a viewer lives, it waits while the viewer stays alive; Cancel in napari's
        activity dock breaks it off like Ctrl+C, with a KeyboardInterrupt.

        A dask array comes out lazy: a chunk reads itself and its halo when it is computed, and
        equals that part of the whole image. Chunks are those of the source in Y and X, moved to
        the grid of the network's stride and joined to twice its halo; frames are chunks of their
        own. Instances are chunked by frame, since objects are told apart on the whole, and so is
        what is given the whole image (``statistics="image"``, instance and group norm) where that
        fits into memory; otherwise a frame is measured in a sample of windows, once for all of its
        chunks.
        The network is copied, so that what is done with this translator meanwhile does no harm;
        one chunk at a time is in it. Intensities and finite pixels are not looked at in advance.
        """
        self._check_takes_images()
        how: dict[str, Any] = {
            "tile": tile,
            "batch": batch,
            "dropout": dropout,
            "statistics": statistics,
            "precision": precision,
            "output": output,
        }
        noise = self.config.noise_channels
        calls.check_call(self.generator, noise_channels=noise, samples=samples, seed=seed, **how)
        if compile:
            check_can_be_compiled(self.generator, device, dropout=dropout, statistics=statistics)
        planes, sources = self._open(image)
        how |= {"condition": condition, "device": device, "compile": compile}
        if is_lazy(planes):
            calls.check_lazy_call(self.conditions, condition, on_tile)
            calls.warn_of_dtype(self.source_codec, planes.dtype)
            drawn = [
                self.translate_lazily(planes, seed=sample_seed(seed or 0, i), **how)
                for i in range(samples)
            ]
        else:
            self._look_at(planes)
            drawn = draw_samples(
                self, planes, samples, seed or 0, how, title="Translation", on_tile=on_tile
            )
        if not sources:
            return np.stack(drawn) if samples > 1 else drawn[0]
        made, codec = [], self.for_dtypes(planes.dtype).target_codec
        for number, array in enumerate(drawn, start=1):
            shown = f"sample {number}" if samples > 1 else ""
            record = self._record(sources, condition, samples, shown)
            made.append(result_layer(array, sources[0], codec, record))
        return made if samples > 1 else made[0]

    def spread(
        self,
        image: Any,
        n: int = 8,
        *,
        quantiles: Sequence[float] = (),
        condition: Hashable = None,
        seed: int | None = None,
        dropout: bool = False,
        statistics: Statistics = "stored",
        tile: int | None = None,
        batch: int | None = None,
        device: str | None = None,
        precision: Precision = "32-true",
        compile: bool = False,
        on_tile: Callable[[int, int], None] | None = None,
    ) -> Spread:
        """Draw several samples of an image, and say what they have in common and where they differ.

        Parameters
        ----------
        image : array_like, napari layer, or tuple of layers
            As when the translator is called; of dask it is read.
        n : int
            How many draws, 2 or more: those that ``samples=n`` gives.
        quantiles : sequence of float
            Levels from 0 to 1. With any, the draws of one frame are kept in memory.
        condition, seed, dropout, statistics, tile, batch, device, precision, compile, on_tile
            As when the translator is called. A model without noise planes needs ``dropout=True``.

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
        >>> mean, std, quantiles = model.spread(image, 3, dropout=True, quantiles=[0.1, 0.9])
        >>> mean.shape, std.shape, quantiles.shape
        ((96, 96), (96, 96), (2, 96, 96))
        """
        how: dict[str, Any] = {
            "tile": tile,
            "batch": batch,
            "dropout": dropout,
            "statistics": statistics,
            "precision": precision,
            "output": "float",
        }
        self._check_takes_images()
        calls.check_integer("n", n, 2)
        levels = check_spread(self.target_codec, quantiles)
        noise = self.config.noise_channels
        calls.check_call(self.generator, noise_channels=noise, samples=n, seed=seed, **how)
        if compile:
            check_can_be_compiled(self.generator, device, dropout=dropout, statistics=statistics)
        planes, sources = self._open(image)
        self._look_at(planes)
        how |= {"condition": condition, "device": device, "compile": compile}
        spread = spread_samples(self, planes, n, seed or 0, how, levels=levels, on_tile=on_tile)
        if not sources:
            return spread
        record = partial(self._record, sources, condition, n)
        codec = self.for_dtypes(planes.dtype).target_codec
        names = "mean", "deviation", *(f"quantile {level:g}" for level in levels)
        mean, std, *between = (
            result_layer(array, sources[0], codec, record(name))
            for array, name in zip((*spread[:2], *spread.quantiles), names, strict=True)
        )
        return Spread(mean, std, between)

    def sample(
        self,
        condition: Hashable = None,
        n: int = 1,
        size: int | tuple[int, int] | None = None,
        seed: int = 0,
        device: str | None = None,
        output: Output = "target",
    ) -> np.ndarray:
        """Make images of noise and a condition; for models that were trained without a source.

        Parameters
        ----------
        condition : hashable, optional
            One of `conditions`; needed when there are any.
        n : int
            How many images. Image i is the same however many there are.
        size : int or pair of int, optional
            Side, or height and width, in pixels; that of the training's patches when not given.
        seed : int
            The same seed gives the same images.
        device, output
            As when the translator is called.

        Returns
        -------
        numpy.ndarray
            (n, ...), each image laid out as the targets of the training were.

        Raises
        ------
        InputError
            When the model needs an image, or an argument is out of range.
        DeviceError
            As when the translator is called.
        """
        if self.source_codec.channels:
            raise InputError("This model was trained with a source: apply it to an image.")
        calls.check_integer("n", n, 1)
        calls.check_integer("seed", seed, 0)
        calls.check_output(output)
        planes = EmptyImage(*calls.check_size(self.config.patch if size is None else size))
        how = {"condition": condition, "device": device, "output": output}
        return np.stack(draw_samples(self, planes, n, seed, how, title="Sampling"))

    def discriminator_map(
        self,
        source: Any,
        prediction: Any,
        *,
        condition: Hashable = None,
        tile: int | None = None,
        device: str | None = None,
    ) -> Any:
        """Ask the discriminator where a prediction looks false, patch by patch.

        Parameters
        ----------
        source : array_like, napari layer, or tuple of layers; or None
            As when the translator is called. None for a model without a source.
        prediction : array_like, napari layer, or tuple of layers
            What is judged, of this model or another, or the truth: laid out like the targets of
            the training, with their intensities.
        condition : hashable, optional
            One of `conditions`; needed when there are any.
        tile : int, optional
            Side of the tiles in pixels; 0 is the whole image, None chooses by memory. A
            discriminator that measures its input (instance and group norm) is given the whole.
        device : str, optional
            As when the translator is called.

        Returns
        -------
        numpy.ndarray or napari layer
            (..., H, W) float32: positive where it looks real, negative where it looks false, 0
            where the discriminator can't tell; a layer where the prediction is one. Each logit is
            on the pixels in the middle of the patch that it judges, see `DiscriminatorMap`. Its
            unit is that of the adversarial loss: the log odds of being real (``vanilla``), 1 for
            real and -1 for false (``hinge``, ``lsgan``), or a number without a zero (``wgan``).

        Raises
        ------
        InputError
            When the model has no discriminator, or the images don't fit it or each other.
        DeviceError
            As when the translator is called.

        Examples
        --------
        >>> from napari_pix2pix import train
        >>> image = np.random.default_rng(0).random((96, 96)).astype("float32")
        >>> model = train(image, 1 - image, steps=4, width=4, batch=2, patch=32)
        >>> model.discriminator_map(image, model(image)).shape
        (96, 96)
        """
        given, shown = image_of(prediction, self.target_codec.layout)
        image = as_lazy_image(given, like=self.target_codec.layout, what="prediction")
        planes = self._open_beside(source, image)
        judge = self.for_dtypes(planes.dtype, image.dtype).judge(device)
        found = judge_frames(judge, planes, image, condition=condition, tile=tile)
        return discriminator_layer(found, shown[0]) if shown else found

    def judge(self, device: str | None = None) -> DiscriminatorPredictor:
        """Return what `discriminator_map` runs on each frame of opened images."""
        self.info.check_discriminator()
        discriminator = self.discriminator
        assert discriminator is not None
        return DiscriminatorPredictor(
            DiscriminatorMap(discriminator).eval().to(choose_device(device or "auto")),
            self.config.adversarial,
            self.config.conditional,
            self.source_codec,
            self.target_codec,
            self.conditions,
        )

    def save(
        self, path: str | os.PathLike[str], *, slim: bool = False, overwrite: bool = True
    ) -> None:
        """Write the model into one file; the file is there as a whole or not at all.

        Parameters
        ----------
        path : path-like
            Usually ``*.safetensors``.
        slim : bool
            Leave out the discriminator and the weights that are not applied.
        overwrite : bool
            Whether an existing file is replaced.

        Raises
        ------
        FileError
            When it can't be written; what was there is intact.
        InputError
            When ``path`` is no path.
        """
        path = as_path(path)
        if path.exists() and not overwrite:
            raise FileError(f"{path} exists: choose another name, or pass overwrite=True.")
        # The generator as it is now, which the user may have changed.
        applied = self._named(self.generator.state_dict())
        info = replace(self.info, has_discriminator=False) if slim else self.info
        write_container(path, applied if slim else self._tensors | applied, info.to_header())

    def _build_generator(self) -> UNet | ResNet:
        """Build the generator with the weights that are applied, which it shares with the model."""
        planes = self.info.planes
        generator = build_generator(
            self.config, planes_in=planes.generator_in, planes_out=planes.generator_out
        )
        generator.load_state_dict(part_of(self._tensors, self._applied))
        # Without gradients this is the fastest on every device.
        generator.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        # One copy of the applied weights is enough: from now on it is the generator's.
        self._tensors |= self._named(generator.state_dict())
        return generator.eval()

    def _named(self, generator: Weights) -> Weights:
        return {f"{self._applied}.{name}": value for name, value in generator.items()}

    def _check_takes_images(self) -> None:
        if not self.source_codec.channels:
            raise InputError(
                "This model was trained without a source and takes no image: use sample."
            )

    def _open(self, image: Any) -> tuple[LazyImage, list[Snapshot]]:
        """Open an image like those of the training; with it what its layers are, if they are."""
        codec = self.source_codec
        given, sources = image_of(image, codec.layout)
        z_context, gray = self.config.z_context, takes_gray(codec)
        planes = open_source_image(given, codec.layout, codec.channels, z_context, gray=gray)
        return planes, sources

    def _look_at(self, planes: LazyImage) -> None:
        """Refuse an image without a finite pixel, and warn of one unlike those of the training."""
        run_responsive(lambda _: check_finite(planes), title="Reading")
        calls.warn_of_dtype(self.source_codec, planes.dtype, stacklevel=4)
        codecs = self.source_codec, self.target_codec
        calls.warn_of_intensities(planes, *codecs, self.info.intensities, stacklevel=4)

    def _record(
        self, sources: Sequence[Snapshot], condition: Hashable, samples: int, shown: str
    ) -> dict[str, Any]:
        return result_record(
            sources,
            model="pix2pix",
            digest=self.digest,
            condition=condition,
            trained_on=self.info.summary,
            scores=self.info.scores_by_side,
            samples=samples,
            shown=shown,
        )

    def _open_beside(self, source: Any, prediction: LazyImage) -> LazyImage:
        """Open the source of a prediction."""
        if not self.source_codec.channels:
            return EmptyImage(prediction.height, prediction.width, prediction.frame_shape)
        if source is None:
            raise InputError("The model was trained with a source: give that of the prediction.")
        return self._open(source)[0]
