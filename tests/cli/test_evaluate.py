import csv
import json

import helpers
import numpy as np
import pytest
from skimage.measure import label

from napari_pix2pix import load, train
from napari_pix2pix.io.locks import locked
from napari_pix2pix.io.reading import read_image


@pytest.fixture
def given(files, gray):
    return ["evaluate", gray, *files]


def test_csv_and_report_are_written_once(given, invoke, succeed, sentence, tmp_path):
    table, report = tmp_path / "s.csv", tmp_path / "r.html"
    done = succeed(*given, "--csv", table, "--report", report)
    assert f"Wrote {table}\nWrote {report}\n" in done.stdout
    with table.open(newline="", encoding="utf-8") as file:
        assert [row["image"] for row in csv.DictReader(file)] == ["all", "source.tif"]
    page = report.read_text(encoding="utf-8")
    assert "Evaluation of gray.safetensors" in page
    assert "source.tif" in page
    assert "exists" in sentence(invoke(*given, "--report", report))
    assert invoke(*given, "--report", report, "--overwrite").exit_code == 0


@pytest.mark.parametrize("option", ["--csv s.csv", "--report r.html"])
def test_two_runs_write_no_output_together(given, invoke, sentence, tmp_path, monkeypatch, option):
    monkeypatch.chdir(tmp_path)
    with locked(tmp_path / option.split()[1]):
        said = sentence(invoke(*given, option))
    assert "is being written by another run" in said
    assert not (tmp_path / option.split()[1]).exists()


def test_segmenters_and_labels(given, invoke, succeed, sentence, write, models, tmp_path):
    image = np.random.default_rng(0).integers(0, 2, (96, 80)).astype(np.uint8)
    labels = write(tmp_path / "labels.tif", label(image).astype(np.uint16), "YX")
    scored = succeed(*given, "--segmenter otsu --labels", labels, "--json")
    assert 0 <= json.loads(scored.stdout)["prediction"]["segmented_f1"] < 1
    table = invoke(*given, "--segmenter otsu --labels", labels).stdout
    assert "truth" in table.splitlines()[0]
    assert "no segmenter" in sentence(invoke(*given, "--labels", labels))
    said = sentence(invoke(*given, "--segmenter", models("gray", "gray", tmp_path / "m.st")))
    assert "makes images" in said
    assert "There is no file" in sentence(invoke(*given, "--segmenter other"))


def test_misuse(given, folder, invoke, sentence, tmp_path):
    assert "--samples is for the report" in sentence(invoke(*given, "--samples 4"))
    report = tmp_path / "r.html"
    assert "2 samples or more" in sentence(invoke(*given, "--report", report, "--samples 1"))
    table = tmp_path / "p.csv"
    table.write_text(f"source,target\n{given[2]},{given[3]}\n")
    odd = ["evaluate", given[1], "--pairs", table, "--segmenter otsu --labels", given[3]]
    assert "matched by name with SOURCE" in sentence(invoke(*odd))


def test_one_plane_is_refused_where_a_model_sees_more(invoke, sentence, write, tmp_path):
    stack = helpers.gray_noise(4, 48, 48)
    model, plane = tmp_path / "stack.safetensors", write(tmp_path / "plane.tif", stack[0], "YX")
    helpers.make_model(stack, 255 - stack, z_context=1).save(model)
    said = sentence(invoke("evaluate", model, plane, plane))
    assert "the source of plane.tif has one plane: give the whole stack" in said


# --- discriminator map ----------------------------------------------------------------------------


TINY = helpers.TINY | {"steps": 2, "discriminator_layers": 1, "adversarial_start": 0.0}


@pytest.fixture(scope="module")
def place(tmp_path_factory, write):
    folder = tmp_path_factory.mktemp("discriminator-map")
    image = np.random.default_rng(0).integers(0, 255, (2, 40, 48), np.uint8)
    model = train(image, 255 - image, validation=0.0, **TINY)
    model.save(folder / "m.safetensors")
    model.save(folder / "slim.safetensors", slim=True)
    train(None, image, **TINY).save(folder / "made.safetensors")
    write(folder / "source.tif", image, "ZYX")
    write(folder / "made.tif", 255 - image, "ZYX")
    return folder


def test_the_file_is_what_python_gives(place, tmp_path, succeed):
    out = tmp_path / "verdict.ome.tif"
    result = succeed("discriminator-map", place / "m.safetensors", place / "made.tif", "--source",
                     place / "source.tif", "-o", out, "--tile 16 --json")  # fmt: skip
    source, made = (np.asarray(read_image(place / f"{n}.tif").data) for n in ("source", "made"))
    wanted = load(place / "m.safetensors").discriminator_map(source, made)
    written = read_image(out)
    np.testing.assert_allclose(written.data, wanted, atol=1e-5)
    assert (written.axes, written.scale["Z"]) == ("ZYX", 2.0)
    said = json.loads(result.stdout)
    assert said["mean"] == pytest.approx(wanted.mean(), abs=1e-4)


def test_without_a_source(place, tmp_path, succeed):
    out = tmp_path / "v.tif"
    result = succeed("discriminator-map", place / "made.safetensors", place / "made.tif", "-o", out)
    assert "falsest" in result.stdout
    assert out.exists()


def test_refused(place, tmp_path, invoke, sentence):
    model, slim = place / "m.safetensors", place / "slim.safetensors"
    given, source = ("discriminator-map", place / "made.tif"), ("--source", place / "source.tif")
    for words, said in (
        ((model, given[1], "-o", tmp_path / "v.tif"), "give that of the prediction"),
        ((model, given[1], "-o", tmp_path / "v.png", *source), "PNG can't hold float32"),
        (
            (slim, given[1], "-o", tmp_path / "v.tif", *source),
            "no discriminator: it was saved slim",
        ),
    ):
        assert said in sentence(invoke(given[0], *words))
