"""Draw the sample pairs of this folder: ``python sample_data/draw.py [FOLDER]``.

Nobody's specimen, everybody's truth: tissue as stains absorb light (Beer and Lambert, with the
colours of Ruifrok and Johnston, 2001), and living cells as a phase-contrast microscope shows
their optical thickness (Zernike's shifted and dimmed direct light, which brings the halo).
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates
from scipy.spatial import cKDTree
from skimage.segmentation import relabel_sequential

Array = NDArray[np.float64]
Labels = NDArray[np.uint16]
Shape = tuple[int, int]
Window = tuple[slice, slice]
Rough = tuple[float, ...]
Rng = np.random.Generator

PIXEL = 0.5  # micrometers
TRAIN, UNSEEN = (512, 512), (256, 320)
HAEMATOXYLIN = np.array([0.65, 0.70, 0.29])
EOSIN = np.array([0.07, 0.99, 0.11])
SPECK = np.array([0.7, 0.9, 1.1])
SMOOTH, ROUGH = (0.045, 0.03, 0.022), (0.13,) * 5  # deviations of an outline's harmonics
DIRECT = 0.6  # amplitude of the direct light behind the phase plate


@dataclass(frozen=True)
class Blob:
    """An ellipse with a wavy outline; lengths in pixels."""

    centre: Array  # row, column
    long: float
    short: float
    angle: float
    waves: tuple[tuple[float, float], ...]  # amplitude and phase of harmonics 2, 3, ...

    @property
    def radius(self) -> float:
        """Radius of the circle of the same area."""
        return float(np.sqrt(self.long * self.short))

    def window(self, shape: Shape, reach: float) -> Window:
        """Part of an image within `reach` times the long half axis."""
        low = np.clip(self.centre - self.long * reach, 0, None).astype(int)
        high = np.clip(self.centre + self.long * reach + 2, 0, shape).astype(int)
        return slice(low[0], high[0]), slice(low[1], high[1])

    def level(self, window: Window) -> Array:
        """Distance from the centre in units of the outline: below 1 inside."""
        y, x = np.ogrid[window]
        y, x = y - self.centre[0], x - self.centre[1]
        u = x * np.cos(self.angle) + y * np.sin(self.angle)
        v = y * np.cos(self.angle) - x * np.sin(self.angle)
        theta = np.arctan2(v / self.short, u / self.long)
        outline = np.ones_like(theta)
        for harmonic, (amplitude, phase) in enumerate(self.waves, start=2):
            outline += amplitude * np.cos(harmonic * theta + phase)
        level: Array = np.hypot(u / self.long, v / self.short) / outline
        return level


def noise(rng: Rng, shape: Shape, sigma: float) -> Array:
    """Gaussian noise of correlation length `sigma`, mean 0, standard deviation 1."""
    field: Array = gaussian_filter(rng.standard_normal(shape), sigma, mode="wrap")
    return np.asarray((field - field.mean()) / field.std())


def step(value: Array, width: float) -> Array:
    """Rise smoothly from 0 to 1 over `width` around 0."""
    return np.asarray(1 / (1 + np.exp(-np.clip(value / width, -40, 40))))


def pile(below: Array, above: Array) -> None:
    """Lay `above` onto `below`, in place: the two squeeze each other where they overlap."""
    below[...] = np.maximum(below, above) + 0.25 * np.minimum(below, above)


def wavy(
    rng: Rng, centre: Array, size: float, stretch: float, angle: float = 0, rough: Rough = SMOOTH
) -> Blob:
    """Make a blob of radius `size`, its axes as `stretch` to 1."""
    waves = tuple((rng.normal(0, deviation), rng.uniform(0, 2 * np.pi)) for deviation in rough)
    return Blob(centre, size * np.sqrt(stretch), size / np.sqrt(stretch), angle, waves)


def fibres(rng: Rng, shape: Shape, angle: Array) -> Array:
    """Smear noise along the direction `angle` (radians, per pixel)."""
    grain = noise(rng, shape, 1.1)
    total = np.zeros(shape)
    for direction in (1, -1):
        y, x = np.mgrid[: shape[0], : shape[1]].astype(float)
        for _ in range(14):
            local = map_coordinates(angle, [y, x], order=1, mode="nearest")
            y, x = y + 1.5 * direction * np.sin(local), x + 1.5 * direction * np.cos(local)
            total += map_coordinates(grain, [y, x], order=1, mode="mirror")
    return np.asarray(total / total.std())


def draw_stain(rng: Rng, shape: Shape) -> tuple[NDArray[np.uint8], Labels]:
    """Draw tissue: an RGB image, and its nuclei as labels."""
    epithelium = step(noise(rng, shape, 45) + 0.1, 0.12)
    gaps = step(noise(rng, shape, 22) - 1.75, 0.06)
    angle = 1.2 * noise(rng, shape, 60)
    nuclei = place_nuclei(rng, epithelium, gaps, angle)
    labels, nuclear, inside = paint_nuclei(rng, shape, nuclei)
    bluish = 0.17 * np.clip(noise(rng, shape, 14) + 0.2, 0, 2.2) + 0.06
    haematoxylin = nuclear + bluish * (1 - inside) * (0.4 + 0.6 * epithelium)
    haematoxylin *= 1 + 0.17 * noise(rng, shape, 90)
    eosin = tissue_eosin(rng, nuclei, epithelium, angle) * (1 - 0.55 * inside)
    tissue = 1 - gaps * (1 - inside)
    eosin = eosin * tissue + red_cells(rng, shape, inside)
    stains = np.stack([haematoxylin * tissue, eosin, debris(rng, shape)], axis=-1)
    density = stains @ np.stack([HAEMATOXYLIN, EOSIN, SPECK])
    light = 0.95 * np.exp(-np.clip(density, 0, None)) * np.array([0.98, 0.96, 0.985])
    light *= (1 + 0.035 * noise(rng, shape, 110))[..., None]
    light = gaussian_filter(light, (0.75, 0.75, 0))
    light = rng.poisson(light * 2600) / 2600 + rng.normal(0, 0.006, light.shape)
    return np.clip(np.rint(light * 255), 0, 255).astype(np.uint8), labels


def place_nuclei(rng: Rng, epithelium: Array, gaps: Array, angle: Array) -> list[Blob]:
    """Scatter nuclei: round and dense in epithelium, elongated along the fibres elsewhere."""
    shape = epithelium.shape
    nuclei: list[Blob] = []
    for _ in range(int(0.02 * shape[0] * shape[1])):
        place = rng.uniform(-6, np.add(shape, 6))
        pixel = tuple(np.clip(place, 0, np.subtract(shape, 1)).astype(int))
        dense = epithelium[pixel]
        if gaps[pixel] > 0.3 or rng.uniform() > 0.035 + 0.5 * dense:
            continue
        if rng.uniform() < dense:
            size, stretch = rng.normal(9.0, 1.1), rng.uniform(1.05, 1.5)
            nucleus = wavy(rng, place, size, stretch, rng.uniform(0, np.pi))
        else:
            size, stretch = rng.normal(6.8, 0.9), rng.uniform(1.6, 3.2)
            nucleus = wavy(rng, place, size, stretch, angle[pixel] + rng.normal(0, 0.2))
        # 0.88: some nuclei touch and are pressed flat against each other.
        apart = (np.hypot(*(place - n.centre)) / (nucleus.radius + n.radius) for n in nuclei)
        if all(distance > 0.88 for distance in apart):
            nuclei.append(nucleus)
    return nuclei


def paint_nuclei(rng: Rng, shape: Shape, nuclei: list[Blob]) -> tuple[Labels, Array, Array]:
    """Paint nuclei: their labels, the haematoxylin in them, and how far each pixel is inside."""
    nearest, stain, inside = np.full(shape, np.inf), np.zeros(shape), np.zeros(shape)
    labels = np.zeros(shape, np.uint16)
    chromatin = 0.6 * noise(rng, shape, 1.3) + 0.4 * noise(rng, shape, 2.6)
    for label, nucleus in enumerate(nuclei, start=1):
        window = nucleus.window(shape, 1.6)
        level = nucleus.level(window)
        cover = step((1 - level) * nucleus.radius, 0.45)
        pile(stain[window], cover * nuclear_stain(rng, nucleus, window, chromatin[window]))
        inside[window] = np.maximum(inside[window], cover)
        won = (level < 1) & (level < nearest[window])
        labels[window][won] = label
        nearest[window] = np.minimum(nearest[window], level)
    small = np.bincount(labels.ravel()) < 12  # slivers at the image's border
    labels[small[labels]] = 0
    return relabel_sequential(labels)[0].astype(np.uint16), stain, inside


def nuclear_stain(rng: Rng, nucleus: Blob, window: Window, chromatin: Array) -> Array:
    """Haematoxylin of one nucleus: pale with a clear rim and nucleoli, or dense all over."""
    pale = rng.uniform() < 0.3
    body, rim, grain = (0.5, 0.6, 0.30) if pale else (0.95, 0.2, 0.2)
    profile = body + rim * np.exp(-(((nucleus.level(window) - 0.88) / 0.11) ** 2))
    for _ in range(rng.integers(1, 3) if pale else 0):
        place = nucleus.centre + rng.normal(0, 0.22 * nucleus.radius, 2)
        profile += 0.6 * step(1 - wavy(rng, place, 1.5, 1.2).level(window), 0.2)
    return rng.lognormal(-0.25, 0.33) * profile * np.clip(1 + grain * chromatin, 0.3, 2)


def tissue_eosin(rng: Rng, nuclei: list[Blob], epithelium: Array, angle: Array) -> Array:
    """Eosin of cytoplasm, with membranes halfway between nuclei, and of fibrous stroma."""
    shape = epithelium.shape
    pixels = np.moveaxis(np.mgrid[: shape[0], : shape[1]], 0, -1)
    distance, _ = cKDTree([nucleus.centre for nucleus in nuclei]).query(pixels, k=2)
    membrane = np.exp(-(((distance[..., 1] - distance[..., 0]) / 1.6) ** 2))
    cytoplasm = 0.30 + 0.05 * noise(rng, shape, 6) + 0.04 * noise(rng, shape, 1.5) + 0.12 * membrane
    strands = fibres(rng, shape, angle)
    collagen = 0.40 + 0.11 * strands + 0.09 * noise(rng, shape, 18)
    return np.asarray(np.clip(epithelium * cytoplasm + (1 - epithelium) * collagen, 0.03, None))


def red_cells(rng: Rng, shape: Shape, inside: Array) -> Array:
    """Clusters of red blood cells: strongly eosinophilic and as round as a nucleus."""
    eosin = np.zeros(shape)
    for _ in range(max(2, shape[0] * shape[1] // 26000)):
        centre = rng.uniform(0, shape)
        for _ in range(rng.integers(2, 7)):
            place = centre + rng.normal(0, 11, 2)
            cell = wavy(rng, place, rng.normal(6.0, 0.4), rng.uniform(1, 1.25), rng.uniform(0, 3))
            window = cell.window(shape, 1.5)
            level = cell.level(window)
            disc = (0.7 + 0.2 * level**2) * step((1 - level) * cell.radius, 0.5)
            eosin[window] = np.maximum(eosin[window], disc)
    return eosin * (1 - inside)


def debris(rng: Rng, shape: Shape) -> Array:
    """Dark specks, smaller than any nucleus."""
    specks = np.zeros(shape)
    for _ in range(max(4, shape[0] * shape[1] // 9000)):
        place = rng.uniform(0, shape)
        speck = wavy(rng, place, rng.uniform(0.9, 2.6), rng.uniform(1, 2), rng.uniform(0, 3))
        window = speck.window(shape, 2)
        specks[window] += rng.uniform(0.3, 1.1) * step(1 - speck.level(window), 0.15)
    return specks


def draw_phase(rng: Rng, shape: Shape) -> tuple[Labels, Labels]:
    """Draw living cells: a phase-contrast image, and the fluorescence of their nuclei."""
    margin = 48  # the optics are computed on a torus; what wraps around is cut off
    wide = (shape[0] + 2 * margin, shape[1] + 2 * margin)
    thickness, dye = culture(rng, wide)
    seen = (slice(margin, -margin), slice(margin, -margin))
    light = phase_contrast(thickness)[seen]
    light *= 1 + 0.05 * noise(rng, shape, 120) + 0.006 * noise(rng, shape, 5)
    phase = rng.poisson(light * 2400) * 4.0 + rng.normal(500, 9, shape)
    blurred = gaussian_filter(dye, 1.3) + 0.22 * gaussian_filter(dye, 14)
    glow = blurred[seen] * (1 + 0.08 * noise(rng, shape, 100)) + 0.02
    fluorescence = rng.poisson(np.clip(glow, 0, None) * 520) * 16.0 + rng.normal(1800, 24, shape)
    return to_uint16(phase), to_uint16(fluorescence)


def to_uint16(counts: Array) -> Labels:
    """Round to what a 16-bit camera file holds."""
    return np.clip(np.rint(counts), 0, 65535).astype(np.uint16)


def culture(rng: Rng, shape: Shape) -> tuple[Array, Array]:
    """Optical thickness (radians) and nuclear dye (relative) of a layer of cells."""
    thickness, dye = np.zeros(shape), np.zeros(shape)
    granules = np.clip(noise(rng, shape, 1.1) - 0.7, 0, 3)
    granules -= 0.35 * np.clip(noise(rng, shape, 1.6) - 1.2, 0, 3)
    for centre in scatter(rng, shape, spacing=46):
        if rng.uniform() < 0.09:
            mitotic_cell(rng, centre, thickness, dye)
        else:
            flat_cell(rng, centre, thickness, dye, granules)
    medium = 0.014 * noise(rng, shape, 1.8) + 0.03 * noise(rng, shape, 30)
    return thickness + medium, dye


def scatter(rng: Rng, shape: Shape, spacing: float) -> list[Array]:
    """Points at least `spacing` apart, few where the culture is thin."""
    crowd = step(noise(rng, shape, 70) + 0.9, 0.3)
    points: list[Array] = []
    for _ in range(4000):
        point = rng.uniform(0, shape)
        if rng.uniform() > crowd[int(point[0]), int(point[1])]:
            continue
        if all(np.hypot(*(point - other)) > spacing for other in points):
            points.append(point)
    return points


def flat_cell(rng: Rng, centre: Array, thickness: Array, dye: Array, granules: Array) -> None:
    """Add a spread cell: lamella, body, granules around a smooth nucleus with dark nucleoli."""
    angle = rng.uniform(0, np.pi)
    body = wavy(rng, centre, rng.normal(29, 3), rng.uniform(1.2, 2.4), angle, ROUGH)
    place, size = centre + rng.normal(0, 3.0, 2), rng.normal(11.5, 1.2)
    nucleus = wavy(rng, place, size, rng.uniform(1.05, 1.6), angle)
    window = body.window(dye.shape, 1.9)
    outer, inner = body.level(window), nucleus.level(window)
    cover = step((1 - outer) * body.radius, 1.1)
    within = step((1 - inner) * nucleus.radius, 0.7)
    dome = np.sqrt(np.clip(1 - inner**2, 0, 1))
    perinuclear = np.exp(-np.clip(inner - 1, 0, None) / 0.7) * (1 - within)
    height = cover * (0.16 + 0.20 * np.exp(-((outer / 0.6) ** 2)))
    height += cover * granules[window] * (0.05 + 0.16 * perinuclear) * (1 - within)
    height += cover * 0.12 * perinuclear + within * 0.06 * dome
    height += 0.045 * np.exp(-(((inner - 1) / 0.08) ** 2))
    chromatin = 1 + 0.16 * noise(rng, outer.shape, 2.2)
    for _ in range(rng.integers(1, 4)):
        place = nucleus.centre + rng.normal(0, 0.3 * nucleus.radius, 2)
        nucleolus = wavy(rng, place, rng.uniform(1.6, 2.8), 1.3, angle)
        spot = step(1 - nucleolus.level(window), 0.18) * within
        height += 0.22 * spot
        chromatin *= 1 - 0.55 * spot
    pile(thickness[window], height)
    # The same DNA in a smaller nucleus shines brighter.
    dye[window] += (11.5 / size) ** 2 * within * (0.45 + 0.55 * dome) * chromatin


def mitotic_cell(rng: Rng, centre: Array, thickness: Array, dye: Array) -> None:
    """Add a rounded cell in division: thick, with a bright halo and a condensed plate of DNA."""
    cell = wavy(rng, centre, rng.normal(15, 1), 1.08, rng.uniform(0, np.pi))
    window = cell.window(dye.shape, 1.8)
    level = cell.level(window)
    plate = wavy(rng, centre, rng.normal(5.6, 0.4), rng.uniform(2.2, 3.0), rng.uniform(0, np.pi))
    cover = step((1 - plate.level(window)) * plate.radius, 0.7)
    ball = np.sqrt(np.clip(1 - level**2, 0, 1))
    ball *= 1.7 + 0.07 * noise(rng, level.shape, 1.5)
    pile(thickness[window], ball + 0.35 * cover)
    dye[window] += 2.4 * cover * (1 + 0.1 * noise(rng, level.shape, 1.5))


def phase_contrast(thickness: Array) -> Array:
    """Form the image: direct light dimmed and a quarter wave late, diffracted light as it is.

    The phase plate also catches light diffracted at small angles, hence halo and shade-off.
    """
    field = np.exp(1j * thickness)
    frequency = np.hypot(*np.meshgrid(*map(np.fft.fftfreq, field.shape), indexing="ij"))
    plate = np.exp(-((frequency / 0.016) ** 2))
    aperture = step(0.36 - frequency, 0.02)
    pupil = aperture * (1 - plate + plate * DIRECT * np.exp(-1j * np.pi / 2))
    light = np.abs(np.fft.ifft2(np.fft.fft2(field) * pupil)) ** 2
    return np.asarray(light / DIRECT**2)


def save(path: Path, image: NDArray[np.uint8] | Labels) -> None:
    """Write an ImageJ-TIFF with its pixel size."""
    tifffile.imwrite(
        path,
        image,
        imagej=True,
        resolution=(1 / PIXEL, 1 / PIXEL),
        compression="zlib",
        predictor="labels" not in path.name,
        metadata={"axes": "YXS"[: image.ndim], "unit": "micron"},
    )


def main(folder: Path) -> None:
    """Draw both sets into `folder`."""
    for part, shape in (("train", TRAIN), ("unseen", UNSEEN)):
        stain, labels = draw_stain(np.random.default_rng([0, shape[0]]), shape)
        save(folder / f"stain_{part}.tif", stain)
        save(folder / f"stain_{part}_labels.tif", labels)
        phase, fluorescence = draw_phase(np.random.default_rng([1, shape[0]]), shape)
        save(folder / f"phase_{part}.tif", phase)
        save(folder / f"phase_{part}_fluorescence.tif", fluorescence)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
