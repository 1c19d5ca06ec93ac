"""Time applying a model, and measure how tiles differ from the whole where they are not exact.

``speed`` compares megapixels per second of ours, from uint8 to planes, with (a) the bare network
on one large channels-last batch that is in memory, and (b) the plain way: 256 px tiles without
overlap, one by one, channels first. All take turns within one process, so that a change of the
machine's speed meets them alike. Weights are random. Exit status 1 when a bar for the CPU is
missed.

``blend`` and ``statistics`` apply a U-Net-256 (``reference`` after some steps, with batch norm and
with instance norm) to real phase contrast, whole and in tiles: PSNR, and the power of the
difference at the period of the tiles against its neighbours in the spectrum. NAPARI_PIX2PIX_DATA
names the folder of the real pairs.

    python benchmarks/apply.py [speed blend statistics] [--presets light reference] [--repeats 3]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import torch

from napari_pix2pix import train
from napari_pix2pix.pairs.codecs import ImageCodec
from napari_pix2pix.pairs.layouts import Layout
from napari_pix2pix.training.config import TrainConfig
from napari_pix2pix.training.networks import build_generator
from napari_pix2pix.translation.cutting import cut_image
from napari_pix2pix.translation.inference import Model
from napari_pix2pix.translation.tiles import TileGrid

SIZES = {"light": 2048, "reference": 2048}  # side of the image in pixels
CUTS: dict[str, list[dict[str, int]]] = {
    "light": [{}, {"tile": 1024}, {"tile": 512}],
    "reference": [{}, {"tile": 1024}, {"tile": 512}],
}
BLENDS = [(256, 256), (512, 256), (768, 256)]  # tile, halo
CODEC = ImageCodec("minmax", "uint8", (0.0,), (255.0,), Layout())
Row = dict[str, Any]


def main() -> None:
    """Print the tables that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", default=["speed", "blend", "statistics"])
    parser.add_argument("--presets", nargs="+", default=["light", "reference"])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--size", type=int, help="side of the image in pixels")
    parser.add_argument("--steps", type=int, default=80, help="of training, for blend, statistics")
    parser.add_argument("--width", type=int, default=64, help="of the generator that is trained")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    rows: list[Row] = []
    for part in args.parts:
        if part == "speed":
            made = (row for preset in args.presets
                    for row in speed(preset, args.size or SIZES[preset], args.repeats))  # fmt: skip
        else:
            made = {"blend": blend, "statistics": measured}[part](args.steps, args.width)
        for row in made:
            rows.append(row)
            if not args.json:
                print(" | ".join(f"{name} {value}" for name, value in row.items()), flush=True)
    if args.json:
        print(json.dumps(rows))
    sys.exit(1 if any(row.get("missed") for row in rows) else 0)


def speed(preset: str, size: int, repeats: int) -> Iterator[Row]:
    """Time our ways to cut an image, the bare network and the plain way, in turns."""
    config = TrainConfig(preset=preset)
    network = build_generator(config, planes_in=1, planes_out=1).eval()
    network.to(memory_format=torch.channels_last)  # as `Translator` does
    plain = build_generator(config, planes_in=1, planes_out=1).eval()
    model = Model(network, CODEC, CODEC)
    image = np.random.default_rng(0).integers(0, 255, (1, size, size), np.uint8)
    grid = TileGrid(size, size, stride=network.stride, halo=network.halo, least=network.least_size)
    cuts = [cut_image(network, 1, grid, device="cpu", **how)[0] for how in CUTS[preset]]
    ways: list[Callable[[], object]] = [bare(network, size), plain_way(plain, image)]
    for cut in cuts:
        how = {"tile": cut.tile, "halo": cut.halo, "batch": 1}
        ways.append(lambda how=how: model.translate(lambda r, c: image[:, r, c], size, size, **how))
    times = [[timed(way) for way in ways] for _ in range(repeats + 1)][1:]  # the first warms up
    pixels = size * size / 1e6
    rates = [pixels / statistics.median(column) for column in zip(*times, strict=True)]
    yield {"preset": preset, "way": "(a) bare network", "Mpx/s": round(rates[0], 3)}
    yield {"preset": preset, "way": "(b) plain", "Mpx/s": round(rates[1], 3)}
    for number, cut in enumerate(cuts, 2):
        factor = sum(tile.window.pixels for tile in cut.tiles()) / size**2
        to_bare = statistics.median(row[0] / row[number] for row in times)
        to_plain = statistics.median(row[1] / row[number] for row in times)
        bars = factor * to_bare >= 0.9
        if preset == "light" and not CUTS[preset][number - 2]:
            bars = bars and to_bare >= 0.8 and to_plain >= 1.0
        yield {
            "preset": preset,
            "way": f"tile {cut.tile}, halo {cut.halo}, ramp {cut.ramp}",
            "Mpx/s": round(rates[number], 3),
            "computed / (a)": round(factor * to_bare, 3),
            "useful / (a)": round(to_bare, 3),
            "useful / (b)": round(to_plain, 3),
            "missed": not bars,
        }


def bare(network: torch.nn.Module, size: int) -> Callable[[], object]:
    """Return what runs the network on as many pixels, in one batch."""
    side = min(512, size)
    batch = torch.rand((size // side) ** 2, 1, side, side).to(memory_format=torch.channels_last)
    return lambda: run(network, batch)


def plain_way(network: torch.nn.Module, image: np.ndarray) -> Callable[[], object]:
    """Return what translates an image as a reader of the paper would."""
    size = image.shape[-1]

    def work() -> np.ndarray:
        result = np.empty((1, size, size), np.float32)
        for top in range(0, size, 256):
            for left in range(0, size, 256):
                here = (slice(None), slice(top, top + 256), slice(left, left + 256))
                x = torch.from_numpy(image[here].astype(np.float32) / 127.5 - 1)
                result[here] = run(network, x[None])[0].numpy()
        return result

    return work


def run(network: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
    """Run a network for its output alone."""
    with torch.inference_mode():
        return network(x)  # type: ignore[no-any-return]


def blend(steps: int, width: int) -> Iterator[Row]:
    """Compare blended tiles of a network with fixed statistics with the whole."""
    model, image = trained(steps, width, norm="batch")
    whole = translated(model, image, tile=0)
    for tile, halo in BLENDS:
        tiles = translated(model, image, tile=tile, halo=halo)
        yield {"part": "blend", "tile": tile, "halo": halo, **compare(tiles, whole, tile)}


def measured(steps: int, width: int) -> Iterator[Row]:
    """Compare tiles of networks that measure each image with the whole."""
    for norm, kind in (("instance", "stored"), ("batch", "image")):
        model, image = trained(steps, width, norm=norm)
        whole = translated(model, image, tile=0, statistics=kind)
        for tile, halo in ((512, 512), (512, 256)):
            tiles = translated(model, image, tile=tile, halo=halo, statistics=kind)
            row = {"part": "statistics", "norm": norm, "tile": tile, "halo": halo}
            yield {**row, **compare(tiles, whole, tile)}


def trained(steps: int, width: int, *, norm: str) -> tuple[Model, np.ndarray]:
    """Train L1 on one plane of phase contrast; return model and a mosaic of other planes."""
    folder = Path(os.environ["NAPARI_PIX2PIX_DATA"]) / "phase_to_fluorescence"
    images = [tifffile.imread(path) for path in sorted(folder.rglob("*.tif*"))]
    phase = next(image for image in images if len(image) == 13)
    markers = next(image for image in images if len(image) == 3)
    fields = {"norm": norm, "width": width, "steps": steps, "validation": 0.0}
    made = train(phase[6], markers[1], preset="reference", adversarial_weight=0.0, **fields)
    image = np.block([[phase[7], phase[5], phase[8]], [phase[4], phase[9], phase[3]]])
    return Model(made.generator.cpu(), made.source_codec, made.target_codec), image[np.newaxis]


def translated(model: Model, image: np.ndarray, **how: Any) -> np.ndarray:
    """Translate (1, H, W)."""
    return model.translate(lambda r, c: image[:, r, c], *image.shape[1:], **how)


def compare(tiles: np.ndarray, whole: np.ndarray, period: int) -> Row:
    """Return PSNR (peak 2, the network's range), the largest difference and its grid."""
    difference = tiles - whole
    power, own = (max(grid_power(one, period, axis) for axis in (1, 2))
                  for one in (difference, whole))  # fmt: skip
    return {
        "PSNR": round(float(10 * np.log10(4 / np.square(difference).mean())), 1),
        "largest": round(float(np.abs(difference).max()), 4),
        "grid": round(power, 2),
        "grid of the whole": round(own, 2),
    }


def grid_power(difference: np.ndarray, period: int, axis: int) -> float:
    """Return the power at a period against the median of its neighbours, worst of 4 harmonics.

    1 is no grid at all.
    """
    lines = np.moveaxis(difference, axis, -1)
    count = lines.shape[-1] // period
    spectrum = np.abs(np.fft.rfft(lines[..., : count * period], axis=-1)) ** 2
    power = spectrum.mean((0, 1))
    reach = max(1, count // 2)
    ratios = []
    for peak in (count * harmonic for harmonic in range(1, 5)):
        around = np.r_[peak - reach : peak, peak + 1 : peak + reach + 1]
        ratios.append(power[peak] / np.median(power[around]))
    return float(max(ratios))


def timed(work: Callable[[], object]) -> float:
    """Seconds that ``work`` takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
