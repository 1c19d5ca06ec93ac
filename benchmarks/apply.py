"""Time how a model is applied, and measure the difference of tiles and the whole.

``speed`` compares megapixels per second of ours, from uint8 to planes, with (a) the bare network
on one large channels-last batch that is in memory, and (b) the plain way: 256 px tiles without
overlap, one by one, channels first. All take turns within one process, so that a change of the
machine's speed affects them equally. Weights are random. ``blocks`` is the side of the blocks that
files are cut into. *Computed* counts multiplications; tiles need more of them than the whole, for
their halos. One round of ``reference`` takes 5 minutes (``--repeats 1``). The exit status is 1 if
a bar for the CPU is missed.

``compile`` compares the compiled network (``compile=True``) with the network as it is, in turns on
one window. The seconds of compiling, for that size and another, are reported separately. Nothing
that an earlier run compiled is used.

``scale`` translates zarr files of growing size (of the larger ones a part), and whole TIFF and PNG
files, in turns and each in a process of its own. It measures the peak of the memory beyond that of
the loaded model (the highest of all turns), and the seconds per megapixel (their median) with
reading and writing. The imports of a first small part are not timed. For zarr both have to be flat:
the largest is at most 10 % above the least. ``--size`` leaves out files that are larger.

``objects`` trains ``light`` on crowded nuclei that are drawn, for ``--steps`` steps. It compares
the objects of an image that are told apart in small blocks with those of the whole: the share that
is not the same pixel by pixel, and the share without a partner that shares more than half of their
pixels. ``noise`` is the standard deviation of what is added to the network's planes, in [-1, 1].
Then a network of width 8, which computes less, translates zarr files of growing size. The peak of
the memory is measured as ``scale`` does. The exit status is 1 if more than 0.1 % of the objects
differ, or the peak is above 2 GB.

``volumes`` translates zarr files of 64 planes and growing sides, by a small model of volumes, and
measures the same. The exit status is 1 if the peak is above 2 GB.

``exact`` and ``statistics`` apply a U-Net-256 (``reference`` after some steps) to real phase
contrast, whole and in tiles; ``statistics`` with instance norm, and with batch norm that measures
the image. They report the PSNR, and the amplitude of the difference at the period of the tiles but
not of the network's stride, in gray levels of 255.
NAPARI_PIX2PIX_DATA names the folder of the real pairs.

    python benchmarks/apply.py [speed compile scale objects volumes exact statistics]
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import functools
import io
import itertools
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import imageio.v3 as imageio
import numpy as np
import psutil
import tifffile
import torch
from scipy import ndimage
from torch.utils.flop_counter import FlopCounterMode

from napari_pix2pix import train
from napari_pix2pix.cli import main as napari_pix2pix_command
from napari_pix2pix.core import ResNet, UNet
from napari_pix2pix.core.partial_forward import folded, run_part
from napari_pix2pix.data import object_parts
from napari_pix2pix.data.box import Box
from napari_pix2pix.data.codecs import ImageCodec
from napari_pix2pix.data.layouts import Layout
from napari_pix2pix.data.lazy_image import LazyImage
from napari_pix2pix.inference._frame_job import compiled
from napari_pix2pix.inference.devices import block_side, cut_image
from napari_pix2pix.inference.options import PredictOptions
from napari_pix2pix.inference.predictor import Predictor
from napari_pix2pix.inference.tiling import TileGrid, put_together
from napari_pix2pix.training.config import TrainConfig
from napari_pix2pix.training.state import build_generator
from napari_pix2pix.translator import Translator

SIZE = 4096  # side of the image in pixels
TILES = {"light": ["blocks", "1024", "512"], "reference": ["0", "2048", "1024", "512"]}
CHUNK = 512  # pixels of a zarr chunk, of which a block has some
ZARR = [(4096, 4096), (8192, 8192), (16384, 4096), (32768, 4096)]  # side, and of the part
TIFF: dict[str, dict[str, Any]] = {  # how files are written
    "TIFF, contiguous": {},
    "TIFF, strips": {"rowsperstrip": 64, "compression": "zlib"},
    "TIFF, one strip": {"rowsperstrip": 1 << 20, "compression": "zlib"},
    "TIFF, tiled": {"tile": (512, 512), "compression": "zlib"},
    "OME-TIFF, tiled": {"ome": True, "tile": (512, 512), "compression": "zlib"},
    "TIFF, RGB": {"photometric": "rgb"},
}
SIDES = [4096, 8192, 12288]  # 17 to 151 MB, and three times as much in RGB
OBJECTS = [5000, 10000, 20000]  # sides of zarr files of crowded nuclei
VOLUMES = [1024, 2048, 4096]  # and of volumes
PLANES = 64  # of each
GIGABYTES = 1.5
GIGABYTES_OF_OBJECTS = 2.0  # and of volumes
MOST_APART = 0.001  # of objects in blocks
STRIDE = 256  # of U-Net-256
ROWS = 1000  # of a plane in the mosaic for exact and statistics
CODEC = ImageCodec("minmax", "uint8", (0.0,), (255.0,), Layout())
Row = dict[str, Any]


def main() -> None:
    """Print the tables that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "parts",
        nargs="*",
        default=["speed", "compile", "scale", "objects", "volumes", "exact", "statistics"],
    )
    parser.add_argument("--presets", nargs="+", default=["light", "reference"])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--size", type=int, help="side of the image in pixels")
    parser.add_argument("--steps", type=int, default=80, help="of training, for exact, statistics")
    parser.add_argument("--width", type=int, default=64, help="of the generator that is trained")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    rows: list[Row] = []
    for part in args.parts:
        if part == "speed":
            made = (row for preset in args.presets
                    for row in speed(preset, args.size or SIZE, args.repeats))  # fmt: skip
        elif part == "compile":
            made = (time_compiled(preset, args.repeats) for preset in args.presets)
        elif part == "scale":
            made = scale(args.repeats, args.size or 1 << 20)
        elif part == "objects":
            made = objects(args.steps, args.size or OBJECTS[-1])
        elif part == "volumes":
            made = volumes(args.size or VOLUMES[-1])
        elif part == "one":  # of scale, in its process
            made = iter([time_file(Path(os.environ["FOLDER"]), *json.loads(os.environ["FILE"]))])
        else:
            made = {"exact": compare_tiles, "statistics": compare_statistics}[part](
                args.steps, args.width
            )
        for row in made:
            rows.append(row)
            if not args.json:
                print(" | ".join(f"{name} {value}" for name, value in row.items()), flush=True)
    if args.json:
        print(json.dumps(rows))
    sys.exit(1 if any(row.get("missed") for row in rows) else 0)


def speed(preset: str, size: int, repeats: int) -> Iterator[Row]:
    """Time our sizes of tiles, the bare network and the plain way, in turns."""
    config = TrainConfig(preset=preset)
    network = build_generator(config, planes_in=1, planes_out=1).eval()
    network.to(memory_format=torch.channels_last)  # as `Translator` does
    plain = build_generator(config, planes_in=1, planes_out=1).eval()
    model = Predictor(network, CODEC, CODEC)
    image = np.random.default_rng(0).integers(0, 255, (1, size, size), np.uint8)
    grid = TileGrid.of_network(network, size, size)
    blocks = block_side(network, 1, grid, device="cpu") // CHUNK * CHUNK
    cuts = [
        cut_image(network, 1, grid, device="cpu",
                  tile=blocks if name == "blocks" else int(name))[0]
        for name in TILES[preset]
    ]  # fmt: skip
    ways: list[Callable[[], object]] = [bare_network(network, size), plain_tiles(plain, image)]
    for cut in cuts:
        options = PredictOptions(tile=cut.tile, batch=1, device="cpu")
        ways.append(lambda options=options: predict_planes(model, image, options))
    # Twice each, and the faster counts: fresh memory from the system costs most of the bare
    # network's time, and whether it is fresh depends on what ran before.
    times = [[min(seconds_of(way), seconds_of(way)) for way in ways] for _ in range(repeats)]
    pixels = size * size / 1e6
    rates = [pixels / statistics.median(column) for column in zip(*times, strict=True)]
    yield {"preset": preset, "way": "(a) bare network", "Mpx/s": round(rates[0], 3)}
    yield {"preset": preset, "way": "(b) plain", "Mpx/s": round(rates[1], 3)}
    for number, cut in enumerate(cuts, 2):
        factor = relative_work(network, cut)
        to_bare = statistics.median(row[0] / row[number] for row in times)
        to_plain = statistics.median(row[1] / row[number] for row in times)
        bars = factor * to_bare >= 0.9
        if TILES[preset][number - 2] == "blocks":
            bars = bars and to_bare >= 0.8 and to_plain >= 1.0
        yield {
            "preset": preset,
            "way": f"tile {cut.tile}, halo {cut.halo}",
            "Mpx/s": round(rates[number], 3),
            "work": round(factor, 2),
            "computed / (a)": round(factor * to_bare, 3),
            "useful / (a)": round(to_bare, 3),
            "useful / (b)": round(to_plain, 3),
            "missed": not bars,
        }


def relative_work(network: UNet | ResNet, cut: TileGrid) -> float:
    """Return the multiplications of all tiles, relative to those of the whole."""
    shadow = copy.deepcopy(network).to("meta")  # nothing is computed

    @functools.cache
    def count(height: int, width: int, *crop: int) -> int:
        top, bottom, left, right = crop
        with FlopCounterMode(display=False) as counter, torch.inference_mode():
            x = torch.empty(1, 1, height, width, device="meta")
            run_part(shadow, x, slice(top, bottom), slice(left, right))
        return int(counter.get_total_flops())

    total = 0
    for tile in cut.tiles():
        total += count(*tile.window.size, *tile.crop)
    height, width = cut.padded
    return total / count(height, width, 0, height, 0, width)


def bare_network(network: torch.nn.Module, size: int) -> Callable[[], object]:
    """Return a function that runs the network on as many pixels, in one batch."""
    side = min(512, size)
    batch = torch.rand((size // side) ** 2, 1, side, side).to(memory_format=torch.channels_last)
    return lambda: run(network, batch)


def plain_tiles(network: torch.nn.Module, image: np.ndarray) -> Callable[[], object]:
    """Return a function that translates an image as a reader of the paper would write it."""
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
    """Run a network without gradients."""
    with torch.inference_mode():
        return network(x)  # type: ignore[no-any-return]


def time_compiled(preset: str, repeats: int) -> Row:
    """Time a network compiled and as it is."""
    os.environ["TORCHINDUCTOR_FORCE_DISABLE_CACHES"] = "1"
    network = folded(build_generator(TrainConfig(preset=preset), planes_in=1, planes_out=1).eval())
    batches = [torch.rand(1, 1, *size).to(memory_format=torch.channels_last)
               for size in ((1024, 1024), (512, 1280))]  # fmt: skip
    with torch.inference_mode():
        run_compiled, plain = compiled(network), [network(batch) for batch in batches]
        started = time.perf_counter()
        made = [run_compiled(batch) for batch in batches]
        seconds = time.perf_counter() - started
        times = [[seconds_of(lambda way=way: way(batches[0])) for way in (network, run_compiled)]
                 for _ in range(3 * repeats)]  # fmt: skip
    return {
        "preset": preset,
        "warm-up s": round(seconds, 1),
        "compiled / plain": round(statistics.median(one / other for one, other in times), 3),
        "largest difference": max(float((x - y).abs().max())
                                  for x, y in zip(made, plain, strict=True)),
    }  # fmt: skip


def scale(repeats: int, largest: int) -> Iterator[Row]:
    """Translate files of growing size in turns, each in a process of its own."""
    zarr = [("zarr", *sides) for sides in ZARR]
    others = [(kind, side, side) for side in SIDES for kind in [*TIFF, "PNG"]]
    files = [file for file in zarr + others if file[1] <= largest]
    with tempfile.TemporaryDirectory() as folder:
        how = {"steps": 1, "validation": 0.0, "device": "cpu"}
        for name, shape in (("gray", (512, 512)), ("RGB", (512, 512, 3))):
            image = np.random.default_rng(0).integers(0, 255, shape, np.uint8)
            train(image, 255 - image, **how).save(Path(folder) / f"{name}.safetensors")
        for file in files:
            write_source(Path(folder), *file)
        turns = [[run_time_file(Path(folder), *file) for file in files] for _ in range(repeats)]
    rows = [
        {
            "file": file[0],
            "side": file[1],
            "part": file[2],
            "peak GB": max(turn["peak GB"] for turn in of_file),
            "s/Mpx": statistics.median(turn["s/Mpx"] for turn in of_file),
        }
        for file, of_file in zip(files, zip(*turns, strict=True), strict=True)
    ]
    yield from rows
    flat = [row for row in rows if row["file"] == "zarr"]
    apart = {
        name: max(row[name] for row in flat) / min(row[name] for row in flat)
        for name in ("peak GB", "s/Mpx")
    }
    missed = max(apart.values()) > 1.1 or max(row["peak GB"] for row in rows) > GIGABYTES
    yield {name: round(ratio, 3) for name, ratio in apart.items()} | {"missed": missed}


def objects(steps: int, largest: int) -> Iterator[Row]:
    """Tell objects apart in blocks: the share that differs, and the memory."""
    image, labels = nuclei(1024, seed=0)
    model = train(image, labels, steps=steps, validation=0.0, device="cpu")
    planes = predict_planes(model, nuclei(3072, seed=1)[0][np.newaxis], PredictOptions())
    added = np.random.default_rng(0).standard_normal(planes.shape, np.float32)
    for noise in (0.0, 0.1, 0.2, 0.4):
        row = compare_objects(planes + np.float32(noise) * added, model)
        missed = row["differ"] > MOST_APART
        yield {"file": "in memory", "noise": noise, **row, "missed": missed}
    small = train(image, labels, steps=steps, validation=0.0, device="cpu", width=8)
    yield from time_files(small, "objects", [side for side in OBJECTS if side <= largest])


def volumes(largest: int) -> Iterator[Row]:
    """Translate volumes of growing sides by a model that computes little."""
    volume = draw_volume(32)
    model = train(volume, 255 - volume, ndim=3, steps=2, width=4, depth=3, patch=32, device="cpu")
    yield from time_files(model, "volumes", [side for side in VOLUMES if side <= largest])


def time_files(model: Translator, kind: str, sides: list[int]) -> Iterator[Row]:
    """Translate whole zarr files, each in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        model.save(Path(folder) / f"{kind}.safetensors")
        for side in sides:
            write_source(Path(folder), kind, side, side)
            row = run_time_file(Path(folder), kind, side, side)
            missed = row["peak GB"] > GIGABYTES_OF_OBJECTS
            yield {"file": kind, "side": side, **row, "missed": missed}
            for path in Path(folder).glob("*.zarr"):
                shutil.rmtree(path)


def nuclei(side: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw crowded nuclei, many of which touch: an image, and its labels."""
    rng = np.random.default_rng(seed)
    count = side * side // 700
    ground = np.ones((side, side), bool)
    ground[rng.integers(0, side, count), rng.integers(0, side, count)] = False
    distance, nearest = ndimage.distance_transform_edt(ground, return_indices=True)
    centres = np.zeros(ground.shape, np.int32)
    centres[~ground] = np.arange(1, (~ground).sum() + 1)
    labels = np.where(distance < 14, centres[tuple(nearest)], 0).astype(np.uint16)
    bright = np.where(labels > 0, 90 + 90 * rng.random(count + 1)[labels], 20) - 3 * distance
    noisy = ndimage.gaussian_filter(bright, 1) + rng.normal(0, 4, labels.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8), labels


def draw_volume(side: int) -> np.ndarray:
    """Draw a volume of as many planes as files have."""
    noise = np.random.default_rng(0).standard_normal((PLANES, side, side), np.float32)
    smooth = ndimage.gaussian_filter(noise, 2)
    return np.clip(128 + 50 * smooth / smooth.std(), 0, 255).astype(np.uint8)


def compare_objects(planes: np.ndarray, model: Translator) -> Row:
    """Compare the objects of small blocks with those of the whole."""
    codec = model.target_codec
    area = Box.of_size(*planes.shape[1:])
    whole, made = codec.split(planes)[0], np.empty(area.size, np.int32)
    found = []
    for block in area.pieces(500):
        for halo in object_parts.object_halos(codec, 1):
            seen = block.grown(halo, area)
            given = planes[:, seen.rows, seen.columns]
            how = {"area": area, "size": area.size, "codec": codec, "halo": halo}
            objects = object_parts.find_objects(given, seen, block, **how)
            if not objects.cut:
                break
        found.append(objects)
    numbering = object_parts.Numbering([part for one in found for part in one.parts])
    for block, one in zip(area.pieces(500), found, strict=True):
        renumbered = numbering.renumber(one.numbers[0], 0, made.dtype)
        made[block.rows, block.columns] = renumbered
    pairs, overlap = np.unique(np.stack([whole, made]).reshape(2, -1), axis=1, return_counts=True)
    either = np.bincount(whole.ravel())[pairs[0]] + np.bincount(made.ravel())[pairs[1]] - overlap
    chosen = pairs.all(axis=0)
    alike = (overlap / either)[chosen]
    count = int(whole.max())
    shares = {"differ": (alike == 1).sum(), "without a partner": (alike > 0.5).sum()}
    row: Row = {name: round(1 - int(same) / count, 5) for name, same in shares.items()}
    return {"objects": count, "in blocks": numbering.largest, **row}


def write_source(folder: Path, kind: str, side: int, part: int) -> None:
    """Write a file that is empty but for noise in the corner of the part."""
    begin = _begin(side, part)
    shape = (side, side, 3) if kind.endswith("RGB") else (side, side)
    here = (slice(begin, begin + CHUNK), slice(begin, begin + CHUNK))
    noise = np.random.default_rng(0).integers(0, 255, (CHUNK, CHUNK, *shape[2:]), np.uint8)
    path = _path(folder, kind, side)
    if kind == "objects":
        import zarr

        array = zarr.create_array(path, shape=shape, chunks=(1024, 1024), dtype="uint8")
        tile = nuclei(1024, seed=2)[0]
        for top, left in itertools.product(range(0, side, 1024), repeat=2):
            here = tile[: side - top, : side - left]
            array[top : top + 1024, left : left + 1024] = here
        return
    if kind == "volumes":
        import zarr

        shape, chunks = (PLANES, side, side), (16, CHUNK, CHUNK)
        array = zarr.create_array(path, shape=shape, chunks=chunks, dtype="uint8")
        cube = draw_volume(CHUNK)
        for top, left in itertools.product(range(0, side, CHUNK), repeat=2):
            array[:, top : top + CHUNK, left : left + CHUNK] = cube
        return
    if kind == "zarr":
        import zarr

        zarr.create_array(path, shape=shape, chunks=(CHUNK, CHUNK), dtype="uint8")[here] = noise
        return
    image = np.zeros(shape, np.uint8)
    image[here] = noise
    if kind == "PNG":
        imageio.imwrite(path, image)
    else:
        tifffile.imwrite(path, image, **{"photometric": "minisblack"} | TIFF[kind])


def _path(folder: Path, kind: str, side: int) -> Path:
    endings = {"PNG": ".png"} | dict.fromkeys(["zarr", "objects", "volumes"], ".zarr")
    return folder / f"{kind} {side}{endings.get(kind, '.tif')}"


def _begin(side: int, part: int) -> int:
    return (side - part) // 2 // CHUNK * CHUNK


def run_time_file(folder: Path, kind: str, side: int, part: int) -> Row:
    """Run `time_file` in a process of its own."""
    env = {**os.environ, "FOLDER": str(folder), "FILE": json.dumps([kind, side, part])}
    command = [sys.executable, __file__, "one", "--json"]
    done = subprocess.run(command, env=env, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)[0]  # type: ignore[no-any-return]


def time_file(folder: Path, kind: str, side: int, part: int) -> Row:
    """Translate the middle of a file, uint8 in and out, as in a shell."""
    names = {"objects": "objects", "volumes": "volumes", "TIFF, RGB": "RGB"}
    model = folder / f"{names.get(kind, 'gray')}.safetensors"
    source, begin = _path(folder, kind, side), _begin(side, part)
    words = ["apply", str(model), str(source), "--out", str(source.with_stem(f"{side} out"))]
    words += ["--device", "cpu", "--overwrite", "--json"]
    axes = "ZYX" if kind == "volumes" else "YX"
    words += ["--axes", axes] if source.suffix == ".zarr" else []

    def translate(part: int) -> None:
        span = f"{begin}:{begin + part}"
        region = [] if part == side else ["--region", f"{span},{span}"]
        with contextlib.redirect_stdout(io.StringIO()):
            napari_pix2pix_command([*words, *region], standalone_mode=False)

    with warnings.catch_warnings(), Peak() as peak:
        warnings.simplefilter("ignore")  # intensities unlike those of the training
        translate(CHUNK)
        seconds = seconds_of(lambda: translate(part))
    return {"peak GB": round(peak.bytes / 1e9, 3), "s/Mpx": round(seconds / (part * part / 1e6), 3)}


class Peak:
    """Measures how far the memory of this process grows."""

    def __enter__(self) -> Peak:
        self.bytes, self._before = 0, self._now()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(0.005):
            self.bytes = max(self.bytes, self._now() - self._before)

    def _now(self) -> int:
        return int(psutil.Process().memory_info().rss)


def compare_tiles(steps: int, width: int) -> Iterator[Row]:
    """Compare tiles with the whole, for a network with fixed statistics."""
    model, image = train_model(steps, width, norm="batch")
    whole = predict_planes(model, image, PredictOptions(tile=0, device="cpu"))
    for tile in (256, 512, 768):
        tiles = predict_planes(model, image, PredictOptions(tile=tile, device="cpu"))
        yield {"part": "exact", "tile": tile, **compare(tiles, whole, tile)}


def compare_statistics(steps: int, width: int) -> Iterator[Row]:
    """Compare tiles with the whole, for networks that measure each image."""
    for norm, kind in (("instance", "running"), ("batch", "per-image")):
        model, image = train_model(steps, width, norm=norm)
        whole, tiles = (
            predict_planes(
                model, image, PredictOptions(tile=tile, norm_statistics=kind, device="cpu")
            )
            for tile in (0, 512)
        )
        yield {"part": "statistics", "norm": norm, "tile": 512, **compare(tiles, whole, 512)}


def train_model(steps: int, width: int, *, norm: str) -> tuple[Predictor, np.ndarray]:
    """Train L1 on one plane of phase contrast; return the model and a mosaic of other planes."""
    folder = Path(os.environ["NAPARI_PIX2PIX_DATA"]) / "phase_to_fluorescence"
    images = [tifffile.imread(path) for path in sorted(folder.rglob("*.tif*"))]
    phase = next(image for image in images if len(image) == 13)
    markers = next(image for image in images if len(image) == 3)
    fields = {"norm": norm, "width": width, "steps": steps, "validation": 0.0}
    made = train(phase[6], markers[1], preset="reference", adversarial_weight=0.0, **fields)
    # The seams of the mosaic lie on no grid of tiles.
    others = [plane[:ROWS] for number, plane in enumerate(phase) if number != 6]
    image = np.block([others[first : first + 3] for first in range(0, len(others), 3)])
    model = Predictor(made.generator.cpu(), made.source_codec, made.target_codec)
    return model, image[np.newaxis]


def predict_planes(model: Predictor, image: np.ndarray, options: PredictOptions) -> np.ndarray:
    """Predict (1, H, W) in the network's range."""
    tiles = model.predict(LazyImage(image, channel_axis=0), options, decoded=False)
    return put_together(((tile.box, tile.pixels) for tile in tiles), Box.of_size(*image.shape[1:]))


def compare(tiles: np.ndarray, whole: np.ndarray, period: int) -> Row:
    """Return PSNR (peak 2, the network's range), the largest difference and its grid."""
    difference = tiles - whole
    return {
        "PSNR": round(float(10 * np.log10(4 / np.square(difference).mean())), 1),
        "largest": float(f"{np.abs(difference).max():.2g}"),
        "grid, gray levels": float(
            f"{max(tile_grid_amplitude(difference, period, n) for n in (1, 2)):.2g}"
        ),
    }


def tile_grid_amplitude(difference: np.ndarray, period: int, axis: int) -> float:
    """Return the amplitude, in gray levels, at the period of the tiles but not of the network."""
    lines = np.moveaxis(difference, axis, -1)
    count = lines.shape[-1] // period
    length = count * period
    power = (np.abs(np.fft.rfft(lines[..., :length], axis=-1)) ** 2).mean((0, 1))
    reach = max(2, count // 2)
    excess = 0.0
    for harmonic in range(1, 9):
        peak = count * harmonic
        if period > STRIDE and harmonic * STRIDE % period == 0:
            continue  # a line of the network, not of the tiles
        around = np.median(np.r_[power[peak - reach : peak], power[peak + 1 : peak + reach + 1]])
        excess += max(0.0, power[peak] - around)
    return float(np.sqrt(2 * excess) / length * 255 / 2)


def seconds_of(work: Callable[[], object]) -> float:
    """Return the seconds that ``work`` takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
