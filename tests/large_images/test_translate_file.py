import errno
import json
import shutil
from dataclasses import replace
from pathlib import Path

import helpers
import numpy as np
import pytest
import tifffile
import zarr
from helpers import gray_noise

from napari_pix2pix import train
from napari_pix2pix.data.pixel_size import PixelSize
from napari_pix2pix.errors import DeviceError, FileError, InputError, Remedy
from napari_pix2pix.inference import devices
from napari_pix2pix.inference.options import PredictOptions
from napari_pix2pix.io import _tiff_writing, resumable
from napari_pix2pix.io.image_file import ImageFile
from napari_pix2pix.io.reading import read_image
from napari_pix2pix.io.writing import write_image
from napari_pix2pix.io.zarr_file import create_zarr
from napari_pix2pix.large_images import _translate_file, translate_file
from napari_pix2pix.large_images._job import Work
from napari_pix2pix.training.made_for import MadeFor
from napari_pix2pix.translator import Translator

TINY = helpers.TINY | {"dropout": 0.0, "steps": 1, "validation": 0.0, "adversarial_weight": 0.0}
SCALE = {"Z": 2.0, "Y": 0.5, "X": 0.25}
UNITS = dict.fromkeys(SCALE, "micrometer")
UNIT_SIZE = PixelSize(0.6, 0.6)


def invert(**fields) -> Translator:
    return train(gray_noise(48, 48), 255 - gray_noise(48, 48), **{**TINY, **fields})


@pytest.fixture(scope="module")
def gray():
    return invert()


@pytest.fixture(scope="module")
def whole(gray):
    """What the model makes of the source at once."""
    return gray(gray_noise(2, 70, 90), tile=0)


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "in.zarr"
    write_image(path, gray_noise(2, 70, 90), "ZYX", SCALE, UNITS)
    return path


def apply(translator: Translator, source: Path, out: Path, **how) -> Path:
    fields = {name: how.pop(name) for name in PredictOptions.model_fields if name in how}
    options = PredictOptions(**fields)
    return translate_file(translator, source, read_image(source), out, options, **how)


def count_blocks(monkeypatch: pytest.MonkeyPatch):
    """Collect the blocks that are computed from now on."""
    computed = []
    translate = Work.translate

    def counted(self, read, block, *measured):
        computed.append(block)
        return translate(self, read, block, *measured)

    monkeypatch.setattr(Work, "translate", counted)
    return computed


def break_off(monkeypatch, count: int, *arguments, **how) -> None:
    """Apply, and break off as a kill would, when so many blocks have been computed."""
    translate, seen = Work.translate, []

    def broken(self, read, block, *measured):
        seen.append(block)
        if len(seen) > count:
            raise KeyboardInterrupt
        return translate(self, read, block, *measured)

    with monkeypatch.context() as patch:
        patch.setattr(Work, "translate", broken)
        with pytest.raises(KeyboardInterrupt):
            apply(*arguments, **how)


def near(one, other) -> bool:
    """Equal but for rounding between two gray levels."""
    return int(np.abs(np.asarray(one).astype(int) - np.asarray(other)).max()) <= 1


# --- what comes out ----------------------------------------------------------------------------


def test_ome_zarr_is_that_of_the_whole_with_its_geometry(gray, whole, source, tmp_path):
    out = apply(gray, source, tmp_path / "out.zarr")
    found = read_image(out)
    assert (found.axes, dict(found.scale), dict(found.units)) == ("ZYX", SCALE, UNITS)
    assert near(found.data, whole)
    assert not (tmp_path / "out.zarr.part").exists()


def test_pyramid_halves_until_it_is_small(gray, tmp_path):
    source = tmp_path / "in.zarr"
    write_image(source, gray_noise(601, 300), "YX", SCALE, UNITS)
    group = zarr.open_group(apply(gray, source, tmp_path / "out.zarr"), mode="r")
    assert [group[str(level)].shape for level in range(3)] == [(601, 300), (301, 150), (151, 75)]
    np.testing.assert_array_equal(group["2"][...], group["0"][::4, ::4])
    (image,) = group.attrs["ome"]["multiscales"]
    assert [axis["unit"] for axis in image["axes"]] == ["micrometer"] * 2
    scales = [level["coordinateTransformations"][0]["scale"] for level in image["datasets"]]
    assert scales == [[0.5, 0.25], [1.0, 0.5], [2.0, 1.0]]


@pytest.mark.parametrize("name", ["out.ome.tif", "out.tif", "out.npy"])
@pytest.mark.parametrize("tiled", [False, True])
def test_other_formats(gray, whole, source, tmp_path, monkeypatch, name, tiled):
    if tiled:
        monkeypatch.setattr(_tiff_writing, "_WHOLE_BYTES", 0)
        monkeypatch.setattr(_tiff_writing, "TILE", 32)
    out = apply(gray, source, tmp_path / name)
    if name.endswith(".npy"):
        assert near(np.load(out), whole)
        return
    found = read_image(out)
    assert (found.axes, dict(found.scale), dict(found.units)) == ("ZYX", SCALE, UNITS)
    assert near(found.data, whole)
    with tifffile.TiffFile(out) as tiff:
        assert tiff.pages[0].is_tiled == tiled


@pytest.mark.parametrize("tiled", [False, True])
def test_colours_and_channels(tmp_path, monkeypatch, tiled):
    monkeypatch.setattr(_tiff_writing, "_WHOLE_BYTES", 0 if tiled else 1 << 28)
    monkeypatch.setattr(_tiff_writing, "TILE", 48)
    two, colours = gray_noise(2, 70, 40), gray_noise(70, 40, 3)
    paint = train(two[:, :40], colours[:40], channel_axis=(0, None), **TINY)
    image = ImageFile(data=two, axes="CYX", channel_names=("a", "b"))
    np.save(tmp_path / "in.npy", two)
    out = translate_file(paint, tmp_path / "in.npy", image, tmp_path / "out.tif")
    assert near(read_image(out).data, paint(two, tile=0))
    out = translate_file(paint, tmp_path / "in.npy", image, tmp_path / "out.zarr")
    assert near(np.moveaxis(read_image(out).data, 0, 2), paint(two, tile=0))
    back = train(two[:, :40], 255 - two[:, :40], channel_axis=0, **TINY)
    image = ImageFile(data=np.stack([two] * 3), axes="ZCYX", channel_names=("a", "b"))
    out = translate_file(back, tmp_path / "in.npy", image, tmp_path / "names.zarr")
    found = read_image(out)
    assert (found.axes, found.shape, found.channel_names) == ("CZYX", (2, 3, 70, 40), ())
    assert near(found.data, np.moveaxis(back(np.stack([two] * 3), tile=0), 1, 0))


def test_a_part_is_that_of_the_whole_and_lies_in_its_place(gray, whole, source, tmp_path):
    out = apply(gray, source, tmp_path / "out.zarr", region="5:64,33:", frames="1:2")
    group = zarr.open_group(out, mode="r")
    assert near(group["0"][...], whole[1:2, 5:64, 33:])
    level = group.attrs["ome"]["multiscales"][0]["datasets"][0]
    place = level["coordinateTransformations"][1]
    assert place == {"type": "translation", "translation": [2.0, 2.5, 8.25]}


def test_neighbours_lie_beyond_the_chosen_frames(tmp_path):
    stack = gray_noise(4, 40, 40)
    model = train(stack, 255 - stack, z_context=1, **TINY)
    image = ImageFile(data=stack, axes="ZYX")
    np.save(tmp_path / "in.npy", stack)
    out = translate_file(model, tmp_path / "in.npy", image, tmp_path / "o.npy", frames="2:3")
    assert near(np.load(out), model(stack, tile=0)[2:3])


def test_networks_that_measure_the_image_take_frames_whole(tmp_path, monkeypatch, source):
    model = invert(norm="instance")
    blocks = count_blocks(monkeypatch)
    out = apply(model, source, tmp_path / "out.npy", region="0:20,0:20")
    assert len(blocks) == 2
    assert near(np.load(out), model(gray_noise(2, 70, 90))[:, :20, :20])


# --- bounded memory ----------------------------------------------------------------------------


def test_only_what_a_region_needs_is_read_of_a_huge_image(gray, tmp_path):
    array = create_zarr(tmp_path / "huge.zarr", (32768, 32768), np.dtype("uint8"), "YX")
    read = []

    class Watched:
        shape, dtype = array.shape, array.dtype

        def __getitem__(self, window):
            read.append(tuple(span.stop - span.start for span in window))
            return array[window]

    image = ImageFile(data=Watched(), axes="YX")
    region = "16000:16064,32700:32768"
    info = gray.info
    gray.info = replace(info, intensities=None)
    try:
        out = translate_file(gray, tmp_path / "huge.zarr", image, tmp_path / "o.npy", region=region)
    finally:
        gray.info = info
    assert np.load(out).shape == (64, 68)
    assert len(read) == 6
    halo = gray.generator.halo + gray.generator.stride
    assert max(max(size) for size in read) <= 32 + 2 * halo + gray.generator.stride


def test_blocks_of_a_large_image_fit_into_memory(gray, monkeypatch):
    from napari_pix2pix.data.box import Box
    from napari_pix2pix.data.lazy_image import LazyImage

    monkeypatch.setattr(_translate_file, "_LARGEST", 4096)
    planes = LazyImage(np.broadcast_to(np.uint8(0), (32768, 32768)))
    options = PredictOptions(device="cpu")
    sides = []
    for free in (1 << 22, 1 << 24, 1 << 40):
        monkeypatch.setattr(devices, "free_memory", lambda _, free=free: free)
        sides.append(_translate_file._side(gray, planes, Box(0, 32768, 0, 32768), options, "cpu"))
    assert sides == sorted(sides)
    assert sides[0] < sides[-1] <= 4096
    assert all(side % 32 == 0 for side in sides)


# --- broken off and resumed --------------------------------------------------------------------


def files_of(path: Path) -> dict[str, bytes]:
    return {p.relative_to(path).as_posix(): p.read_bytes() for p in path.rglob("*") if p.is_file()}


def test_resumed_is_identical_and_does_nothing_twice(gray, source, tmp_path, monkeypatch):
    (tmp_path / "whole").mkdir()
    whole = apply(gray, source, tmp_path / "whole" / "out.zarr")
    out = tmp_path / "out.zarr"
    break_off(monkeypatch, 7, gray, source, out)
    assert not out.exists()
    journal = tmp_path / "out.zarr.part" / "done.txt"
    with journal.open("a") as file:
        file.write("17 123")  # cut short
    finished = len(journal.read_text().splitlines()) - 1
    blocks = count_blocks(monkeypatch)
    apply(gray, source, out, resume=True)
    assert len(blocks) + finished == 18
    assert finished >= 6
    assert files_of(out) == files_of(whole)


@pytest.mark.parametrize("how", [{"overwrite": True}, {"resume": True}, {}])
def test_a_second_run_on_one_output_is_refused_and_the_first_is_right(
    gray, whole, source, tmp_path, how
):
    out, refused = tmp_path / "out.zarr", []

    def begin_second(done: int, total: int) -> None:
        try:
            apply(gray, source, out, **how)
        except FileError as error:
            refused.append(str(error))

    apply(gray, source, out, on_tile=begin_second)
    assert len(refused) > 1
    assert {"is being written by another run" in one for one in refused} == {True}
    assert near(read_image(out).data, whole)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.zarr", "out.zarr"]


@pytest.mark.parametrize("loss", ["missing chunk", "half a chunk", "zeros", "damaged journal"])
def test_blocks_that_a_loss_of_power_took_are_made_again(gray, source, tmp_path, monkeypatch, loss):
    (tmp_path / "whole").mkdir()
    whole = files_of(apply(gray, source, tmp_path / "whole" / "out.zarr"))
    out = tmp_path / "out.zarr"
    break_off(monkeypatch, 3, gray, source, out)
    part = tmp_path / "out.zarr.part"
    chunks = sorted(path for path in (part / "image.zarr" / "0" / "c").rglob("*") if path.is_file())
    if loss == "missing chunk":
        chunks[0].unlink()
    elif loss == "half a chunk":
        chunks[0].write_bytes(chunks[0].read_bytes()[:20])
    elif loss == "zeros":
        chunks[0].write_bytes(bytes(chunks[0].stat().st_size))
    else:
        lines = (part / "done.txt").read_bytes()
        (part / "done.txt").write_bytes(b"\0\xff7 \n" + lines + b"99999999 1 1\n12 3")
    (part / "image.zarr" / "0" / "c" / "0.abc.partial").touch()
    assert files_of(apply(gray, source, out, resume=True)) == whole
    assert not part.exists()


def test_a_source_that_changes_meanwhile_is_said(gray, source, tmp_path):
    def change(done: int, total: int) -> None:
        (source / "new").touch()

    with pytest.warns(UserWarning, match="has changed while it was read"):
        apply(gray, source, tmp_path / "out.zarr", on_tile=change)


def test_an_unfinished_run_is_neither_lost_nor_taken_for_another(
    gray, source, tmp_path, monkeypatch
):
    out = tmp_path / "out.zarr"
    break_off(monkeypatch, 4, gray, source, out)
    words = r"out\.zarr\.part holds what an earlier run has finished: resume that run"
    with pytest.raises(FileError, match=words) as caught:
        apply(gray, source, out)
    assert caught.value.remedies == (Remedy.RESUME, Remedy.OVERWRITE)
    with pytest.raises(FileError, match="started with another region or frames"):
        apply(gray, source, out, resume=True, region="0:10,0:10")
    with pytest.raises(FileError, match="started with another options"):
        apply(gray, source, out, resume=True, output="float")
    other = train(gray_noise(48, 48, seed=5), gray_noise(48, 48), **TINY)
    with pytest.raises(FileError, match="started with another model"):
        apply(other, source, out, resume=True)
    assert (tmp_path / "out.zarr.part" / "done.txt").read_text()
    apply(gray, source, out, overwrite=True)
    assert near(read_image(out).data, gray(gray_noise(2, 70, 90), tile=0))


def test_a_source_that_changed_is_refused(gray, source, tmp_path, monkeypatch):
    out = tmp_path / "out.zarr"
    break_off(monkeypatch, 4, gray, source, out)
    level = zarr.open_array(source / "0", mode="r+")
    level[1, 69, 89] ^= 1  # where nothing is finished: what there is stays right
    break_off(monkeypatch, 1, gray, source, out, resume=True)
    level[0, 3, 3] ^= 1
    with pytest.raises(FileError, match="has changed since the run that is resumed, at rows 0 to"):
        apply(gray, source, out, resume=True)


def test_a_file_that_is_there_is_kept(gray, source, tmp_path):
    (tmp_path / "out.npy").write_bytes(b"mine")
    for resume in (False, True):
        with pytest.raises(FileError, match=r"out\.npy exists: choose another name"):
            apply(gray, source, tmp_path / "out.npy", resume=resume)
    assert (tmp_path / "out.npy").read_bytes() == b"mine"
    apply(gray, source, tmp_path / "out.npy", overwrite=True)
    assert np.load(tmp_path / "out.npy").shape == (2, 70, 90)


def test_begun_without_its_record_begins_anew(gray, source, tmp_path):
    (tmp_path / "out.npy.part").mkdir()
    out = apply(gray, source, tmp_path / "out.npy", resume=True)
    assert np.load(out).shape == (2, 70, 90)


# --- networks that measure each image ----------------------------------------------------------


@pytest.fixture(scope="module")
def measuring():
    return invert(norm="instance")


def test_a_frame_that_is_measured_is_cut_into_blocks_that_share_it(
    measuring, source, tmp_path, monkeypatch
):
    whole = apply(measuring, source, tmp_path / "whole.zarr")  # it fits: one block a frame
    monkeypatch.setattr(_translate_file, "block_side", lambda *_, **__: 32)
    blocks = count_blocks(monkeypatch)
    out = apply(measuring, source, tmp_path / "out.zarr", output="float")
    assert len(blocks) == 18
    made, wanted = (np.asarray(read_image(path).data, float) for path in (out, whole))
    assert np.abs(made - wanted).max() < 3  # of 255: measured in windows, and not rounded
    assert np.abs(made - wanted).mean() < 0.6


def test_a_resumed_run_measures_nothing_anew(measuring, source, tmp_path, monkeypatch):
    monkeypatch.setattr(_translate_file, "block_side", lambda *_, **__: 32)
    (tmp_path / "whole").mkdir()
    whole = apply(measuring, source, tmp_path / "whole" / "out.zarr")
    out = tmp_path / "out.zarr"
    break_off(monkeypatch, 4, measuring, source, out)
    monkeypatch.setattr(Work, "measure", lambda *_: pytest.fail("measured again"))
    apply(measuring, source, out, resume=True)
    assert files_of(out) == files_of(whole)


@pytest.mark.parametrize("name", ["mean", "std"])
def test_each_draw_of_a_summary_is_measured_by_itself(name, source, tmp_path, monkeypatch):
    model = invert(norm="instance", noise_channels=4, noise="pixel")
    whole = getattr(model.spread(gray_noise(2, 70, 90), 3, seed=1, tile=0), name)
    monkeypatch.setattr(_translate_file, "block_side", lambda *_, **__: 32)
    blocks = count_blocks(monkeypatch)
    out = apply(model, source, tmp_path / "out.zarr", summary=name, samples=3, seed=1)
    assert len(blocks) == 18
    np.testing.assert_allclose(np.asarray(read_image(out).data), whole, atol=0.01)


def test_a_frame_that_can_not_be_measured_is_named(measuring, source, tmp_path, monkeypatch):
    monkeypatch.setattr(_translate_file, "block_side", lambda *_, **__: 32)
    (source / "0" / "c" / "1" / "2" / "0").write_bytes(b"no chunk")
    with pytest.raises(FileError, match=r"Frame 1 of .*in\.zarr can't be measured, since a part"):
        apply(measuring, source, tmp_path / "out.zarr")


# --- bad input ---------------------------------------------------------------------------------


def test_a_chunk_that_can_not_be_read_is_named_and_the_rest_kept(
    gray, source, tmp_path, monkeypatch
):
    chunk = source / "0" / "c" / "1" / "2" / "0"
    good, out = chunk.read_bytes(), tmp_path / "out.zarr"
    chunk.write_bytes(b"no chunk")
    words = r"can't be read at rows 32 to 64, columns 0 to 32 of frame 1 and \d other blocks"
    with pytest.raises(FileError, match=words) as caught:
        apply(gray, source, out)
    assert str(caught.value).endswith("repair the source and resume the run.")
    assert caught.value.remedies == (Remedy.RESUME,)
    chunk.write_bytes(good)
    blocks = count_blocks(monkeypatch)
    apply(gray, source, out, resume=True)
    assert 0 < len(blocks) < 9
    assert {block.frame for block in blocks} == {1}
    assert near(read_image(out).data, gray(gray_noise(2, 70, 90), tile=0))


def test_a_source_of_which_nothing_can_be_read_leaves_nothing(gray, tmp_path):
    write_image(tmp_path / "in.zarr", gray_noise(32, 32))
    for chunk in (tmp_path / "in.zarr").rglob("c/**/*"):
        if chunk.is_file():
            chunk.write_bytes(b"no chunk")
    out = tmp_path / "out.zarr"
    with pytest.raises(FileError, match="repair the source, and translate it again") as caught:
        apply(gray, tmp_path / "in.zarr", out)
    assert caught.value.remedies == ()
    assert [file.name for file in tmp_path.iterdir()] == ["in.zarr"]


def test_a_chunk_of_nan_is_warned_of(tmp_path):
    image = np.random.default_rng(0).random((70, 90), dtype=np.float32)
    model = train(image, 1 - image, **TINY)
    image[:32, :32] = np.nan
    np.save(tmp_path / "in.npy", image)
    made = ImageFile(data=image, axes="YX")
    with pytest.warns(UserWarning, match="NaN or infinite"):
        out = translate_file(model, tmp_path / "in.npy", made, tmp_path / "out.npy")
    assert np.isfinite(np.load(out)).all()


def test_a_full_disk_keeps_what_is_finished(gray, source, tmp_path, monkeypatch):
    out, write = tmp_path / "out.zarr", zarr.Array.__setitem__
    written = []

    def full(self, window, pixels):
        if len(written) == 5:
            raise OSError(errno.ENOSPC, "No space left on device")
        if self.shape == (2, 70, 90):  # and not a trial of the format
            written.append(window)
        write(self, window, pixels)

    with monkeypatch.context() as patch:
        patch.setattr(zarr.Array, "__setitem__", full)
        with pytest.raises(FileError, match=r"No space left on device; finished blocks are kept"):
            apply(gray, source, out)
    blocks = count_blocks(monkeypatch)
    apply(gray, source, out, resume=True)
    assert len(blocks) == 18 - 5
    assert near(read_image(out).data, gray(gray_noise(2, 70, 90), tile=0))


def test_a_full_disk_at_the_end_keeps_all(gray, source, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(resumable, "finish_zarr", full)
        with pytest.raises(FileError, match="No space left"):
            apply(gray, source, tmp_path / "out.zarr")
    blocks = count_blocks(monkeypatch)
    apply(gray, source, tmp_path / "out.zarr", resume=True)
    assert not blocks


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"region": "5:3,0:9"}, "rows of the region 5:3 are not within 0:70"),
        ({"region": "0:9"}, "TOP:BOTTOM,LEFT:RIGHT"),
        ({"region": "a:9,0:9"}, "rows of the region are FIRST:END"),
        ({"frames": "0:3"}, "frames 0:3 are not within 0:2"),
        ({"frames": "1"}, "frames are FIRST:END"),
        ({"samples": 2}, "all 2 samples would be the same"),
        ({"condition": "x"}, "no conditions"),
    ],
)
def test_what_can_not_be_done_is_refused_before_work(gray, source, tmp_path, how, words):
    with pytest.raises(InputError, match=words):
        apply(gray, source, tmp_path / "out.zarr", **how)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.zarr"]


def test_the_record_says_what_a_run_is_made_of(gray, source, tmp_path, monkeypatch):
    break_off(monkeypatch, 2, gray, source, tmp_path / "out.zarr", seed=3)
    run = json.loads((tmp_path / "out.zarr.part" / "run.json").read_text())
    assert run["model"] == gray.digest
    assert run["options"]["seed"] == 3
    assert run["source"] == [[2, 70, 90], "uint8", "ZYX"]
    shutil.rmtree(tmp_path / "out.zarr.part")


@pytest.mark.parametrize("size", [0.3, 1.4])
def test_blocks_at_the_models_pixel_size_equal_the_whole(gray, tmp_path, size):
    model = Translator(gray.tensors, replace(gray.info, made_for=MadeFor(pixel_size=UNIT_SIZE)))
    array = gray_noise(2, 70, 90)
    stated = {"Z": 2.0, "Y": size, "X": size}
    source = write_image(tmp_path / "in.zarr", array, "ZYX", stated, UNITS)
    out = apply(model, source, tmp_path / "out.zarr", resample=True)
    made = read_image(out)
    np.testing.assert_allclose(
        np.asarray(made.data).astype(int), model(array, resample=True, pixel_size=size), atol=1
    )
    assert (made.scale, made.shape) == (stated, array.shape)


def test_resampling_needs_a_pixel_size_before_anything_is_written(gray, source, tmp_path):
    with pytest.raises(InputError, match="does not know the pixel size"):
        apply(gray, source, tmp_path / "out.zarr", resample=True)
    assert not list(tmp_path.glob("out*"))


def test_memory_that_runs_out_keeps_finished_blocks(gray, whole, source, tmp_path, monkeypatch):
    out = tmp_path / "out.zarr"

    def write(*_):
        raise MemoryError

    with monkeypatch.context() as patched:
        patched.setattr(resumable.ResumableImage, "write", write)
        with pytest.raises(DeviceError, match=r"in.zarr was translated. .* resume with smaller"):
            apply(gray, source, out)
    assert not out.exists()
    apply(gray, source, out, overwrite=True)
    assert np.array_equal(read_image(out).data, whole)
