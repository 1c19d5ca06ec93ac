import threading

import pytest

from napari_pix2pix.errors import FileError
from napari_pix2pix.training.events import Done, Step
from napari_pix2pix.widgets.train._run import _keep, _until_closed


def drain(events):
    seen = []
    while True:
        try:
            seen.append(next(events))
        except StopIteration as stop:
            return seen, stop.value


@pytest.mark.parametrize("closing", [False, True])
def test_nothing_is_made_of_a_run_that_napari_ends_after_its_checkpoint(closing):
    made = []

    def events():
        yield Step(1, 1, {}, {}, 0.1, 1.0)
        yield Done(1, 1.0, "stopped")
        made.append("a picture, and what is usual")
        return "a model"

    closes = threading.Event()
    if closing:
        closes.set()
    seen, model = drain(_until_closed(events(), closes))
    assert [type(event) for event in seen] == [Step, Done]
    assert (model, bool(made)) == ((None, False) if closing else ("a model", True))


def test_model_is_made_where_there_is_no_checkpoint():
    def events():
        yield Done(1, 1.0, "stopped")
        return "a model"

    assert drain(_until_closed(events(), None))[1] == "a model"


def test_model_that_can_not_be_written_is_no_error(tmp_path):
    class Model:
        def save(self, path):
            if path.name == "full":
                raise FileError("No space left.")
            path.touch()

    assert _keep(Model(), tmp_path / "new" / "m.safetensors") == ""
    assert (tmp_path / "new" / "m.safetensors").exists()
    assert _keep(Model(), tmp_path / "full").startswith("No space left. The model is in memory")
    (tmp_path / "file").touch()
    assert "Can't make the folder" in _keep(Model(), tmp_path / "file" / "sub" / "m")
