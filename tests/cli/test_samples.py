"""Several samples of a translation, a file each."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from napari_pix2pix import Translator, load, train
from napari_pix2pix.io.reading import read_image


@pytest.fixture(scope="module")
def place(tmp_path_factory, write):
    """A model with noise planes, and two stacks."""
    folder = tmp_path_factory.mktemp("samples")
    image = np.random.default_rng(0).integers(0, 255, (2, 40, 48), np.uint8)
    model = train(
        image, 255 - image, steps=2, width=4, depth=2, patch=32, batch=2, discriminator_width=4,
        noise_channels=2, noise="pixel", device="cpu",
    )  # fmt: skip
    model.save(folder / "m.safetensors")
    (folder / "in").mkdir()
    for number, name in enumerate(("a", "b")):
        write(folder / "in" / f"{name}.tif", image + np.uint8(number), "ZYX")
    return folder


def test_files_are_what_python_gives(place, tmp_path, invoke):
    result = invoke("apply", place / "m.safetensors", place / "in", "-o", tmp_path / "out",
                    "--samples 3 --seed 5 --json")  # fmt: skip
    assert result.exit_code == 0, result.stderr
    written = json.loads(result.stdout)["written"]
    names = [f"{name}_{number}.tif" for name in "ab" for number in (1, 2, 3)]
    assert [Path(path).name for path in written] == names
    found = np.stack([read_image(path).data for path in written[3:]])
    model, image = load(place / "m.safetensors"), read_image(place / "in" / "b.tif").data
    np.testing.assert_array_equal(found, model(np.asarray(image), samples=3, seed=5))
    assert (found[0] != found[1]).any()


@pytest.mark.parametrize("name", ["out.ome.tif", "out.zarr"])
def test_each_sample_keeps_axes_and_sizes(name, place, tmp_path, invoke):
    result = invoke("apply", place / "m.safetensors", place / "in" / "a.tif", "-o", tmp_path / name,
                    "--samples 2")  # fmt: skip
    assert result.exit_code == 0, result.stderr
    ending = name.removeprefix("out")
    assert {path.name for path in tmp_path.iterdir()} == {f"out_{n}{ending}" for n in (1, 2)}
    image = read_image(tmp_path / f"out_2{ending}")
    assert (image.axes, image.shape, image.scale["Z"]) == ("ZYX", (2, 40, 48), 2.0)


@pytest.mark.parametrize("option", ["--output float", "--samples 2 --summary std"])
def test_a_format_without_floats_is_refused_before_the_work(
    option, place, tmp_path, invoke, sentence, monkeypatch
):
    for name in ("__call__", "spread"):
        monkeypatch.setattr(Translator, name, lambda *_, **__: pytest.fail("it was translated"))
    source = place / "in" / "a.tif"
    result = invoke("apply", place / "m.safetensors", source, "-o", tmp_path / "a.png", option)
    assert "PNG can't hold float32" in sentence(result)


@pytest.mark.parametrize("part", ["", "--region 0:40,0:48"])
def test_a_summary_is_that_of_the_samples(part, place, tmp_path, invoke):
    """At once, and block by block."""
    result = invoke(
        "apply",
        place / "m.safetensors",
        place / "in" / "a.tif",
        "-o",
        tmp_path / "a.tif",
        f"--samples 4 --seed 2 --summary mean,q25,std {part}",
    )
    assert result.exit_code == 0, result.stderr
    image = np.asarray(read_image(place / "in" / "a.tif").data)
    drawn = load(place / "m.safetensors")(image, samples=4, seed=2, output="float")
    wanted = {
        "mean": drawn.mean(0),
        "std": drawn.std(0, ddof=1),
        "q25": np.quantile(drawn, 0.25, 0),
    }
    assert {path.name for path in tmp_path.iterdir()} == {f"a_{name}.tif" for name in wanted}
    for name, array in wanted.items():
        made = read_image(tmp_path / f"a_{name}.tif")
        assert (made.axes, np.asarray(made.data).dtype) == ("ZYX", np.float32)
        np.testing.assert_allclose(made.data, array, rtol=1e-3, atol=1e-2)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--samples 2 --summary mean,median", "each once: mean,std,q5,q95; got 'mean,median'"),
        ("--samples 2 --summary q5,q5", "each once: mean,std,q5,q95; got 'q5,q5'"),
        ("--summary mean", "samples of a summary must be 2 or more, got 1"),
        ("--samples 2", "no noise planes, so all 2 samples would be the same"),
        ("--samples 0", "samples must be 1 or more, got 0"),
    ],
)
def test_refused_in_words(words, said, folder, tmp_path, invoke, sentence):
    files = ("apply", folder / "gray.safetensors", folder / "source.tif", "-o", tmp_path / "a.tif")
    assert said in sentence(invoke(*files, words))
    assert list(tmp_path.iterdir()) == []


def test_no_sample_replaces_its_input_or_what_is_there(place, tmp_path, write, invoke, sentence):
    for name in ("a_2.tif", "b.tif"):
        write(tmp_path / name, np.zeros((8, 8), np.uint8), "YX")
    model, options = place / "m.safetensors", ("-o", tmp_path / "a.tif", "--samples 2")
    said = sentence(invoke("apply", model, tmp_path / "a_2.tif", *options, "--overwrite"))
    assert "a_2.tif would replace an input" in said
    said = sentence(invoke("apply", model, tmp_path / "b.tif", *options))
    assert "a_2.tif exists: choose another name" in said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a_2.tif", "b.tif"]
