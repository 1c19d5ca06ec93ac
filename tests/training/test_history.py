import pytest

from napari_pix2pix.training.history import EpochRecord, find_candidates, held_weights

NAN = float("nan")


def records(*scores):
    """Return an epoch of 400 steps for each score; None is not validated."""
    return [
        EpochRecord(400 * n, n, {}, None if score is None else {"pearson": score})
        for n, score in enumerate(scores, start=1)
    ]


def test_last_and_best_are_told_apart_with_steps_and_scores():
    found = find_candidates(records(0.5, 0.812, None, 0.812, 0.7825, None), steps=2000)
    assert [str(one) for one in found] == [
        "last (2,000 steps, Pearson 0.782)",
        "best (800 steps, Pearson 0.812)",
    ]
    assert [one.weights for one in found] == ["last", "best"]


@pytest.mark.parametrize("scores", [(), (None,), (0.5,), (0.5, 0.6), (NAN, NAN), (NAN, 0.1, None)])
def test_there_is_no_choice_where_the_last_are_the_best(scores):
    validated = [one.step for one in records(*scores) if one.validation is not None]
    assert find_candidates(records(*scores), steps=max(validated, default=400)) == ()


@pytest.mark.parametrize("scores", [(0.5, 0.812), (0.812, 0.5, None), (0.5, 0.812, NAN)])
def test_weights_after_the_last_validation_have_no_score(scores):
    found = find_candidates(records(*scores), steps=1250)
    best = 400 * (1 + scores.index(0.812))
    assert list(map(str, found)) == [
        "last (1,250 steps, not validated)",
        f"best ({best:,} steps, Pearson 0.812)",
    ]


def test_nan_is_never_the_best():
    assert [one.step for one in find_candidates(records(NAN, 0.2, NAN), steps=1200)] == [1200, 800]


@pytest.mark.parametrize(
    ("names", "held"),
    [
        (["generator.a", "averaged.a", "best.a", "discriminator.a"], ("last", "best")),
        (["generator.a"], ("last",)),
        (["best.a"], ("best",)),
        (["discriminator.best"], ()),
    ],
)
def test_weights_are_known_by_the_names_of_tensors(names, held):
    assert held_weights(names) == held
