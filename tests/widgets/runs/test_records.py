import os
import shutil
from pathlib import Path

import pytest
from helpers import make_model, noise, with_other_best

from napari_pix2pix.errors import FileError, InputError
from napari_pix2pix.widgets.runs import records
from napari_pix2pix.widgets.runs.file_choice import FileChoice
from napari_pix2pix.widgets.runs.records import (
    KeptRun,
    LayerNames,
    describe_run,
    find_run,
    interrupted_runs,
    kept_runs,
)

ROWS = [LayerNames(sources=["a", "b"], targets=["c"])]


def begin(folder: Path, *, checkpoint: bool = True) -> KeptRun:
    run = KeptRun.new(folder, name="a → c", rows=ROWS, fields={"width": 4}).begun()
    if checkpoint:
        run.path.write_bytes(b"model")
    return run


def of_another_process(run: KeptRun) -> KeptRun:
    """Let the record name a process that has the number of this one, but began earlier."""
    return run.changed(process=run.record.process.model_copy(update={"start": "1"}))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Return the file of a model whose best weights are not its last."""
    image = noise(48, 48)
    path = tmp_path_factory.mktemp("models") / "m.safetensors"
    with_other_best(make_model(image, 1 - image)).save(path)
    return path


def test_run_on_files_is_named_after_them_and_resumed_with_them(tmp_path):
    files = FileChoice(
        origin="folders", source=tmp_path / "phase", target=tmp_path / "dapi", held_out=("a.tif",)
    )
    run = KeptRun.new(tmp_path, name="", rows=[], fields={}, files=files, has_source=False).begun()
    run.path.write_bytes(b"model")
    found = find_run(run.path)
    assert (found.name, found.needs) == ("phase → dapi", "its files are there")
    assert found.record.files == files
    assert not found.record.has_source
    assert begin(tmp_path / "layers").needs == "the same layers are open"


def test_run_of_this_process_is_alive(tmp_path):
    run = begin(tmp_path / "new")
    assert run.is_alive
    assert not run.is_interrupted
    assert kept_runs(tmp_path / "new") == []
    assert run.title == "a + b → c"


def test_run_of_a_process_that_is_gone_is_dead(tmp_path):
    run = of_another_process(begin(tmp_path))
    (found,) = interrupted_runs(tmp_path)
    assert found.path == run.path
    assert found.record.fields == {"width": 4}
    assert run.changed(pid=2**22 + 7).is_interrupted


def test_closed_run_is_interrupted_and_ended_is_not(tmp_path):
    one, two = begin(tmp_path), begin(tmp_path)
    one.mark("closed")
    two.mark("ended")
    assert [run.path for run in interrupted_runs(tmp_path)] == [one.path]
    assert [run.path for run in kept_runs(tmp_path)] == [two.path, one.path]


def test_run_without_checkpoint_leaves_nothing(tmp_path):
    begin(tmp_path, checkpoint=False).mark("closed")
    assert list(tmp_path.iterdir()) == []


def test_no_run_goes_by_itself_and_the_latest_is_first(tmp_path):
    runs = [begin(tmp_path).mark("ended") for _ in range(12)]
    assert [run.path for run in kept_runs(tmp_path)] == [run.path for run in reversed(runs)]
    runs[3].discard()
    assert len(kept_runs(tmp_path)) == 11


def test_what_the_user_wrote_meanwhile_survives_the_end_of_the_run(tmp_path):
    run = begin(tmp_path)
    kept_while_training = find_run(run.path)
    assert kept_while_training is not None
    kept_while_training.changed(name="mine", note="half the light")
    run.mark("ended")
    (found,) = kept_runs(tmp_path)
    assert (found.name, found.record.note, found.record.state) == (
        "mine",
        "half the light",
        "ended",
    )


def test_run_is_described_without_reading_its_model(tmp_path, model, monkeypatch):
    run = begin(tmp_path)
    shutil.copy(model, run.path)
    run = run.mark("ended")
    text = f"{run.record.began}, 1200 steps, Pearson 0.500 (baseline 0.250)"
    assert describe_run(run) == text
    monkeypatch.setattr(records, "read_model_info", None)
    (found,) = kept_runs(tmp_path)
    assert describe_run(found) == text


def test_run_that_was_killed_is_described_by_its_checkpoint(tmp_path, model):
    run = of_another_process(begin(tmp_path))
    shutil.copy(model, run.path)
    assert describe_run(run).endswith("1200 steps, Pearson 0.500 (baseline 0.250), interrupted")
    run.path.write_bytes(b"cut short")
    assert describe_run(run).endswith("can't be read, interrupted")


def test_weights_that_are_chosen_afterwards_are_those_of_the_run(tmp_path, model):
    run = begin(tmp_path)
    shutil.copy(model, run.path)
    chosen = run.mark("ended").with_weights("best")
    assert chosen.info().applied == "best"
    assert "Pearson 0.750" in describe_run(kept_runs(tmp_path)[0])
    with pytest.raises(InputError, match="must be 'last' or 'best'"):
        chosen.with_weights("worst")


def test_broken_records_are_passed_over(tmp_path):
    (tmp_path / "a.json").write_text("{")
    (tmp_path / "b.json").write_text("[]")
    (tmp_path / "c.json").write_text('{"rows": []}')
    assert interrupted_runs(tmp_path) == []
    assert interrupted_runs(tmp_path / "missing") == []


@pytest.mark.skipif(os.name == "nt", reason="a file in the way is another error there")
def test_folder_that_can_not_be_written_is_a_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(FileError, match="choose another folder"):
        begin(tmp_path / "file")
