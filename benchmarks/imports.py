"""Time ``import napari_pix2pix`` without the start of Python itself: bar 0.1 s."""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time

BAR = 0.1  # seconds


def seconds(code: str) -> float:
    """Return the seconds that a new Python process takes for some code."""
    # Python keeps compiled modules, as on a user's machine after the first start.
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
    return time.perf_counter() - start


def measure(repeats: int) -> dict[str, float]:
    """Return medians of runs that take turns, so that a busy moment affects both."""
    seconds("import napari_pix2pix")  # compiles what is not compiled yet
    python, package = [], []
    for _ in range(repeats):
        python.append(seconds("pass"))
        package.append(seconds("import napari_pix2pix"))
    bare, with_package = statistics.median(python), statistics.median(package)
    return {
        "python_seconds": bare,
        "package_seconds": with_package,
        "import_seconds": with_package - bare,
        "bar_seconds": BAR,
    }


def main() -> int:
    """Print the result; the exit code says whether the bar is met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print the numbers for a machine")
    parser.add_argument("--repeats", type=int, default=11, help="runs of each (default: 11)")
    arguments = parser.parse_args()
    result = measure(arguments.repeats)
    met = result["import_seconds"] <= BAR
    if arguments.json:
        print(json.dumps({key: round(value, 4) for key, value in result.items()}))
    else:
        print(
            f"import napari_pix2pix: {result['import_seconds'] * 1000:.0f} ms beyond Python itself "
            f"(bar {BAR * 1000:.0f} ms: {'met' if met else 'missed'})"
        )
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
