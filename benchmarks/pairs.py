"""Train ``light`` for a few minutes on a CPU on each kind of real pair, and score it.

Nuclei in fluorescence and in stained tissue to instances, 13 planes of phase contrast to three
fluorescent channels at once, a time-lapse from one channel to the other, and a volume to its
instances with neighbouring planes. The last two go through the shell, from file to file, as
OME-TIFF and as ImageJ-TIFF, whose axes and pixel sizes must be kept. The table goes to
``docs/pairs.md``, with the results of the alignment check on all of them.

    NAPARI_PIX2PIX_DATA=folder python benchmarks/pairs.py [names ...] [--rerun] [--json]

``--minutes 0.1`` is a quick test that all works; it writes nothing.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import alignment
import numpy as np
import tifffile

from napari_pix2pix import Pair, Translator, evaluate, load, train
from napari_pix2pix.data.pair import open_pair
from napari_pix2pix.evaluation.evaluate import evaluate_pairs
from napari_pix2pix.inference.devices import choose_device, name_device
from napari_pix2pix.io.datasets import read_pairs
from napari_pix2pix.io.reading import read_image
from napari_pix2pix.metrics.labels import label_counts, pool_label_scores
from napari_pix2pix.metrics.segmentation import HAEMATOXYLIN, OtsuBaseline
from napari_pix2pix.training.config import TrainConfig

HELD_OUT, GAP = 192, 16  # columns of the phase contrast

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "pairs.json"
TABLE = ROOT / "docs" / "pairs.md"

Result = dict[str, Any]


def main() -> None:
    """Do the missing runs, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help=f"some of {', '.join(RUNS)}")
    parser.add_argument("--rerun", action="store_true", help="repeat finished runs")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--minutes", type=float, help="minutes of training; writes nothing")
    args = parser.parse_args()
    if "NAPARI_PIX2PIX_DATA" not in os.environ:
        sys.exit("skipped: set NAPARI_PIX2PIX_DATA to the folder of the real pairs")
    folder = Path(os.environ["NAPARI_PIX2PIX_DATA"])
    results: dict[str, Result] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for name in args.names or RUNS:
        run, minutes = RUNS[name]
        if args.minutes:
            print(name, run(folder, args.minutes))
        elif args.rerun or name not in results:
            results[name] = {"device": name_device(choose_device())} | run(folder, minutes)
            RESULTS.write_text(json.dumps(results, indent=1) + "\n")
            print(name, results[name], file=sys.stderr)
    if args.minutes:
        return
    TABLE.write_text(as_table(results))
    print(json.dumps(results) if args.json else as_table(results))
    sys.exit(0 if all(bars_met(results).values()) else 1)


def nuclei_fluorescence(folder: Path, minutes: float) -> Result:
    """Fluorescent nuclei to instances: 60 images of 256 x 256."""
    return nuclei(folder / "nuclei_fluorescence", minutes)


def nuclei_histology(folder: Path, minutes: float) -> Result:
    """Stained tissue to instances: 40 images of 256 x 320."""
    return nuclei(folder / "nuclei_histology", minutes, rgb=True)


def nuclei(folder: Path, minutes: float, *, rgb: bool = False) -> Result:
    """Train on the folder ``train``, score on ``test``."""
    training, _ = read_pairs(folder / "train/source", folder / "train/target")
    testing, _ = read_pairs(folder / "test/source", folder / "test/target")
    translator, facts = train_timed(training, minutes)
    scores = evaluate_pairs(translator, testing).to_dict()
    if rgb:
        scores["haematoxylin"] = score_haematoxylin(
            training, testing, translator.target_codec.smallest
        )
    predictors = ("prediction", "baseline", "haematoxylin")
    return facts | {name: scores[name] for name in predictors if name in scores}


def train_timed(training: list[Pair], minutes: float, **fields: Any) -> tuple[Translator, Result]:
    """Train for some minutes; the preparation counts."""
    began = time.perf_counter()
    translator = train(
        [pair.source for pair in training],
        [pair.target for pair in training],
        max_seconds=60 * minutes,
        validation=0.0,
        **fields,
    )
    seconds = round(time.perf_counter() - began, 1)
    return translator, {"seconds": seconds} | facts_of(translator)


def facts_of(translator: Translator) -> Result:
    """Return what a row says of a model: its steps, and by its width which `light` made it."""
    return {"steps": translator.info.steps, "width": translator.config.width}


def score_haematoxylin(
    training: list[Pair], testing: list[Pair], smallest: int
) -> dict[str, float]:
    """Score Otsu's threshold on the haematoxylin, which need not be the best channel."""
    otsu = OtsuBaseline.fit(
        read_blocks(training), kind="instances", rgb=True, channel=HAEMATOXYLIN, smallest=smallest
    )
    counts = [
        label_counts(otsu.predict(source), target, kind="instances", valid=valid)
        for source, target, valid in read_blocks(testing)
    ]
    return pool_label_scores(counts)


def read_blocks(pairs: list[Pair]) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Read source, target and valid pixels of the only frame of each pair."""
    triples = []
    for pair in map(open_pair, pairs):
        source, target, _ = pair.read(0, slice(0, pair.height), slice(0, pair.width))
        triples.append((source, target, np.ones((1, *target.shape[1:]), bool)))
    return triples


def phase_to_three(folder: Path, minutes: float) -> Result:
    """Phase contrast to DAPI, MAP2 and NFH at once: one field, its right 192 columns unseen."""
    folder = folder / "phase_to_fluorescence"
    source = np.asarray(read_image(folder / "source_phase_ZYX.tif", axes="CYX").data)
    target = np.asarray(read_image(folder / "target_DAPI_MAP2_NFH_CYX.tif", axes="CYX").data)
    edge = source.shape[-1] - HELD_OUT
    seen = [Pair(source[..., : edge - GAP], target[..., : edge - GAP])]
    translator, facts = train_timed(seen, minutes, channel_axis=0)
    unseen = source[..., edge:], target[..., edge:]
    scores = evaluate(translator, *unseen, channel_axis=0)
    prediction = translator(unseen[0], output="float")
    linear = translator.info.baselines.predict(unseen[0])
    channels = {
        name: [
            round(float(np.corrcoef(image[i].ravel(), unseen[1][i].ravel())[0, 1]), 4)
            for image in (prediction, linear)
        ]
        for i, name in enumerate(("DAPI", "MAP2", "NFH"))
    }
    return (
        facts | {name: scores[name] for name in ("prediction", "baseline")} | {"channels": channels}
    )


def timelapse(folder: Path, minutes: float) -> Result:
    """One channel of a dividing cell to the other, 51 frames: from file to file."""
    source, target = (
        tifffile.imread(folder / f"timelapse_two_channels/{side}_TYX.tif")
        for side in ("source", "target")
    )
    options = ["--patch", "64", "--max-seconds", str(60 * minutes)]
    return through_the_shell(source, target, {"T": 30.0, "Y": 0.2, "X": 0.2}, options)


def volume(folder: Path, minutes: float) -> Result:
    """Nuclei of a volume to instances, plane by plane with their neighbours."""
    source, target = (
        tifffile.imread(folder / f"volume_nuclei/{side}_ZYX.tif") for side in ("source", "target")
    )
    options = ["--target-kind", "instances", "--z-context", "1", "--patch", "32"]
    options += ["--max-seconds", str(60 * minutes)]
    return through_the_shell(source, target, {"Z": 2.0, "Y": 0.5, "X": 0.5}, options)


def through_the_shell(
    source: np.ndarray, target: np.ndarray, sizes: dict[str, float], options: list[str]
) -> Result:
    """Write files, train and apply as a user of the shell would, and check the output files.

    ``sizes`` maps the axes, in their order, to steps in seconds or micrometres.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for side, image in (("source", source), ("target", target)):
            write_ome(folder / f"{side}.ome.tif", image, sizes)
            write_imagej(folder / f"{side}.tif", image, sizes)
        model = folder / "model.safetensors"
        began = time.perf_counter()
        pair = folder / "source.ome.tif", folder / "target.ome.tif"
        run_command("train", *pair, "--out", model, *options)
        seconds = round(time.perf_counter() - began, 1)
        kept = {
            f"{what} ({kind})": same
            for kind, suffix in (("OME", "ome.tif"), ("ImageJ", "tif"))
            for what, same in check_output(model, folder, suffix, target, sizes).items()
        }
        again = folder / "again.safetensors"
        pair = folder / "source.tif", folder / "target.tif"
        run_command("train", *pair, "--out", again, *options, "--steps", 2)
        translator = load(model)
        kept["trained on alike (ImageJ)"] = load(again).info.summary == translator.info.summary
        measured = {"seconds": seconds, "kept": kept} | facts_of(translator)
        return measured | translator.info.scores_by_side


def write_ome(path: Path, image: np.ndarray, sizes: dict[str, float]) -> None:
    """Write an OME-TIFF with the steps of its axes."""
    metadata: dict[str, Any] = {"axes": "".join(sizes)}
    for axis, size in sizes.items():
        name, unit = ("TimeIncrement", "s") if axis == "T" else (f"PhysicalSize{axis}", "µm")
        metadata |= {name: size, f"{name}Unit": unit}
    tifffile.imwrite(path, image, metadata=metadata, ome=True)


def write_imagej(path: Path, image: np.ndarray, sizes: dict[str, float]) -> None:
    """Write an ImageJ hyperstack with the steps of its axes."""
    first = {"T": "finterval", "Z": "spacing"}[next(iter(sizes))]
    metadata = {"axes": "".join(sizes), "unit": "um", first: next(iter(sizes.values()))}
    pixels = 1 / sizes["X"], 1 / sizes["Y"]
    tifffile.imwrite(path, image, metadata=metadata, resolution=pixels, imagej=True)


def check_output(
    model: Path, folder: Path, suffix: str, target: np.ndarray, sizes: dict[str, float]
) -> dict[str, bool]:
    """Apply a model to a file; return which of its properties the output has kept."""
    given, out = folder / f"source.{suffix}", folder / f"out.{suffix}"
    run_command("apply", model, given, "--out", out)
    before, after = read_image(given), read_image(out)
    with tifffile.TiffFile(out) as file:
        header = file.is_ome if suffix == "ome.tif" else file.is_imagej
    return {
        "shape": after.data.shape == target.shape,
        "dtype": after.data.dtype == target.dtype,
        "axes": after.axes == before.axes == "".join(sizes),
        "pixel sizes": after.scale.keys() == sizes.keys()
        and all(math.isclose(after.scale[axis], sizes[axis], rel_tol=1e-6) for axis in sizes),
        "units": after.units == before.units and bool(after.units),
        "header": bool(header),
    }


def check_alignment(folder: Path, _: float) -> Result:
    """Check the alignment of all these pairs; nothing is trained."""
    return {"pairs": alignment.measure(folder)}


def run_command(*arguments: object) -> None:
    """Run the command in a process of its own."""
    command = [sys.executable, "-c", "from napari_pix2pix.cli import main; main()"]
    subprocess.run([*command, *map(str, arguments)], check=True, stdout=subprocess.DEVNULL)


RUNS: dict[str, tuple[Callable[[Path, float], Result], float]] = {
    "nuclei_fluorescence": (nuclei_fluorescence, 3),
    "nuclei_histology": (nuclei_histology, 5),
    "phase_to_three": (phase_to_three, 5),
    "timelapse": (timelapse, 2),
    "volume": (volume, 2),
    "shifts": (check_alignment, 0),
}


def bars_met(results: dict[str, Result]) -> dict[str, bool]:
    """Return whether each finished run passes its bar."""
    met: dict[str, bool] = {}
    if run := results.get("nuclei_fluorescence"):
        ahead = run["prediction"]["f1"] - run["baseline"]["f1"]
        met["F1 of fluorescent nuclei 0.03 above Otsu"] = ahead >= 0.03
        met["Dice of fluorescent nuclei 0.92"] = run["prediction"]["dice"] >= 0.92
    if run := results.get("nuclei_histology"):
        ahead = run["prediction"]["f1"] - run["haematoxylin"]["f1"]
        met["F1 of stained nuclei 0.10 above Otsu on haematoxylin"] = ahead >= 0.10
    for name in ("timelapse", "volume"):
        if run := results.get(name):
            met[f"{name}: axes, sizes and units kept"] = all(run["kept"].values())
    if run := results.get("shifts"):
        met["shifts of 3, 5 and 10 px found within 1 px"] = alignment.all_shifts_found(run["pairs"])
    return met


def stale_rows(results: dict[str, Result]) -> list[str]:
    """Say which rows an earlier `light` made."""
    width = TrainConfig().width
    if all(run.get("width", width) == width for run in results.values()):
        return []
    return [
        f"Rows of another width than {width} were made by `light` as it was before decision",
        "[047](decisions/047-light-chosen-on-many-sets.md), with jitter and dropout, and are to be",
        "measured again on a quiet machine.",
        "",
    ]


def as_table(results: dict[str, Result]) -> str:
    """Return the page: a row for each run, and the bars."""
    lines = [
        "# Results of a few minutes of training on each kind of pair",
        "",
        "Preset `light` with its defaults; scored on images that were not trained on.",
        f"{next(iter(results.values()))['device']}. Made by `python benchmarks/pairs.py`.",
        "",
        *stale_rows(results),
        "| pair | seconds | steps | width | score | network | baseline | others |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, run in results.items():
        if "prediction" not in run:
            continue
        prediction, baseline = run["prediction"], run["baseline"]
        names = ("f1", "f1_mean", "dice") if "f1" in prediction else ("pearson", "ssim", "psnr")
        for number, key in enumerate(names):
            facts = name, run["seconds"], run["steps"], run["width"]
            head = " | ".join(map(str, facts)) if number == 0 else "| | |"
            other = ""
            if "haematoxylin" in run:
                other = f"Otsu on haematoxylin {run['haematoxylin'][key]:.3f}"
            lines.append(
                f"| {head} | {key} | {prediction[key]:.3f} | {baseline[key]:.3f} | {other} |"
            )
    if run := results.get("phase_to_three"):
        lines += [
            "",
            "Pearson of each channel of `phase_to_three`, network and linear baseline:",
            "",
        ]
        lines += [f"- {name}: {a:.3f}, {b:.3f}" for name, (a, b) in run["channels"].items()]
    if run := results.get("shifts"):
        lines += alignment.as_table(run["pairs"])
    lines += ["", "Bars:", ""]
    lines += [f"- {what}: {'met' if met else 'MISSED'}" for what, met in bars_met(results).items()]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
