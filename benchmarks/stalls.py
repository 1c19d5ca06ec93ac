"""Measure how long the event loop waits while the docks train and apply, on real data.

There are four parts, each in a process of its own: a training on one field of phase contrast and
three stains, a training on a volume of nuclei, a model applied to an image whose result takes
0.3 GB, and layers of that size that are added by hand, to compare with. A timer
ticks every 10 ms, and what it is late by is a stall. What comes before the first
step or tile, mostly imports, is counted by itself. It needs a screen (``xvfb-run`` gives one). The
exit status is 1 if a bar is missed. With ``--why`` it prints what the viewer did in long stalls.

    python benchmarks/stalls.py FOLDER [--json] [--why] [--seconds 60] [images volume apply napari]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from gui import TICK, lateness, process_events, run_until, use_fresh_settings
from tifffile import imread

BARS = {"p99_ms": 20.0, "longest_ms": 150.0}
PARTS = "images", "volume", "apply", "napari"
STAINS = "DAPI", "MAP2", "NFH"
REPEATS = 7, 10  # of the field, so that three stains of 16 bits take 0.3 GB
LONG = 0.03  # seconds of a stall that is explained
MOST, OWN, DEPTH = 15, 3, 3  # stalls that are explained, and the innermost calls of each
AFTER = 3.0  # seconds that belong to the work when it is done


def main() -> None:
    """Run the parts, and print which bars are missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="phase_to_fluorescence and volume_nuclei")
    parser.add_argument("parts", nargs="*", default=[], help=f"some of {', '.join(PARTS)}")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--why", action="store_true")
    parser.add_argument("--seconds", type=float, default=60, help="of each training")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        with tempfile.TemporaryDirectory() as folder:
            use_fresh_settings(folder)
            print(json.dumps(measure(args.child, args.folder, args.seconds, why=args.why)))
        return
    results = {part: run_child(part) for part in args.parts or PARTS}
    if args.json:
        print(json.dumps(results))
    else:
        for part, result in results.items():
            for name, value in result.items():
                missed = "MISSED" if value > BARS.get(name, np.inf) and part != "napari" else ""
                print(f"{part} {name}: {value:.1f} {missed}".rstrip())
    met = [
        result[name] <= bar
        for part, result in results.items()
        for name, bar in BARS.items()
        if part != "napari"
    ]
    sys.exit(0 if all(met) else 1)


def run_child(part: str) -> dict[str, float]:
    """Run one measurement in a Python process of its own."""
    command = [sys.executable, __file__, *sys.argv[1:], "--child", part]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def measure(part: str, folder: Path, seconds: float, *, why: bool) -> dict[str, float]:
    """Let a dock work, and return how late the ticks were."""
    import napari

    viewer = napari.Viewer(show=True)
    clock = Clock(why=why)
    if part in ("apply", "napari"):
        work = apply_large if part == "apply" else add_large
        begun = work(viewer, folder, clock)
    else:
        add = add_stains if part == "images" else add_volume
        begun = train(viewer, add(viewer, folder), seconds, clock)
    ended = time.perf_counter()
    wait(AFTER)
    before, during = clock.lateness(begun)
    if why:
        clock.explain()
    viewer.close()
    return {
        "p99_ms": 1000 * float(np.percentile(during, 99)),
        "longest_ms": 1000 * float(during.max()),
        "longest_before_ms": 1000 * float(before.max(initial=0)),
        "seconds": ended - begun,
    }


class Clock:
    """Ticks in the event loop; a thread looks what the loop does where a tick is late."""

    def __init__(self, *, why: bool) -> None:
        self.ticks: list[float] = []
        self._why = why
        self._timer: Any = None
        # What was seen in a stall, by the tick before.
        self._seen: defaultdict[float, Counter[str]] = defaultdict(Counter)

    def start(self) -> None:
        """Begin to tick."""
        from qtpy.QtCore import Qt, QTimer

        self._timer = QTimer()
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.setInterval(round(1000 * TICK))
        self._timer.timeout.connect(lambda: self.ticks.append(time.perf_counter()))
        self._timer.start()
        self._began = time.perf_counter()
        if self._why:
            threading.Thread(target=self._watch, args=[threading.get_ident()], daemon=True).start()

    def lateness(self, begun: float) -> tuple[np.ndarray, np.ndarray]:
        """Return the seconds that ticks were late by, before a moment and after it."""
        ticks = np.array(self.ticks)
        late = lateness(self.ticks)
        return late[ticks[1:] < begun], late[ticks[1:] >= begun]

    def explain(self) -> None:
        """Print the longest stalls, and what the loop did in them."""
        ticks = np.array(self.ticks)
        late = lateness(self.ticks)
        for index in np.argsort(-late)[:MOST]:
            at = ticks[index] - self._began
            print(f"{1000 * late[index]:.0f} ms at {at:.1f} s", file=sys.stderr)
            for calls, times in self._seen[ticks[index]].most_common(8):
                print(f"  {times} times {calls}", file=sys.stderr)

    def _watch(self, thread: int) -> None:
        while True:
            time.sleep(TICK)
            last = self.ticks[-1] if self.ticks else self._began
            if time.perf_counter() - last > LONG:
                stack = traceback.extract_stack(sys._current_frames().get(thread))
                own = [frame for frame in stack if "napari_pix2pix" in frame.filename]
                calls = [*own[-OWN:], *[frame for frame in stack[-DEPTH:] if frame not in own]]
                names = (f"{Path(call.filename).stem}:{call.lineno} {call.name}" for call in calls)
                self._seen[last][" > ".join(names)] += 1


def wait(seconds: float) -> None:
    """Let the viewer live."""
    end = time.perf_counter() + seconds
    run_until(lambda: time.perf_counter() > end)


def add_stains(viewer: Any, folder: Path) -> tuple[Any, Any]:
    """Add a plane of phase contrast and its three stains."""
    phase, stains = read_field(folder)
    source = viewer.add_image(phase, name="phase")
    targets = [
        viewer.add_image(stain, name=name, blending="additive")
        for name, stain in zip(STAINS, stains, strict=True)
    ]
    return [source], targets


def add_volume(viewer: Any, folder: Path) -> tuple[Any, Any]:
    """Add a volume and its nuclei."""
    own = folder / "volume_nuclei"
    source = viewer.add_image(imread(own / "source_ZYX.tif"), name="volume")
    return [source], [viewer.add_labels(imread(own / "target_ZYX.tif"), name="nuclei")]


def read_field(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read the middle plane of phase contrast, and the stains."""
    own = folder / "phase_to_fluorescence"
    return imread(next(own.glob("source_*.tif")))[6], imread(next(own.glob("target_*.tif")))


def train(viewer: Any, pair: tuple[Any, Any], seconds: float, clock: Clock) -> float:
    """Train in the dock; return when the first step was there."""
    _, dock = viewer.window.add_plugin_dock_widget("napari-pix2pix", "Train")
    dock.clear_pairs()
    dock.add_pair(*pair)
    run_until(dock.view.status.train.isEnabled)
    ndim = 3 if pair[0][0].ndim == 3 else 2
    dock.set_fields(max_seconds=seconds, passes=0, ndim=ndim)
    process_events()
    clock.start()
    dock.train()
    run_until(lambda: "step" in dock.view.status.bar.format())
    begun = time.perf_counter()
    run_until(lambda: not dock.view.status.state.is_busy, 10 * seconds)
    return begun


def apply_large(viewer: Any, folder: Path, clock: Clock) -> float:
    """Apply a model of three stains to many fields side by side; return when pixels were there."""
    from napari_pix2pix import train as train_model

    phase, targets = add_stains(viewer, folder)
    model = train_model(phase[0], tuple(targets), steps=5, device="cpu")
    phase = phase[0].data
    viewer.layers.clear()
    source = viewer.add_image(np.tile(phase, REPEATS), name="slide")
    _, dock = viewer.window.add_plugin_dock_widget("napari-pix2pix", "Apply")
    dock.set_model(model)
    dock.set_layers([source])
    run_until(lambda: dock.check() == "")
    wait(5)  # for the trial of its speed
    clock.start()
    begun = time.perf_counter()
    dock.apply()
    run_until(lambda: not dock.running, 600)
    return begun


def add_large(viewer: Any, folder: Path, clock: Clock) -> float:
    """Add layers of that size without any work; return when it began."""
    phase, _ = read_field(folder)
    slide = viewer.add_image(np.tile(phase, REPEATS), name="slide")
    wait(3)
    clock.start()
    begun = time.perf_counter()
    for name in STAINS:
        pixels = np.zeros(slide.data.shape, np.uint16)
        viewer.add_image(pixels, name=name, contrast_limits=(0, 1), blending="additive")
        wait(1)
    return begun


if __name__ == "__main__":
    main()
