import csv

import numpy as np
import pytest
from helpers import docked, make_model, noise
from skimage.measure import label

from napari_pix2pix import evaluate
from napari_pix2pix.errors import FileError, InputError
from napari_pix2pix.metrics.summary import score_image
from napari_pix2pix.widgets.common.known_models import models
from napari_pix2pix.widgets.evaluate.dock import EvaluateDock


@pytest.fixture
def dock(viewer, qtbot):
    return docked(EvaluateDock(viewer), viewer, qtbot)


def run(dock: EvaluateDock, qtbot) -> tuple[str, bool]:
    with qtbot.waitSignal(dock.ended) as ended:
        dock.evaluate()
    return tuple(ended.args)


def test_scores_of_a_model_are_those_of_evaluate(viewer, dock, qtbot):
    stack = noise(2, 64, 64)
    model = make_model(stack, 1 - stack)
    source = viewer.add_image(stack, name="source")
    truth = viewer.add_image(1 - stack, name="truth", scale=(3, 2, 2))
    dock.set_model(models().remember(model, "m"), [source], truth)
    assert dock.check() == ""
    message, is_error = run(dock, qtbot)
    assert not is_error, message
    expected = evaluate(model, stack, 1 - stack)
    for side in ("prediction", "baseline"):
        assert dock.scores[side] == pytest.approx(expected[side], nan_ok=True)
    for one, other in zip(dock.scores["images"], expected["images"], strict=True):
        assert one["prediction"] == pytest.approx(other["prediction"], nan_ok=True)
    np.testing.assert_allclose(dock.difference.data, model(stack) - (1 - stack), atol=1e-6)
    np.testing.assert_allclose(dock.difference.scale, (3, 2, 2))
    table = dock._view.table
    assert table.item(0, 2) is not None  # the baseline's column
    titles = [table.item(row, 0).text() for row in range(table.rowCount())]
    assert titles[:5] == ["L1", "PSNR (dB)", "SSIM", "Pearson", "NRMSE"]


def test_difference_of_channels_that_the_model_knows_of(viewer, dock, qtbot):
    image, truth = noise(64, 64), noise(2, 64, 64, seed=1)
    model = make_model(image, truth, channel_axis=(None, 0))
    source = viewer.add_image(image, name="source")
    shown = viewer.add_image(truth, name="truth", scale=(1, 2, 2))  # says nothing of channels
    dock.set_model(models().remember(model, "m"), [source], shown)
    assert dock.check() == ""
    message, is_error = run(dock, qtbot)
    assert not is_error, message
    assert dock.difference.data.shape == (2, 64, 64)
    np.testing.assert_allclose(dock.difference.scale, (1, 2, 2))


def test_two_layers_with_mask_and_source(viewer, dock, qtbot, tmp_path):
    truth, guess = noise(64, 64), noise(64, 64, seed=1)
    shown = {"guess": guess, "truth": truth, "source": 2 * truth + 1}
    layers = [viewer.add_image(image, name=name) for name, image in shown.items()]
    inside = np.zeros((64, 64), np.uint8)
    inside[8:40, 8:40] = 1
    dock.set_prediction(layers[0], layers[1], source=layers[2])
    dock.mask = viewer.add_labels(inside)
    run(dock, qtbot)
    low, high = np.percentile(truth[inside > 0], (0.1, 99.9))
    how = {"kind": "image", "valid": inside[None] > 0, "data_range": [high - low], "full": True}
    expected = score_image(guess[None], truth[None], **how)
    assert dock.scores["prediction"] == pytest.approx(expected.scores, rel=1e-4, nan_ok=True)
    assert dock.scores["baseline"]["pearson"] == pytest.approx(1)
    layers[0].name = "renamed since"
    with qtbot.waitSignal(dock.ended):
        dock.save_report(tmp_path / "r.html")
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "Evaluation of guess" in page
    assert "harder to beat" in page


def test_labels_are_compared_as_labels(viewer, dock, qtbot):
    y, x = np.mgrid[:64, :64]
    labels = ((y // 16) * 4 + x // 16 + 1) * ((y % 16 > 3) & (x % 16 > 3))
    guess = labels.copy()
    guess[:16] = 0
    layers = [viewer.add_labels(one) for one in (guess, labels)]
    dock.set_prediction(*layers)
    run(dock, qtbot)
    assert dock.scores["prediction"]["f1"] == pytest.approx(2 * 12 / 28)
    assert "baseline" not in dock.scores
    assert set(np.unique(dock.difference.data)) == {0, 2}
    assert dock._view.legend.texts() == ["1: only in the prediction", "2: only in the truth"]
    assert not dock._view.scatter.isVisibleTo(dock)


def test_a_second_difference_takes_the_place_of_the_first(viewer, dock, qtbot):
    layers = [viewer.add_image(noise(64, 64, seed=n)) for n in range(2)]
    dock.set_prediction(*layers)
    run(dock, qtbot)
    run(dock, qtbot)
    assert len(viewer.layers) == 3
    dock.adds_difference = False
    viewer.layers.remove(dock.difference)
    run(dock, qtbot)
    assert len(viewer.layers) == 2


def test_csv_holds_all_scores(viewer, dock, qtbot, tmp_path):
    layers = [viewer.add_image(noise(3, 64, 64, seed=n)) for n in range(2)]
    with pytest.raises(InputError, match="no scores yet"):
        dock.export_csv(tmp_path / "s.csv")
    dock.set_prediction(*layers)
    run(dock, qtbot)
    with pytest.raises(FileError, match="that of another format"):
        dock.export_csv(tmp_path / "s.xlsx")
    dock.export_csv(tmp_path / "s.csv")
    with (tmp_path / "s.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["image"] for row in rows] == ["all", "frame 0", "frame 1", "frame 2"]
    assert float(rows[0]["prediction l1"]) == dock.scores["prediction"]["l1"]


def test_report_of_a_model_holds_its_pictures_and_facts(viewer, dock, qtbot, tmp_path):
    stack = noise(2, 64, 64)
    model = make_model(stack, 1 - stack)
    layers = [viewer.add_image(one) for one in (stack, 1 - stack)]
    with pytest.raises(InputError, match="no scores yet"):
        dock.save_report(tmp_path / "r.html")
    dock.set_model(models().remember(model, "my model"), layers[:1], layers[1])
    dock.segmenter = "otsu"
    run(dock, qtbot)
    assert "segmented_f1" in dock.scores["baseline"]
    with qtbot.waitSignal(dock.ended) as ended:
        dock.save_report(tmp_path / "r.html")
    assert ended.args == [f"Written to {tmp_path / 'r.html'}.", False]
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "my model" in page
    assert model.digest in page
    assert page.count("data:image/png;base64,") >= 4
    with qtbot.waitSignal(dock.ended) as ended:
        dock.save_report(tmp_path / "none" / "r.html")
    assert "there is no folder" in ended.args[0]


def test_what_does_not_fit_is_said(viewer, dock):
    assert "layer of the prediction" in dock.check()
    small, large = viewer.add_image(noise(20, 20), name="a"), viewer.add_image(noise(30, 20))
    dock.set_prediction(small, large)
    assert "20 x 20" in dock.check()
    assert not dock._view.evaluate.isEnabled()
    with pytest.raises(InputError, match="20 x 20"):
        dock.evaluate()
    assert not dock.running


def test_one_plane_is_refused_where_a_model_sees_more(viewer, dock):
    stack = noise(4, 48, 48)
    model = make_model(stack, 1 - stack, z_context=1)
    plane = viewer.add_image(stack[0], name="p")
    dock.set_model(models().remember(model, "m"), [plane], plane)
    assert "the source of p and p has one plane: give the whole stack" in dock.check()
    shown = viewer.add_image(stack, name="s")
    dock.set_model(models().remember(model, "m"), [shown], shown)
    assert dock.check() == ""


@pytest.mark.parametrize("error", [RuntimeError("odd"), MemoryError()])
def test_error_in_the_worker_is_said(viewer, dock, qtbot, monkeypatch, error):
    def fail(*_args, **_how):
        raise error

    layers = [viewer.add_image(noise(64, 64, seed=n)) for n in range(2)]
    dock.set_prediction(*layers)
    monkeypatch.setattr("napari_pix2pix.evaluation.scoring.score_image", fail)
    message, is_error = run(dock, qtbot)
    assert is_error
    assert message
    qtbot.waitUntil(lambda: dock._view.evaluate.isEnabled())


def test_layer_that_is_gone_is_no_longer_chosen(viewer, dock):
    layers = [viewer.add_image(noise(64, 64, seed=n)) for n in range(2)]
    dock.set_prediction(*layers)
    assert dock.check() == ""
    viewer.layers.remove(layers[0])
    assert "layer of the prediction" in dock.check()


def test_the_last_result_its_source_and_its_truth_are_offered(viewer, qtbot):
    source = viewer.add_image(noise(64, 64), name="source")
    truth = viewer.add_image(noise(64, 64), name="truth")
    record = {"source_id": str(source.unique_id)}
    result = viewer.add_image(noise(64, 64), metadata={"napari-pix2pix": record})
    dock = EvaluateDock(viewer)
    qtbot.addWidget(dock, before_close_func=EvaluateDock.close_down)
    assert list(dock._view.prediction.layers) == [result]
    assert dock._view.sources.layers == (source,)
    assert dock._view.truth.layers == (truth,)
    assert dock.check() == ""


def test_viewer_closed_while_evaluating(make_napari_viewer_proxy, qtbot):
    viewer = make_napari_viewer_proxy()
    layers = [viewer.add_image(noise(40, 64, 64, seed=n)) for n in range(2)]
    dock = EvaluateDock(viewer)
    viewer.window.add_dock_widget(dock, name="Evaluate")
    dock.set_prediction(*layers)
    with qtbot.waitSignal(dock._runner.reported):
        dock.evaluate()
    viewer.close()
    assert not dock.running


@pytest.mark.usefixtures("in_step")
def test_cancelled_evaluation_scores_what_is_done(viewer, dock, qtbot):
    layers = [viewer.add_image(noise(6, 64, 64, seed=n)) for n in range(2)]
    dock.set_prediction(*layers)
    dock._runner.reported.connect(lambda _: dock.cancel())
    message, is_error = run(dock, qtbot)
    assert message.startswith("Cancelled")
    assert not is_error
    assert 0 < len(dock.scores["images"]) < 6
    qtbot.waitUntil(lambda: dock._view.evaluate.isEnabled())


MASK = np.zeros((64, 64), np.uint8)
MASK[8:24, 8:24] = MASK[8:24, 40:56] = MASK[40:56, 16:40] = 1
OBJECTS = label(MASK).astype(np.uint16)
COUNTS = (200 + 3000 * noise(64, 64)).astype(np.uint16)


@pytest.mark.parametrize(
    ("prediction", "truth", "kind", "said"),
    [
        (MASK, MASK * np.uint8(255), "auto", "matched in rising order: 1 counts as 255."),
        (OBJECTS, MASK * np.uint8(255), "instances", "truth many share label 255"),
        (MASK, OBJECTS, "instances", "prediction many share label 1"),
        (MASK, MASK * np.uint8(3) - np.uint8(1) * (OBJECTS == 2), "auto", "both the same labels"),
        (COUNTS, MASK, "auto", "looks like classes"),
        (MASK, COUNTS, "auto", "prediction like classes"),
        ((COUNTS >> 8).astype(np.uint8), COUNTS, "auto", "one unit"),
        (COUNTS, COUNTS / 65535, "auto", "one unit"),
        (MASK * 1.0, MASK.astype(np.float32), "classes", "they are read as uint16"),
    ],
)
def test_layers_of_unlike_kinds_are_matched_or_refused(
    prediction, truth, kind, said, viewer, dock, qtbot
):
    layers = [viewer.add_image(image) for image in (prediction, truth)]
    dock.set_prediction(*layers)
    dock._view.kind.value = kind
    message, is_error = run(dock, qtbot)
    assert said in message
    assert is_error == ("matched" not in said and "are read" not in said)
    if not is_error:
        assert dock.scores["prediction"]["dice"] == 1


def test_the_truth_of_a_model_is_matched_or_refused(viewer, dock, qtbot):
    model = make_model([COUNTS] * 2, [MASK] * 2)
    source = viewer.add_image(COUNTS)
    dock.set_model(models().remember(model, "m"), [source], viewer.add_labels(MASK * np.uint8(255)))
    assert run(dock, qtbot) == (
        "The truth has labels of its own, which are matched in rising order: 255 counts as 1.",
        False,
    )
    dock._view.truth.choose([viewer.add_labels(OBJECTS)])
    message, is_error = run(dock, qtbot)
    assert is_error
    assert "the model's labels" in message


def test_verdict_is_one_sentence_beside_the_baseline(viewer, dock, qtbot):
    truth = noise(64, 64)
    layers = [viewer.add_image(image) for image in (truth + 0.1 * noise(64, 64, seed=1), truth)]
    source = viewer.add_image(noise(64, 64, seed=2))
    dock.set_prediction(*layers)
    run(dock, qtbot)
    assert "No baseline stands beside it: give the source" in dock._view.verdict.text()
    dock.set_prediction(*layers, source=source)
    run(dock, qtbot)
    scores = dock.scores
    expected = f"Pearson {scores['prediction']['pearson']:.2f}, the best linear map has "
    assert dock._view.verdict.text() == f"{expected}{scores['baseline']['pearson']:.2f}."
    dock.set_prediction(layers[0], layers[1], source=layers[1])
    run(dock, qtbot)
    assert "no better than that" in dock._view.verdict.text()


def test_difference_is_clear_where_both_agree_and_its_colours_are_explained(viewer, dock, qtbot):
    truth = noise(64, 64)
    guess = truth.copy()
    guess[:32] += 0.5
    dock.set_prediction(*[viewer.add_image(image) for image in (guess, truth)])
    run(dock, qtbot)
    colours = dock.difference.colormap.map(np.array([0.0, 0.5, 1.0]))
    assert colours[:, 3].tolist() == [1, 0, 1]
    assert "0.5\nprediction brighter" in dock._view.legend.texts()
    viewer.layers.remove(dock.difference)
    assert not dock._view.legend.texts()


def test_click_on_a_missed_object_goes_there(viewer, dock, qtbot):
    truth = np.zeros((3, 400, 400), np.uint16)
    truth[1, 300:310, 40:50], truth[1, 10:40, 10:40] = 1, 2
    guess = np.where(truth == 2, 2, 0).astype(np.uint16)
    guess[2, 100:104, 100:104] = 7
    layers = [viewer.add_labels(one, scale=(5, 0.5, 0.5)) for one in (guess, truth)]
    dock.set_prediction(*layers)
    dock._view.kind.value = "instances"
    run(dock, qtbot)
    assert dock._view.objects.text() == "2 true objects: 1 found, 1 missed; 1 false."
    table = dock._view.errors
    texts = [[table.item(row, column).text() for column in range(3)] for row in range(2)]
    assert texts == [["missed", "frame 1", "100"], ["false", "frame 2", "16"]]
    table.setCurrentCell(0, 0)
    assert viewer.dims.point[0] == 5
    assert viewer.scene.camera.center[-2:] == pytest.approx((152.25, 22.25))
    assert 5 * viewer.scene.camera.zoom > 20  # the object is seen
    table.setCurrentCell(1, 0)
    assert viewer.dims.point[0] == 10
    assert viewer.scene.camera.center[-2:] == pytest.approx((50.75, 50.75))


def test_objects_of_two_volumes_are_scored_in_three_dimensions(viewer, dock, qtbot):
    truth = np.zeros((6, 64, 64), np.uint16)
    truth[1:4, 10:20, 40:50], truth[:3, 30:40, 10:20] = 1, 2
    guess = np.where(truth == 2, 2, 0).astype(np.uint16)
    layers = [viewer.add_labels(one, scale=(5, 0.5, 0.5)) for one in (guess, truth)]
    dock.set_prediction(*layers)
    dock._view.kind.value = "instances"
    run(dock, qtbot)
    assert dock._view.objects.text() == "2 true objects: 1 found, 1 missed; 0 false."
    assert any("three dimensions" in note for note in dock.scores["notes"])
    assert dock.difference.data.shape == truth.shape
    assert np.array_equal(dock.difference.data == 2, truth == 1)
    table = dock._view.errors
    assert [table.item(0, column).text() for column in range(3)] == ["missed", "z=2", "300"]
    table.setCurrentCell(0, 0)
    assert viewer.dims.point[0] == 10
    dock._view.volumes.value = "planes"
    run(dock, qtbot)
    assert dock._view.objects.text() == "6 true objects: 3 found, 3 missed; 0 false."
    dock._view.volumes.value = "auto"
    layers[1].axis_labels = ("time", "y", "x")  # numbers are kept from time to time
    run(dock, qtbot)
    assert dock._view.objects.text() == "6 true objects: 3 found, 3 missed; 0 false."


def test_objects_of_images_are_counted_where_they_are_segmented(viewer, dock, qtbot):
    truth = np.zeros((64, 64), np.float32)
    truth[10:20, 10:20], truth[40:52, 40:52] = 1, 1
    guess = truth.copy()
    guess[40:52, 40:52] = 0
    dock.set_prediction(*[viewer.add_image(one) for one in (guess, truth)])
    dock.segmenter = "otsu"
    run(dock, qtbot)
    assert dock._view.objects.text() == "2 true objects: 1 found, 1 missed; 0 false."
    assert dock._view.errors.rowCount() == 1


def test_model_of_labels_finds_objects_as_in_python(viewer, dock, qtbot, tmp_path):
    truth, guess = noise(64, 64), noise(64, 64, seed=1)
    squares = np.kron(np.arange(1, 17).reshape(4, 4), np.ones((16, 16), np.uint16))
    squares[::16] = squares[:, ::16] = 0
    labeller = make_model(truth, squares, target_kind="instances")
    model = make_model(guess, truth)
    images = make_model(truth, guess)
    labeller.save(tmp_path / "cells.safetensors")
    layers = [viewer.add_image(one) for one in (guess, truth)]
    dock.set_model(models().remember(model, "m"), layers[:1], layers[1])
    models().remember(images, "images")
    dock.segmenter = tmp_path / "cells.safetensors"
    box = dock._view.segmenter
    assert box.currentText() == "by cells"
    assert "by images" not in [box.itemText(number) for number in range(box.count())]
    dock.true_objects = viewer.add_labels(squares.astype(np.int32))
    run(dock, qtbot)
    expected = evaluate(model, guess, truth, segmenter=labeller, labels=squares)
    for side in ("prediction", "baseline", "truth"):
        assert dock.scores[side] == pytest.approx(expected[side], nan_ok=True)
    assert "segmented_f1" in dock.scores["prediction"]
    with pytest.raises(InputError, match="makes images: choose a model that makes labels"):
        dock.segmenter = models().last()
    assert box.currentText() == "by cells"


def test_objects_are_not_asked_for_where_the_truth_has_them(viewer, dock):
    image, labels = viewer.add_image(noise(64, 64)), viewer.add_labels(np.eye(64, dtype=int))
    view = dock._view
    dock.set_prediction(image, image)
    assert not view.segmenter.isHidden()
    assert view.labels.isHidden()
    dock.segmenter = "otsu"
    assert not view.labels.isHidden()
    dock.set_prediction(image, labels)
    assert view.segmenter.isHidden()
    assert view.labels.isHidden()
    assert dock.segmenter is None


def test_rows_of_objects_follow_the_font(viewer, dock):
    table, font = dock._view.errors, dock._view.objects.font()
    small = table.verticalHeader().defaultSectionSize()
    font.setPointSize(3 * font.pointSize())
    dock._view.objects.setFont(font)
    assert table.font().pointSize() == font.pointSize()
    assert table.verticalHeader().defaultSectionSize() > 1.5 * small


def test_labels_of_stacks_are_asked_about_for_stacks_alone(viewer, dock):
    view, plane = dock._view, np.zeros((8, 8), np.int32)
    flat, stack = viewer.add_labels(plane), viewer.add_labels(np.stack([plane] * 3))
    view.volumes.value = "volumes"
    dock.set_prediction(flat, flat)
    assert view.volumes.native.isHidden()
    assert view.options().objects == "auto"
    dock.set_prediction(stack, stack)
    assert not view.volumes.native.isHidden()
    assert view.options().objects == "volumes"


def test_options_are_those_of_the_last_time(viewer, dock, qtbot):
    dock._view.what.setCurrentIndex(1)
    dock._view.kind.value, dock._view.volumes.value = "instances", "planes"
    dock.adds_difference, dock.segmenter = False, "otsu"
    dock.close_down()
    again = docked(EvaluateDock(viewer), viewer, qtbot)
    assert again._view.what.currentText() == "a model"
    assert again._view.kind.value == "instances"
    assert again._view.volumes.value == "planes"
    assert not again.adds_difference
    again._view.kind.value = "image"
    again._view.what.setCurrentIndex(0)
    assert again.segmenter == "otsu"


def test_file_of_a_segmenter_that_fails_oddly_is_said(dock, tmp_path, monkeypatch):
    make_model(noise(64, 64), 1 - noise(64, 64)).save(tmp_path / "m.safetensors")
    box = dock._view.segmenter
    asked = "napari_pix2pix.widgets.evaluate._segmenters.QFileDialog.getOpenFileName"
    monkeypatch.setattr(asked, lambda *_: (str(tmp_path / "m.safetensors"), ""))
    known = "napari_pix2pix.widgets.common.known_models.read_model_info"
    monkeypatch.setattr(known, lambda _: {}["a"])
    said = []
    box.refused.connect(said.append)
    box.activated.emit(box.count() - 1)
    assert "Something unexpected went wrong (KeyError: 'a')" in said[0]
    assert box.value is None
