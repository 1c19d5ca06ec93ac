import pytest

from napari_pix2pix.widgets.common.known_models import ModelEntry, models
from napari_pix2pix.widgets.common.settings import read_settings
from napari_pix2pix.widgets.runs.records import KeptRun, find_run


class Model:
    """Stands for a translator, of which nothing is looked at."""


@pytest.fixture
def files(tmp_path):
    paths = [tmp_path / f"{n}.safetensors" for n in range(12)]
    for path in paths:
        path.touch()
    return paths


def test_last_is_the_one_remembered_last(qtbot):
    one, other = Model(), Model()
    with qtbot.waitSignal(models().changed):
        models().remember(one, "one")
    models().remember(other, "other")
    assert models().last().translator is other
    models().remember(one, "one again")
    assert [known.name for known in models().known()] == ["one again", "other"]


def test_path_is_kept(files):
    model = Model()
    models().remember(model, "m", path=files[0])
    known = models().remember(model, "n")
    assert known.path == files[0]
    assert models().of_file(files[0]) is known


def test_file_that_two_threads_read_at_a_time_is_one_model(files):
    first, second, chosen = Model(), Model(), models().of_file(files[0])
    models().remember_read(first, chosen)
    models().remember(Model(), "other")
    known = models().remember_read(second, chosen)
    assert (known.translator, known.path) == (first, files[0])
    assert models().known()[0] is known
    assert [one.name for one in models().known()] == ["0", "other"]


def test_model_whose_file_was_written_over_has_none_any_more(files):
    before, after = Model(), Model()
    for model in (before, after):
        models().remember(model, "trained")
        models().remember(model, "saved", path=files[0])
    found = [(one.translator, one.path) for one in models().known()]
    assert found == [(after, files[0]), (before, None)]
    assert models().of_file(files[0]).translator is after
    # What is chosen in a dock is applied, whatever its file holds by now.
    models().remember_read(before, ModelEntry("saved", before, files[0]))
    found = [(one.translator, one.path) for one in models().known()]
    assert found == [(before, None), (after, files[0])]


def test_offered_file_comes_after_those_that_the_user_chose(files, qtbot):
    with qtbot.waitSignal(models().changed):
        models().offer_file(files[0])
    assert models().last().path == files[0]
    models().remember(Model(), "m", path=files[1])
    assert models().offered_files() == (files[1], files[0])


def test_recent_files_outlive_the_process(files):
    for path in files:
        models().remember(Model(), path.stem, path=path)
    files[-2].unlink()
    models.cache_clear()
    assert models().recent_files() == (files[-1], *reversed(files[2:-2]))
    last = models().last()
    assert (last.name, last.path, last.translator) == ("11", files[-1], None)


def test_one_recent_file_is_a_list_of_one(files):
    models().remember(Model(), "m", path=files[0])
    assert models().recent_files() == (files[0],)


def test_nothing_is_known_at_first():
    assert models().last() is None
    assert models().recent_files() == ()


def test_what_is_in_memory_alone_is_never_left_out(files):
    unsaved = [Model() for _ in range(6)]
    for model in unsaved:
        models().remember(model, "unsaved")
    for path in files[:6]:
        models().remember(Model(), path.stem, path=path)
    known = models().known()
    assert [entry.translator for entry in known if entry.path is None] == unsaved[::-1]
    assert [entry.name for entry in known if entry.path] == ["5", "4", "3", "2"]


def test_no_model_of_a_run_is_lost_to_later_ones():
    folder = read_settings().autosave_folder
    runs = [KeptRun.new(folder, name=str(n), rows=[], fields={}).begun() for n in range(6)]
    for run in runs:
        run.path.touch()
        models().remember(Model(), run.mark("ended").name, run=run.path)
    assert len(models().known()) == 4  # in memory
    assert [entry.name for entry in models().listed()] == ["5", "4", "3", "2", "1", "0"]
    models.cache_clear()  # the next napari
    assert models().last().run == runs[-1].path
    assert [entry.name for entry in models().listed()] == ["5", "4", "3", "2", "1", "0"]
    models().rename(runs[2], "mine")
    models().delete(find_run(runs[5].path))
    assert [entry.name for entry in models().listed()] == ["4", "3", "mine", "1", "0"]
