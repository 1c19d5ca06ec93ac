import pytest
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QWheelEvent
from qtpy.QtWidgets import QApplication, QComboBox, QWidget

from napari_pix2pix.errors import ConfigError
from napari_pix2pix.training.config import PRESETS, TrainConfig
from napari_pix2pix.widgets.common.forms import NumberBox
from napari_pix2pix.widgets.train._config_form import _PARTS, ConfigForm

FIELDS = list(TrainConfig.model_fields)

# A value of each field that is not the default, and one that its editor can show.
OTHER = {
    "preset": "paper",
    "epochs": 3,
    "steps": 7,
    "max_seconds": 2.5,
    "device": "cpu",
    "strategy": "ddp",
    "precision": "32-true",
    "source_kind": "image",
    "target_kind": "classes",
    "source_normalisation": "minmax",
    "target_normalisation": "dtype",
    "zoom": (0.5, 2.0),
    "generator": "resnet",
    "norm": "instance",
    "ndim": 3,
    "plane_levels": 0,
    "patch_planes": 8,
    "classes": 3,
    "smallest": 5,
    "dropout_placement": "reference",
    "upsampling": "resize",
    "activation": "tanh",
    "discriminator_norm": "none",
    "discriminator_augmentation": "translation+cutout",
    "adversarial": "wgan",
    "reconstruction": "l2",
    "decay": "linear",
    "gradient_clip": 1.5,
    "learning_rate": 2.5e-5,
    "seed": 2**40 + 1,
    "keep": "best",
    "noise": "pixel",
    "derive": "noise",
    "derive_place": "centre",
    "derive_interpolation": "nearest",
    "derive_model": "poisson",
}


def other_value(name: str):
    default = TrainConfig.model_fields[name].default
    if name in OTHER:
        return OTHER[name]
    if isinstance(default, bool):
        return not default
    if isinstance(default, str):
        return "words"
    return 0.25 if isinstance(default, float | None) else default + 1


@pytest.fixture
def form(qtbot):
    made = ConfigForm(FIELDS)
    qtbot.addWidget(made)
    return made


def wheel(widget: QWidget) -> QWheelEvent:
    nothing = Qt.MouseButton.NoButton, Qt.KeyboardModifier.NoModifier, Qt.ScrollPhase.NoScrollPhase
    place = QPointF(widget.mapToGlobal(QPoint(3, 3)))
    event = QWheelEvent(QPointF(3, 3), place, QPoint(0, 0), QPoint(0, 120), *nothing, False)
    QApplication.sendEvent(widget, event)
    return event


@pytest.mark.parametrize("name", FIELDS)
def test_every_field_shows_and_gives_its_value(form, name):
    assert form.values() == {}
    assert form.editor(name).value == TrainConfig.model_fields[name].default
    form.set_value(name, other_value(name))
    assert form.editor(name).value == other_value(name)
    assert form.values() == {name: other_value(name)}
    form.reset(name)
    assert form.values() == {}
    assert form.editor(name).value == TrainConfig.model_fields[name].default


def test_editors_end_where_the_form_ends_unless_there_is_a_button(qtbot):
    form = ConfigForm(["patch", "batch"], headings=False)
    qtbot.addWidget(form)
    form.resize(300, 80)
    with qtbot.waitExposed(form):
        form.show()
    assert form.editor("batch").native.geometry().right() == form.rect().right()
    form.set_value("patch", 64)
    qtbot.waitUntil(lambda: form.editor("batch").native.geometry().right() < form.rect().right())


@pytest.mark.parametrize("name", FIELDS)
def test_every_field_says_what_it_is(form, name):
    assert form.editor(name).tooltip == TrainConfig.model_fields[name].description


@pytest.mark.parametrize("preset", PRESETS)
def test_preset_changes_what_is_shown_and_sets_nothing(form, preset):
    form.set_preset(preset)
    wanted = TrainConfig(preset=preset)  # type: ignore[arg-type]
    shown = {name: form.editor(name).value for name in FIELDS if name != "preset"}
    assert shown == {name: getattr(wanted, name) for name in FIELDS if name != "preset"}
    assert set(form.values()) <= {"preset"}


@pytest.mark.parametrize(
    ("name", "value", "preset", "is_set"),
    [("width", 48, "paper", True), ("batch", 1, "reference", False)],
)
def test_what_was_set_survives_a_preset_that_has_another(form, name, value, preset, is_set):
    form.set_value(name, value)
    form.set_preset(preset)
    assert form.values() == ({name: value} if is_set else {})


def test_editing_and_editing_back(form, qtbot):
    width = form.editor("width").box
    with qtbot.waitSignal(form.changed):
        width.setValue(12)
    assert form.values() == {"width": 12}
    width.setValue(TrainConfig.model_fields["width"].default)
    assert form.values() == {}


def test_what_the_pairs_tell_is_a_default_and_can_be_overruled(form):
    form.set_inferred({"adversarial_weight": 0.0, "unknown": 1})
    assert form.editor("adversarial_weight").value == 0.0
    assert form.values() == {}
    form.set_value("adversarial_weight", 1.0)
    assert form.values() == {"adversarial_weight": 1.0}


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"patch": 100}, "patch"),
        ({"adversarial_full": 0.1}, "adversarial_full"),
        ({"zoom": (2.0, 1.0)}, "zoom"),
        ({"adversarial": "wgan"}, "adversarial"),
    ],
)
def test_error_stands_below_its_field(form, fields, named):
    with pytest.raises(ConfigError) as caught:
        TrainConfig(**fields)
    assert form.show_error(str(caught.value))
    row = form._rows[named]
    assert row.error.text() == str(caught.value)
    form.clear_error()
    assert row.error.text() == ""


def test_error_of_no_field_is_refused(form):
    assert not form.show_error("Memory ran out.")


@pytest.mark.parametrize("name", ["width", "norm", "zoom"])
def test_wheel_changes_nothing(form, name):
    editor = form.editor(name)
    before = editor.value
    kinds = (NumberBox, QComboBox)
    parts = [editor.native, *editor.native.findChildren(QWidget)]
    spun = [part for part in parts if isinstance(part, kinds)]
    assert spun
    for part in spun:
        assert not wheel(part).isAccepted()
    assert editor.value == before


def test_every_field_of_a_part_is_known_and_parts_leave_out_only_the_basics():
    covered: list[str] = []
    for first, last in _PARTS.values():
        covered += FIELDS[FIELDS.index(first) : FIELDS.index(last) + 1]
    assert [name for name in FIELDS if name not in covered] == ["preset"]
    assert len(covered) == len(set(covered))
