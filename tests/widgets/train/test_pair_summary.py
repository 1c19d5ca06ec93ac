import numpy as np
import pytest
from qtpy.QtWidgets import QLabel

from napari_pix2pix.data.pair import Pair
from napari_pix2pix.errors import InputError
from napari_pix2pix.training.config import TrainConfig
from napari_pix2pix.training.events import Control
from napari_pix2pix.widgets.train._file_choice import TrainingSets
from napari_pix2pix.widgets.train._pair_summary import PatchPreview, summarise_pairs

CONFIG = TrainConfig(patch=32, depth=3, discriminator_layers=1, width=4, device="cpu")
RNG = np.random.default_rng(0)
SOURCE = RNG.random((96, 72)).astype(np.float32)
LABELS = np.kron(np.arange(12).reshape(4, 3), np.ones((24, 24), int))


def test_summary_describes_a_training_on_the_pairs():
    summary = summarise_pairs(Control(), [Pair(SOURCE, LABELS % 3)], CONFIG)
    assert summary.text.startswith("source, 96 x 72, one channel → target, 3 classes. ")
    assert summary.inferred == {"adversarial_weight": 0.0, "reconstruction": "l2", "content": 0.5}
    assert summary.texts["target_kind"] == "classes"
    assert summary.texts["classes"] == "3, as found"
    assert summary.config.target_kind == "classes"
    assert summary.steps_per_epoch >= 100
    assert summary.most_steps == 500
    assert summary.memory > 0


@pytest.mark.parametrize(
    ("pairs", "text"),
    [
        (
            [Pair(SOURCE, (255 * SOURCE).astype(np.uint8))],
            "source, 96 x 72, one channel → target, one channel.",
        ),
        (
            [Pair(np.stack([SOURCE] * 3), np.stack([LABELS] * 3)), Pair(SOURCE, LABELS)],
            "source, 96 x 72, 4 frames, one channel → target, objects. And 1 more pair.",
        ),
        (
            [Pair(SOURCE, (60000 * RNG.random((96, 72, 3))).astype(np.uint16))],
            "source, 96 x 72, one channel → target, RGB.",
        ),
    ],
    ids=["gray", "labels", "rgb"],
)
def test_summary_says_what_the_images_are(pairs, text):
    summary = summarise_pairs(Control(), pairs, CONFIG)
    assert summary.text.startswith(text)


def test_pairs_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match="a -> b"):
        summarise_pairs(Control(), [Pair(SOURCE, SOURCE[:50], name="a -> b")], CONFIG)


@pytest.mark.parametrize(
    "target",
    [
        RNG.random((96, 72)).astype(np.float32),
        RNG.integers(0, 255, (96, 72, 3)).astype(np.uint8),
        LABELS,
        LABELS % 3,
    ],
    ids=["gray", "rgb", "instances", "classes"],
)
def test_patches_are_shown(qtbot, target):
    dialog = PatchPreview(lambda: TrainingSets([Pair(SOURCE, target)]), CONFIG)
    qtbot.addWidget(dialog)
    qtbot.waitUntil(lambda: dialog.patches is not None)
    patches = dialog.patches
    assert len(patches.sources) == len(patches.targets) == 6
    assert {picture.shape for picture in patches.sources + patches.targets} == {(32, 32, 3)}
    assert len({picture.tobytes() for picture in patches.sources}) == 6
    shown = [label for label in dialog.findChildren(QLabel) if not label.pixmap().isNull()]
    assert len(shown) == 12
    qtbot.waitUntil(dialog._other.isEnabled)
    dialog._other.click()
    qtbot.waitUntil(lambda: dialog.patches is not patches)
    dialog.close()


def test_what_is_wrong_is_message(qtbot):
    dialog = PatchPreview(
        lambda: TrainingSets([Pair(np.zeros((96, 72)), np.zeros((96, 72)))]), CONFIG
    )
    qtbot.addWidget(dialog)
    qtbot.waitUntil(dialog._other.isEnabled)
    assert dialog.patches is None
    assert dialog._message.text().endswith(".")
    dialog.close()
