"""What pix2pix minimises: adversarial terms, gradient penalties, features, reconstruction terms.

All are means, so that a weight means the same for every batch, patch size and receptive field.
Nothing here reads a value back from the device or branches on one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional

from napari_pix2pix.core import _checks

AdversarialLoss = Literal["vanilla", "lsgan", "hinge", "wgan"]
ReconstructionLoss = Literal["l1", "l2", "charbonnier"]
Logits = Tensor | tuple[Tensor, ...]
Features = list[list[Tensor]]  # for each scale its layers' activations, the logits last

_CHARBONNIER_EPSILON = 1e-3


def discriminator_loss(kind: AdversarialLoss, logits: Logits, real: bool) -> Tensor:
    """Say how far the logits are from calling their images real, or made up.

    Parameters
    ----------
    kind : {"vanilla", "lsgan", "hinge", "wgan"}
        Binary cross-entropy (Goodfellow et al. 2014), squared error to 1 or 0 (Mao et al. 2017),
        hinge at 1 or -1 (Lim and Ye 2017), or the bare mean (Arjovsky et al. 2017), which needs a
        `gradient_penalty`.
    logits : Tensor or tuple of Tensor
        What the discriminator gave, (B, 1, h, w); a tuple is averaged over its scales.
    real : bool
        What the discriminator should have said.

    Returns
    -------
    Tensor
        A scalar, at least float32.

    Raises
    ------
    ValueError
        If the kind is not known.

    Examples
    --------
    >>> round(discriminator_loss("vanilla", torch.zeros(1, 1, 2, 2), True).item(), 4)
    0.6931
    """
    _checks.one_of("adversarial loss", kind, get_args(AdversarialLoss))
    if isinstance(logits, Tensor):
        return _judge(kind, logits, real)
    return torch.stack([_judge(kind, scale, real) for scale in logits]).mean()


def generator_loss(kind: AdversarialLoss, logits: Logits) -> Tensor:
    """Say how far the logits of generated images are from calling them real.

    Parameters
    ----------
    kind, logits
        As in `discriminator_loss`. Hinge and wgan both give minus the mean logit: a generator
        profits from going beyond the hinge.

    Returns
    -------
    Tensor
        A scalar, at least float32.

    Raises
    ------
    ValueError
        If the kind is not known.
    """
    return discriminator_loss("wgan" if kind == "hinge" else kind, logits, real=True)


def gradient_penalty(
    discriminator: Callable[[Tensor], Logits], real: Tensor, fake: Tensor, alpha: Tensor
) -> Tensor:
    """Penalise slopes other than 1 between real and generated images (Gulrajani et al. 2017).

    The slope is that of the sum over a map of logits; with several scales the penalties are
    averaged. It has a graph, so that its gradient reaches the discriminator's weights.

    Parameters
    ----------
    discriminator : callable
        Maps (B, C, H, W) to logits.
    real, fake : Tensor
        What the discriminator sees, (B, C, H, W): with a conditional one, source and image stacked.
    alpha : Tensor
        Share of `real` in each mixture, (B, 1, 1, 1), in [0, 1].

    Returns
    -------
    Tensor
        A scalar: the mean over the batch of ``(norm of gradient - 1)**2``.

    Raises
    ------
    ValueError
        If real and fake differ in shape.
    """
    _same_shape("real", real, "fake", fake)
    mixture = torch.lerp(fake.detach(), real.detach(), alpha).requires_grad_()
    terms = [
        (torch.linalg.vector_norm(slope, dim=(1, 2, 3)) - 1).square().mean()
        for slope in _slopes(discriminator, mixture)
    ]
    return torch.stack(terms).mean()


def r1_penalty(discriminator: Callable[[Tensor], Logits], real: Tensor) -> Tensor:
    """Penalise slopes at real images (Mescheder et al. 2018).

    Parameters
    ----------
    discriminator, real
        As in `gradient_penalty`.

    Returns
    -------
    Tensor
        A scalar with a graph: the mean over the batch of the gradient's squared norm. The paper's
        gamma / 2 is the caller's weight.
    """
    seen = real.detach().requires_grad_()
    terms = [slope.square().sum((1, 2, 3)).mean() for slope in _slopes(discriminator, seen)]
    return torch.stack(terms).mean()


def reconstruction_loss(
    kind: ReconstructionLoss,
    prediction: Tensor,
    target: Tensor,
    valid: Tensor | None = None,
    weight: Tensor | None = None,
) -> Tensor:
    """Say how far a prediction is from its target, pixel by pixel.

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
        (B, 1 or C, H, W), float: factors of the elements, by which the mean is not divided. So an
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
    _same_shape("prediction", prediction, "target", target)
    factor = 1.0 if weight is None else weight
    if weight is not None:
        check_planes("weight", weight, prediction)
    difference = prediction - target
    if valid is None:
        return (factor * deviation(kind, difference)).mean()
    check_planes("valid", valid, prediction)
    counted = valid.to(difference.dtype).expand_as(difference)
    # Invalid differences go before any function sees them: 0 times the gradient of a NaN is NaN.
    difference = torch.where(counted > 0, difference, 0)
    total = (counted * factor * deviation(kind, difference)).sum()
    return total / counted.sum().clamp_min(torch.finfo(counted.dtype).tiny)


def feature_matching_loss(fake: Features, real: Features) -> Tensor:
    """Say how far a discriminator's activations for generated images are from those for real ones.

    Parameters
    ----------
    fake, real : list of list of Tensor
        What the discriminator's ``features`` gave. No gradient goes to the real ones.

    Returns
    -------
    Tensor
        A scalar, at least float32: the mean absolute difference of the activations, averaged over
        layers and scales, logits left out. Wang et al. 2018 (pix2pixHD) sum over layers.

    Raises
    ------
    ValueError
        If activations differ in shape.
    """
    distances = []
    for of_fake, of_real in zip(fake, real, strict=True):
        for one, other in zip(of_fake[:-1], of_real[:-1], strict=True):
            _same_shape("fake", one, "real", other)
            # Half precision would round the mean of a large map.
            wide = torch.promote_types(one.dtype, torch.float32)
            distances.append((one.to(wide) - other.detach().to(wide)).abs().mean())
    return torch.stack(distances).mean()


def _judge(kind: AdversarialLoss, logits: Tensor, real: bool) -> Tensor:
    # Half precision would round the mean of a large map.
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    if kind == "lsgan":
        return (logits - float(real)).square().mean()
    wrong = -logits if real else logits
    if kind == "vanilla":
        return functional.softplus(wrong).mean()
    if kind == "hinge":
        return functional.relu(1 + wrong).mean()
    return wrong.mean()


def _slopes(discriminator: Callable[[Tensor], Logits], images: Tensor) -> list[Tensor]:
    """Gradient of each scale's summed logits with respect to the images, (B, C, H, W)."""
    logits = discriminator(images)
    scales = (logits,) if isinstance(logits, Tensor) else logits
    return [torch.autograd.grad(scale.sum(), images, create_graph=True)[0] for scale in scales]


def deviation(kind: ReconstructionLoss, difference: Tensor) -> Tensor:
    """Say what each element's difference costs, as `reconstruction_loss` does."""
    if kind == "l1":
        return difference.abs()
    if kind == "l2":
        return difference.square()
    return (difference.square() + _CHARBONNIER_EPSILON**2).sqrt()


def _same_shape(one: str, first: Tensor, other: str, second: Tensor) -> None:
    if first.shape != second.shape:
        raise ValueError(
            f"{one} has shape {tuple(first.shape)} but {other} has {tuple(second.shape)}; "
            "give two of one shape."
        )


def check_planes(name: str, planes: Tensor, prediction: Tensor) -> None:
    """Refuse planes that do not lie beside a prediction, pixel by pixel."""
    batch, channels, height, width = prediction.shape
    if tuple(planes.shape) not in ((batch, 1, height, width), (batch, channels, height, width)):
        raise ValueError(
            f"{name} has shape {tuple(planes.shape)} beside images {tuple(prediction.shape)}; "
            "give it one channel, or as many as they have."
        )
