"""Write constraints.txt: the newest versions that pip installs together, for both Qt bindings.

`make constraints` runs this. It builds one environment for each Qt binding in a temporary folder,
without today's constraints.txt, and writes down what pip has installed there.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import tomllib
import venv
from pathlib import Path

ROOT = Path(__file__).parents[1]
EXCLUSIONS = ROOT / "constraints.in"
# The dependency groups that the Makefile installs into .venv and .venv-pyside6.
ENVIRONMENTS = {"pyqt6": ("dev", "docs", "pyqt6"), "pyside6": ("test", "pyside6")}
HEADER = """\
# For Linux, Python {python} and newer, both Qt bindings. Written by `make constraints`: to leave
# a version out, name it in constraints.in and run the command again.
"""


def check_platform() -> str:
    """Return the oldest supported Python, such as "3.11"; exit unless it runs this, on Linux.

    A newer Python may take versions that the oldest one can't install.
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    oldest = project["requires-python"].removeprefix(">=")
    running = f"{sys.version_info.major}.{sys.version_info.minor}"
    if sys.platform != "linux" or running != oldest:
        sys.exit(
            f"constraints.txt is for Linux and Python {oldest}, the oldest that is supported; this "
            f"is Python {running} on {sys.platform}. Run: make constraints PYTHON=python{oldest}"
        )
    return oldest


def install(folder: Path, groups: tuple[str, ...], constraints: Path) -> list[str]:
    """Build an environment with the project and dependency groups; return its pins."""
    venv.create(folder, with_pip=True)
    pip = [str(folder / "bin" / "python"), "-m", "pip"]
    wanted = [word for group in groups for word in ("--group", group)]
    limited = [*pip, "install", "--quiet", "--constraint", str(constraints)]
    subprocess.run([*limited, "--upgrade", "pip"], cwd=ROOT, check=True)  # --group needs a new one
    subprocess.run([*limited, "--editable", ".", *wanted], cwd=ROOT, check=True)
    freeze = [*pip, "freeze", "--all", "--exclude-editable"]
    done = subprocess.run(freeze, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    return [read_pin(line) for line in done.stdout.splitlines()]


def read_pin(line: str) -> str:
    """Return "torch==2.13.0" for "torch==2.13.0+cpu"; exit for what has no version of an index."""
    name, equals, version = line.partition("==")
    if not equals or {"@", "/"} & set(line):
        sys.exit(
            f"pip installed {line!r}, which is no version of a package index: remove its cause."
        )
    return f"{name}=={version.partition('+')[0]}"


def main() -> None:
    """Read the options, build the environments, and write the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--torch", required=True, help="version of torch, such as 2.13.0")
    parser.add_argument("--out", type=Path, default=ROOT / "constraints.txt")
    options = parser.parse_args()
    python = check_platform()
    pins: set[str] = set()
    with tempfile.TemporaryDirectory() as folder:
        constraints = Path(folder, "constraints.txt")
        for name, groups in ENVIRONMENTS.items():
            # The second environment takes the versions of the first, so that the two agree.
            lines = [
                EXCLUSIONS.read_text(encoding="utf-8"),
                f"torch=={options.torch}",
                *sorted(pins),
            ]
            constraints.write_text("\n".join(lines) + "\n", encoding="utf-8")
            print(f"Building an environment with {name} ...", flush=True)
            try:
                pins.update(install(Path(folder, name), groups, constraints))
            except subprocess.CalledProcessError:
                sys.exit(f"pip could not build the environment with {name}; it says why above.")
    text = HEADER.format(python=python) + "\n".join(sorted(pins, key=str.lower)) + "\n"
    options.out.write_text(text, encoding="utf-8")
    print(f"Wrote {len(pins)} versions to {options.out}; see what changed with: git diff")


if __name__ == "__main__":
    main()
