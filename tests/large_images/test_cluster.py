"""The same blocks on workers of a real cluster of two processes."""

import os
import signal
import sys

import numpy as np
import pytest
from click.testing import CliRunner
from foreign_models import onnx_file
from helpers import gray_noise, make_model, noise

from napari_pix2pix import load
from napari_pix2pix.cli import main
from napari_pix2pix.errors import DeviceError, FileError, Remedy
from napari_pix2pix.io.reading import read_image
from napari_pix2pix.io.writing import write_image
from napari_pix2pix.large_images import _translate_file, connect, translate_file
from napari_pix2pix.large_images import cluster as module


@pytest.fixture(scope="module")
def gray():
    return make_model(gray_noise(48, 48), 255 - gray_noise(48, 48), dropout=0.0)


@pytest.fixture(scope="module")
def scheduler():
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=":0", silence_logs=50
    ) as made:
        yield made


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "in.zarr"
    write_image(path, gray_noise(2, 70, 90), "ZYX", {"Y": 0.5, "X": 0.25}, {})
    return path


def pids(scheduler) -> list[int]:
    from distributed import Client

    with Client(scheduler.scheduler_address, set_as_default=False) as client:
        return list(client.run(os.getpid).values())


def same(one, other) -> bool:
    """Equal but for rounding between two gray levels."""
    return int(np.abs(np.asarray(one).astype(int) - np.asarray(other)).max()) <= 1


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_a_worker_that_is_killed_within_a_block_loses_nothing(
    gray, scheduler, source, tmp_path, monkeypatch
):
    died = tmp_path / "died"

    def deadly(block, measured, *, name, job):
        """Make a block in a worker; the first one that is given the sixth dies with it."""
        from napari_pix2pix.large_images import cluster

        if block.number == 5 and not died.exists():
            died.write_text(str(os.getpid()))
            os.kill(os.getpid(), signal.SIGKILL)
        return cluster._make(block, measured, name=name, job=job)

    monkeypatch.setattr(module, "_make", deadly)
    told: list[tuple[int, int]] = []
    before = pids(scheduler)
    with connect(scheduler.scheduler_address, gray) as cluster:
        out = translate_file(gray, source, read_image(source), tmp_path / "out.zarr",
                             cluster=cluster, on_tile=lambda *done: told.append(done))  # fmt: skip
    assert int(died.read_text()) in before
    assert told == [(done, 18) for done in range(1, 19)]
    assert same(read_image(out).data, gray(gray_noise(2, 70, 90), tile=0))
    assert not (tmp_path / "out.zarr.part").exists()
    scheduler.sync(scheduler._wait_for_workers, 2)


def test_broken_off_there_and_resumed_here(gray, scheduler, source, tmp_path):
    def on_tile(done, _):
        if done == 5:
            raise KeyboardInterrupt

    image, out = read_image(source), tmp_path / "out.zarr"
    with pytest.raises(KeyboardInterrupt), connect(scheduler.scheduler_address, gray) as cluster:
        translate_file(gray, source, image, out, cluster=cluster, on_tile=on_tile)
    told: list[int] = []
    translate_file(gray, source, image, out, resume=True, on_tile=lambda done, _: told.append(done))
    assert told == list(range(6, 19))
    assert same(read_image(out).data, gray(gray_noise(2, 70, 90), tile=0))


def test_a_chunk_that_can_not_be_read_is_named_and_the_rest_kept(gray, scheduler, source, tmp_path):
    (source / "0" / "c" / "1" / "2" / "0").write_bytes(b"no chunk")
    words = r"can't be read at rows 32 to 64, columns 0 to 32 of frame 1 and \d other blocks"
    with (
        connect(scheduler.scheduler_address, gray) as cluster,
        pytest.raises(FileError, match=words),
    ):
        translate_file(gray, source, read_image(source), tmp_path / "o.zarr", cluster=cluster)
    assert len((tmp_path / "o.zarr.part" / "done.txt").read_text().splitlines()) >= 9


def test_a_folder_goes_through_and_a_bad_file_is_named(gray, scheduler, tmp_path):
    (tmp_path / "in").mkdir()
    for number in range(3):
        np.save(tmp_path / "in" / f"{number}.npy", gray_noise(40, 50, seed=number))
    (tmp_path / "in" / "bad.npy").write_bytes(b"nothing")
    gray.save(tmp_path / "model.safetensors")
    words = ["apply", tmp_path / "model.safetensors", tmp_path / "in", "-o", tmp_path / "out",
             "--scheduler", scheduler.scheduler_address]  # fmt: skip
    result = CliRunner().invoke(main, list(map(str, words)))
    assert result.exit_code == 1, result.output
    assert "bad.npy can't be read as an image" in result.stdout
    for number in range(3):
        found = read_image(tmp_path / "out" / f"{number}.tif")
        assert same(found.data, gray(gray_noise(40, 50, seed=number), tile=0))


def test_measured_frames_are_measured_once_for_all_workers(scheduler, tmp_path, monkeypatch):
    model = make_model(gray_noise(48, 48), 255 - gray_noise(48, 48), norm="instance")
    source = tmp_path / "in.zarr"
    write_image(source, gray_noise(2, 96, 96), "ZYX", {}, {})
    image = read_image(source)
    monkeypatch.setattr(_translate_file, "block_side", lambda *_, **__: 32)
    with connect(scheduler.scheduler_address, model) as cluster:
        there = translate_file(model, source, image, tmp_path / "there.zarr", cluster=cluster)
    here = translate_file(model, source, image, tmp_path / "here.zarr")
    assert same(read_image(there).data, read_image(here).data)


def test_workers_run_models_of_other_programs(scheduler, tmp_path):
    pytest.importorskip("onnxruntime", reason="needs the extra onnx")
    model = load(onnx_file(tmp_path / "plain.onnx"), halo=1)
    source, pixels = tmp_path / "in.zarr", noise(70, 90)
    write_image(source, pixels, "YX", {}, {})
    image = read_image(source)
    with connect(scheduler.scheduler_address, model) as cluster:
        out = translate_file(model, source, image, tmp_path / "out.zarr", cluster=cluster)
    np.testing.assert_allclose(read_image(out).data, model(pixels), atol=1e-5)


def test_workers_without_the_library_of_a_model_are_named(scheduler, tmp_path):
    pytest.importorskip("onnxruntime", reason="needs the extra onnx")
    model = load(onnx_file(tmp_path / "plain.onnx"), halo=1)
    model.generator.library = "no_such_library"
    words = r"worker tcp://.* lacks no_such_library, which runs this model"
    with (
        pytest.raises(DeviceError, match=words),
        connect(scheduler.scheduler_address, model),
    ):
        pass


def test_warnings_of_workers_are_heard_once(scheduler, tmp_path):
    image = np.random.default_rng(0).random((70, 90), dtype=np.float32)
    model = make_model(image, 1 - image)
    image[:40, :40] = np.nan
    write_image(tmp_path / "in.zarr", image, "YX", {}, {})
    with (
        connect(scheduler.scheduler_address, model) as cluster,
        pytest.warns(UserWarning, match="NaN or infinite") as warned,
    ):
        translate_file(model, tmp_path / "in.zarr", read_image(tmp_path / "in.zarr"),
                       tmp_path / "out.zarr", cluster=cluster)  # fmt: skip
    assert sum("NaN" in str(warning.message) for warning in warned) == 1


def test_files_that_workers_do_not_see_are_named(gray, scheduler, source, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_not_seen", lambda job: f"does not see {job.source}")
    words = r"worker tcp://.* does not see .*in\.zarr: all workers need"
    with (
        connect(scheduler.scheduler_address, gray) as cluster,
        pytest.raises(FileError, match=words),
    ):
        translate_file(gray, source, read_image(source), tmp_path / "out.zarr", cluster=cluster)
    assert not (tmp_path / "out.zarr.part").exists()


def test_a_scheduler_that_goes_is_told_and_what_is_finished_kept(gray, source, tmp_path):
    from distributed import LocalCluster

    passing = LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, dashboard_address=":0", silence_logs=50
    )

    def on_tile(done, _):
        if done == 2:
            passing.close()

    with (
        pytest.raises(DeviceError, match=r"is lost; finished blocks are kept: resume the run"),
        connect(passing.scheduler_address, gray) as cluster,
    ):
        translate_file(gray, source, read_image(source), tmp_path / "out.zarr",
                       cluster=cluster, on_tile=on_tile)  # fmt: skip
    assert (tmp_path / "out.zarr.part" / "done.txt").read_text().count("\n") >= 2


def test_blocks_that_workers_die_of_are_told():
    from distributed.scheduler import KilledWorker

    words = r"4 workers died one after another at the same block.*smaller tile"
    with (
        pytest.raises(DeviceError, match=words) as caught,
        module._cluster_errors("tcp://127.0.0.1:1"),
    ):
        raise KilledWorker("block", None, 3)
    assert caught.value.remedies == (Remedy.SMALLER_TILE, Remedy.RESUME)


def test_no_scheduler_no_worker_no_distributed(gray, monkeypatch):
    from distributed import Client, LocalCluster

    words = r"No scheduler answers at tcp://127\.0\.0\.1:1 "
    with monkeypatch.context() as hasty:
        hasty.setattr(module, "_TIMEOUT", 0.5)
        with pytest.raises(DeviceError, match=words), connect("tcp://127.0.0.1:1", gray):
            pass
    wait = Client.wait_for_workers
    monkeypatch.setattr(Client, "wait_for_workers", lambda client, n, timeout: wait(client, n, 0.1))
    with LocalCluster(n_workers=0, processes=False, dashboard_address=":0") as empty:
        words = r"has no workers: start some with `dask worker "
        with pytest.raises(DeviceError, match=words), connect(empty.scheduler_address, gray):
            pass
    monkeypatch.setitem(sys.modules, "distributed", None)
    with (
        pytest.raises(DeviceError, match=r"pip install 'napari-pix2pix\[distributed\]'"),
        connect("tcp://127.0.0.1:1", gray),
    ):
        pass


def test_objects_have_the_numbers_of_the_whole(scheduler, tmp_path):
    rows, columns = np.mgrid[:96, :96] // 12
    labels = (rows * 8 + columns + 1) * (np.mgrid[:96, :96] % 12 > 2).all(axis=0)
    image = np.uint8(200) * (labels > 0).astype(np.uint8)
    fields = {"steps": 80, "width": 8, "target_kind": "instances", "smallest": 4}
    model = make_model(image[:60, :60], labels[:60, :60].astype(np.uint8), **fields)
    source = tmp_path / "in.zarr"
    write_image(source, image, "YX")
    with connect(scheduler.scheduler_address, model) as cluster:
        out = translate_file(
            model, source, read_image(source), tmp_path / "out.zarr", cluster=cluster
        )
    found = np.asarray(read_image(out).data)
    assert found.max() > 32
    np.testing.assert_array_equal(found, model(image))
