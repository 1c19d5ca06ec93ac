from dataclasses import replace

import numpy as np
import pytest
from helpers import make_model, noise

from napari_pix2pix.data.pixel_size import PixelSize
from napari_pix2pix.training.history import EpochRecord
from napari_pix2pix.training.made_for import MadeFor
from napari_pix2pix.training.model_card import card_sentences, model_card
from napari_pix2pix.training.model_info import HeldOutScores, StartedFrom

SIZE = PixelSize(0.65, 0.65, 2.0)


@pytest.fixture(scope="module")
def info():
    stack = np.rint(noise(13, 48, 48) * 999).astype(np.uint16)
    made = make_model(stack, stack[0], channel_axis=0, channel_names=["DAPI"], authors="A. Person.")
    return replace(
        made.info,
        source_channels=tuple(f"phase {z}" for z in range(13)),
        scores=HeldOutScores({"pearson": 0.8123}, {"pearson": 0.42}),
        made_for=MadeFor(12, "2026-11-27", SIZE),
    )


def test_a_card_says_what_a_person_would(info):
    names = "phase 0, phase 1, phase 2, phase 3, phase 4, phase 5 and 7 more"
    assert card_sentences(info) == [
        f"Translates {names} (16-bit images with 13 channels) into DAPI (16-bit images).",
        "Trained at 0.65 µm per pixel, planes 2 µm apart.",
        "Trained on 12 images on 2026-11-27, with the preset light in 1 step.",
        "Held-out Pearson 0.812; the linear baseline has 0.420.",
        "By A. Person.",
    ]
    card = model_card(info, "dapi").splitlines()
    assert card[:2] == ["# dapi", ""]
    assert [line[:2] for line in card[2:]] == ["- "] * 5


def test_what_is_not_known_is_left_out(info):
    bare = replace(info, made_for=MadeFor(), versions={}, scores=None, source_channels=())
    assert card_sentences(bare)[1] == "Trained by another program."
    none = replace(info, scores=None, started_from=StartedFrom("faces", 3, False, ""))
    said = card_sentences(none)
    assert "No scores: nothing was held out." in said
    assert "Training began from a model of faces." in said


def test_scores_from_before_the_last_steps_say_so(info):
    history = (EpochRecord(8, 1, {}, {"pearson": 0.8123}),)
    late = replace(info, history=history, steps=14)
    said = "Held-out Pearson 0.812; the linear baseline has 0.420."
    assert f"{said} This was measured after 8 of these steps." in card_sentences(late)
    assert said in card_sentences(replace(late, steps=8))


def test_conditions_and_what_they_make():
    image = noise(48, 48)
    targets, conditions = [image, 1 - image], ["a", "b"]
    model = make_model(None, targets, condition=conditions, adversarial_weight=1.0)
    info = replace(model.info, channel_names=(("DAPI",), ("b",)))
    assert card_sentences(info)[:2] == [
        "Makes 32-bit floating point images from noise.",
        "Conditions: a (DAPI), b.",
    ]


def test_labels_are_named():
    labels = (noise(48, 48) > 0.5).astype(np.uint8) + (noise(48, 48) > 0.9)
    model = make_model(noise(48, 48), labels.astype(np.uint8), target_kind="classes")
    assert "into labels of 3 classes." in card_sentences(model.info)[0]


def test_a_model_of_stacks_says_how_many_planes_it_sees():
    stack = noise(4, 48, 48)
    info = make_model(stack, 1 - stack, z_context=2).info
    sentence = "Sees 2 planes on each side of each plane: it takes stacks."
    assert card_sentences(info)[1] == sentence


def test_a_training_that_ended_before_its_first_step_is_ours(info):
    assert "in 0 steps" in " ".join(card_sentences(replace(info, steps=0)))
