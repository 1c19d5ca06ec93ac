from __future__ import annotations

import pytest

from napari_pix2pix.widgets.models import models


class Model:
    """Stands for a translator; nothing of it is looked at."""


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


def test_path_and_look_are_kept(files):
    model = Model()
    models().remember(model, "m", path=files[0], look={"colormap": "green"})
    known = models().remember(model, "n")
    assert (known.path, known.look) == (files[0], {"colormap": "green"})
    assert models().of_file(files[0]) is known


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
