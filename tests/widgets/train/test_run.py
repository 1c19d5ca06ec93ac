import os
from pathlib import Path

import pytest

from napari_pix2pix.errors import FileError
from napari_pix2pix.widgets.train._pair_rows import LayerNames
from napari_pix2pix.widgets.train._run import Autosave, interrupted_runs

ROWS = [LayerNames(sources=["a", "b"], targets=["c"])]


def begin(folder: Path, *, checkpoint: bool = True) -> Autosave:
    run = Autosave.begin(folder, rows=ROWS, fields={"width": 4})
    if checkpoint:
        run.path.write_bytes(b"model")
    return run


def test_run_of_this_process_is_alive(tmp_path):
    run = begin(tmp_path / "new")
    assert not run.is_interrupted
    assert interrupted_runs(tmp_path / "new") == []
    assert run.title == "a + b → c"


def test_run_of_a_process_that_is_gone_is_dead(tmp_path):
    run = begin(tmp_path)
    # The number was given to another process since.
    run.record.process = run.record.process.model_copy(update={"start": "1"})
    run.mark("running")
    (found,) = interrupted_runs(tmp_path)
    assert found.path == run.path
    assert found.record.fields == {"width": 4}
    run.record.process = run.record.process.model_copy(update={"pid": 2**22 + 7})
    assert run.is_interrupted
    run.record.process = run.record.process.model_copy(update={"host": "elsewhere"})
    assert not run.is_interrupted  # that can't be known


def test_closed_run_is_offered_and_ended_is_not(tmp_path):
    one, two = begin(tmp_path), begin(tmp_path)
    one.mark("closed")
    two.mark("ended")
    assert [run.path for run in interrupted_runs(tmp_path)] == [one.path]


def test_run_without_checkpoint_leaves_nothing(tmp_path):
    begin(tmp_path, checkpoint=False).mark("closed")
    assert list(tmp_path.iterdir()) == []


def test_latest_is_offered_first_and_few_that_ended_are_kept(tmp_path):
    runs = [begin(tmp_path) for _ in range(6)]
    for run in runs[:5]:
        run.mark("ended")
    assert [run.path.exists() for run in runs] == [False, False, True, True, True, True]
    runs[4].mark("closed")
    runs[5].mark("closed")
    assert [run.path for run in interrupted_runs(tmp_path)] == [runs[5].path, runs[4].path]


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
