import base64
import io
import re
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.image import imread

from napari_pix2pix.data.pair import Pair, open_pair
from napari_pix2pix.evaluation._figures import show_spectra
from napari_pix2pix.evaluation._report import SAMPLES, report_html, write_report
from napari_pix2pix.evaluation._uncertainty import check_uncertainty
from napari_pix2pix.evaluation.scoring import difference


def pictures(page: str) -> dict[str, np.ndarray]:
    tag = r'alt="([^"]*)" width="(\d+)" src="data:image/png;base64,([^"]*)"'
    found = {}
    for name, width, data in re.findall(tag, page):
        found[name] = imread(io.BytesIO(base64.b64decode(data)))
        assert int(width) / found[name].shape[1] == pytest.approx(90 / 130, abs=0.01)  # one scale
    return found


def disks() -> np.ndarray:
    labels = np.zeros((48, 64), np.uint16)
    for number, (y, x) in enumerate([(12, 12), (30, 20), (20, 50)], start=1):
        labels[y - 6 : y + 6, x - 6 : x + 6] = number
    return labels


def test_report_of_images(texture, case_of_images, evaluated, tmp_path):
    cases = [
        case_of_images(texture(48, 64, seed=n), lambda p, n=n: p + 9**n, name=f"<{n}>", noise=20)
        for n in range(4)
    ]
    evaluation = evaluated(*cases)
    write_report(evaluation, tmp_path / "r.html", samples=3)
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert list(pictures(page)) == [
        "Best", "Median", "Worst", "Scores of all images",
        "Radial power spectra", "Fourier ring correlation", "Spread and error",
    ]  # fmt: skip
    assert "a &lt;model&gt;" in page
    assert "&lt;0&gt;" in page
    assert "<0>" not in page
    assert "3 samples of 4 images" in page
    assert page.count("± ") > 10  # of each mean over images; not of MS-SSIM, which none has
    assert "http" not in page  # self-contained


def test_one_image_without_source_or_samples(case_of_labels, evaluated):
    found = disks()
    found[found == 2] = 0
    page = report_html(evaluated(case_of_labels(disks(), found)), SAMPLES)
    assert list(pictures(page)) == ["The image", "F1 over the overlap"]
    assert "F1 0.800 over 1 image." in page
    assert "Baseline" not in page


def test_a_constant_truth_has_no_correlation_and_no_spectrum(texture, case_of_images, evaluated):
    made, flat = texture(48, 64), np.full((48, 64), 900, np.float32)
    case = replace(case_of_images(made, lambda p: p), pair=open_pair(Pair(made, flat)))
    page = report_html(evaluated(case), 0)
    assert "<p>no Pearson over 1 image; the baseline has no Pearson. The pred" in page
    assert "<p>prediction: no Pearson; baseline: no Pearson.</p>" in page
    assert "nan" not in re.sub("src=[^>]*", "", page)
    assert "1 of 1 image has no FRC and no spectrum: prediction or truth is constant" in page
    (axes, *_) = show_spectra([("one", case.read(0))]).axes
    assert axes.get_ylim()[0] > 1e-30  # not stretched down to a power of 0


def test_pixels_that_do_not_count_are_gray_in_the_difference(texture, case_of_images, evaluated):
    mask = np.ones((48, 64), bool)
    mask[:, :32] = False
    evaluation = evaluated(case_of_images(texture(48, 64), lambda planes: planes, mask=mask))
    (shown, *_) = pictures(report_html(evaluation, SAMPLES)).values()
    height, width = shown.shape[:2]
    left, right = (shown[height // 2, int(width * part), :3] for part in (0.75 + 0.06, 0.75 + 0.19))
    np.testing.assert_allclose(left, 0.85, atol=0.02)
    assert right.min() > 0.93  # no difference is nearly white


@pytest.mark.parametrize("shape", [(12, 3000), (3000, 12)])
def test_long_images_are_thinned_and_fit_the_page(texture, case_of_images, evaluated, shape):
    evaluation = evaluated(case_of_images(texture(*shape), lambda planes: planes, noise=5))
    shown = pictures(report_html(evaluation, 2))["The image"]
    assert 100 < shown.shape[0] < 1500
    assert shown.shape[1] == 1560


def test_spread_is_that_of_the_samples(texture, case_of_images, evaluated):
    truth = texture(48, 64)
    evaluation = evaluated(case_of_images(truth, lambda planes: planes, noise=30))
    check = check_uncertainty(evaluation.image_scores, 40)
    (span,) = evaluation.image_scores[0].case.codec.data_range
    assert np.median(check.spread) == pytest.approx(30 / span, rel=0.05)
    # The mean of 40 draws is that much nearer to the truth.
    assert check.calibration.ratio == pytest.approx(40**-0.5, rel=0.1)
    assert check.calibration.pixels == truth.size


def test_of_labels_the_share_of_foreground_is_compared(case_of_labels, evaluated):
    found = disks()
    found[found == 2] = 0
    case = case_of_labels(disks(), found)
    case = replace(case, draw=lambda _, number: (found if number % 2 else disks())[np.newaxis])
    check = check_uncertainty(evaluated(case).image_scores, 4)
    unsure = disks() == 2
    np.testing.assert_allclose(check.spread, unsure * 3**-0.5, atol=1e-6)
    np.testing.assert_allclose(check.error, unsure * -0.5, atol=1e-6)
    assert check.calibration.correlation == pytest.approx(1)


def test_a_model_with_one_answer_has_no_doubt(texture, case_of_images, evaluated):
    evaluation = evaluated(case_of_images(texture(48, 64), lambda planes: planes))
    assert check_uncertainty(evaluation.image_scores, 3) is None


def test_differences_of_labels():
    truth = np.array([0, 0, 1, 1, 2])
    found = np.array([0, 3, 0, 1, 1])
    assert difference(found, truth, "classes").tolist() == [0, 1, 2, 0, 3]
    assert difference(found, truth, "instances").tolist() == [0, 1, 2, 0, 0]
    apart = difference(np.uint8([1]), np.uint8([3]), "image")
    assert apart.dtype == np.float32
    assert apart.tolist() == [-2]
