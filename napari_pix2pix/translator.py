"""The thing a user owns: a trained translation, and how it is applied and kept."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Hashable, Mapping, Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_pix2pix._apply import ImagePredictor, draw_images, show_frame
from napari_pix2pix._stored_model import StoredModel
from napari_pix2pix.core import DiscriminatorMap
from napari_pix2pix.data.codecs import Output
from napari_pix2pix.data.inputs import known_intensities
from napari_pix2pix.data.lazy_image import EmptyImage, LazyImage, as_lazy_image
from napari_pix2pix.errors import FileError, InputError
from napari_pix2pix.inference.checks import check_options
from napari_pix2pix.inference.devices import choose_device
from napari_pix2pix.inference.discriminator_map import DiscriminatorPredictor
from napari_pix2pix.inference.options import PredictOptions, check_integer, check_size
from napari_pix2pix.io.model_header import read_thumbnail
from napari_pix2pix.io.paths import as_path
from napari_pix2pix.metrics.baselines import Baselines
from napari_pix2pix.metrics.names import primary_metric
from napari_pix2pix.napari_layers import (
    Snapshot,
    discriminator_layer,
    image_of,
    result_record,
)
from napari_pix2pix.napari_layers.keep_responsive import ProgressReporter, run_responsive
from napari_pix2pix.training.networks import Discriminator

if TYPE_CHECKING:
    from torch import Tensor


class Translator(ImagePredictor):
    """A trained translation from source images to target images.

    Made by `train` and `load`. Call it on an image to translate it; one that was trained without
    a source makes images by `sample`.

    Parameters
    ----------
    tensors : mapping of str to torch.Tensor
        Tensors of a model file: ``generator.*`` and, where there are any, ``averaged.*``,
        ``best.*`` and ``discriminator.*``.
    header : mapping
        Header of a model file, see Attributes.

    Attributes
    ----------
    generator : UNet or ResNet
        The network that is applied, with the weights that ``config.keep`` asks for.
    config : TrainConfig
        How it was trained.
    source_codec, target_codec : ImageCodec, ClassCodec or InstanceCodec
        How intensities become planes and back.
    conditions : tuple of hashable
        Names of the conditions to choose from; empty without any.
    baseline : TrivialMaps
        The baseline, fitted on the same training data; none without a source, or where
        another program trained the model.
    scores : dict
        ``prediction`` and ``baseline``: scores of the applied weights and of the baseline on
        the held-out data; empty without validation.
    history : list of dict
        One entry per epoch: step, mean losses, validation scores.
    summary : str
        What it was trained on, in one line.
    notes : tuple of str
        What there was to say of its pairs before the training: kinds, what is held out, alignment,
        and what looked wrong.
    intensities : pair of Intensities or None
        Of the sources and targets that it was trained on; None where the file lacks them.
    thumbnail : uint8 array (h, w, 3) or None
        A held-out source and what was made of it; None where nothing was held out.
    steps : int
        Optimisation steps that it was trained for.
    seconds : float
        How long that took; 0 where the file does not say.
    started_from : dict or None
        ``summary`` and ``steps`` of the model that its training began from, and more.
    """

    def __init__(self, tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> None:
        self._stored = stored = StoredModel(tensors, header)
        self.config = stored.config
        self.baseline = Baselines.from_dict(header["baseline"])
        self.history: list[dict[str, Any]] = header["history"]
        self.scores: dict[str, dict[str, float]] = header["scores"]
        self.summary: str = header["summary"]
        self.notes: tuple[str, ...] = tuple(header["notes"])
        self.intensities = known_intensities(header)
        self.thumbnail = read_thumbnail(header)
        self.steps: int = header["step"]
        self.seconds: float = header.get("seconds", 0.0)
        self.started_from: dict[str, Any] | None = header.get("started_from")
        super().__init__(
            stored.build_generator(),
            stored.source_codec,
            stored.target_codec,
            conditions=stored.conditions,
            z_context=self.config.z_context,
            noise_channels=self.config.noise_channels,
            noise=self.config.noise,
        )

    def __repr__(self) -> str:
        held_out = ""
        if self.scores:
            name, score = primary_metric(self.scores["prediction"])
            held_out = f", held-out {name} {score:.3f}"
        return f"<Translator {self.summary}, {self.config.preset}{held_out}>"

    @cached_property
    def digest(self) -> str:
        """Hash of the weights that are applied, 16 hexadecimal digits: the same in every file."""
        whole = hashlib.sha256()
        for name, tensor in sorted(self.generator.state_dict().items()):
            whole.update(name.encode())
            whole.update(tensor.detach().cpu().contiguous().numpy().tobytes())
        return whole.hexdigest()[:16]

    @property
    def tensors(self) -> dict[str, Tensor]:
        """Tensors of the model file by name, on the CPU: see Parameters."""
        return dict(self._stored.tensors)

    @property
    def discriminator(self) -> Discriminator | None:
        """The discriminator as it was at the end of training; None in a slim model."""
        return self._stored.build_discriminator()

    def sample(
        self,
        condition: Hashable = None,
        n: int = 1,
        size: int | tuple[int, int] | None = None,
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
        check_integer("seed", seed, 0)
        options = PredictOptions(
            condition=condition,
            output=output,
            device=device,
            seed=seed,
            samples=check_integer("n", n, 1),
        )
        check_options(options, self)
        empty = EmptyImage(*check_size(self.config.patch if size is None else size))
        return np.stack(
            run_responsive(partial(draw_images, self, empty, options, None), title="Sampling")
        )

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
        given, layers = image_of(prediction, self.target_codec.layout)
        judged = as_lazy_image(given, like=self.target_codec.layout, what="prediction")
        opened: LazyImage = EmptyImage(judged.height, judged.width, judged.frame_shape)
        if self.source_codec.channels:
            if source is None:
                raise InputError(
                    "The model was trained with a source: give that of the prediction."
                )
            opened = self._open(source)[0]
        own = self.for_dtypes(opened.dtype, judged.dtype)
        discriminator = own.discriminator_predictor(device)

        def judge(report: ProgressReporter) -> NDArray[np.float32]:
            maps = []
            for frame in range(judged.frames):
                show = partial(show_frame, report, frame, judged.frames)
                maps.append(
                    discriminator.predict_frame(opened, judged, frame, condition, tile, show)
                )
            return np.reshape(maps, (*judged.frame_shape, *maps[0].shape))

        logits = run_responsive(judge, title="Discriminator map")
        return discriminator_layer(logits, layers[0]) if layers else logits

    def discriminator_predictor(self, device: str | None = None) -> DiscriminatorPredictor:
        """Return what `discriminator_map` runs on each frame of opened images."""
        discriminator = self.discriminator
        if discriminator is None:
            raise InputError(
                "The model has no discriminator to ask: it was saved slim or by another program, "
                "or trained without an adversarial term."
            )
        learnt = any("D_real" in epoch["losses"] for epoch in self.history)
        if self.history and not (learnt or self.started_from):
            raise InputError(
                "The model's discriminator has learnt nothing: its training ended before "
                f"adversarial_start={self.config.adversarial_start:g} of the budget."
            )
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
        """Write the model into one file, beside its place first and then renamed.

        Parameters
        ----------
        path : path-like
            Usually ``*.safetensors``.
        slim : bool
            Leave out the discriminator and the weights that are not applied.
        overwrite : bool
            Whether a file that is there is replaced.

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
        self._stored.write(path, self.generator.state_dict(), slim=slim)

    def _record(
        self, sources: Sequence[Snapshot], options: PredictOptions, shown: str
    ) -> dict[str, Any]:
        return result_record(
            sources,
            model="pix2pix",
            digest=self.digest,
            condition=options.condition,
            trained_on=self.summary,
            scores=self.scores,
            samples=options.samples,
            shown=shown,
        )
