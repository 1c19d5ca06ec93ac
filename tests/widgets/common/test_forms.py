from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, Field
from qtpy.QtWidgets import QCheckBox, QComboBox, QFormLayout, QLabel

from napari_pix2pix.widgets.common.forms import NumberBox, NumberEdit, OptionsForm, make_editor


class Options(BaseModel):
    count: Annotated[int, Field(ge=1, le=9)] | None = Field(None, description="How many")
    rate: float = Field(0.5, ge=0, le=1, title="Learning rate")
    kind: Literal["a", "b"] | None = None
    zoom: tuple[Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)]] = (1.0, 1.0)
    long_name: bool = False


@pytest.fixture
def form(qtbot):
    fields = Options.model_fields
    made = OptionsForm(make_editor(name, field, none_text="any") for name, field in fields.items())
    qtbot.addWidget(made)
    return made


def label_of(form: OptionsForm, name: str) -> QLabel:
    layout = form.layout()
    assert isinstance(layout, QFormLayout)
    label = layout.labelForField(form.editors[name].native)
    assert isinstance(label, QLabel)
    return label


@pytest.mark.parametrize(
    "values",
    [
        {"count": 3, "rate": 0.25, "kind": "b", "zoom": (0.5, 2.0), "long_name": True},
        {"count": None, "rate": 2e-5, "kind": None, "zoom": (1.0, 1.0), "long_name": False},
    ],
)
def test_form_gives_the_values_that_it_shows(form, values):
    form.set_values(values)
    assert form.values() == values
    assert Options(**form.values()) == Options(**values)
    assert type(form.values()["rate"]) is float


def test_limits_are_those_of_the_declaration(form):
    count, rate = (form.editors[name] for name in ("count", "rate"))
    assert isinstance(count, NumberEdit)
    assert isinstance(rate, NumberEdit)
    assert (count.box.minimum(), count.box.maximum()) == (0, 9)  # 0 is None
    assert (rate.box.minimum(), rate.box.maximum()) == (0, 1)
    count.box.setValue(12)
    assert count.value == 9


def test_none_has_a_text(form):
    assert form.editors["count"].box.text() == "any"
    assert form.editors["kind"].native.currentText() == "any"


def test_labels_are_names_or_titles_and_explain(form):
    labels = [label_of(form, name).text() for name in form.editors]
    assert labels == ["count", "Learning rate", "kind", "zoom", "long name"]
    assert label_of(form, "count").toolTip() == form.editors["count"].tooltip == "How many"
    assert form.editors["long_name"].native.text() == ""  # it has a label beside it


@pytest.mark.parametrize(
    ("name", "value"), [("count", 2), ("kind", "a"), ("zoom", (2.0, 2.0)), ("long_name", True)]
)
def test_each_change_is_told_also_back_to_none(form, qtbot, name, value):
    before = form.values()[name]
    for wanted in (value, before):
        with qtbot.waitSignal(form.changed):
            form.set_values({name: wanted})
        assert form.values()[name] == wanted


def test_disabled_options_are_left_out(form):
    form.editors["count"].enabled = False
    assert "count" not in form.values()


def test_value_that_was_not_offered_is_added_and_stays(qtbot):
    field = Options.model_fields["count"]
    choices = [("one", 1), ("two", 2)]
    form = OptionsForm([make_editor("count", field, none_text="all", choices=choices)])
    qtbot.addWidget(form)
    assert form.values() == {"count": None}
    form.set_values({"count": 7})
    outer = OptionsForm([])
    qtbot.addWidget(outer)
    form.setParent(outer)
    assert form.values() == {"count": 7}
    box = form.editors["count"].native
    assert isinstance(box, QComboBox)
    assert [box.itemText(i) for i in range(box.count())] == ["all", "one", "two", "7"]


def test_check_box_without_a_label_has_its_own_text(qtbot):
    box = make_editor("tick", Options.model_fields["long_name"]).native
    qtbot.addWidget(box)
    assert isinstance(box, QCheckBox)
    assert box.text() == "tick"


@pytest.mark.parametrize(
    ("text", "value"),
    [("2e-4", 2e-4), ("0.00025", 0.00025), ("12", 12.0), ("1e-9", 1e-9), ("many", 3.0)],
)
def test_number_reads_and_writes_small_floats_and_takes_no_words(qtbot, text, value):
    spin = NumberBox()
    qtbot.addWidget(spin)
    spin.setValue(3)
    spin.lineEdit().setText(text)
    spin.interpretText()
    assert spin.value() == value
    assert float(spin.text()) == value
