import errno
import json
import math
import os
import stat
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from helpers import Bomb
from safetensors.torch import save_file

from napari_pix2pix import __version__
from napari_pix2pix.errors import FileError
from napari_pix2pix.io import model_file
from napari_pix2pix.io.model_file import read_container, write_container
from napari_pix2pix.io.model_header import FORMAT_NAME, FORMAT_VERSION, read_header

HEADER = {"epoch": 3, "scores": {"psnr": 0.1 + 0.2}}


@pytest.fixture
def old_file(tmp_path):
    path = tmp_path / "model.safetensors"
    write_container(path, {"weight": torch.arange(1000.0)}, HEADER)
    return path


def assert_old_file_intact(path: Path) -> None:
    tensors, header = read_container(path)
    assert torch.equal(tensors["weight"], torch.arange(1000.0))
    assert header == HEADER
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(
    "tensor",
    [
        torch.tensor([0.1, -0.0, math.inf, math.nan, 1e-42]),
        torch.tensor(math.pi, dtype=torch.float64),
        torch.randn(3, 4).to(torch.bfloat16),
        torch.randn(3, 4).to(torch.float16),
        torch.tensor([2**62, -1]),
        torch.tensor([True, False]),
        torch.arange(256, dtype=torch.uint8),
        torch.empty(0, 5),
        torch.nn.Parameter(torch.ones(2)),
    ],
    ids=lambda tensor: f"{tensor.dtype}{list(tensor.shape)}",
)
def test_tensors_come_back_to_the_bit(tmp_path, tensor):
    write_container(tmp_path / "a", {"x": tensor}, {})
    back = read_container(tmp_path / "a")[0]["x"]
    assert (back.dtype, back.shape) == (tensor.dtype, tensor.shape)
    assert back.device == torch.device("cpu")
    if tensor.dtype == torch.bfloat16:  # which numpy has not
        assert torch.equal(back, tensor)
    else:
        assert back.numpy(force=True).tobytes() == tensor.numpy(force=True).tobytes()


def test_every_memory_layout_is_written(tmp_path):
    base = torch.arange(120.0).reshape(1, 2, 6, 10)
    tensors = {
        "channels_last": torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last),
        "transposed": base[0, 0].T,
        "strided": base[..., ::3],
        "part": base[0, 1, 2],
        "other part": base[0, 1, 3],
        "expanded": torch.ones(1).expand(7),
        "whole": base,
        "same": base,
        "alias": base.view(-1),
    }
    write_container(tmp_path / "a", tensors, {})
    back = read_container(tmp_path / "a")[0]
    assert back.keys() == tensors.keys()
    assert all(torch.equal(back[name], tensors[name]) for name in tensors)
    assert all(tensor.is_contiguous() for tensor in back.values())
    back["same"].zero_()
    assert torch.equal(back["whole"], base)


def test_contiguous_tensors_are_not_copied(tmp_path, monkeypatch):
    tensors = {"a": torch.ones(3), "b": torch.ones(4)}
    written: dict[str, torch.Tensor] = {}

    def save(given, path, metadata):
        written.update(given)
        save_file(given, path, metadata)

    monkeypatch.setattr(model_file, "save_file", save)
    write_container(tmp_path / "a", tensors, {})
    assert all(written[name].data_ptr() == tensors[name].data_ptr() for name in tensors)


def test_the_header_comes_back_exactly(tmp_path):
    header = {
        "floats": [0.1, 1e-300, 2 / 3, math.inf, -math.inf],
        "text": "Färbung \u2028 \0 😀",
        "nested": {"none": None, "yes": True, "empty": {}},
        "format": "the caller's own",
        "large": 2**70,
    }
    write_container(tmp_path / "a", {}, {**header, "nan": math.nan})
    for back in (read_header(tmp_path / "a"), read_container(tmp_path / "a")[1]):
        assert math.isnan(back.pop("nan"))
        assert back == header


def test_changing_what_was_read_does_not_change_the_file(old_file):
    read_container(old_file)[0]["weight"].zero_()
    assert_old_file_intact(old_file)


def test_a_file_can_be_replaced_while_it_is_in_use(old_file):
    in_use = read_container(old_file)[0]["weight"]
    write_container(old_file, {"weight": torch.zeros(5)}, {})
    assert torch.equal(in_use, torch.arange(1000.0))
    assert read_container(old_file)[0]["weight"].shape == (5,)


@pytest.mark.skipif(os.name != "posix", reason="permissions and links of POSIX")
def test_others_may_read_what_the_mask_allows_and_links_are_followed(tmp_path):
    (tmp_path / "there").mkdir()
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "there" / "model")
    plain = tmp_path / "plain"
    plain.touch()
    write_container(link, {"a": torch.ones(1)}, {})
    assert link.is_symlink()
    mode = stat.S_IMODE((tmp_path / "there" / "model").stat().st_mode)
    assert mode == stat.S_IMODE(plain.stat().st_mode)


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """Let the system refuse to write more bytes to any file, as a full disk does."""
    resource = pytest.importorskip("resource", reason="limits of POSIX")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_write_that_fails_in_the_middle_leaves_the_old_file(old_file):
    with file_size_limit(2000), pytest.raises(FileError, match="nothing was changed"):
        write_container(old_file, {"weight": torch.zeros(1000)}, {})
    assert_old_file_intact(old_file)


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), FileError),
        (KeyboardInterrupt(), KeyboardInterrupt),
    ],
)
def test_full_disk_and_interrupt_leave_the_old_file(old_file, monkeypatch, error, raised):
    def save(_tensors, path, _metadata):
        path.write_bytes(b"half")
        raise error

    monkeypatch.setattr(model_file, "save_file", save)
    with pytest.raises(raised, match="No space left on device" if raised is FileError else None):
        write_container(old_file, {"weight": torch.zeros(3)}, {})
    monkeypatch.undo()
    assert_old_file_intact(old_file)


def test_data_reach_the_disk_before_the_name_does(old_file, monkeypatch):
    order: list[str] = []
    sync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda file: (order.append("fsync"), sync(file)))
    monkeypatch.setattr(os, "replace", lambda a, b: (order.append("replace"), replace(a, b)))
    write_container(old_file, {"weight": torch.zeros(3)}, {})
    assert order == ["fsync", "replace", "fsync"]  # the file, its name, and the folder


def test_a_header_that_is_no_json_is_found_before_anything_is_written(old_file):
    with pytest.raises(TypeError, match="not JSON serializable"):
        write_container(old_file, {}, {"tensor": torch.ones(1)})
    assert_old_file_intact(old_file)


def test_places_that_can_not_be_written_are_said(tmp_path):
    with pytest.raises(FileError, match=r"no folder .*none; create it"):
        write_container(tmp_path / "none" / "model", {}, {})
    (tmp_path / "folder").mkdir()
    with pytest.raises(FileError, match="a folder has that name"):
        write_container(tmp_path / "folder", {}, {})


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may do all")
def test_no_permission_is_said(old_file):
    old_file.parent.chmod(0o500)
    try:
        with pytest.raises(FileError, match="Permission denied"):
            write_container(old_file, {}, {})
    finally:
        old_file.parent.chmod(0o700)
    old_file.chmod(0)
    with pytest.raises(FileError, match=r"Permission denied.*permissions"):
        read_container(old_file)


def test_missing_folder_and_empty_are_said(tmp_path):
    with pytest.raises(FileError, match=r"There is no file .*none"):
        read_container(tmp_path / "none")
    with pytest.raises(FileError, match="it is a folder"):
        read_container(tmp_path)
    (tmp_path / "empty").touch()
    with pytest.raises(FileError, match="is empty"):
        read_container(tmp_path / "empty")


def test_an_unreadable_file_is_said(old_file, monkeypatch):
    def refuse(*_args, **_options):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(FileError, match="Permission denied; check the file and its permissions"):
        read_header(old_file)


@pytest.mark.parametrize("length", [1, 7, 8, 9, 100, 1000, -1])
def test_a_truncated_file_is_refused(old_file, length):
    old_file.write_bytes(old_file.read_bytes()[:length])
    with pytest.raises(FileError, match="cut short or damaged"):
        read_container(old_file)
    with pytest.raises(FileError, match="cut short or damaged"):
        read_header(old_file)


@pytest.mark.parametrize("content", [b"II*\0" + bytes(100), b"hello, world", b"\0" * 64])
def test_another_kind_of_file_is_refused(tmp_path, content):
    path = tmp_path / "a"
    path.write_bytes(content)
    with pytest.raises(FileError, match="not a napari-pix2pix model"):
        read_container(path)


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}])
def test_safetensors_of_others_are_refused(tmp_path, metadata):
    save_file({"a": torch.ones(1)}, tmp_path / "a", metadata)
    with pytest.raises(FileError, match=r"not a napari-pix2pix model.*another program"):
        read_container(tmp_path / "a")


@pytest.mark.parametrize("zipped", [True, False])
def test_pytorch_checkpoints_are_refused_unexecuted(tmp_path, zipped):
    path, trap = tmp_path / "net_G.pth", tmp_path / "trap"
    torch.save({"a": Bomb(trap)}, path, _use_new_zipfile_serialization=zipped)
    for read in (read_container, read_header):
        with pytest.raises(FileError, match="is a PyTorch file"):
            read(path)
    assert not trap.exists()


def test_no_length_of_the_header_is_taken_for_a_pickle(tmp_path):
    lengths = set()
    for padding in range(400, 657, 8):
        write_container(tmp_path / "a", {}, {"padding": " " * padding})
        assert len(read_header(tmp_path / "a")["padding"]) == padding
        lengths.add((tmp_path / "a").read_bytes()[0])
    assert 0x80 in lengths  # the first byte of a pickle


@pytest.mark.parametrize(
    ("content", "said"),
    [
        # Only the version is looked at: a later one may well be arranged in another way.
        ({"version": FORMAT_VERSION + 1, "written_by": "9.8.7"}, r"9\.8\.7, in version 3 .*update"),
        (
            {"version": FORMAT_VERSION - 1, "written_by": "0.1.0", "header": {}},
            r"0\.1\.0, in version 1 .*train the model again",
        ),
        *(
            (damaged, "its header is damaged")
            for damaged in (
                *("{", "[]", "1", {}),
                {"version": FORMAT_VERSION},
                {"version": None, "header": {}},
                {"version": "one", "header": {}},
                {"version": FORMAT_VERSION, "header": 3},
            )
        ),
    ],
)
def test_other_versions_and_damaged_headers_are_refused(tmp_path, content, said):
    text = content if isinstance(content, str) else json.dumps(content)
    save_file({"a": torch.ones(1)}, tmp_path / "a", {FORMAT_NAME: text})
    with pytest.raises(FileError, match=said) as caught:
        read_container(tmp_path / "a")
    if "update" in said:
        assert __version__ in str(caught.value)


KILLED_WHILE_WRITING = """
import os, signal, sys, torch
from napari_pix2pix.io import model_file

def save(tensors, path, metadata):
    path.write_bytes(b"half")
    os.kill(os.getpid(), signal.SIGKILL)

model_file.save_file = save
model_file.write_container(sys.argv[1], {"weight": torch.zeros(3)}, {})
"""


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is POSIX")
def test_a_process_killed_while_writing_leaves_the_old_file(old_file):
    killed = subprocess.run([sys.executable, "-c", KILLED_WHILE_WRITING, str(old_file)])
    assert killed.returncode == -9
    tensors, header = read_container(old_file)
    assert torch.equal(tensors["weight"], torch.arange(1000.0))
    assert header == HEADER
    left = [path.name for path in old_file.parent.iterdir() if path != old_file]
    assert all(name.startswith(f".{old_file.name}.") for name in left)


def test_file_for_other_programs_is_named_as_such(tmp_path):
    (tmp_path / "m.onnx").write_bytes(b"\x08\x08")
    with zipfile.ZipFile(tmp_path / "m.zip", "w") as file:
        file.writestr("rdf.yaml", "type: model")
    for name in ("m.onnx", "m.zip"):
        with pytest.raises(FileError, match=f"{name} is for other programs .*made of"):
            read_container(tmp_path / name)
