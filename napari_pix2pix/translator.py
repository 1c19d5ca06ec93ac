"""The trained translator that `train` and `load` return."""

from __future__ import annotations

import os
import warnings
from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_pix2pix._apply import ImagePredictor, draw_images
from napari_pix2pix.core import DiscriminatorMap, ResNet, UNet
from napari_pix2pix.core.encoder import UsualFeatures, cell_sides
from napari_pix2pix.core.layers import channels_last
from napari_pix2pix.data.codecs import Output
from napari_pix2pix.data.lazy_image import EmptyImage, LazyImage, as_lazy_image
from napari_pix2pix.data.resampling import ResampledImage
from napari_pix2pix.data.volumes import as_seen
from napari_pix2pix.errors import InputError, Pix2PixError, is_out_of_memory, own_errors
from napari_pix2pix.export.files import EXPORT_ENDINGS, check_credits, export_model
from napari_pix2pix.inference.checks import check_options, warn_of_pixel_size, warn_of_type
from napari_pix2pix.inference.devices import choose_device
from napari_pix2pix.inference.discriminator_map import DiscriminatorPredictor
from napari_pix2pix.inference.networks import own_generator
from napari_pix2pix.inference.options import PredictOptions, check_integer, check_size
from napari_pix2pix.inference.resampled import put_back
from napari_pix2pix.inference.unlikeness import Cells, in_pixels, map_options
from napari_pix2pix.io.model_file import write_container
from napari_pix2pix.io.model_header import ENDING
from napari_pix2pix.io.paths import as_path, check_ending, check_free
from napari_pix2pix.napari_layers import (
    discriminator_layer,
    image_of,
    unlikeness_layer,
)
from napari_pix2pix.napari_layers.keep_responsive import ProgressReporter, run_responsive
from napari_pix2pix.training.config import AppliedWeights, TrainConfig
from napari_pix2pix.training.history import EpochRecord, HeldOutScores
from napari_pix2pix.training.model_card import model_card
from napari_pix2pix.training.model_info import ModelInfo
from napari_pix2pix.training.state import (
    Discriminator,
    Weights,
    part_of,
    plan_discriminator,
    plan_generator,
)

if TYPE_CHECKING:
    from torch import Tensor


@contextmanager
def _fitting_together() -> Iterator[None]:
    """Refuse weights that are not those of the model that is described."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        if isinstance(error, Pix2PixError) or is_out_of_memory(error):
            raise
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise InputError(
            f"These weights and what is said of their model do not fit together ({reason}): take "
            "both from one model."
        ) from error


class Translator(ImagePredictor):
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

    Examples
    --------
    >>> from napari_pix2pix import train
    >>> image = np.random.default_rng(0).random((96, 96)).astype("float32")
    >>> translator = train(image, 1 - image, steps=2, width=4, batch=2, patch=32)
    >>> other = np.zeros((48, 80), "float32")
    >>> translator(other).shape, translator(other).dtype
    ((48, 80), dtype('float32'))
    """

    def __init__(self, tensors: Mapping[str, Tensor], info: ModelInfo) -> None:
        with _fitting_together():
            self.info = info.holding(tensors)
            self._tensors = dict(tensors)
            self._applied = info.applied_weights(tensors)
            if info.has_discriminator != any(name.startswith("discriminator.") for name in tensors):
                raise ValueError(
                    f"has_discriminator is {info.has_discriminator}, unlike its weights"
                )
            super().__init__(
                self._build_generator(),
                info.source_codec,
                info.target_codec,
                conditions=info.conditions,
                z_context=info.config.z_context,
                noise_channels=info.config.noise_channels,
                noise=info.config.noise,
                usual=self._build_usual(),
                pixel_size=info.made_for.pixel_size,
            )

    def __repr__(self) -> str:
        return f"<Translator {self.info}>"

    @property
    def config(self) -> TrainConfig:
        """How it was trained."""
        return self.info.config

    @own_errors()
    def card(self) -> str:
        """Return what the model is, in Markdown; see `napari_pix2pix.training.model_card`."""
        return model_card(self.info)

    @own_errors()
    def describe(
        self,
        *,
        authors: str | None = None,
        licence: str | None = None,
        intended_use: str | None = None,
    ) -> None:
        """Say who made the model, under which licence and what for; `save` keeps it.

        Parameters
        ----------
        authors, licence, intended_use : str, optional
            What the card says; what is not given stays as it is.

        Examples
        --------
        >>> from napari_pix2pix import train
        >>> image = np.random.default_rng(0).random((96, 96)).astype("float32")
        >>> model = train(image, 1 - image, steps=2, width=4, batch=2, patch=32)
        >>> model.describe(authors="A. Person", licence="CC-BY-4.0")
        >>> print(model.card().splitlines()[-1])
        - Licence: CC-BY-4.0.
        """
        texts = {"authors": authors, "licence": licence, "intended_use": intended_use}
        self.info = self.info.with_texts(texts)

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
        network = plan_discriminator(self.config, planes_in=self.info.planes.discriminator_in)
        assert network is not None
        network.load_state_dict(part_of(self._tensors, "discriminator"))
        return network.eval()

    @own_errors()
    def with_weights(self, weights: AppliedWeights) -> Translator:
        """Return a translator that applies the last weights, or those of the best validation.

        Parameters
        ----------
        weights : {"last", "best"}
            A model that was validated holds both, unless it was saved slim. ``info.candidates``
            has the step and the held-out scores of each, where they differ. The last weights are
            the average where there is one.

        Returns
        -------
        Translator
            Its scores are those of these weights, and it is saved with this choice. The thumbnail
            stays that of the last weights.

        Raises
        ------
        InputError
            When the model does not hold these weights.

        Examples
        --------
        >>> from napari_pix2pix import train
        >>> image = np.random.default_rng(0).random((96, 96)).astype("float32")
        >>> model = train(image, 1 - image, steps=2, width=4, batch=2, patch=32)
        >>> model.info.applied, model.with_weights("best").info.applied
        ('last', 'best')
        """
        return Translator(self._tensors, self.info.with_weights(weights))

    @own_errors()
    def sample(
        self,
        condition: Hashable = None,
        n: int = 1,
        size: int | tuple[int, ...] | None = None,
        seed: int = 0,
        device: str | None = None,
        output: Output = "target",
    ) -> NDArray[Any]:
        """Make images of noise and a condition; for models that were trained without a source.

        Parameters
        ----------
        condition : hashable, optional
            One of `conditions`; needed when there are any.
        n : int
            How many images. Image i is the same however many there are.
        size : int or tuple of int, optional
            Side, or height and width, in pixels; that of the training's patches when not given.
            A model of volumes takes planes, height and width; with a side, as many planes as the
            training's patches had.
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

        Examples
        --------
        >>> from napari_pix2pix import train
        >>> images = list(np.random.default_rng(0).random((2, 64, 64)).astype("float32"))
        >>> small = {"width": 4, "discriminator_width": 4, "batch": 2, "patch": 32, "validation": 0}
        >>> maker = train(None, images, condition=["GFP", "RFP"], steps=2, **small)
        >>> maker.sample("RFP", n=3, size=(32, 48), seed=1).shape
        (3, 32, 48)
        """
        if self.source_codec.channels:
            raise InputError("This model was trained with a source: apply it to an image.")
        check_integer("seed", seed, 0)
        options = PredictOptions(
            condition=condition,
            output=output,
            device=device,
            seed=seed,
            samples=check_integer("n", n, 1),
        )
        check_options(options, self)
        planes = self.config.patch_planes if self.ndim == 3 else None
        wanted = check_size(self.config.patch if size is None else size, planes)
        *depth, height, width = wanted
        empty = as_seen(EmptyImage(height, width, tuple(depth)), self.ndim)
        return np.stack(
            run_responsive(partial(draw_images, self, empty, options, None), title="Sampling")
        )

    @own_errors()
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
            What is judged: an image of this model or another, or the truth, laid out like the
            targets of the training, with their intensities.
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
            where the discriminator can't tell; a layer if the prediction is one. Each logit is
            on the pixels in the middle of the patch that it judges, see `DiscriminatorMap`. Its
            unit is that of the adversarial loss: the log odds of being real (``vanilla``), 1 for
            real and -1 for false (``hinge``, ``lsgan``), or a number without a zero (``wgan``,
            ``relativistic``).

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
        given, layers = image_of(prediction, self.target_codec.layout)
        judged = as_lazy_image(given, like=self.target_codec.layout, what="prediction")
        opened: LazyImage = EmptyImage(judged.height, judged.width, judged.frame_shape)
        if self.source_codec.channels:
            if source is None:
                raise InputError(
                    "The model was trained with a source: give that of the prediction."
                )
            opened = self._open(source)[0]
        for note in filter(None, (opened.note, judged.note)):
            warnings.warn(note, UserWarning, stacklevel=3)
        own = self.for_dtypes(opened.dtype, judged.dtype)
        discriminator = own.discriminator_predictor(device)
        judged = as_seen(judged, self.ndim)

        def judge(report: ProgressReporter) -> NDArray[np.float32]:
            def show(frame: int, done: int, total: int) -> None:
                report.show((frame + done / total) / judged.frames)

            maps = [
                discriminator.predict_frame(
                    opened, judged, frame, condition, tile, partial(show, frame)
                )
                for frame in range(judged.frames)
            ]
            return np.reshape(maps, (*judged.frame_shape, *maps[0].shape))

        logits = run_responsive(judge, title="Discriminator map")
        return discriminator_layer(logits, layers[0]) if layers else logits

    @own_errors()
    def unlikeness_map(
        self,
        image: Any,
        *,
        condition: Hashable = None,
        tile: int | None = None,
        device: str | None = None,
        resample: bool = False,
        pixel_size: float | None = None,
        plane_distance: float | None = None,
    ) -> Any:
        """Show where an image is unlike those that the model was trained on.

        The generator describes each cell of the image, of 16 pixels a side, or 4 in a ResNet, by
        its features. The map is their Mahalanobis distance to those of the training's windows (Lee
        et al. 2018), see `UsualFeatures`. A large distance says that the model has not learnt such
        images; a small one does not say that the prediction is right.

        Parameters
        ----------
        image, condition, tile, device, resample, pixel_size, plane_distance
            As when the translator is called; dask arrays are read. It takes as long, too.
            Resampled, cells have their side in the model's pixels.

        Returns
        -------
        numpy.ndarray or napari layer
            (..., H, W) float32 from 0, the same for all pixels of a cell: 99 % of the training's
            cells lie below 1. A layer of a layer.

        Raises
        ------
        InputError
            When the model does not know what is usual (it was trained without a source or by an
            earlier version, or it is a checkpoint), or the image does not fit it or can't be
            resampled.
        DeviceError
            As when the translator is called.

        Examples
        --------
        >>> from napari_pix2pix import train
        >>> image = np.random.default_rng(0).random((96, 96)).astype("float32")
        >>> model = train(image, 1 - image, steps=2, width=4, batch=2, patch=32)
        >>> model.unlikeness_map(image).shape
        (96, 96)
        """
        self.info.check_usual()
        options = PredictOptions(
            condition=condition,
            tile=tile,
            device=device,
            resample=resample,
            pixel_size=pixel_size,
            plane_distance=plane_distance,
        )
        check_options(options, self)
        opened, layers = self._open(image)
        warn_of_type(opened, self.source_codec, stacklevel=4)
        warn_of_pixel_size(opened, options, self, stacklevel=4)
        seen = self.as_computed(opened, options)

        def measure(report: ProgressReporter) -> list[Cells]:
            def show(frame: int, done: int, total: int) -> None:
                report.show((frame + done / total) / seen.frames)

            return self.predict_cells(seen, map_options(options), show)

        frames = run_responsive(measure, title="Unlikeness map")
        shown = self.show_cells(frames, seen)
        return unlikeness_layer(shown, layers[0]) if layers else shown

    def show_cells(self, frames: Sequence[Cells], image: LazyImage) -> NDArray[np.float32]:
        """Show the cells of all frames of an image on their pixels, (..., H, W).

        Those of a resampled image are shown on the grid that it had before.
        """
        sides = cell_sides(own_generator(self.generator))
        seen = as_seen(image, self.ndim)
        depth = [seen.depth] * (self.ndim == 3)

        def show(cells: Cells) -> Cells:
            shown = in_pixels(cells, sides, *depth, image.height, image.width)
            if not isinstance(image, ResampledImage):
                return shown
            return put_back(image, shown[np.newaxis])[0]

        maps = [show(cells) for cells in frames]
        return np.reshape(maps, (*seen.frame_shape, *maps[0].shape))

    def discriminator_predictor(self, device: str | None = None) -> DiscriminatorPredictor:
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

    @own_errors()
    def save(
        self, path: str | os.PathLike[str], *, slim: bool = False, overwrite: bool = True
    ) -> None:
        """Write the model into one file; the file is there as a whole or not at all.

        Parameters
        ----------
        path : path-like
            Usually ``*.safetensors``; no name with the ending of another format.
        slim : bool
            Leave out the discriminator and the weights that are not applied. What is usual, which
            `unlikeness_map` needs, goes with the last weights.
        overwrite : bool
            Whether an existing file is replaced.

        Raises
        ------
        FileError
            When it can't be written, or has such a name; what was there is intact.
        InputError
            When ``path`` is no path.

        Examples
        --------
        >>> from tempfile import TemporaryDirectory
        >>> from napari_pix2pix import load, train
        >>> image = np.random.default_rng(0).random((96, 96)).astype("float32")
        >>> translator = train(image, 1 - image, steps=2, width=4, batch=2, patch=32)
        >>> with TemporaryDirectory() as folder:
        ...     translator.save(f"{folder}/model.safetensors")
        ...     again = load(f"{folder}/model.safetensors")
        >>> bool(np.array_equal(again(image), translator(image)))
        True
        """
        path = as_path(path)
        check_ending(path, ENDING, what="a model")
        check_free(path, overwrite=overwrite)
        # The generator as it is now, which the user may have changed.
        applied = self._named(self.generator.state_dict())
        if not slim:
            write_container(path, self._tensors | applied, self.info.to_header())
            return
        info = self.info.slim()
        usual = {name: t for name, t in self._tensors.items() if name.startswith("usual.")}
        kept = applied if info.unlike is None else usual | applied
        write_container(path, kept, info.to_header())

    @own_errors()
    def export(
        self,
        path: str | os.PathLike[str],
        *,
        authors: str | None = None,
        licence: str | None = None,
        overwrite: bool = True,
    ) -> tuple[str, ...]:
        """Write the generator into a file that other programs run.

        The file is there as a whole or not at all, after ONNX Runtime, and bioimageio.core for a
        package, have made the same of test images as PyTorch.

        Parameters
        ----------
        path : path-like
            A name that ends in ``.onnx`` gets the network alone: planes from -1 to 1 in and out,
            (B, C, H, W) float32, with any batch size and any height and width that are multiples of
            the network's stride. One that ends in ``.zip`` gets a package of the BioImage Model
            Zoo: images in their own intensities in and out.
        authors : str, optional
            For a package: who made the model, names with commas between them. By default those of
            the model (see `describe`); the model zoo asks for some.
        licence : str, optional
            For a package: what others may do with it, an identifier of SPDX. By default that of the
            model, or else CC-BY-4.0.
        overwrite : bool
            Whether an existing file is replaced.

        Returns
        -------
        tuple of str
            What a user of the file has to know, a sentence each.

        Raises
        ------
        InputError
            When other programs can't run the model (noise planes, no source), or the package can't
            take labels, or there is no such licence, or they are given for an ONNX file.
        FileError
            When it can't be written, has another ending, a library is missing (``pip install
            "napari-pix2pix[onnx]"`` or ``[bioimageio]``) or a test failed.

        References
        ----------
        ONNX, opset 17, and the model description 0.5 of the BioImage Model Zoo (Ouyang et al. 2022,
        "BioImage Model Zoo: a community-driven resource for accessible deep learning in bioimage
        analysis").

        Examples
        --------
        >>> from tempfile import TemporaryDirectory
        >>> from napari_pix2pix import train
        >>> image = np.random.default_rng(0).random((96, 96)).astype("float32")
        >>> model = train(image, 1 - image, steps=2, width=4, batch=2, patch=32)
        >>> with TemporaryDirectory() as folder:
        ...     notes = model.export(f"{folder}/model.onnx")
        """
        path = as_path(path)
        check_ending(path, *EXPORT_ENDINGS, what="an exported model")
        check_credits(path, authors, licence)
        check_free(path, overwrite=overwrite)
        info = self.info.with_texts({"authors": authors, "licence": licence})
        return export_model(path, own_generator(self.generator), info)

    def _build_generator(self) -> UNet | ResNet:
        """Build the generator with the weights that are applied, which it shares with the model."""
        planes = self.info.planes
        generator = plan_generator(
            self.config, planes_in=planes.generator_in, planes_out=planes.generator_out
        )
        generator.load_state_dict(part_of(self._tensors, self._applied))
        # Without gradients this is the fastest on every device.
        memory_format = channels_last(generator.ndim)
        generator.to(memory_format=memory_format)  # type: ignore[call-overload]
        # One copy of the applied weights is enough: from now on it is the generator's.
        self._tensors |= self._named(generator.state_dict())
        return generator.eval()

    def _build_usual(self) -> UsualFeatures | None:
        """Build what tells how unlike the training an image is; None if that was not learnt."""
        tensors = part_of(self._tensors, "usual")
        return UsualFeatures(**tensors) if self.info.usual is not None else None

    def _named(self, generator: Weights) -> Weights:
        return {f"{self._applied}.{name}": value for name, value in generator.items()}
