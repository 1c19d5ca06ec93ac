"""Only one run writes an output at a time."""

import json
import subprocess
import sys
import threading

import pytest

from napari_pix2pix.errors import FileError
from napari_pix2pix.io.locks import lock_file, locked

_HOLD = """
import sys
from pathlib import Path
from napari_pix2pix.io.locks import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the lock of ``a.zarr``."""
    command = [sys.executable, "-c", _HOLD, str(tmp_path / "a.zarr")]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def take(path):
    with locked(path):
        assert lock_file(path).exists()


def change_owner(path, **facts):
    """Return the text of the lock that another process would have written."""
    with locked(path):
        lock = json.loads(lock_file(path).read_text())
    lock["owner"] |= facts
    lock_file(path).write_text(json.dumps(lock))


def test_a_lock_is_gone_after_the_work_also_after_an_error(tmp_path):
    take(tmp_path / "a.zarr")

    def fail():
        with locked(tmp_path / "a.zarr", None):
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert not list(tmp_path.iterdir())


def test_another_process_is_refused_until_the_first_has_ended(tmp_path, holder):
    path = tmp_path / "a.zarr"
    with pytest.raises(FileError, match=rf"a.zarr is being written .*process {holder.pid} on"):
        take(path)
    holder.communicate()
    take(path)
    assert not list(tmp_path.iterdir())


def test_the_lock_of_a_killed_process_is_taken_over(tmp_path, holder):
    holder.kill()
    holder.wait()
    assert lock_file(tmp_path / "a.zarr").exists()
    take(tmp_path / "a.zarr")
    assert not list(tmp_path.iterdir())


def test_two_threads_exclude_each_other(tmp_path):
    path, errors = tmp_path / "a.zarr", []

    def second():
        try:
            take(path)
        except FileError as error:
            errors.append(error)

    with locked(path):
        thread = threading.Thread(target=second)
        thread.start()
        thread.join()
    assert len(errors) == 1


def test_a_number_that_another_process_has_got_since_locks_nothing(tmp_path):
    change_owner(tmp_path / "a", start="1")
    take(tmp_path / "a")


@pytest.mark.parametrize("facts", [{"host": "elsewhere"}, {"namespace": 1}])
def test_nobody_judges_a_process_that_it_can_not_see(tmp_path, facts):
    change_owner(tmp_path / "a", **facts)
    with pytest.raises(FileError, match=r"if that process has ended, delete .*\.a\.lock"):
        take(tmp_path / "a")


def test_a_lock_that_was_cut_short_locks_nothing(tmp_path):
    lock_file(tmp_path / "a").write_text('{"owner"')
    take(tmp_path / "a")
    assert not list(tmp_path.iterdir())


def test_a_link_and_its_file_have_one_lock(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "a")
    with locked(tmp_path / "link"), pytest.raises(FileError, match="is being written"):
        take(tmp_path / "a")


def test_file_systems_without_hard_links_have_locks(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("napari_pix2pix.io.locks.os.link", refuse)
    with locked(tmp_path / "a"), pytest.raises(FileError, match="is being written"):
        take(tmp_path / "a")
    assert not list(tmp_path.iterdir())
