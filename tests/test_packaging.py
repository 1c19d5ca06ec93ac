"""Wheel, sdist and editable install carry manifest and sample data; no network is used."""

import json
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml
from PIL import Image

import napari_pix2pix

ROOT = Path(__file__).parents[1]
LINKED = ["napari.yaml", "sample_data"]
METADATA = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

# The installed copy comes first on sys.path, and the checkout only if the install says so.
LOOK = """
import importlib.metadata, importlib.util, json, site, sys
from pathlib import Path
others = [path for path in sys.path if path != sys.argv[2]]
sys.path[:] = others
site.addsitedir(sys.argv[1])
sys.path.sort(key=lambda path: path in others)
from npe2 import PluginManifest
dist = importlib.metadata.distribution("napari-pix2pix")
package = Path(importlib.util.find_spec("napari_pix2pix").origin).parent
manifest = PluginManifest.from_distribution("napari-pix2pix")
print(json.dumps({
    "dist": str(Path(str(dist.locate_file(""))).resolve()),
    "version": dist.version,
    "licence": dist.metadata["License-Expression"],
    "scripts": [e.value for e in dist.entry_points if e.group == "console_scripts"],
    "package": str(package.resolve()),
    "manifest": (package / "napari.yaml").read_text(encoding="utf-8"),
    "name": manifest.name,
    "samples": sorted(s.key for s in manifest.contributions.sample_data),
    "typed": (package / "py.typed").is_file(),
    "files": sorted(p.name for p in (package / "sample_data").iterdir() if p.name[0] not in "._"),
}))
"""


def run(*arguments: str | Path, cwd: Path) -> str:
    """Return what a command prints, or fail with it."""
    done = subprocess.run(
        [sys.executable, *map(str, arguments)], cwd=cwd, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The sdist, a wheel built from the sdist, and a wheel built from the checkout."""
    out = tmp_path_factory.mktemp("dist")
    build = ("-m", "build", "--no-isolation", "--outdir")
    run(*build, out, ROOT, cwd=out)  # the sdist, and the wheel out of it
    run(*build, out / "direct", "--wheel", ROOT, cwd=out)
    return {
        "sdist": next(out.glob("*.tar.gz")),
        "wheel from sdist": next(out.glob("*.whl")),
        "wheel": next((out / "direct").glob("*.whl")),
    }


@pytest.fixture
def installed(tmp_path):
    """Install without dependencies into an empty folder, and look at it as napari does."""

    def install(*what):
        quiet = (
            "--quiet",
            "--no-index",
            "--no-deps",
            "--no-build-isolation",
            "--no-warn-script-location",
            "--ignore-installed",  # or pip would uninstall the project from where the tests run
        )
        run("-m", "pip", "install", *quiet, "--prefix", tmp_path, *what, cwd=tmp_path)
        site_packages = next(p.parent for p in tmp_path.rglob("napari_pix2pix-*.dist-info"))
        found = json.loads(run("-c", LOOK, site_packages, ROOT, cwd=tmp_path))
        assert found["dist"] == str(site_packages.resolve())
        return {**found, "site_packages": site_packages.resolve()}

    return install


def assert_complete(found) -> None:
    assert found["version"] == napari_pix2pix.__version__
    assert found["licence"] == "BSD-3-Clause"
    assert found["scripts"] == ["napari_pix2pix.__main__:run"]
    assert found["name"] == "napari-pix2pix"
    assert found["manifest"] == (ROOT / "napari.yaml").read_text(encoding="utf-8")
    assert found["samples"] == ["phase_fluorescence", "stain_nuclei"]
    assert found["typed"]
    shipped = sorted(p.name for p in (ROOT / "sample_data").iterdir() if p.name[0] not in "._")
    assert found["files"] == shipped
    assert shipped


@pytest.mark.parametrize("name", LINKED)
def test_links_lead_to_the_root(name):
    linked = ROOT / "napari_pix2pix" / name
    assert linked.is_dir() == (ROOT / name).is_dir(), (
        f"{linked} is no link to ../{name}; on Windows check out with core.symlinks=true"
    )
    assert linked.is_symlink() or not (ROOT / ".git").exists()


@pytest.mark.parametrize("name", ["wheel", "wheel from sdist", "sdist"])
def test_installed(name, built, installed):
    found = installed(built[name])
    assert_complete(found)
    assert Path(found["package"]) == found["site_packages"] / "napari_pix2pix"
    tops = {p.name for p in found["site_packages"].iterdir() if p.suffix != ".dist-info"}
    assert tops == {"napari_pix2pix"}


def test_editable(installed):
    found = installed("--editable", ROOT)
    assert_complete(found)
    assert Path(found["package"]) == (ROOT / "napari_pix2pix").resolve()


def test_both_wheels_hold_the_same(built):
    names = []
    for key in ("wheel", "wheel from sdist"):
        with zipfile.ZipFile(built[key]) as wheel:
            names.append(
                {i.filename: i.CRC for i in wheel.infolist() if "RECORD" not in i.filename}
            )
    assert names[0] == names[1]
    assert not [name for name in names[0] if name.startswith(("tests/", "sample_data/"))]


def test_sdist_links_stay_within_it(built):
    with tarfile.open(built["sdist"]) as sdist:
        members = {m.name.partition("/")[2]: m for m in sdist.getmembers()}
    links = {name: m.linkname for name, m in members.items() if m.issym() or m.islnk()}
    assert links.items() <= {"napari_pix2pix/napari.yaml": "../napari.yaml"}.items()
    assert {"LICENSE", "README.md", "napari.yaml", "tests/test_packaging.py"} <= set(members)


def test_dependencies_leave_the_qt_binding_to_the_user():
    required = [d.lower() for d in METADATA["project"]["dependencies"]]
    assert not [d for d in required if d.startswith(("pyqt5", "pyqt6", "pyside")) or "[all]" in d]
    assert METADATA["project"]["optional-dependencies"]["all"] == ["napari[all]"]


def test_constraints_pin_versions_and_name_no_address():
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert not [p for p in pins if p.count("==") != 1 or {"/", "@", ":"} & set(p)]
    names = {p.partition("==")[0].lower() for p in pins}
    assert {"torch", "napari", "pyqt6", "pyside6", "pip", "hatchling"} <= names


def test_manifest_commands_exist():
    run("-m", "npe2.cli", "validate", "--imports", ROOT / "napari.yaml", cwd=ROOT)


def test_napari_and_the_hub_find_what_they_show(built):
    manifest = yaml.safe_load((ROOT / "napari.yaml").read_text(encoding="utf-8"))
    package, _, name = manifest["icon"].partition(":")
    with Image.open(ROOT / package / name) as icon:
        assert icon.width == icon.height >= 256
    assert manifest["categories"]
    with zipfile.ZipFile(built["wheel"]) as wheel:
        assert f"{package}/{name}" in wheel.namelist()
    urls = METADATA["project"]["urls"]
    assert {"Homepage", "Documentation", "Source", "Issues", "Changelog"} <= set(urls)


def test_citation_names_this_version_and_the_paper():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == napari_pix2pix.__version__
    assert citation["license"] == METADATA["project"]["license"]
    assert citation["references"][0]["doi"] == "10.1109/CVPR.2017.632"


def test_conda_recipe_requires_what_pip_does():
    names = {"dask[array]": "dask-core", "matplotlib": "matplotlib-base", "torch": "pytorch"}
    recipe = yaml.safe_load((ROOT / "tools/conda/recipe.yaml").read_text(encoding="utf-8"))
    oldest = METADATA["project"]["requires-python"].removeprefix(">=")
    assert recipe["context"]["python_min"] == oldest
    expected = {("python", "${{ python_min }}")}
    for requirement in METADATA["project"]["dependencies"]:
        name, _, lowest = requirement.partition(">=")
        expected.add((names.get(name, name), lowest))
    found = {tuple(line.split(" >=")) for line in recipe["requirements"]["run"]}
    assert found == expected
    assert recipe["context"]["version"] == napari_pix2pix.__version__


def test_links_of_the_description_lead_to_the_repository(built):
    with zipfile.ZipFile(built["wheel"]) as wheel:
        (name,) = (one for one in wheel.namelist() if one.endswith("METADATA"))
        description = wheel.read(name).decode().partition("\n\n")[2]
    assert description.startswith("# napari-pix2pix")
    targets = re.findall(r"\]\(([^)]+)\)", description)
    assert targets
    assert not [target for target in targets if not target.startswith("https://")]
    for target in targets:  # what leads to the repository is there
        place = re.fullmatch(r"https://\S+?/napari-pix2pix/(?:blob/)?main/(\S+)", target)
        assert place is None or (ROOT / place[1]).exists(), target


def test_the_version_has_release_notes():
    """The release workflow puts them on the release's page."""
    assert (ROOT / f"docs/release-notes/{napari_pix2pix.__version__}.md").is_file()
