"""The losses of pix2pix: adversarial, gradient penalties, feature matching, reconstruction.

All are means, so that a weight means the same for every batch, patch size and receptive field.
Shapes are those of images, (B, C, H, W); volumes have their planes before H. Nothing here reads a
value back from the device or branches on one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional

from napari_pix2pix.core import _checks

AdversarialLoss = Literal["vanilla", "lsgan", "hinge", "wgan", "relativistic"]
ReconstructionLoss = Literal["l1", "l2", "charbonnier"]
Logits = Tensor | tuple[Tensor, ...]
Features = list[list[Tensor]]  # for each scale its layers' activations, the logits last

_CHARBONNIER_EPSILON = 1e-3


def discriminator_loss(
    kind: AdversarialLoss, logits: Logits, real: bool, other: Logits | None = None
) -> Tensor:
    """Return the discriminator's loss on real or on generated images.

    Parameters
    ----------
    kind : {"vanilla", "lsgan", "hinge", "wgan", "relativistic"}
        Binary cross-entropy (Goodfellow et al. 2014), squared error to 1 or 0 (Mao et al. 2017),
        hinge at 1 or -1 (Lim and Ye 2017), or the bare mean (Arjovsky et al. 2017), which needs a
        `gradient_penalty`. ``relativistic`` asks only which of two images is the real one: the
        cross-entropy of the difference of their logits, paired as in Huang et al. 2024 (RpGAN,
        Jolicoeur-Martineau 2018).
    logits : Tensor or tuple of Tensor
        The discriminator's output, (B, 1, h, w); a tuple is averaged over its scales.
    real : bool
        Whether the images are real.
    other : Tensor or tuple of Tensor, optional
        For ``relativistic`` alone: the logits of the images on the other side, generated ones of
        real ones, in the same order and of the same shapes.

    Returns
    -------
    Tensor
        A scalar, at least float32.

    Raises
    ------
    ValueError
        If the kind is not known, or ``other`` is missing or has no use.

    Examples
    --------
    >>> round(discriminator_loss("vanilla", torch.zeros(1, 1, 2, 2), True).item(), 4)
    0.6931
    >>> fake, real = torch.full((1, 1, 2, 2), 4.0), torch.full((1, 1, 2, 2), 5.0)
    >>> round(discriminator_loss("relativistic", real, True, fake).item(), 4)
    0.3133
    """
    _checks.one_of("adversarial loss", kind, get_args(AdversarialLoss))
    if (kind == "relativistic") != (other is not None):
        raise ValueError(
            "other, the logits of the images on the other side, belongs to the adversarial loss "
            f"'relativistic', got {kind!r} {'without' if other is None else 'with'} it"
        )
    scales, others = _scales(logits), _scales(other)
    if others:
        pairs = zip(scales, others, strict=True)
        scales = [_wide(one) - _wide(two) for one, two in pairs]
    return torch.stack([_adversarial_loss(kind, scale, real) for scale in scales]).mean()


def generator_loss(kind: AdversarialLoss, logits: Logits, other: Logits | None = None) -> Tensor:
    """Return the generator's adversarial loss: its images should be called real.

    Parameters
    ----------
    kind, logits
        As in `discriminator_loss`. Hinge and wgan both give minus the mean logit: a generator
        profits from going beyond the hinge.
    other : Tensor or tuple of Tensor, optional
        For ``relativistic`` alone: the logits of the real images.

    Returns
    -------
    Tensor
        A scalar, at least float32.

    Raises
    ------
    ValueError
        As in `discriminator_loss`.

    Examples
    --------
    >>> generator_loss("lsgan", torch.zeros(1, 1, 2, 2)).item()
    1.0
    """
    return discriminator_loss("wgan" if kind == "hinge" else kind, logits, True, other)


def gradient_penalty(
    discriminator: Callable[[Tensor], Logits], real: Tensor, fake: Tensor, alpha: Tensor
) -> Tensor:
    """Penalise gradient norms other than 1 between real and generated images (WGAN-GP).

    The gradient is that of the sum over a map of logits; with several scales the penalties are
    averaged. The result has a graph, so that its gradient reaches the discriminator's weights.

    Parameters
    ----------
    discriminator : callable
        Maps (B, C, H, W) to logits.
    real, fake : Tensor
        What the discriminator sees, (B, C, H, W): with a conditional one, source and image stacked.
    alpha : Tensor
        Share of `real` in each mixture, (B, 1, 1, 1), in [0, 1]; of volumes with one axis more.

    Returns
    -------
    Tensor
        A scalar: the mean over the batch of ``(norm of gradient - 1)**2``.

    Raises
    ------
    ValueError
        If real and fake differ in shape.

    References
    ----------
    Gulrajani et al. 2017, "Improved training of Wasserstein GANs", equation 3.

    Examples
    --------
    >>> real, fake = torch.ones(2, 1, 4, 4), torch.zeros(2, 1, 4, 4)
    >>> gradient_penalty(lambda x: 0.5 * x, real, fake, torch.rand(2, 1, 1, 1)).item()
    1.0
    """
    _checks.same_shape("real", real, "fake", fake)
    mixture = torch.lerp(fake.detach(), real.detach(), alpha).requires_grad_()
    penalties = [
        (torch.linalg.vector_norm(gradient, dim=_pixel_axes(gradient)) - 1).square().mean()
        for gradient in _input_gradients(discriminator, mixture)
    ]
    return torch.stack(penalties).mean()


def r1_penalty(discriminator: Callable[[Tensor], Logits], real: Tensor) -> Tensor:
    """Penalise gradients at real images (Mescheder et al. 2018, equation 9).

    Parameters
    ----------
    discriminator : callable
        Maps (B, C, H, W) to logits.
    real : Tensor
        As in `gradient_penalty`.

    Returns
    -------
    Tensor
        A scalar with a graph: the mean over the batch of the gradient's squared norm. The caller's
        weight stands for the paper's gamma / 2.

    Examples
    --------
    >>> r1_penalty(lambda x: 0.5 * x, torch.ones(2, 1, 4, 4)).item()
    4.0
    """
    real = real.detach().requires_grad_()
    penalties = [
        gradient.square().sum(_pixel_axes(gradient)).mean()
        for gradient in _input_gradients(discriminator, real)
    ]
    return torch.stack(penalties).mean()


def reconstruction_loss(
    kind: ReconstructionLoss,
    prediction: Tensor,
    target: Tensor,
    valid: Tensor | None = None,
    weight: Tensor | None = None,
) -> Tensor:
    """Compare a prediction with its target, pixel by pixel (Isola et al. 2017, equation 3).

    Parameters
    ----------
    kind : {"l1", "l2", "charbonnier"}
        Absolute, squared, or ``sqrt(difference**2 + 1e-6)`` (Charbonnier et al. 1994), which is
        the absolute one without its corner.
    prediction, target : Tensor
        Images (B, C, H, W), usually in [-1, 1].
    valid : Tensor, optional
        (B, 1 or C, H, W), bool, or float as weights from 0 up: the mean goes over valid elements
        only. Where it is 0 the target may be NaN. All invalid: 0, with a gradient of 0.
    weight : Tensor, optional
        (B, 1 or C, H, W), float: factors of the elements. The mean is not divided by them, so an
        element weighs the same whatever else is in its batch.

    Returns
    -------
    Tensor
        A scalar.

    Raises
    ------
    ValueError
        If the kind is not known, or shapes do not fit.

    Examples
    --------
    >>> reconstruction_loss("l1", torch.zeros(1, 1, 2, 2), torch.ones(1, 1, 2, 2)).item()
    1.0
    """
    _checks.one_of("reconstruction loss", kind, get_args(ReconstructionLoss))
    _checks.same_shape("prediction", prediction, "target", target)
    factor = 1.0 if weight is None else weight
    if weight is not None:
        _checks.pixel_map("weight", weight, prediction)
    difference = prediction - target
    if valid is None:
        return (factor * pixel_loss(kind, difference)).mean()
    _checks.pixel_map("valid", valid, prediction)
    counted = valid.to(difference.dtype).expand_as(difference)
    # Invalid differences go before any function sees them: 0 times the gradient of a NaN is NaN.
    difference = torch.where(counted > 0, difference, 0)
    total = (counted * factor * pixel_loss(kind, difference)).sum()
    return total / counted.sum().clamp_min(torch.finfo(counted.dtype).tiny)


def feature_matching_loss(fake: Features, real: Features) -> Tensor:
    """Compare a discriminator's activations for generated images with those for real ones.

    Parameters
    ----------
    fake, real : list of list of Tensor
        From the discriminator's ``features``. No gradient goes to the real ones.

    Returns
    -------
    Tensor
        A scalar, at least float32: the mean absolute difference of the activations, averaged over
        layers and scales, logits left out. pix2pixHD (Wang et al. 2018, equation 4) sums over
        layers.

    Raises
    ------
    ValueError
        If activations differ in shape.

    Examples
    --------
    >>> fake = [[torch.zeros(1, 8, 4, 4), torch.zeros(1, 1, 3, 3)]]  # a layer, and the logits
    >>> real = [[torch.ones(1, 8, 4, 4), torch.ones(1, 1, 3, 3)]]
    >>> feature_matching_loss(fake, real).item()
    1.0
    """
    distances = []
    for fake_scale, real_scale in zip(fake, real, strict=True):
        for fake_layer, real_layer in zip(fake_scale[:-1], real_scale[:-1], strict=True):
            _checks.same_shape("fake", fake_layer, "real", real_layer)
            distances.append((_wide(fake_layer) - _wide(real_layer.detach())).abs().mean())
    return torch.stack(distances).mean()


def _adversarial_loss(kind: AdversarialLoss, logits: Tensor, real: bool) -> Tensor:
    """Return the mean loss of one map of logits, (B, 1, h, w)."""
    logits = _wide(logits)
    if kind == "lsgan":
        return (logits - float(real)).square().mean()
    # Positive where the discriminator is wrong.
    error = -logits if real else logits
    if kind in ("vanilla", "relativistic"):
        return functional.softplus(error).mean()  # cross-entropy of the sigmoid
    if kind == "hinge":
        return functional.relu(1 + error).mean()
    return error.mean()


def _wide(values: Tensor) -> Tensor:
    # Half precision would round the mean of a large map.
    return values.to(torch.promote_types(values.dtype, torch.float32))


def _scales(logits: Logits | None) -> list[Tensor]:
    if logits is None:
        return []
    return [logits] if isinstance(logits, Tensor) else list(logits)


def _input_gradients(discriminator: Callable[[Tensor], Logits], images: Tensor) -> list[Tensor]:
    """Return the gradient of each scale's summed logits at the images, (B, C, H, W)."""
    scales = _scales(discriminator(images))
    return [torch.autograd.grad(scale.sum(), images, create_graph=True)[0] for scale in scales]


def _pixel_axes(images: Tensor) -> tuple[int, ...]:
    """Return all axes but that of the batch."""
    return tuple(range(1, images.ndim))


def pixel_loss(kind: ReconstructionLoss, difference: Tensor) -> Tensor:
    """Return the reconstruction loss of each element, (B, C, H, W)."""
    if kind == "l1":
        return difference.abs()
    if kind == "l2":
        return difference.square()
    return (difference.square() + _CHARBONNIER_EPSILON**2).sqrt()
