import csv
import math

import numpy as np
import pytest

from napari_pix2pix.data.pixel_size import PixelSize
from napari_pix2pix.errors import FileError, InputError
from napari_pix2pix.evaluation import EvaluationResult, Measures, write_report


def worse(by: float):
    return lambda planes: planes + by * np.random.default_rng(0).normal(0, 1, planes.shape)


def test_images_are_ranked_by_the_score_that_counts(texture, case_of_images, evaluated):
    truth = texture(40, 48)
    cases = [case_of_images(truth, worse(by), name=str(by)) for by in (50, 300, 5)]
    cases.append(case_of_images(truth, lambda planes: 0 * planes, name="constant"))
    evaluation = evaluated(*cases)
    assert [one.name for one in evaluation.ranked] == ["5", "50", "300"]
    assert math.isnan(evaluation["images"][3]["prediction"]["pearson"])
    only = evaluated(cases[-1])
    assert [one.name for one in only.ranked] == ["constant"]


def test_it_is_a_dictionary_of_pooled_scores(texture, case_of_images, evaluated):
    truth = texture(40, 48)
    evaluation = evaluated(*(case_of_images(truth, lambda p, n=n: p + n) for n in (10, 30)))
    assert set(evaluation) == {"prediction", "baseline", "images"}
    assert evaluation["prediction"]["l1"] == pytest.approx(20, rel=1e-3)
    assert dict(evaluation) == evaluation.to_dict()
    assert len(evaluation) == 3
    assert repr(evaluation) == repr(evaluation.to_dict())
    with pytest.raises(InputError, match="No pixel is left"):
        EvaluationResult.of([], {})


def test_frechet_distance_of_features_belongs_to_the_set(texture, case_of_images, evaluated):
    cases = [case_of_images(texture(40, 48, seed=n), lambda planes: planes) for n in range(3)]
    measures = Measures(features=lambda images: [[image.mean(), image.std()] for image in images])
    evaluation = evaluated(*cases, measures=measures)
    assert evaluation["prediction"]["frechet"] == pytest.approx(0, abs=1e-6)
    assert evaluation["baseline"]["frechet"] > 1
    assert "frechet" not in evaluation["images"][0]["prediction"]
    with pytest.raises(InputError, match="2 images or more"):
        evaluated(cases[0], measures=measures)


def test_csv_has_a_line_for_each_image(texture, case_of_images, evaluated, tmp_path):
    evaluation = evaluated(case_of_images(texture(2, 40, 48), worse(5)))
    evaluation.to_csv(tmp_path / "s.csv")
    with (tmp_path / "s.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["image"] for row in rows] == ["all", "field, frame 0", "field, frame 1"]
    assert float(rows[2]["baseline ssim"]) == evaluation["images"][1]["baseline"]["ssim"]
    assert rows[0]["prediction ms_ssim"] == "nan"
    with pytest.raises(FileError, match="no folder"):
        evaluation.to_csv(tmp_path / "none" / "s.csv")


def test_spread_is_the_standard_deviation_over_images(texture, case_of_images, evaluated):
    truth = texture(40, 48)
    evaluation = evaluated(*(case_of_images(truth, lambda p, n=n: p + n) for n in (10, 30)))
    assert evaluation.spread("prediction", "l1") == pytest.approx(200**0.5, rel=1e-3)
    alone = evaluated(case_of_images(truth, worse(5)))
    assert math.isnan(alone.spread("prediction", "l1"))


def test_one_scale_for_the_set_and_means_of_its_images(texture, case_of_images, evaluated):
    truth = texture(40, 48)
    gains = [case_of_images(truth, lambda p, gain=gain: gain * p) for gain in (1, 3)]
    together = evaluated(*gains)
    each = [image["prediction"]["micro_ssim"] for image in together["images"]]
    assert max(each) < 0.99
    assert together["prediction"]["micro_ssim"] == pytest.approx(np.mean(each))
    assert evaluated(gains[1])["prediction"]["micro_ssim"] == pytest.approx(1, abs=1e-6)
    assert all(not scored.moments for scored in together.image_scores[0].scored.values())


def test_detail_is_named_in_the_unit_of_the_pixels(texture, case_of_images, evaluated):
    case = case_of_images(texture(40, 48), lambda planes: planes + 1)
    assert evaluated(case).notes == ()
    case.pair.target.pixel_size = PixelSize(0.65, 0.65)
    (note,) = evaluated(case).notes
    assert note == (
        "Detail agrees with the truth down to 2 px = 1.3 µm (prediction) and 2 px = 1.3 µm "
        "(baseline), by the FRC cut-off."
    )


@pytest.mark.parametrize("samples", [1, -1])
def test_spread_needs_two_samples(texture, case_of_images, evaluated, tmp_path, samples):
    evaluation = evaluated(case_of_images(texture(40, 48), worse(5)))
    with pytest.raises(InputError, match=f"2 samples or more, or 0 for none; got {samples}"):
        write_report(evaluation, tmp_path / "r.html", samples=samples)
    assert not list(tmp_path.iterdir())


def test_verdict_names_the_score_and_the_baseline(texture, case_of_images, evaluated):
    evaluation = evaluated(case_of_images(texture(40, 48), worse(50)))
    scores = {side: evaluation[side]["pearson"] for side in ("prediction", "baseline")}
    assert evaluation.verdict.startswith(
        f"Pearson {scores['prediction']:.2f}, the best linear map has {scores['baseline']:.2f}."
    )
    is_better = scores["prediction"] > scores["baseline"]
    assert evaluation.verdict.endswith("no better than that.") != is_better
    assert evaluation.objects == ""
    constant = evaluated(case_of_images(texture(40, 48), lambda planes: 0 * planes))
    assert constant.verdict.startswith("Pearson is not defined here")
