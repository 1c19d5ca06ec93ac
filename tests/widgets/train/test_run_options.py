from qtpy.QtWidgets import QLabel

from napari_pix2pix.training.config import TrainConfig
from napari_pix2pix.widgets.train._run_options import RunOptions


def test_each_label_has_the_tip_of_its_own_field(qtbot):
    options = RunOptions()
    qtbot.addWidget(options)
    tips = {label.text(): label.toolTip() for label in options.findChildren(QLabel)}
    assert tips["device"] == TrainConfig.model_fields["device"].description
    assert tips["budget"] == options.budget.toolTip()
    assert tips["start from"] == options.start.toolTip()
