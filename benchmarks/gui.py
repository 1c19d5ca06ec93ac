"""Measure how the Train dock and the viewer slow each other down, with ``light`` on a CPU.

There are four parts, each in processes of its own: the stalls of the event loop during a minute of
training, a training step in the dock compared with one in a script, the time to open the dock, and
the memory after rounds of training and closing. It needs a screen (``xvfb-run`` gives one). The
table goes to ``docs/gui.md``.

    python benchmarks/gui.py [--json] [stalls step opening memory]
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from napari_pix2pix.napari_layers.samples import phase_fluorescence

PAIRS = 5  # of runs, dock and script in turns
STEPS = 60  # of a run, of which the first ones are left out
WARM_UP = 15
SAME = {"patch": 128, "batch": 8}  # the dock would choose them by the hardware
ROUNDS = 10
FIRST_ROUND = 5  # until then the docks keep more and more models in memory
STALL_SECONDS = 60
TICK = 0.01  # seconds between two ticks of the timer; a stall delays them

BARS = {
    "stall_p99_ms": 20.0,
    "stall_longest_ms": 150.0,
    "step_ratio": 1.15,
    "opening_seconds": 0.5,
    "memory_growth": 0.05,
}
TABLE = Path(__file__).parent.parent / "docs" / "gui.md"

Result = dict[str, Any]


def main() -> None:
    """Run the parts, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", default=[], help=f"some of {', '.join(PARTS)}")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        with tempfile.TemporaryDirectory() as folder:
            use_fresh_settings(folder)
            print(json.dumps(CHILDREN[args.child]()))
        return
    result: Result = {}
    for part in args.parts or PARTS:
        result |= PARTS[part]()
        print(result, file=sys.stderr)
    met = {name: result[name] <= bar for name, bar in BARS.items() if name in result}
    if set(met) == set(BARS):
        TABLE.write_text(as_table(result))
    print(json.dumps(result) if args.json else as_lines(result, met))
    sys.exit(0 if all(met.values()) else 1)


def run_child(name: str) -> Result:
    """Run one measurement in a Python process of its own."""
    # Python keeps compiled modules, as on a user's machine after the first start.
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, __file__, "--child", name]
    done = subprocess.run(command, check=True, env=environment, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def stalls() -> Result:
    """Measure the stalls of the event loop while the dock trains."""
    return run_child("stalls")


def step() -> Result:
    """Compare a step in the dock with one in a script: the median over pairs of runs."""
    ratios, docks, scripts = [], [], []
    run_child("script")  # compiles what is not compiled yet
    for _ in range(PAIRS):
        docks.append(run_child("dock")["seconds"])
        scripts.append(run_child("script")["seconds"])
        ratios.append(docks[-1] / scripts[-1])
    return {
        "step_ratio": statistics.median(ratios),
        "step_ratios": sorted(round(ratio, 3) for ratio in ratios),
        "step_dock_ms": 1000 * statistics.median(docks),
        "step_script_ms": 1000 * statistics.median(scripts),
    }


def opening() -> Result:
    """Measure the seconds to open the dock in an open viewer: median of five."""
    run_child("opening")
    runs = [run_child("opening") for _ in range(5)]
    return {
        "opening_seconds": statistics.median(run["seconds"] for run in runs),
        "opening_imports_torch": any(run["torch"] for run in runs),
    }


def memory() -> Result:
    """Measure the growth of the memory from an early round to the last."""
    sizes = run_child("memory")["megabytes"]
    return {
        "memory_megabytes": sizes,
        "memory_growth": sizes[-1] / sizes[FIRST_ROUND - 1] - 1,
    }


PARTS: dict[str, Callable[[], Result]] = {
    "stalls": stalls,
    "step": step,
    "opening": opening,
    "memory": memory,
}


def in_stalls() -> Result:
    """Train for a minute; a stall of the event loop makes a timer late."""
    from qtpy.QtCore import Qt, QTimer

    viewer, dock = open_dock()
    ticks: list[float] = []
    timer = QTimer()
    timer.setTimerType(Qt.TimerType.PreciseTimer)
    timer.setInterval(round(1000 * TICK))
    timer.timeout.connect(lambda: ticks.append(time.perf_counter()))
    timer.start()
    dock.set_fields(max_seconds=STALL_SECONDS + 15, passes=0)
    dock.train()
    run_until(lambda: "step" in dock.view.status.bar.format())
    began = time.perf_counter()
    run_until(lambda: time.perf_counter() - began > STALL_SECONDS)
    before = lateness([tick for tick in ticks if tick < began])
    during = lateness([tick for tick in ticks if tick >= began])
    dock.stop()
    run_until(lambda: not dock.view.status.state.is_busy)
    viewer.close()
    return {
        "stall_p99_ms": 1000 * float(np.percentile(during, 99)),
        "stall_longest_ms": 1000 * float(during.max()),
        "stall_import_ms": 1000 * float(before.max()),
    }


def lateness(ticks: list[float]) -> np.ndarray:
    """Return the seconds by which each tick was late."""
    return np.maximum(np.diff(ticks) - TICK, 0)


def in_dock() -> Result:
    """Return the seconds of a step in the dock while the viewer is idle."""
    viewer, dock = open_dock()
    return {"seconds": step_seconds(viewer, dock)}


def step_seconds(viewer: Any, dock: Any) -> float:
    """Train in the dock, and time the steps."""
    from napari_pix2pix.training._step import Pix2PixStep

    times = timed_steps(Pix2PixStep)
    dock.set_fields(steps=STEPS, **SAME)
    dock.train()
    run_until(lambda: not dock.view.status.state.is_busy)
    viewer.close()
    return median_step(times)


def in_script() -> Result:
    """Return the seconds of the same step in a script."""
    from napari_pix2pix import train
    from napari_pix2pix.training._step import Pix2PixStep

    times = timed_steps(Pix2PixStep)
    source, target = (layer[0] for layer in phase_fluorescence()[:2])
    train(source, target, steps=STEPS, **SAME)
    return {"seconds": median_step(times)}


def timed_steps(kind: Any) -> list[float]:
    """Record when each step begins; between two beginnings all work of the loop counts."""
    times: list[float] = []
    plain = kind.__call__

    def timed(self: Any, *args: Any, **kwargs: Any) -> Any:
        times.append(time.perf_counter())
        return plain(self, *args, **kwargs)

    kind.__call__ = timed
    return times


def median_step(times: list[float]) -> float:
    """Return the median seconds between steps, without the first ones."""
    return float(np.median(np.diff(times)[WARM_UP:]))


def in_opening() -> Result:
    """Return the seconds to open the dock, and whether torch was imported for it."""
    viewer = open_viewer()
    began = time.perf_counter()
    viewer.window.add_plugin_dock_widget("napari-pix2pix", "Train")
    process_events()
    seconds = time.perf_counter() - began
    torch = "torch" in sys.modules
    viewer.close()
    return {"seconds": seconds, "torch": torch}


def in_memory() -> Result:
    """Return the megabytes after each round of opening the dock, training and closing it."""
    viewer = open_viewer()
    sizes = []
    for _ in range(ROUNDS):
        window_dock, dock = viewer.window.add_plugin_dock_widget("napari-pix2pix", "Train")
        add_pair(viewer, dock)
        dock.set_fields(steps=5)
        dock.train()
        run_until(lambda dock=dock: not dock.view.status.state.is_busy)
        viewer.window.remove_dock_widget(window_dock)
        del window_dock, dock
        end = time.perf_counter() + 1
        run_until(lambda end=end: time.perf_counter() > end)
        gc.collect()
        sizes.append(round(psutil.Process().memory_info().rss / 1e6, 1))
    viewer.close()
    return {"megabytes": sizes}


CHILDREN: dict[str, Callable[[], Result]] = {
    "stalls": in_stalls,
    "dock": in_dock,
    "script": in_script,
    "opening": in_opening,
    "memory": in_memory,
}


def use_fresh_settings(folder: str) -> None:
    """Let the docks keep their settings in a folder, as if for a new user."""
    from qtpy.QtCore import QSettings

    QSettings.setPath(QSettings.Format.IniFormat, QSettings.Scope.UserScope, folder)


def open_viewer() -> Any:
    """Open a viewer with the generated sample pair."""
    import napari

    viewer = napari.Viewer(show=True)
    for data, options, kind in phase_fluorescence():
        getattr(viewer, f"add_{kind}")(data, **options)
    process_events()
    return viewer


def open_dock() -> tuple[Any, Any]:
    """Open a viewer and the Train dock with a checked pair."""
    viewer = open_viewer()
    _, dock = viewer.window.add_plugin_dock_widget("napari-pix2pix", "Train")
    add_pair(viewer, dock)
    return viewer, dock


def add_pair(viewer: Any, dock: Any) -> None:
    """Add the only pair to the dock, and wait until it can train."""
    dock.clear_pairs()
    dock.add_pair(*list(viewer.layers)[:2])
    run_until(dock.view.status.train.isEnabled)


def run_until(condition: Callable[[], bool], seconds: float = 300) -> None:
    """Run the event loop until a condition holds."""
    from qtpy.QtCore import QEventLoop, QTimer

    loop = QEventLoop()
    look = QTimer()
    look.timeout.connect(lambda: condition() and loop.quit())
    look.start(50)
    limit = QTimer(singleShot=True)
    limit.timeout.connect(loop.quit)
    limit.start(round(1000 * seconds))
    loop.exec()
    if not condition():
        sys.exit(f"stopped after {seconds} s of waiting")


def process_events() -> None:
    """Let Qt draw the window."""
    from qtpy.QtWidgets import QApplication

    QApplication.processEvents()


def as_lines(result: Result, met: dict[str, bool]) -> str:
    """Return one line for each number."""
    return "\n".join(
        f"{name}: {value:.4g}{f'  bar {BARS[name]}' if name in BARS else ''}"
        f"{'' if met.get(name, True) else '  MISSED'}"
        for name, value in result.items()
        if isinstance(value, int | float)
    )


def as_table(result: Result) -> str:
    """Return the page: the numbers and their bars."""
    rows = [
        ("event loop, 99 % of its ticks late by at most", "stall_p99_ms", "ms"),
        ("event loop, longest stall in a minute of training", "stall_longest_ms", "ms"),
        ("a step in the dock over one in a script", "step_ratio", "x"),
        ("opening the dock", "opening_seconds", "s"),
        (f"growth of memory, round {FIRST_ROUND} to {ROUNDS}", "memory_growth", "of it"),
    ]
    sizes = ", ".join(f"{size:.0f}" for size in result["memory_megabytes"])
    ratios = ", ".join(map(str, result["step_ratios"]))
    before = (
        f"- Longest stall before the first step (modules are imported, not counted above): "
        f"{result['stall_import_ms']:.0f} ms."
    )
    steps = (
        f"- A step in the dock {result['step_dock_ms']:.0f} ms, in the script "
        f"{result['step_script_ms']:.0f} ms; medians of {PAIRS} runs in turns, with ratios of "
        f"{ratios}."
    )
    lines = [
        "# What the docks cost",
        "",
        f"`light` trains on the generated pair in napari's viewer, on {os.cpu_count()} CPU cores.",
        "Made by `python benchmarks/gui.py`.",
        "",
        "| what | measured | bar |",
        "|---|---|---|",
        *(f"| {what} | {result[name]:#.3g} {unit} | {BARS[name]:g} |" for what, name, unit in rows),
        "",
        before,
        steps,
        f"- Megabytes after each round of training and closing: {sizes}.",
        "- Measured under Xvfb, without a graphics card: drawing costs the processor time, too.",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
