"""Every Python block and every command of README.md and docs/ runs, on small images."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import tifffile
import yaml
from click.testing import CliRunner
from foreign_models import onnx_file
from helpers import TINY, gray_noise, make_model
from plate_files import write_wells

import napari_pix2pix
import napari_pix2pix._train
import napari_pix2pix.corrections
import napari_pix2pix.evaluation.compare
from napari_pix2pix._load import load
from napari_pix2pix.cli import main
from napari_pix2pix.evaluation.compare import compare_recipes
from napari_pix2pix.io.writing import write_image

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    *(
        page
        for page in sorted((ROOT / "docs").rglob("*.md"))
        if not {"decisions", "_build", "gallery"} & set(page.parts)
    ),
]
BLOCK = re.compile(r"^(?P<indent> *)```(?P<kind>python|sh)\n(?P<code>.*?)^ *```$", re.M | re.S)
# What a reader's machine takes minutes for, and a cluster; the rest of the options stays.
SHORT = {"--max-seconds", "--epochs", "--devices", "--num-nodes", "--scheduler"}
QUICK = " ".join(
    f"--{name.replace('_', '-')} {value}" for name, value in {**TINY, "steps": 2}.items()
)


def blocks(page: Path, kind: str) -> list[str]:
    """Return the code of a page's blocks, without their indent."""
    found = []
    for block in BLOCK.finditer(page.read_text(encoding="utf-8")):
        if block["kind"] == kind:
            lines = block["code"].splitlines()
            found.append("\n".join(line.removeprefix(block["indent"]) for line in lines))
    return found


def commands(page: Path) -> list[list[str]]:
    """Return the calls of `napari-pix2pix` on a page, as words."""
    calls = []
    for code in blocks(page, "sh"):
        for line in code.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            if "napari-pix2pix" in words and "install" not in words:
                calls.append(words[words.index("napari-pix2pix") + 1 :])
    return calls


def with_blocks(kind: str) -> list:
    """Return the pages that have blocks of a kind, as parameters of a test."""
    found = [page for page in PAGES if (commands(page) if kind == "sh" else blocks(page, kind))]
    return [pytest.param(page, id=str(page.relative_to(ROOT))) for page in found]


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> Path:
    """A folder of models: of one channel, of RGB, of conditions, without a source, of others."""
    folder = tmp_path_factory.mktemp("models")
    image, rgb = gray_noise(64, 64, dtype="uint16"), gray_noise(64, 64, 3)
    plain = make_model(image, image, validation=0.2, adversarial_weight=1.0, steps=2)
    for name in ("dapi", "nuclei"):
        plain.save(folder / f"{name}.safetensors")
    # The paper's generator, in the small: what the PyTorch implementation can hold, with dropout.
    paper = {"bias": False, "activation": "tanh", "depth": 6, "patch": 64}
    model = make_model(
        image, image, validation=0.2, adversarial_weight=1.0, steps=2, dropout=0.5, **paper
    )
    model.save(folder / "model.safetensors")
    make_model([image, image], [image, image], condition=["DAPI", "MAP2"]).save(
        folder / "markers.safetensors"
    )
    kinds = {"condition": ["GFP", "RFP", "phase"], "adversarial_weight": 1.0}
    make_model(None, [image] * 3, **kinds).save(folder / "maker.safetensors")
    whole = {"source_normalisation": "dtype", "target_normalisation": "dtype"}
    colour = make_model(rgb, rgb, dropout=0.5, **paper, **whole)
    (folder / "checkpoints/facades").mkdir(parents=True)
    for path in (folder / "latest_net_G.pth", folder / "checkpoints/facades/latest_net_G.pth"):
        napari_pix2pix.convert(colour, path)
    for place in ("others", "models"):
        (folder / place).mkdir()
        plain.export(folder / place / "nuclei.zip", authors="Ada Lovelace")
    onnx_file(folder / "denoise.onnx")
    return folder


@pytest.fixture
def workplace(models, tmp_path, monkeypatch) -> Path:
    """A folder with the files that the pages name; the working folder."""
    image = gray_noise(128, 128, dtype="uint16")
    for name in ("phase", "fluorescence", "new_phase", "new_fluorescence", "made", "new"):
        tifffile.imwrite(tmp_path / f"{name}.tif", image)
    labels = np.kron(np.arange(64).reshape(8, 8), np.ones((16, 16), "int")).astype("uint16")
    labels[::16], labels[:, ::16] = 0, 0  # objects touch nowhere
    for name in ("stain", "new_stain"):
        tifffile.imwrite(tmp_path / f"{name}.tif", gray_noise(128, 128, 3))
    for name in ("nuclei", "new_nuclei"):
        tifffile.imwrite(tmp_path / f"{name}.tif", labels)
    folders = (
        "phase fluorescence dapi map2 masks new cells test/phase test/fluorescence test/dapi "
        "test/nuclei more/phase more/fluorescence stain nuclei shoes test/shoes clean test/clean "
        "images"
    )
    for folder in folders.split():
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        for name in "ab":
            special = {"masks": np.ones_like(labels), "test/nuclei": labels}
            values = special.get(folder, image)[:64, :64]
            tifffile.imwrite(tmp_path / folder / f"{name}.tif", values)
    for kind in ("ch0", "ch1"):
        (tmp_path / "all").mkdir(exist_ok=True)
        tifffile.imwrite(tmp_path / f"all/f1_{kind}.tif", image)
    (tmp_path / "facades").mkdir()
    tifffile.imwrite(tmp_path / "facades/one.tif", gray_noise(64, 128, 3))
    (tmp_path / "checkpoints/mine").mkdir(parents=True)
    for name in "ab":
        tifffile.imwrite(
            tmp_path / f"cells/{name}.tif",
            np.stack([image, image])[:, :64, :64],
            ome=True,
            photometric="minisblack",
            metadata={"axes": "CYX", "Channel": {"Name": ["Phase", "DAPI"]}},
        )
    write_image(tmp_path / "slide.zarr", np.stack([image, image]), "TYX")
    fields = {name: np.stack([image, image])[:, :64, :64] for name in ("A/1/0", "A/1/1", "B/1/0")}
    drawn = dict.fromkeys(fields, labels[:64, :64])
    write_wells(tmp_path / "plate.zarr", fields, labels=drawn)
    (tmp_path / "pairs.csv").write_text(
        "source,target,condition\nphase/,dapi/,DAPI\nphase/,map2/,MAP2\n", encoding="utf-8"
    )
    for file in models.rglob("*.*"):
        place = tmp_path / file.relative_to(models)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(file.read_bytes())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def shortened(words: list[str]) -> list[str]:
    """Return a call that takes seconds: a small budget and network, small parts and images."""
    short, skip = [], False
    replaced = {"--region": "0:32,0:32", "--frames": "0:1", "--size": "64", "--hold-out": "a"}
    for before, word in zip(["", *words], words, strict=False):
        if skip:
            skip = False
        elif word in SHORT:
            skip = True
        else:
            short.append(replaced.get(before, word))
    if words[0] in ("train", "compare") and "--write-pairs" not in words:
        kept = QUICK if "--start" not in words else "--steps 2 --patch 32 --batch 2 --device cpu"
        short += kept.split()
    if words[0] == "doctor":
        short += ["--max-seconds", "0"]
    if words[0] == "demo":
        short += ["--help"]  # tests/cli/test_demo.py runs it
    return short


def remove_outputs(words: list[str], folder: Path) -> None:
    """Remove what an earlier call of a page wrote, as a reader would; not where it is resumed."""
    if "--resume" in words:
        return
    for option in ("--out", "-o"):
        if option in words:
            path = folder / words[words.index(option) + 1]
            for old in (path, path.with_suffix(".ckpt")):
                shutil.rmtree(old, ignore_errors=True) if old.is_dir() else old.unlink(True)
    if words[0] == "convert" and words[1] != words[2]:
        (folder / words[2]).unlink(True)


@pytest.mark.parametrize("page", with_blocks("sh"))
@pytest.mark.filterwarnings("ignore::UserWarning")  # of images of noise
def test_commands_of_a_page(page, workplace):
    done = set()
    is_list = "tutorials" not in page.parts  # a tutorial's commands follow each other
    for words in commands(page):
        if is_list or words[0] not in done:
            remove_outputs(words, workplace)
        done.add(words[0])
        result = CliRunner().invoke(main, shortened(words))
        assert result.exit_code == 0, f"napari-pix2pix {shlex.join(words)}\n{result.stderr}"


@pytest.mark.parametrize("page", with_blocks("python"))
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_python_of_a_page(page, workplace, monkeypatch):
    def quick_train(source, target, **fields):
        given = {name: value for name, value in fields.items() if name not in ("max_seconds",)}
        quick = TINY if "start" not in given else {"patch": 64, "batch": 2, "device": "cpu"}
        return napari_pix2pix._train.train(source, target, **{**quick, "steps": 2, **given})

    def quick_compare(source, target, *, recipes, max_seconds):
        return compare_recipes(source, target, recipes=recipes, **{**TINY, "steps": 2})

    def local_load(path, **options):
        is_on_hub = str(path).startswith("hf:")
        return load("nuclei.safetensors" if is_on_hub else path, **options)

    monkeypatch.setattr(napari_pix2pix, "train", quick_train)
    monkeypatch.setattr(napari_pix2pix, "load", local_load)
    monkeypatch.setattr(napari_pix2pix.evaluation.compare, "compare_recipes", quick_compare)
    monkeypatch.setattr(napari_pix2pix.corrections, "STEPS", 2)
    jobs = ModuleType("dask_jobqueue")
    jobs.SLURMCluster = lambda **_: SimpleNamespace(
        scale=lambda jobs: None,
        wait_for_workers=lambda workers: None,
        scheduler_address="tcp://10.0.0.1:8786",
    )
    monkeypatch.setitem(sys.modules, "dask_jobqueue", jobs)
    monkeypatch.setattr(subprocess, "run", call_of_a_command)
    image = tifffile.imread("phase.tif")
    given = {
        "train": quick_train,
        "evaluate": napari_pix2pix.evaluate,
        "load": load,
        "phase": image,
        "dapi": image,
        "gfp": image,
        "rfp": image,
        "image": gray_noise(64, 64, 3),
        "sources": [image[:64], image[64:]],
        "targets": [image[:64], image[64:]],
        "source": np.zeros((1, 1, 64, 64), "float32"),
        "viewer": a_viewer(),
        "__name__": "page",
    }
    if "scores" in page.name:
        given["translator"] = load("model.safetensors")
    if "volumes" in page.name:
        given |= dict.fromkeys(("source", "target", "other"), gray_noise(16, 48, 48))
    for code in blocks(page, "python"):
        exec(compile(code, page.name, "exec"), given)


def test_pages_name_menus_as_napari_shows_them():
    """A plugin with several docks has a menu of its own, and docks go by their own names."""
    manifest = yaml.safe_load((ROOT / "napari.yaml").read_text(encoding="utf-8"))
    plugin, found = manifest["display_name"], manifest["contributions"]
    titles = {one["id"]: one["title"] for one in found["commands"]}
    titles |= {one["command"]: one["display_name"] for one in found["widgets"]}
    shown = {f"File > Preferences > {plugin}"}
    shown |= {f"Plugins > {plugin} > {one['display_name']} ({plugin})" for one in found["widgets"]}
    shown |= {
        f"File > Open Sample > {plugin} > {one['display_name']}" for one in found["sample_data"]
    }
    for menu, items in found["menus"].items():
        path = " > ".join(part.title() for part in menu.split("/")[1:])
        shown |= {path, *(f"{path} > {titles[one['command']]} ({plugin})" for one in items)}
    guide = ROOT / "napari_pix2pix/widgets/guide.md"
    for page in [*PAGES, guide]:
        text = " ".join(page.read_text(encoding="utf-8").split())
        named = set(re.findall(r"\*((?:File|Layers|Plugins) > [^*]+)\*", text))
        assert named <= shown, page


def call_of_a_command(words: list[str], *, check: bool) -> None:
    """Stand for `subprocess.run`: read the options of a call, and don't run it."""
    name, *rest = words[1:]
    context = main.commands[name].make_context(name, rest, resilient_parsing=True)
    assert context.params["scheduler"].startswith("tcp://")
    assert check


def a_viewer():
    """Return a viewer without a window, with the layers that docs/napari.md names."""
    from napari.components import ViewerModel

    viewer = ViewerModel()
    for name in ("stain", "nuclei", "new stain"):
        viewer.add_image(gray_noise(64, 64, dtype="uint16"), name=name)
    return viewer
