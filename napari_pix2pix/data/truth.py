"""Is the truth what a model makes? Labels that differ only by name are matched, others refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from napari_pix2pix.data.box import middle
from napari_pix2pix.data.class_codec import MOST_CLASSES, ClassCodec
from napari_pix2pix.data.codec_base import distinct_values, list_labels
from napari_pix2pix.data.codecs import Codec
from napari_pix2pix.data.infer_codec import infer_codec, infer_set_kind
from napari_pix2pix.data.intensities import Intensities
from napari_pix2pix.data.kinds import Kind, has_shared_numbers, infer_kind
from napari_pix2pix.data.label_sets import read_as_labels
from napari_pix2pix.data.lazy_image import LabelImage
from napari_pix2pix.data.pair import OpenPair
from napari_pix2pix.errors import InputError

Windows = Sequence[NDArray[Any]]  # (C, h, w) each
Names = Mapping[int, int]  # labels of one side, and what the other side calls them

# Frames that are looked at, at least one of each pair, and their largest side.
_MOST_FRAMES, _SIDE = 32, 2048
# A generator is bounded, so no truth is so many times wider than its training's targets.
_WIDER = 8
# Of another dtype, values are a copy in another unit if their width differs this much.
_OTHER_WIDTH = 3
# A narrower truth of the same dtype may be an empty field, so it only has a note.
_NARROW = 1 / 32
# Of normalised floats the largest value is 1; what reaches this has another unit.
_NOT_NORMALISED = 16
# So few different quantiles are those of labels that were trained on as an image.
_FEW_QUANTILES = 4
# A prediction of so few classes that the truth lacks is only a bad one; more are objects.
_FEW_OBJECTS = 4
# Parts of a truth's labelled pixels that may belong to no class of the model: any, and those that
# are marked as void by custom.
_MOST_UNKNOWN, _MOST_VOID, _VOID = 0.1, 0.5, {255, 65535}
# Holds the labels of a truth, and any that they are matched with.
_WIDE = np.dtype(np.int64)


@dataclass(frozen=True)
class _Frames:
    """The middles of some frames of a pair, spread evenly."""

    sources: list[NDArray[Any]]  # (C, h, w)
    targets: list[NDArray[Any]]  # (D, h, w)
    valid: list[NDArray[np.bool_]]  # (1 or D, h, w)

    @classmethod
    def read(cls, pair: OpenPair, most: int) -> Self:
        rows, columns = (middle(slice(0, n), _SIDE) for n in (pair.height, pair.width))
        frames = cls([], [], [])
        for frame in np.linspace(0, pair.frames - 1, min(pair.frames, most)).astype(int):
            source, target, valid = pair.read_with_mask(int(frame), rows, columns)
            frames.sources.append(source)
            frames.targets.append(target)
            frames.valid.append(valid)
        return frames

    @classmethod
    def read_all(cls, pairs: Sequence[OpenPair]) -> list[Self]:
        return [cls.read(pair, max(1, _MOST_FRAMES // len(pairs))) for pair in pairs]

    @property
    def labels(self) -> list[NDArray[Any]]:
        """The targets, with 0 where they do not count."""
        return [np.where(v, t, 0) for t, v in zip(self.targets, self.valid, strict=True)]


def match_truths(
    pairs: Sequence[OpenPair], codec: Codec, trained: Intensities | None
) -> tuple[list[OpenPair], list[str]]:
    """Return pairs whose targets can be scored against what a model with this codec makes; notes.

    `trained` are the intensities of its training's targets, where they are known.
    """
    if codec.kind == "image":
        note = "" if trained is None else _check_image(pairs, trained)
        return list(pairs), [note] if note else []
    opened, notes = _read_labels(pairs, f"The model makes {codec.kind}")
    labels = [frames.labels for frames in _Frames.read_all(opened)]
    if not isinstance(codec, ClassCodec):
        every = [window for windows in labels for window in windows]
        check_objects(every, "The model makes objects", "truth")
        return opened, notes
    names, found = _match_classes(labels, codec)
    return _rename(opened, names), notes + found


def match_layers(
    compared: OpenPair, chosen: Kind | Literal["auto"]
) -> tuple[OpenPair, Codec, list[str]]:
    """Return a prediction, as source, and its truth, to be scored; the truth's codec; and notes.

    A kind that the user chose holds, whatever the values look like.
    """
    notes: list[str] = []
    if chosen in ("classes", "instances"):
        (compared,), notes = _read_labels([compared], f"{chosen.capitalize()} are compared")
    frames = _Frames.read(compared, _MOST_FRAMES)
    if chosen == "instances":
        check_objects(frames.labels, "Objects are compared", "truth")
    codec, _ = infer_codec(
        frames.targets,
        frames.valid,
        kind=chosen,
        method="percentile",
        layout=compared.target.layout,
        what="target",
    )
    kind = infer_set_kind(frames.sources, compared.source.layout)
    unlike = (kind == "image") != (codec.kind == "image")
    if chosen == "auto" and unlike and (kind != "image" or _is_image(frames.sources)):
        raise InputError(
            f"The truth looks like {codec.kind}, and the prediction like {kind}: choose two layers "
            "of one kind, or say what the values are."
        )
    if codec.kind == "image":
        _check_scale([frames], Intensities.measure(frames.sources), "The prediction holds")
        return compared, codec, notes
    (source,), found = read_as_labels([compared.source], "prediction", known=True)
    compared, notes = replace(compared, source=source), notes + found
    predictions = _Frames.read(compared, _MOST_FRAMES).sources
    if codec.kind == "instances":
        check_objects(predictions, "Objects are compared", "prediction")
        return compared, codec, notes
    made, true = (_values(windows) - {0} for windows in (predictions, frames.labels))
    names = _names(made, true) if made and not made & true else {}
    if names is None or (kind == "instances" and len(made - true) > _FEW_OBJECTS):
        raise InputError(
            f"The prediction holds {list_labels(sorted(made))}, and the truth "
            f"{list_labels(sorted(true))}: give both the same labels."
        )
    if names:
        compared = replace(compared, source=LabelImage(source, _WIDE, renamed=names))
    return compared, codec, notes + _names_notes([names], "prediction")


def check_objects(windows: Windows, wanted: str, what: str) -> None:
    """Refuse labels in which many objects have one number, and images."""
    if _is_image(windows) and infer_kind(windows) == "image":
        raise InputError(f"{wanted}, and the {what} looks like an image: give labels.")
    if has_shared_numbers(windows):
        shared = list_labels(sorted(_values(windows) - {0}), 3)
        raise InputError(
            f"{wanted}, each with a number of its own, and in the {what} many share {shared}: "
            "number them, for example with skimage.measure.label, or compare classes."
        )


def _is_image(windows: Windows) -> bool:
    """Say that windows hold more values than classes can be, or other than whole numbers."""
    if windows[0].dtype.kind == "f":
        finite = [window[np.isfinite(window)] for window in windows]
        return any((values != np.rint(values)).any() for values in finite)
    return len(distinct_values(windows)) > MOST_CLASSES


def _values(windows: Windows) -> set[int]:
    return set(distinct_values(windows).tolist())


def _read_labels(pairs: Sequence[OpenPair], wanted: str) -> tuple[list[OpenPair], list[str]]:
    """Read the targets as labels of one dtype; refuse fractions."""
    for pair in pairs:
        if pair.target.dtype.kind == "f" and _is_image(_Frames.read(pair, 1).targets):
            raise InputError(
                f"{wanted}, and the truth of {pair.name} holds {pair.target.dtype} values that "
                "are not whole numbers: give labels."
            )
    images, notes = read_as_labels([pair.target for pair in pairs], "truth", known=True)
    joined = zip(pairs, images, strict=True)
    return [replace(pair, target=image) for pair, image in joined], notes


def _match_classes(labels: Sequence[Windows], codec: ClassCodec) -> tuple[list[Names], list[str]]:
    """Return which labels of each pair's truth are which classes, and notes."""
    known, by_pair = set(codec.values), [_values(windows) for windows in labels]
    found = set[int]().union(*by_pair)
    together = _names(found, known)
    names = [_names(own, known) if together is None else together for own in by_pair]
    matched = [one for one in names if one is not None]
    if len(matched) == len(labels):
        return matched, _names_notes(matched, "truth") + _missing_notes(known, found)
    makes = f"The model makes the classes of {list_labels(codec.values)}, and the truth"
    counted = np.concatenate([window[window != 0] for own in labels for window in own])
    share = np.isin(counted, codec.values).mean()
    needed = 1 - (_MOST_VOID if found - known <= _VOID else _MOST_UNKNOWN)
    if len(found) > len(known) and share >= needed:
        unknown = list_labels(sorted(found - known))
        return [{}] * len(labels), [f"{makes} also holds {unknown}: such pixels are unlabelled."]
    raise InputError(
        f"{makes} holds {list_labels(sorted(found))}: give the truth the model's labels, and mask "
        "what belongs to no class."
    )


def _names(found: set[int], known: set[int]) -> Names | None:
    """Return which label is which, in rising order; None if they differ by more than the name."""
    labels, classes = sorted(found - {0}), sorted(known - {0})
    if found <= known | {0}:
        return {}
    if len(labels) != len(classes) or set(labels) & known:
        return None
    return dict(zip(labels, classes, strict=True))


def _names_notes(names: Sequence[Names], what: str) -> list[str]:
    pairs = sorted({pair for one in names for pair in one.items()})
    if not pairs:
        return []
    listed = ", ".join(f"{label} counts as {name}" for label, name in pairs)
    return [f"The {what} has labels of its own, which are matched in rising order: {listed}."]


def _missing_notes(known: set[int], found: set[int]) -> list[str]:
    """Say that a truth with a 0 that is no class of the model lacks one that is."""
    missing = known - found
    if 0 in known or 0 not in found or not missing or not found & known:
        return []
    note = (
        f"The truth holds no {list_labels(sorted(missing))}, and its 0 counts as unlabelled: check "
        "that it has the model's labels."
    )
    return [note]


def _rename(pairs: Sequence[OpenPair], names: Sequence[Names]) -> list[OpenPair]:
    return [
        replace(pair, target=LabelImage(pair.target, _WIDE, renamed=one)) if one else pair
        for pair, one in zip(pairs, names, strict=True)
    ]


def _check_image(pairs: Sequence[OpenPair], trained: Intensities) -> str:
    """Refuse labels, and a truth in another unit than the training's targets; return a note."""
    frames = _Frames.read_all(pairs)
    windows = [_whole_numbers(window) for one in frames for window in one.targets]
    kind = infer_set_kind(windows, pairs[0].target.layout)
    if kind != "image" and not _are_quantiles_of(windows, trained):
        raise InputError(
            f"The model makes images, and the truth looks like {kind}: give images of what the "
            "training's targets show."
        )
    for pair, own in zip(pairs, frames, strict=True):
        if kind == "image" and _is_mask(own.targets):
            raise InputError(
                f"The model makes images, and the truth of {pair.name} looks like a mask: give "
                "images of what the training's targets show."
            )
        _check_scale([own], trained, "The model makes")
    exact = kind != "image"  # labels have no exposure
    return _check_scale(frames, trained, "The model makes", bounded=True, exact=exact)


def _whole_numbers(window: NDArray[Any]) -> NDArray[Any]:
    """Return floats that are all whole numbers as integers."""
    if window.dtype.kind != "f" or _is_image([window]):
        return window
    return np.nan_to_num(window, posinf=0, neginf=0).astype(np.int64)


def _is_mask(windows: Windows) -> bool:
    """Say that windows are boolean, or hold 0 and the largest value of a mask alone."""
    if windows[0].dtype.kind == "b":
        return True
    values = set(np.unique(np.concatenate([np.unique(window) for window in windows])).tolist())
    return len(values) == 2 and values <= {0, 1, 255, 65535} and 0 in values


def _are_quantiles_of(windows: Windows, trained: Intensities) -> bool:
    """Say that the training's targets were such labels, treated as an image."""
    levels, quantiles = distinct_values(windows), np.unique(trained.quantiles[0])
    if len(levels) > MOST_CLASSES or len(quantiles) <= _FEW_QUANTILES:
        return len(levels) <= MOST_CLASSES
    low, high = quantiles[0], quantiles[-1]
    at_ends = np.minimum(quantiles - low, high - quantiles) <= 0.1 * (high - low)
    return bool(at_ends.all() or np.isin(quantiles, levels).all())


def _check_scale(
    frames: Sequence[_Frames],
    made: Intensities,
    makes: str,
    *,
    bounded: bool = False,
    exact: bool = False,
) -> str:
    """Refuse a truth in another unit than what is made; return a note if that may be so.

    What a model makes is bounded by its training; a layer may hold anything.
    """
    truth = Intensities.measure(
        [window for one in frames for window in one.targets],
        [window for one in frames for window in one.valid],
    )
    note = ""
    for channel, (true, other) in enumerate(zip(truth.quantiles, made.quantiles, strict=False)):
        if not true or not other or other[0] == other[-1]:
            continue
        low, high = made.range(channel)
        beyond = sum(not low <= value <= high for value in true) / len(true)
        width = (true[-1] - true[0]) / (other[-1] - other[0])
        facts = (
            f"{makes} {made.dtype} values of about {other[0]:.5g} to {other[-1]:.5g}, and the "
            f"truth holds {truth.dtype} values of about {true[0]:.5g} to {true[-1]:.5g}"
        )
        copied = (exact or _are_unlike(truth.dtype, made.dtype)) and (
            not 1 / _OTHER_WIDTH <= width <= _OTHER_WIDTH or beyond > 0.5
        )
        least, most = sorted((true[-1], other[-1]))
        normalised = truth.dtype.startswith("float") and least <= 1 and most >= _NOT_NORMALISED
        elsewhere = beyond == 1 and width >= _NARROW
        if copied or normalised or (bounded and (width > _WIDER or elsewhere)):
            same = truth.dtype == made.dtype
            as_well = "" if same else " and dtype, not a converted copy"
            raise InputError(f"{facts}: give both in one unit{as_well}.")
        if bounded and width < _NARROW:
            note = f"{facts}: check that both have one unit."
    return note


def _are_unlike(first: str, second: str) -> bool:
    """Say that dtypes differ in kind, or integers in size."""
    one, other = np.dtype(first), np.dtype(second)
    if "f" in (one.kind, other.kind):
        return one.kind != other.kind
    return one.itemsize != other.itemsize
