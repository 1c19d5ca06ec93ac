import pytest

from napari_pix2pix.training.config import DERIVE_FIELDS, TrainConfig
from napari_pix2pix.widgets.train._config_groups import GROUPS, ConfigGroups
from napari_pix2pix.widgets.train._relevance import PairFacts


@pytest.fixture
def groups(qtbot):
    made = ConfigGroups()
    qtbot.addWidget(made)
    with qtbot.waitExposed(made):
        made.show()
    return made


def shown(groups: ConfigGroups, title: str) -> list[str]:
    """Return the fields of a group that would be seen if it were open."""
    form = groups.forms[title]
    return [name for name in form.names if form._rows[name].label.isVisibleTo(form)]


def test_groups_have_the_data_first_and_all_are_closed(groups):
    assert list(groups.sections) == ["Data", "Learning", "Networks", "Model card"]
    assert not any(section.isExpanded() for section in groups.sections.values())
    assert len(groups.names) == len(set(groups.names))


def test_what_changes_nothing_is_hidden_until_it_does(groups):
    assert "blocks" not in shown(groups, "Networks")
    groups.set_value("generator", "resnet")
    assert "blocks" in shown(groups, "Networks")
    assert "depth" not in shown(groups, "Networks")
    groups.set_value("adversarial_weight", 0.0)
    assert "discriminator_layers" not in shown(groups, "Networks")
    assert "adversarial" not in shown(groups, "Learning")
    assert "adversarial_weight" in shown(groups, "Learning")


def test_fields_of_volumes_are_shown_for_volumes(groups):
    assert "ndim" in shown(groups, "Data")
    assert "plane_levels" not in shown(groups, "Data")
    assert "patch_planes" not in shown(groups, "Learning")
    groups.set_value("ndim", 3)
    assert "plane_levels" in shown(groups, "Data")
    assert "z_context" not in shown(groups, "Data")
    assert {"patch_planes", "plane_flips"} <= set(shown(groups, "Learning"))


def test_a_fraction_is_not_asked_for_where_names_are_given(groups):
    assert "validation" in shown(groups, "Data")
    groups.set_value("hold_out", "3, 7-9")
    assert "validation" not in shown(groups, "Data")


def test_what_was_set_stays_in_view(groups):
    groups.set_value("blocks", 5)
    assert "blocks" in shown(groups, "Networks")
    groups.reset("blocks")
    assert "blocks" not in shown(groups, "Networks")


@pytest.mark.parametrize(
    ("facts", "name", "is_shown"),
    [
        (PairFacts("image", "image", has_stacks=False), "z_context", False),
        (PairFacts("image", "image", has_stacks=True), "z_context", True),
        (PairFacts("image", "instances"), "smallest", True),
        (PairFacts("image", "classes"), "smallest", False),
        (PairFacts("image", "classes"), "classes", True),
        (PairFacts("image", "classes"), "target_normalisation", False),
        (PairFacts("classes", "image"), "source_normalisation", False),
        (PairFacts("image", "image", has_stacks=False, has_several=False), "hold_out", False),
        (PairFacts("image", "image", has_stacks=False), "hold_out", True),
        (PairFacts("image", "image", has_several=False), "hold_out", True),
    ],
)
def test_pairs_decide_which_data_fields_matter(groups, facts, name, is_shown):
    groups.set_facts(facts)
    assert (name in shown(groups, "Data")) is is_shown


def test_search_finds_names_and_tips_in_all_groups_and_hidden_fields(groups):
    groups.sections["Data"].expand(animate=False)
    groups.search.setText("r1 penalty")
    assert shown(groups, "Learning") == ["r1", "r1_every"]
    assert [t for t, s in groups.sections.items() if s.isVisibleTo(groups)] == ["Learning"]
    groups.search.setText("no such option")
    assert "No option" in groups.nothing.text()
    groups.search.clear()
    assert [t for t, s in groups.sections.items() if s.isExpanded()] == ["Data"]
    assert all(section.isVisibleTo(groups) for section in groups.sections.values())


def test_what_auto_and_none_mean_is_said(groups):
    texts = {"target_kind": "instances", "smallest": "23, as measured"}
    groups.set_inferred({"reconstruction": "l2"}, texts)
    assert groups.editor("target_kind").native.currentText() == "auto: instances"
    assert groups.editor("target_kind").value == "auto"
    assert groups.editor("smallest").box.text() == "23, as measured"
    assert groups.editor("reconstruction").value == "l2"
    assert groups.values() == {}
    groups.set_inferred({}, {})
    assert groups.editor("target_kind").native.currentText() == "auto"
    assert groups.editor("smallest").box.text() == "not set"
    assert groups.editor("reconstruction").value == TrainConfig().reconstruction


def test_error_opens_the_group_of_its_field(groups):
    assert groups.show_error("depth should be less, got 12.")
    assert groups.sections["Networks"].isExpanded()
    assert groups.error("depth") == "depth should be less, got 12."
    assert not groups.show_error("Memory ran out.")


def test_every_field_is_in_one_group():
    names = [name for group in GROUPS.values() for name in group]
    shell = {"devices", "num_nodes", "strategy"}
    options = {"preset", "epochs", "max_seconds", "default_epochs", "device"}
    options |= {"derive", *DERIVE_FIELDS}  # choices of `DataSource`
    assert sorted(names) == sorted(set(TrainConfig.model_fields) - shell - options)


def test_large_fonts_cut_no_label(groups, qtbot):
    for section in groups.sections.values():
        section.expand(animate=False)
    for size in (9, 16):
        groups.setStyleSheet(f"QWidget {{ font-size: {size}pt }}")
        for form in groups.forms.values():
            for row in form._made_rows.values():
                words = row.label.text().split()
                longest = max(map(row.label.fontMetrics().horizontalAdvance, words))
                assert longest <= row.label.width()
        assert groups.search.font().pointSize() == size
