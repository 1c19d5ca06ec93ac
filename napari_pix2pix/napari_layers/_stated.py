"""What a layer states of its image: how large the pixels are, and how the channels are shown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from napari_pix2pix.data.channel_look import ChannelLook, Looks, common_look
from napari_pix2pix.data.lengths import LENGTHS, convert_length
from napari_pix2pix.data.pixel_size import PixelSize
from napari_pix2pix.io.image_file import standard_unit

_UNNAMED = "#", "[unnamed"  # how the names of colormaps begin that were made of a colour
# Of image layers: alone, and as the first layer of a viewer.
_DEFAULT_BLENDINGS = {"translucent", "translucent_no_depth"}
_TIME_LABELS = {"t", "time"}


def pixel_size_of(
    scale: Sequence[float], units: Sequence[str], labels: Sequence[str]
) -> PixelSize | None:
    """Return how large a layer's pixels are, by its axes without channels; None if unknown.

    napari gives a layer of unknown size the scale 1 in pixels.
    """
    known = [standard_unit(unit) for unit in units]
    y, x = (abs(size) for size in scale[-2:])
    if known[-1] != known[-2] or (known[-1] is None and (y, x) == (1, 1)) or min(y, x) == 0:
        return None
    depth = _depth(abs(scale[-3]), known, labels[-3]) if len(scale) > 2 else None
    return PixelSize(y, x, depth, known[-1] or "")


def _depth(size: float, units: Sequence[str | None], label: str) -> float | None:
    """Return the distance of planes in the unit of X, if the last frame axis is their depth."""
    unit, label = units[-3], label.lower()
    is_depth = label == "z" or (unit in LENGTHS and label not in _TIME_LABELS)
    return convert_length(size, unit, units[-1]) if is_depth and size else None


def looks_of(layers: Iterable[tuple[Mapping[str, Any], int]]) -> Looks:
    """Return the looks of all channels, by each layer's `Snapshot.look` and number of channels.

    There are none if a layer has none, like RGB and labels.
    """
    shown = list(layers)
    if not all(look for look, _ in shown):
        return ()
    return tuple(_look_of(look) for look, channels in shown for _ in range(channels))


def _look_of(keywords: Mapping[str, Any]) -> ChannelLook:
    """Return a look by a layer's colormap and contrast limits."""
    from napari.utils.colormaps import AVAILABLE_COLORMAPS

    colormap = keywords["colormap"]
    low, high = map(float, keywords["contrast_limits"])
    digits = "".join(f"{round(255 * float(part)):02X}" for part in colormap.colors[-1][:3])
    is_known = colormap.name in AVAILABLE_COLORMAPS and not colormap.name.startswith(_UNNAMED)
    name = colormap.name if is_known else ""
    blending = str(keywords.get("blending", ""))
    return ChannelLook(
        f"#{digits}",
        name,
        (low, high) if low < high else None,
        "" if blending in _DEFAULT_BLENDINGS else blending,
    )


def look_keywords(looks: Looks) -> dict[str, Any]:
    """Return the keywords that show an image in the look that its channels share."""
    from napari.utils.colormaps import AVAILABLE_COLORMAPS

    look = common_look(looks)
    keywords: dict[str, Any] = {}
    # A colormap of another napari may not be known to this one.
    if shown_as := look.colormap if look.colormap in AVAILABLE_COLORMAPS else look.colour:
        keywords["colormap"] = shown_as
    if look.limits is not None:
        keywords["contrast_limits"] = look.limits
    return keywords
