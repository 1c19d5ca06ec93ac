from __future__ import annotations

import csv
import json

import numpy as np
import pytest


@pytest.fixture
def given(folder):
    return ["evaluate", folder / "gray.safetensors", folder / "source.tif", folder / "target.tif"]


def test_csv_and_report_are_written_once(given, invoke, sentence, tmp_path):
    table, report = tmp_path / "s.csv", tmp_path / "r.html"
    done = invoke(*given, "--csv", table, "--report", report)
    assert done.exit_code == 0, done.stderr
    assert f"Wrote {table}\nWrote {report}\n" in done.stdout
    with table.open(newline="", encoding="utf-8") as file:
        assert [row["image"] for row in csv.DictReader(file)] == ["all", "source.tif"]
    page = report.read_text(encoding="utf-8")
    assert "Evaluation of gray.safetensors" in page
    assert "source.tif" in page
    assert "exists" in sentence(invoke(*given, "--report", report))
    assert invoke(*given, "--report", report, "--overwrite").exit_code == 0


def test_segmenters_and_labels(given, invoke, sentence, write, models, tmp_path):
    image = np.random.default_rng(0).integers(0, 2, (96, 80)).astype(np.uint8)
    labels = write(tmp_path / "labels.tif", image, "YX")
    scored = invoke(*given, "--segmenter otsu --labels", labels, "--json")
    assert scored.exit_code == 0, scored.stderr
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
