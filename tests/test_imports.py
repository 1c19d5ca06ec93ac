"""The import contract: arrows between rooms run downward; only widgets know napari and Qt."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
from helpers import run_python

import napari_pix2pix

PACKAGE = Path(__file__).parents[1] / "napari_pix2pix"
SOURCES = sorted(p for p in PACKAGE.rglob("*.py") if "sample_data" not in p.parts)

# errors < core, data, metrics < inference, io < training < what a user calls < cli, widgets:
# a room imports rooms of its own level and below, and no two modules import each other in a circle.
LEVELS = [
    {"errors", "_signals"},
    {"core", "data", "metrics"},
    {"inference", "io", "napari_layers"},
    {"training"},
    {
        *("_apply", "translator", "_train", "_load", "_list_models", "_convert"),
        *("corrections", "export", "external"),
    },
    {"evaluation", "large_images", ""},  # "" is the package's own public names
    {"cli", "widgets"},
    {"__main__"},
]
LEVEL_OF = {room: level for level, rooms in enumerate(LEVELS) for room in rooms}
ALONE = {"core"}  # rooms that import no other

# Rooms that keep to few libraries. The others may use any but those of the desktop.
LIBRARIES: dict[str, set[str]] = {
    "": set(),
    "errors": set(),
    "_signals": set(),
    "core": {"torch"},
    "data": {"numpy", "scipy", "skimage", "dask", "zarr", "pydantic"},
    "metrics": {"numpy", "scipy", "skimage"},
    "napari_layers": {"numpy", "tifffile"},
}

DESKTOP = {"napari", "qtpy", "magicgui", "superqt", "pyqtgraph", "vispy"}
DESKTOP |= {"PyQt5", "PyQt6", "PySide2", "PySide6"}
NOT_BEFORE_NEEDED = {
    "distributed",
    "onnx",
    "onnxruntime",
    "bioimageio",
    "huggingface_hub",
    "loguru",
    "matplotlib",
    "ome_zarr",
    "npe2",
}
OTHER_NAMES = {
    "skimage": "scikit-image",
    "yaml": "pyyaml",
    "PIL": "pillow",
    "bioimageio": "bioimageio.core",
}  # of the distributions that hold them


@dataclass(frozen=True)
class Import:
    module: str  # with a name that is imported from it: "torch.nn.Module"
    line: int
    in_function: bool
    for_types: bool

    @property
    def top(self) -> str:
        return self.module.partition(".")[0]


def is_for_types(node: ast.If) -> bool:
    return ast.unparse(node.test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}


def find_imports(
    node: ast.AST, *, in_function: bool = False, for_types: bool = False
) -> Iterator[Import]:
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield Import(alias.name, node.lineno, in_function, for_types)
    elif isinstance(node, ast.ImportFrom):
        assert not node.level, f"line {node.lineno}: imports are absolute"
        for alias in node.names:
            yield Import(f"{node.module}.{alias.name}", node.lineno, in_function, for_types)
    elif isinstance(node, ast.If) and is_for_types(node):
        for child in node.body:
            yield from find_imports(child, in_function=in_function, for_types=True)
        for child in node.orelse:
            yield from find_imports(child, in_function=in_function, for_types=for_types)
    else:
        deeper = in_function or isinstance(
            node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
        )
        for child in ast.iter_child_nodes(node):
            yield from find_imports(child, in_function=deeper, for_types=for_types)


def room_of(module: str) -> str:
    """Room of a dotted name within the package; "" for the package's own names."""
    second = module.split(".")[1] if "." in module else ""
    return second if second in LEVEL_OF else ""


def find_faults(room: str, source: str) -> list[str]:
    """Say in words which imports of a room's source break the contract."""
    faults = []
    for found in find_imports(ast.parse(source)):
        where = f"line {found.line}: {room or '__init__'} imports {found.module}"
        if found.top in sys.stdlib_module_names:
            continue
        if found.top == "napari_pix2pix":
            other = room_of(found.module)
            is_version = found.module == "napari_pix2pix.__version__" and room not in ALONE
            upward = LEVEL_OF[other] > LEVEL_OF[room] or room in ALONE
            if other != room and upward and not is_version:
                faults.append(f"{where}: the arrow runs upward")
        elif found.top in DESKTOP:
            late = room == "napari_layers" and (found.in_function or found.for_types)
            if room != "widgets" and not late:
                faults.append(f"{where}: only widgets, and functions of napari_layers, may")
        elif found.top not in LIBRARIES.get(room, {found.top}):
            faults.append(f"{where}: not one of its libraries")
        elif found.top in NOT_BEFORE_NEEDED and not (found.in_function or found.for_types):
            faults.append(f"{where}: import it in the function that needs it")
    return faults


def room_of_file(path: Path) -> str:
    first = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    return "" if first == "__init__" else first


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: p.relative_to(PACKAGE).as_posix())
def test_module_keeps_the_contract(path):
    room = room_of_file(path)
    assert room in LEVEL_OF, f"{room} is no room: give it a place in LEVELS"
    assert find_faults(room, path.read_text(encoding="utf-8")) == []


def module_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(("napari_pix2pix", *parts)).removesuffix(".__init__")


MODULES = {module_of(path): path for path in SOURCES}


def own_imports(path: Path) -> set[str]:
    """Return the modules of the package that a module imports, for types and in functions too."""
    found = {one.module for one in find_imports(ast.parse(path.read_text(encoding="utf-8")))}
    found = {name if name in MODULES else name.rpartition(".")[0] for name in found}
    # The package itself is left out: all may ask for its version, and it imports its names late.
    return (found & MODULES.keys()) - {"napari_pix2pix", module_of(path)}


IMPORTS = {name: own_imports(path) for name, path in MODULES.items()}


def test_no_modules_import_each_other_in_a_circle():
    graph = {name: found for name, found in IMPORTS.items() if name != "napari_pix2pix"}
    list(TopologicalSorter(graph).static_order())  # raises a CycleError that names them


def importers(module: str) -> set[str]:
    """Return which modules import one, less the face of its own room."""
    return {name for name, found in IMPORTS.items() if module in found}


@pytest.mark.parametrize("name", [n for n in MODULES if n.count(".") > 1])
def test_module_of_its_room_alone_has_an_underscore(name):
    room, _, own = name.rpartition(".")
    users = importers(name)
    outside = {user for user in users if user != room and user.rpartition(".")[0] != room}
    if own.startswith("_"):
        assert not outside, "another room imports it: give it a name without an underscore"
    else:
        is_face = not users or room in users or outside  # nobody's, or offered by its room
        assert is_face, "only its own room imports it: let its name begin with an underscore"


TESTS = Path(__file__).parent
# Modules with too much to test for one file.
HALVES = {"training/test_discriminator_step.py": "training/_step.py"}


def is_of_a_module(test: Path) -> bool:
    name = test.relative_to(TESTS).as_posix()
    room, own = PACKAGE / Path(name).parent, test.name.removeprefix("test_")
    modules = {PACKAGE / HALVES[name]} if name in HALVES else {room / own, room / f"_{own}"}
    return bool(modules & set(SOURCES))


def test_tests_of_a_room_are_named_after_its_modules():
    """Those of a topic lie in a folder integration."""
    tests = [p for p in TESTS.rglob("*/test_*.py") if "integration" not in p.parts]
    assert len(tests) > 50
    assert [str(test) for test in tests if not is_of_a_module(test)] == []


def declared_libraries(*extras: str) -> set[str]:
    """Return the names of the dependencies in pyproject.toml."""
    text = (PACKAGE.parent / "pyproject.toml").read_text(encoding="utf-8")
    project = tomllib.loads(text)["project"]
    wanted = [*project["dependencies"]]
    for extra in extras:
        wanted += project["optional-dependencies"][extra]
    return {re.split(r"[\[<>=!~ ]", requirement)[0] for requirement in wanted}


def imported_libraries() -> set[str]:
    """Return the names of the distributions that the package imports, in functions too."""
    sources = [path.read_text(encoding="utf-8") for path in SOURCES]
    tops = {found.top for source in sources for found in find_imports(ast.parse(source))}
    tops -= {*sys.stdlib_module_names, "napari_pix2pix"}
    return {OTHER_NAMES.get(top, top.replace("_", "-")) for top in tops}


EXTRAS = "distributed", "onnx", "bioimageio", "hub"  # imported in functions


def test_dependencies_are_the_libraries_that_are_imported():
    assert imported_libraries() == declared_libraries(*EXTRAS)


@pytest.mark.parametrize(
    ("room", "source"),
    [
        ("core", "import numpy"),
        ("core", "from napari_pix2pix.errors import InputError"),
        ("core", "from napari_pix2pix import __version__"),
        ("data", "import torch"),
        ("data", "from napari_pix2pix.inference.devices import free_memory"),
        ("metrics", "def f():\n    from napari_pix2pix.training.config import TrainConfig"),
        ("inference", "from napari_pix2pix.training.config import TrainConfig"),
        ("io", "if TYPE_CHECKING:\n    from napari_pix2pix.translator import Translator"),
        ("training", "from napari_pix2pix import Translator"),
        ("napari_layers", "import napari"),
        ("napari_layers", "import qtpy"),
        ("napari_layers", "class A:\n    from napari.layers import Image"),
        ("translator", "def f():\n    import qtpy"),
        ("cli", "from napari.layers import Image"),
        ("io", "from ome_zarr.io import parse_url"),
        ("evaluation", "import matplotlib.pyplot as plt"),
    ],
)
def test_fault_is_seen(room, source):
    assert len(find_faults(room, source)) == 1


@pytest.mark.parametrize(
    ("room", "source"),
    [
        ("core", "from torch import nn\nfrom napari_pix2pix.core.layers import norm_layer"),
        ("napari_layers", "def f():\n    from napari.layers import Image"),
        ("napari_layers", "if TYPE_CHECKING:\n    import napari"),
        ("napari_layers", "def f():\n    from qtpy.QtCore import QEventLoop"),
        ("training", "import lightning_fabric\nfrom napari_pix2pix.data import Pair"),
        ("io", "from napari_pix2pix import __version__"),
        ("widgets", "from qtpy.QtWidgets import QWidget\nfrom napari_pix2pix import train"),
    ],
)
def test_permitted_import_is_no_fault(room, source):
    assert find_faults(room, source) == []


TORCH = {"torch", "lightning_fabric"}


def modules_after(code: str) -> set[str]:
    """Names of all modules that a fresh Python has loaded after some code."""
    return set(run_python(f"import sys; {code}; print(*sys.modules)"))


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("napari_pix2pix", TORCH | {"numpy", "pydantic", "dask", "skimage"}),
        ("napari_pix2pix.napari_layers.samples", TORCH),
    ],
)
def test_import_loads_nothing_heavy(module, heavy):
    loaded = modules_after(f"import {module}")
    assert module in loaded
    assert not loaded & (DESKTOP | heavy)


def test_core_loads_no_other_room():
    loaded = modules_after("import napari_pix2pix.core")
    assert "torch" in loaded
    rooms = {room_of(name) for name in loaded if name.startswith("napari_pix2pix")}
    assert rooms == {"", "core"}
    assert not loaded & (DESKTOP | {"lightning_fabric", "pydantic", "skimage"})


@pytest.mark.parametrize("name", napari_pix2pix.__all__)
def test_public_name_is_there(name):
    value = getattr(napari_pix2pix, name)
    assert getattr(value, "__name__", name) == name


def test_public_names_are_few_and_listed():
    names = napari_pix2pix.__all__
    assert len(names) <= 10
    assert dir(napari_pix2pix) == sorted(names)
    with pytest.raises(AttributeError, match="has no attribute 'trian'"):
        napari_pix2pix.trian  # noqa: B018


@pytest.mark.parametrize(
    ("before", "policy"),
    [
        ("pass", "passive"),
        ("os.environ['OMP_WAIT_POLICY'] = 'active'", "active"),
        ("sys.modules['torch'] = sys", "None"),  # torch, once loaded, would not read it
    ],
)
def test_waiting_threads_sleep_unless_the_user_has_decided(before, policy):
    code = (
        f"import os, sys; os.environ.pop('OMP_WAIT_POLICY', None); {before}; import napari_pix2pix;"
        "print(os.environ.get('OMP_WAIT_POLICY'))"
    )
    assert run_python(code) == [policy]
