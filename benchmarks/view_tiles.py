"""Time the first pixels of a layer that is translated in view, and the stalls while panning.

The Apply dock applies a model in memory (``light``, on a CPU) to a pyramid of 32,768 x 32,768
pixels, which is made as it is read. It measures the seconds from Apply to the first pixels in the
layer, and the stalls of the event loop while the view moves twice a second, with and without the
layer. It needs a screen (``xvfb-run`` gives one). The exit status is 1 if a bar is missed.

    python benchmarks/view_tiles.py [--json] [--seconds 30]
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from typing import Any

import dask.array as da
import numpy as np
from gui import TICK, lateness, process_events, run_until

BARS = {"first_pixels_seconds": 1.0, "added_p99_ms": 50.0, "added_longest_ms": 200.0}
SIDE = 32768
CHUNK = 512


def main() -> None:
    """Measure, and print which bars are missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--seconds", type=float, default=30)
    args = parser.parse_args()
    result = measure(args.seconds)
    met = {name: result[name] <= bar for name, bar in BARS.items()}
    if args.json:
        print(json.dumps(result))
    else:
        for name, value in result.items():
            print(f"{name}: {value:.3f} {'' if met.get(name, True) else 'MISSED'}".rstrip())
    sys.exit(0 if all(met.values()) else 1)


def measure(seconds: float) -> dict[str, float]:
    """Pan for some seconds without the layer and with it."""
    import napari

    from napari_pix2pix import train
    from napari_pix2pix.widgets.apply import _view_tiles

    _view_tiles._SHARE = 0.0  # on a machine of any memory
    image = np.random.default_rng(0).integers(0, 255, (512, 512), np.uint8)
    model = train(image, 255 - image, steps=1, validation=0.0, device="cpu")
    viewer = napari.Viewer(show=True)
    source = viewer.add_image(pyramid(image), name="slide", contrast_limits=(0, 255))
    _, dock = viewer.window.add_plugin_dock_widget("napari-pix2pix", "Apply")
    dock.set_model(model)
    dock.set_layers([source])
    look_at(viewer, 5000, 5000)
    process_events()
    run_until(lambda: dock.check() == "")
    before = pan(viewer, seconds)
    look_at(viewer, 5000, 5000)
    began = time.perf_counter()
    dock.apply()
    run_until(lambda: bool(dock.followed) and has_pixels(dock.followed[0], 5000, 5000))
    first = time.perf_counter() - began
    after = pan(viewer, seconds)
    dock.close_down()
    viewer.close()
    return {
        "first_pixels_seconds": first,
        "p99_ms": after[0],
        "p99_before_ms": before[0],
        "longest_ms": after[1],
        "longest_before_ms": before[1],
        "added_p99_ms": after[0] - before[0],
        "added_longest_ms": after[1] - before[1],
    }


def pan(viewer: Any, seconds: float) -> tuple[float, float]:
    """Move the view twice a second; return the 99th percentile of the stalls and the longest."""
    from qtpy.QtCore import Qt, QTimer

    ticks: list[float] = []
    timer = QTimer()
    timer.setTimerType(Qt.TimerType.PreciseTimer)
    timer.setInterval(round(1000 * TICK))
    timer.timeout.connect(lambda: ticks.append(time.perf_counter()))
    timer.start()
    rng, end = np.random.default_rng(0), time.perf_counter() + seconds
    while time.perf_counter() < end:
        until = time.perf_counter() + 0.5
        look_at(viewer, *rng.integers(2000, SIDE - 2000, 2))
        run_until(lambda until=until: time.perf_counter() > until)
    late = lateness(ticks)
    return 1000 * float(np.percentile(late, 99)), 1000 * float(late.max())


def pyramid(tile: np.ndarray) -> list[Any]:
    """Return the levels of an image that repeats a tile."""
    return [
        da.map_blocks(
            lambda: tile, chunks=((CHUNK,) * count, (CHUNK,) * count), dtype=np.uint8, meta=tile[:0]
        )
        for count in (SIDE // CHUNK >> level for level in range(7))
    ]


def look_at(viewer: Any, row: int, column: int) -> None:
    """Show a place, one screen pixel for each pixel."""
    viewer.scene.camera.center = (row, column)
    viewer.scene.camera.zoom = 1.0


def has_pixels(layer: Any, row: int, column: int) -> bool:
    """Whether pixels at a place are translated."""
    return bool(layer.data[0][row : row + 8, column : column + 8].any())


if __name__ == "__main__":
    main()
