"""The command that asks the discriminator."""

from __future__ import annotations

import json

import helpers
import numpy as np
import pytest

from napari_pix2pix import load, train
from napari_pix2pix.io.reading import read_image

TINY = helpers.TINY | {
    "steps": 2,
    "discriminator_layers": 1,
    "adversarial_start": 0.0,
    "validation": 0.0,
}


@pytest.fixture(scope="module")
def place(tmp_path_factory, write):
    folder = tmp_path_factory.mktemp("discriminator-map")
    image = np.random.default_rng(0).integers(0, 255, (2, 40, 48), np.uint8)
    train(image, 255 - image, **TINY).save(folder / "m.safetensors")
    train(image, 255 - image, **TINY).save(folder / "slim.safetensors", slim=True)
    train(None, image, **TINY).save(folder / "made.safetensors")
    write(folder / "source.tif", image, "ZYX")
    write(folder / "made.tif", 255 - image, "ZYX")
    return folder


def test_the_file_is_what_python_gives(place, tmp_path, invoke):
    out = tmp_path / "verdict.ome.tif"
    result = invoke("discriminator-map", place / "m.safetensors", place / "made.tif", "--source",
                    place / "source.tif", "-o", out, "--tile 16 --json")  # fmt: skip
    assert result.exit_code == 0, result.stderr
    source, made = (np.asarray(read_image(place / f"{n}.tif").data) for n in ("source", "made"))
    wanted = load(place / "m.safetensors").discriminator_map(source, made)
    written = read_image(out)
    np.testing.assert_allclose(written.data, wanted, atol=1e-5)
    assert (written.axes, written.scale["Z"]) == ("ZYX", 2.0)
    said = json.loads(result.stdout)
    assert said["mean"] == pytest.approx(wanted.mean(), abs=1e-4)


def test_without_a_source(place, tmp_path, invoke):
    out = tmp_path / "v.tif"
    result = invoke("discriminator-map", place / "made.safetensors", place / "made.tif", "-o", out)
    assert result.exit_code == 0, result.stderr
    assert "falsest" in result.stdout
    assert out.exists()


def test_refused(place, tmp_path, invoke, sentence):
    command = (
        "discriminator-map",
        place / "m.safetensors",
        place / "made.tif",
        "-o",
        tmp_path / "v.tif",
    )
    assert "give that of the prediction" in sentence(invoke(*command))
    png = (*command[:-1], tmp_path / "v.png", "--source", place / "source.tif")
    assert "PNG can't hold float32" in sentence(invoke(*png))
    slim = ("discriminator-map", place / "slim.safetensors", place / "made.tif", "--source",
            place / "source.tif", "-o", tmp_path / "v.tif")  # fmt: skip
    assert "has no discriminator: it was saved slim" in sentence(invoke(*slim))
