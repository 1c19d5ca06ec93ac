import numpy as np
import pytest
from scipy import ndimage

from napari_pix2pix.data.pair import Pair, open_pair
from napari_pix2pix.errors import InputError
from napari_pix2pix.evaluation import Measures, score_images
from napari_pix2pix.evaluation._report import report_html
from napari_pix2pix.evaluation.scoring import EvaluationCase
from napari_pix2pix.evaluation.volumes import choose_volumes
from napari_pix2pix.metrics.labels import label_counts, pool_label_scores


def nuclei(seed: int = 0, *, depth: int = 12) -> np.ndarray:
    """Return objects that reach over several planes, and keep their numbers there."""
    rough = np.random.default_rng(seed).random((depth, 40, 40))
    return ndimage.label(ndimage.gaussian_filter(rough, 2) > 0.51)[0].astype(np.uint16)


def by_plane(labels: np.ndarray) -> np.ndarray:
    """Number the objects of each plane anew, as a model of planes does."""
    return np.stack([plane + 100 * z * (plane > 0) for z, plane in enumerate(labels)])


def as_volumes(case: EvaluationCase) -> EvaluationCase:
    return EvaluationCase(case.name, case.pair, case.codec, volumes=True)


def test_labels_of_a_volume_are_scored_at_once(case_of_labels, evaluated):
    truth = nuclei()
    found = np.roll(truth, 1, axis=0)
    case = as_volumes(case_of_labels(truth, found))
    result = evaluated(case)
    counts = label_counts(found, truth, kind="instances")
    assert result["prediction"] == pytest.approx(
        pool_label_scores([counts], full=True), nan_ok=True
    )
    assert [image["name"] for image in result["images"]] == ["nuclei"]


def test_objects_cut_at_each_plane_are_found_in_planes_alone(case_of_labels, evaluated):
    truth = nuclei()
    case = case_of_labels(truth, by_plane(truth))
    assert evaluated(case)["prediction"]["f1"] > 0.95
    assert evaluated(as_volumes(case))["prediction"]["f1"] < 0.3


def test_each_volume_has_a_name_and_scores_of_its_own(case_of_labels):
    truth = np.stack([nuclei(0), nuclei(1)])
    case = as_volumes(case_of_labels(truth, truth))
    images = [scores for _, scores in score_images([case], Measures())]
    assert [image.name for image in images] == ["nuclei, volume 0", "nuclei, volume 1"]
    assert [case.middle_frame(image.number) for image in images] == [6, 18]


def test_missed_object_of_a_volume_has_its_plane(case_of_labels):
    truth = np.zeros((8, 20, 20), np.uint16)
    truth[2:5, 4:8, 10:14] = 3
    ((frame, scores),) = score_images([as_volumes(case_of_labels(truth, 0 * truth))], Measures())
    (error,) = scores.object_errors
    assert (error.kind, error.area) == ("missed", 48)
    assert (error.plane, error.row, error.column) == (3.0, 5.5, 11.5)
    assert np.count_nonzero(frame.fullest_plane().truth) == 16


def test_planes_outside_the_mask_count_in_no_score_of_a_volume(case_of_labels):
    truth = nuclei()
    mask = np.zeros(truth.shape, bool)
    mask[4:9] = True
    plain = case_of_labels(truth, np.where(mask, truth, 0))
    case = as_volumes(plain)
    masked = EvaluationCase(
        "",
        open_pair(Pair(np.where(mask, truth, 0), truth, mask=mask)),
        case.codec,
        volumes=True,
    )
    ((_, scores),) = score_images([masked], Measures())
    assert scores.scored["prediction"].scores["f1_mean"] == 1
    ((_, scores),) = score_images([case], Measures())
    assert scores.scored["prediction"].scores["f1_mean"] < 1


@pytest.mark.parametrize(
    ("found", "truth", "expected"),
    [
        (nuclei(), nuclei(), True),
        (by_plane(nuclei()), nuclei(), False),
        (nuclei(), by_plane(nuclei()), False),
        (nuclei()[0], nuclei()[0], False),
    ],
)
def test_objects_that_keep_their_numbers_are_scored_in_volumes(found, truth, expected):
    volumes, notes = choose_volumes(open_pair(Pair(found, truth)), "instances", "auto")
    assert volumes == expected
    assert len(notes) == expected


def test_choice_of_the_user_holds():
    stack = open_pair(Pair(nuclei(), nuclei()))
    assert choose_volumes(stack, "instances", "planes") == (False, [])
    assert choose_volumes(stack, "classes", "auto") == (False, [])
    assert choose_volumes(stack, "classes", "volumes")[0]
    volumes, notes = choose_volumes(stack, "image", "volumes")
    assert not volumes
    assert "plane by plane" in notes[0]
    with pytest.raises(InputError, match="no stacks"):
        choose_volumes(open_pair(Pair(nuclei()[0], nuclei()[0])), "instances", "volumes")


def test_report_shows_a_plane_of_each_volume(case_of_labels, evaluated):
    truth = np.stack([nuclei(0), nuclei(1)])
    result = evaluated(as_volumes(case_of_labels(truth, np.roll(truth, 1, axis=1))))
    page = report_html(result, samples=0)
    assert "volume 1" in page
    assert page.count("<h3>") == 2  # the best and the worst
