"""Image files that a user may have: what is read is what the file shows, or it is refused."""

import os
import re
import struct
import warnings
from pathlib import Path
from xml.sax.saxutils import quoteattr

import imagecodecs
import numpy as np
import pytest
import tifffile
from click.testing import CliRunner
from helpers import TINY, integer_noise
from npe2 import DynamicPlugin, PluginManager
from PIL import Image

from napari_pix2pix import evaluate, train
from napari_pix2pix.cli import main
from napari_pix2pix.data.lazy_image import LazyImage
from napari_pix2pix.errors import FileError, InputError
from napari_pix2pix.io import _tiff
from napari_pix2pix.io.datasets import read_pairs
from napari_pix2pix.io.paths import expand_paths
from napari_pix2pix.io.reading import read_image

GRAY = integer_noise(20, 30)
RGB = integer_noise(20, 30, 3)
RGB16 = integer_noise(20, 30, 3, dtype=np.uint16)
GRAY16 = integer_noise(20, 30, dtype=np.uint16)
LABELS = (np.arange(600).reshape(20, 30) % 5).astype(np.uint8)
COLOURS = [0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 9, 0]


def same(path, expected, axes, given=None):
    image = read_image(path, given)
    assert (image.axes, image.dtype) == (axes, expected.dtype)
    np.testing.assert_array_equal(np.asarray(image.data), expected)
    return image


@pytest.fixture
def by_window(monkeypatch):
    """Read small TIFF files by window, as large ones are, and close them at the end."""
    stores = []

    def aszarr(series, **options):
        stores.append(open_store(series, **options))
        return stores[-1]

    open_store = tifffile.TiffPageSeries.aszarr
    monkeypatch.setattr(tifffile.TiffPageSeries, "aszarr", aszarr)
    monkeypatch.setattr(_tiff, "_EAGER_BYTES", 10)
    yield
    for store in stores:
        store.close()


@pytest.fixture(params=["in memory", "by window"])
def reading(request):
    if request.param == "by window":
        request.getfixturevalue("by_window")


# The file that is named, and no other one


def element(group, number, kind, value):
    value = value.encode() if isinstance(value, str) else value
    value += b" " * (len(value) % 2)
    if kind == "OW":
        return struct.pack("<HH2sHI", group, number, b"OW", 0, len(value)) + value
    return struct.pack("<HH2sH", group, number, kind.encode(), len(value)) + value


def write_dicom(path, array, *, series="1.2.9", number=1, frames=1, photometric="MONOCHROME2"):
    """Write a slice of a series, uncompressed."""
    fields = {
        (0x8, 0x18): ("UI", f"1.2.3.{number}"),
        (0x20, 0xD): ("UI", "1.2.8\0"),
        (0x20, 0xE): ("UI", f"{series}\0"),
        (0x20, 0x13): ("IS", str(number)),
        (0x20, 0x32): ("DS", f"0\\0\\{number}"),
        (0x20, 0x37): ("DS", "1\\0\\0\\0\\1\\0"),
        (0x28, 0x4): ("CS", photometric),
        (0x28, 0x8): ("IS", str(frames)),
        (0x28, 0x30): ("DS", "0.5\\0.25"),
        (0x28, 0x1052): ("DS", "0"),
        (0x28, 0x1053): ("DS", "1"),
    }
    rows, columns = array.shape[-2:]
    numbers = {0x2: 1, 0x10: rows, 0x11: columns, 0x100: 16, 0x101: 16, 0x102: 15, 0x103: 0}
    fields |= {(0x28, key): ("US", struct.pack("<H", value)) for key, value in numbers.items()}
    fields[0x7FE0, 0x10] = ("OW", array.astype("<u2").tobytes())
    syntax = element(2, 0x10, "UI", "1.2.840.10008.1.2.1\0")
    meta = element(2, 0, "UL", struct.pack("<I", len(syntax))) + syntax
    body = b"".join(element(*tag, *fields[tag]) for tag in sorted(fields))
    path.write_bytes(bytes(128) + b"DICM" + meta + body)


def test_one_dicom_is_read_and_not_its_neighbours(tmp_path):
    slices = {
        f"{series}{number}.dcm": GRAY.astype(np.int16) + 10 * number + series
        for series in (1, 2)
        for number in (1, 2, 3)
    }
    for name, array in slices.items():
        write_dicom(tmp_path / name, array, series=f"1.2.{name[0]}", number=int(name[1]))
    for name, array in slices.items():
        np.testing.assert_array_equal(read_image(tmp_path / name).data, array)
    assert [path.name for path in expand_paths(tmp_path)] == list(slices)


@pytest.mark.parametrize(
    ("stated", "words"),
    [({"frames": 3}, "holds 3 frames, of which"), ({"photometric": "MONOCHROME1"}, "white as 0")],
)
def test_dicom_that_would_lose_frames_or_be_a_negative_is_refused(tmp_path, stated, words):
    write_dicom(tmp_path / "a.dcm", np.stack([GRAY] * stated.get("frames", 1)), **stated)
    with pytest.raises(InputError, match=words):
        read_image(tmp_path / "a.dcm")


@pytest.fixture
def plugin():
    """A plugin for .xyz, which reads arrays of 20 x 30 bytes."""
    manager = PluginManager.instance()
    manager.discover()
    with DynamicPlugin("xyz-reader", plugin_manager=manager) as made:
        yield made


def first_of_folder(paths, *, resolve):
    path = Path(paths[0] if isinstance(paths, list) else paths)
    path = path.resolve() if resolve else path
    first = sorted(path.parent.glob("*.xyz"))[0]
    return [(np.frombuffer(first.read_bytes(), np.uint8).reshape(20, 30),)]


@pytest.mark.parametrize("resolve", [False, True])
def test_plugin_that_reads_the_first_file_of_a_folder_is_given_one(tmp_path, plugin, resolve):
    @plugin.contribute.reader(filename_patterns=["*.xyz"])
    def get_reader(path):
        return lambda paths: first_of_folder(paths, resolve=resolve)

    for name in "ab":
        (tmp_path / f"{name}.xyz").write_bytes((GRAY + (name == "b")).tobytes())
    same(tmp_path / "b.xyz", GRAY + 1, "YX")
    assert [path.name for path in expand_paths(tmp_path)] == ["a.xyz", "b.xyz"]


def test_plugin_finds_what_belongs_to_a_file(tmp_path, plugin):
    @plugin.contribute.reader(filename_patterns=["*.xyz"])
    def get_reader(path):
        def read(paths):
            path = Path(paths[0] if isinstance(paths, list) else paths)
            raw = path.with_suffix(".raw").read_bytes()
            inner = path.with_name(f"_{path.stem}_") / "more"
            return [(np.frombuffer(raw + inner.read_bytes(), np.uint8).reshape(20, 30),)]

        return read

    for name in "ab":
        (tmp_path / f"{name}.xyz").touch()
        content = (GRAY + (name == "b")).tobytes()
        (tmp_path / f"{name}.raw").write_bytes(content[:100])
        (tmp_path / f"_{name}_").mkdir()
        (tmp_path / f"_{name}_" / "more").write_bytes(content[100:])
    same(tmp_path / "b.xyz", GRAY + 1, "YX")


def test_lazy_array_of_a_plugin_can_be_read_later(tmp_path, plugin):
    import dask
    import dask.array as da

    @plugin.contribute.reader(filename_patterns=["*.xyz"])
    def get_reader(path):
        def read(paths):
            later = dask.delayed(first_of_folder)(paths, resolve=False)[0][0]
            return [(da.from_delayed(later, (20, 30), np.uint8),)]

        return read

    for name in "ab":
        (tmp_path / f"{name}.xyz").write_bytes((GRAY + (name == "b")).tobytes())
    same(tmp_path / "b.xyz", GRAY + 1, "YX")


def test_damaged_file_is_not_replaced_by_its_neighbour(tmp_path, plugin):
    @plugin.contribute.reader(filename_patterns=["*.xyz"])
    def get_reader(path):
        return lambda paths: first_of_folder(paths, resolve=False)

    (tmp_path / "a.xyz").write_bytes(GRAY.tobytes())
    (tmp_path / "b.xyz").write_bytes(b"cut")
    with pytest.raises(FileError, match=r"b\.xyz can't be read as an image \(.*folder of its own"):
        read_image(tmp_path / "b.xyz")


# All bits


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("a.png", imagecodecs.png_encode),
        ("a.jp2", lambda array: imagecodecs.jpeg2k_encode(array, level=0)),
        ("a.jxl", lambda array: imagecodecs.jpegxl_encode(array, lossless=True)),
    ],
)
@pytest.mark.parametrize("array", [RGB16, GRAY16], ids=["colour", "gray"])
def test_16_bits_stay_16_bits(tmp_path, name, write, array):
    (tmp_path / name).write_bytes(write(array))
    same(tmp_path / name, array, "YXS"[: array.ndim])


@pytest.mark.parametrize("samples", [2, 4])
def test_16_bit_png_with_alpha_keeps_its_bits(tmp_path, samples):
    array = integer_noise(20, 30, samples, dtype=np.uint16)
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(array))
    same(tmp_path / "a.png", array, "YXC", "YXC")
    expected = LazyImage(array[..., :3], rgb=True) if samples == 4 else LazyImage(array[..., 0])
    read = read_pairs(tmp_path / "a.png", tmp_path / "a.png")[0][0].source
    whole = slice(None), slice(None)
    np.testing.assert_array_equal(read.read(0, *whole), expected.read(0, *whole))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"P5\n# by hand\n30 20\n4095\n" + (GRAY16 % 4096).astype(">u2").tobytes(), GRAY16 % 4096),
        (b"P6 30 20 65535\n" + RGB16.astype(">u2").tobytes(), RGB16),
        (b"P2 3 2 7\n1 2 3\n4 5 6\n", np.uint8([[1, 2, 3], [4, 5, 6]])),
    ],
)
def test_netpbm_is_not_stretched(tmp_path, content, expected):
    (tmp_path / "a.pnm").write_bytes(content)
    same(tmp_path / "a.pnm", expected, "YXS"[: expected.ndim])


@pytest.mark.parametrize("array", [GRAY, GRAY16, RGB, RGB16])
def test_png_of_any_depth_comes_back(tmp_path, array):
    from napari_pix2pix.io.writing import write_image

    same(write_image(tmp_path / "a.png", array), array, "YXS"[: array.ndim])


# Alpha


DATA = integer_noise(24, 32, 4, dtype=np.uint16)
OPAQUE = np.concatenate([DATA[..., :3], np.full((24, 32, 1), 65535, np.uint16)], axis=-1)


@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_fourth_channel_that_may_be_data_is_refused_in_python(dtype):
    array, target = DATA.astype(dtype), DATA[..., 0]
    with pytest.raises(InputError, match="fourth channel varies and may be data"):
        train(array, target, steps=1, **TINY)
    with pytest.raises(InputError, match="fourth channel varies and may be data"):
        LazyImage(np.stack([array] * 2))


def test_alpha_that_is_left_out_is_said_in_python():
    with pytest.warns(UserWarning, match="alpha channel of the source .* is left out"):
        model = train(OPAQUE, DATA[..., 0], steps=1, validation=0, **TINY)
    with pytest.warns(UserWarning, match="alpha channel of the image is left out"):
        translated = model(DATA)
    np.testing.assert_array_equal(translated, model(DATA[..., :3]))
    notes = evaluate(model, OPAQUE, DATA[..., 0]).notes
    assert any(re.search("alpha channel of the source .* is left out", note) for note in notes)


def test_array_file_of_four_channels_needs_axes(tmp_path):
    np.save(tmp_path / "a.npy", DATA)
    with pytest.raises(InputError, match="does not say what its axes"):
        read_image(tmp_path / "a.npy")
    same(tmp_path / "a.npy", DATA, "YXC", "YXC")


# Colours, palettes and orientation


@pytest.mark.parametrize("samples", [3, 4])
def test_planar_colours_are_colours(tmp_path, reading, samples):
    array = integer_noise(samples, 20, 30)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, array, photometric="rgb", planarconfig="separate")
    same(path, np.moveaxis(array, 0, -1), "YXS")


def test_planar_colours_in_a_stack_are_colours(tmp_path, reading):
    array = integer_noise(4, 3, 20, 30)
    options = {"photometric": "rgb", "planarconfig": "separate", "metadata": {"axes": "ZCYX"}}
    tifffile.imwrite(tmp_path / "a.ome.tif", array, **options)
    same(tmp_path / "a.ome.tif", np.moveaxis(array, 1, -1), "ZYXS")


@pytest.mark.parametrize(
    ("options", "axes"),
    [
        ({"photometric": "rgb", "extrasamples": ["unassalpha"]}, "YXS"),
        ({"photometric": "rgb", "extrasamples": ["unspecified"]}, "YXC"),
        ({"photometric": "minisblack", "extrasamples": [0] * 3}, "YXC"),
    ],
)
def test_fourth_sample_is_alpha_only_where_the_tiff_says_so(tmp_path, options, axes):
    tifffile.imwrite(tmp_path / "a.tif", DATA, planarconfig="contig", **options)
    same(tmp_path / "a.tif", DATA, axes)


def test_gray_with_alpha_is_gray(tmp_path):
    array = integer_noise(20, 30, 2, dtype=np.uint16)
    options = {"planarconfig": "contig", "photometric": "minisblack"}
    tifffile.imwrite(tmp_path / "a.tif", array, extrasamples=["unassalpha"], **options)
    image = same(tmp_path / "a.tif", array[..., 0], "YX")
    assert "alpha channel of a.tif is left out; with the axes YXC it is a channel" in image.notes[0]


@pytest.mark.parametrize(
    ("name", "colours"), [("a.tif", "CMYK"), ("a.jpg", "CMYK"), ("b.tif", r"CIE L\*a\*b\*")]
)
def test_colours_that_are_not_red_green_and_blue_are_refused(tmp_path, name, colours):
    if name == "a.jpg":
        Image.frombytes("CMYK", (8, 8), bytes(range(256))).save(tmp_path / name)
    elif name == "a.tif":
        tifffile.imwrite(tmp_path / name, integer_noise(20, 30, 4), photometric="separated")
    else:
        tifffile.imwrite(tmp_path / name, RGB, photometric="cielab", planarconfig="contig")
    with pytest.raises(InputError, match=f"{colours} colours.*save it as RGB"):
        read_image(tmp_path / name)


def with_palette(array, colours=COLOURS):
    image = Image.frombytes("P", array.shape[::-1], array.tobytes())
    image.putpalette(colours)
    return image


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.gif", "a.tif"])
def test_labels_with_a_palette_are_its_indices(tmp_path, name):
    with_palette(LABELS).save(tmp_path / name)
    image = same(tmp_path / name, LABELS, "YX")
    assert image.notes == (f"{name} has a palette: its indices were read, not its colours.",)


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_small_palettes_are_indices(tmp_path, bits):
    array = LABELS % 2**bits
    with_palette(array, COLOURS[: 3 * 2**bits]).save(tmp_path / "a.png", bits=bits)
    same(tmp_path / "a.png", array, "YX")


def test_palette_of_grays_is_gray(tmp_path):
    array = np.maximum(GRAY // 2, 60)
    Image.fromarray(array).save(tmp_path / "a.gif")
    same(tmp_path / "a.gif", array, "YX")


def test_frames_of_a_gif_are_frames(tmp_path):
    stack = np.stack([LABELS, LABELS, LABELS])
    stack[1, 3, 4], stack[2, 9, 9] = 1, 2
    first, *rest = map(with_palette, stack)
    first.save(tmp_path / "a.gif", save_all=True, append_images=rest)
    same(tmp_path / "a.gif", stack, "TYX")


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.tif"])
def test_one_bit_is_bool(tmp_path, name):
    Image.fromarray(GRAY > 99).save(tmp_path / name)
    same(tmp_path / name, GRAY > 99, "YX")


# As a viewer shows an image of each orientation, by numpy's functions
SHOWN = {
    1: lambda a: a,
    2: np.fliplr,
    3: lambda a: np.rot90(a, 2),
    4: np.flipud,
    5: lambda a: np.swapaxes(a, 0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.swapaxes(np.rot90(a, 2), 0, 1),
    8: np.rot90,
}


@pytest.mark.parametrize("orientation", SHOWN)
def test_tiff_is_read_upright_with_its_pixel_sizes(tmp_path, reading, orientation):
    tag = (274, "H", 1, orientation, True)
    sizes = {"resolution": (40000, 20000), "resolutionunit": "CENTIMETER"}
    tifffile.imwrite(tmp_path / "a.tif", GRAY, extratags=[tag], metadata=None, **sizes)
    image = same(tmp_path / "a.tif", SHOWN[orientation](GRAY), "YX")
    turned = image.shape == (30, 20)
    assert turned == (orientation > 4)
    assert image.scale == ({"Y": 0.25, "X": 0.5} if turned else {"Y": 0.5, "X": 0.25})


@pytest.mark.parametrize("array", [RGB, RGB16, LABELS], ids=["8 bits", "16 bits", "palette"])
@pytest.mark.parametrize("orientation", SHOWN)
def test_picture_is_read_upright(tmp_path, orientation, array):
    exif = Image.Exif()
    exif[0x0112] = orientation
    if array is RGB16:
        plain = imagecodecs.png_encode(array)
        chunk = b"eXIf" + exif.tobytes().removeprefix(b"Exif\0\0")
        sized = struct.pack(">I", len(chunk) - 4) + chunk
        checked = sized + struct.pack(">I", imagecodecs.zlib_crc32(chunk))
        (tmp_path / "a.png").write_bytes(plain[:33] + checked + plain[33:])
    else:
        image = with_palette(array) if array is LABELS else Image.fromarray(array)
        image.save(tmp_path / "a.png", exif=exif)
    same(tmp_path / "a.png", SHOWN[orientation](array), "YXS"[: array.ndim])


@pytest.mark.parametrize("array", [GRAY, GRAY16, GRAY > 99], ids=["uint8", "uint16", "bool"])
def test_white_as_0_is_inverted(tmp_path, reading, array):
    tifffile.imwrite(tmp_path / "a.tif", array, photometric="miniswhite")
    image = same(tmp_path / "a.tif", ~array, "YX")
    assert "stores white as 0: its values were inverted" in image.notes[0]


def test_white_as_0_in_floats_is_refused(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", GRAY.astype(np.float32), photometric="miniswhite")
    with pytest.raises(InputError, match="stores white as 0 in values of type float32"):
        read_image(tmp_path / "a.tif")


# Images in several OME-TIFF files


STACK = integer_noise(3, 40, 50, dtype=np.uint16)
PARTS = [f"s_t{number}.ome.tif" for number in range(3)]
SCHEMA = "http://www.openmicroscopy.org/Schemas/OME/2016-06"


def ome(own, *, positions=False, binary_only=""):
    """Describe three planes in three files: frames of one image, or three images."""
    if binary_only:
        inner = f'<BinaryOnly MetadataFile={quoteattr(binary_only)} UUID="urn:uuid:9"/>'
        return f'<OME xmlns="{SCHEMA}" UUID="urn:uuid:{own}">{inner}</OME>'
    planes = [
        f'<TiffData FirstT="{0 if positions else number}" IFD="0" PlaneCount="1">'
        f'<UUID FileName="{name}">urn:uuid:{number}</UUID></TiffData>'
        for number, name in enumerate(PARTS)
    ]
    pixels = (
        '<Image ID="Image:{0}"><Pixels ID="Pixels:{0}" DimensionOrder="XYZCT" Type="uint16" '
        'SizeX="50" SizeY="40" SizeZ="1" SizeC="1" SizeT="{1}" PhysicalSizeX="0.5" '
        'PhysicalSizeY="0.5"><Channel ID="Channel:{0}:0" SamplesPerPixel="1"/>{2}</Pixels></Image>'
    )
    images = [pixels.format(0, 3, "".join(planes))]
    if positions:
        images = [pixels.format(number, 1, plane) for number, plane in enumerate(planes)]
    return f'<OME xmlns="{SCHEMA}" UUID="urn:uuid:{own}">{"".join(images)}</OME>'


def write_parts(folder, kind="all"):
    """Write a stack in three files, described in all of them, in the first, or beside them."""
    folder.mkdir(exist_ok=True)
    master = {"all": "", "first": PARTS[0], "companion": "s.companion.ome"}[kind]
    for number, name in enumerate(PARTS):
        xml = ome(number, binary_only=master if name != master else "")
        tifffile.imwrite(folder / name, STACK[number], description=xml, metadata=None)
    if kind == "companion":
        (folder / master).write_text(ome(9), encoding="utf-8")
    return folder


KINDS = pytest.mark.parametrize("kind", ["all", "first", "companion"])


@KINDS
def test_any_part_gives_the_whole_image_and_a_folder_gives_it_once(tmp_path, reading, kind):
    folder = write_parts(tmp_path, kind)
    for path in folder.iterdir():
        image = same(path, STACK, "TYX")
        assert image.scale == {"Y": 0.5, "X": 0.5}
        assert f"{path.name} is part of an image in several files" in image.notes[0]
    for named in (folder, folder / "s_*.tif"):
        assert [path.name for path in expand_paths(named)] == PARTS[:1]


@KINDS
def test_missing_part_is_named(tmp_path, kind):
    folder = write_parts(tmp_path, kind)
    (folder / PARTS[1]).unlink()
    for path in folder.iterdir():
        with pytest.raises(FileError, match=rf"of which {PARTS[1]} can't be found"):
            read_image(path)


@pytest.mark.parametrize(
    ("kind", "missing"), [("first", PARTS[0]), ("companion", "s.companion.ome")]
)
def test_missing_description_is_named(tmp_path, kind, missing):
    folder = write_parts(tmp_path, kind)
    (folder / missing).unlink()
    with pytest.raises(FileError, match=f"that {missing} describes, which is missing"):
        read_image(folder / PARTS[2])


def test_each_of_several_images_in_one_description_is_its_own(tmp_path, reading):
    for number, name in enumerate(PARTS):
        xml = ome(number, positions=True)
        tifffile.imwrite(tmp_path / name, STACK[number], description=xml, metadata=None)
    for number, name in enumerate(PARTS):
        same(tmp_path / name, STACK[number], "YX")
    assert len(expand_paths(tmp_path)) == 3


def test_renamed_ome_tiff_of_one_file_is_read(tmp_path):
    tifffile.imwrite(tmp_path / "a.ome.tif", STACK, metadata={"axes": "TYX"})
    same((tmp_path / "a.ome.tif").rename(tmp_path / "b.tif"), STACK, "TYX")


def run(*arguments):
    return CliRunner().invoke(main, list(map(str, arguments)))


def test_shell_takes_parts_once(tmp_path):
    source, target = write_parts(tmp_path / "source"), write_parts(tmp_path / "target")
    model = tmp_path / "m.safetensors"
    train(STACK[0], STACK[1], steps=1, validation=0, **TINY).save(model)
    done = run("apply", model, source, "-o", tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["s_t0.tif"]
    assert read_image(tmp_path / "out" / "s_t0.tif").shape == STACK.shape
    assert len(read_pairs(source, target)[0]) == 1


# TIFF by any name, and what else is told by its content


@pytest.mark.parametrize(
    "ending",
    [
        [".svs", ".scn", ".qptiff", ".btf", ".ndpi", ".tf2", ".tf8", ".ome.btf", ".stk", ".png"],
        ".scn",
        ".qptiff",
        ".btf",
        ".ndpi",
        ".tf2",
        ".tf8",
        ".ome.btf",
        ".stk",
        ".gel",
        ".png",
        ".unknown",
    ],
)
def test_tiff_is_told_by_its_content_and_read_by_window(tmp_path, by_window, ending):
    name = f"a{ending}"
    array = integer_noise(40, 50, dtype=np.uint16)
    sizes = {"resolution": (40000, 20000), "resolutionunit": "CENTIMETER"}
    big = name.endswith(("btf", "tf8"))
    tifffile.imwrite(tmp_path / name, array, tile=(16, 16), bigtiff=big, ome=False, **sizes)
    image = same(tmp_path / name, array, "YX")
    assert not isinstance(image.data, np.ndarray)
    assert image.scale == {"Y": 0.5, "X": 0.25}
    assert expand_paths(tmp_path) == [tmp_path / name]


def test_slide_has_the_pixel_size_that_its_description_states(tmp_path):
    text = "Aperio Image Library v11|AppMag = 40|MPP = 0.2520"
    tifffile.imwrite(tmp_path / "a.svs", RGB, description=text, metadata=None)
    image = same(tmp_path / "a.svs", RGB, "YXS")
    assert (image.scale, set(image.units.values())) == ({"Y": 0.252, "X": 0.252}, {"micrometer"})


def test_thumbnail_in_front_is_not_the_image(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        writer.write(GRAY[::4, ::4], subfiletype=1, metadata=None)
        writer.write(GRAY, metadata=None)
    assert same(tmp_path / "a.tif", GRAY, "YX").notes == ()


def test_folder_of_images_passes_over_tables_and_notes(tmp_path):
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")  # who opened it would wait forever
    for name in ("scores.csv", "notes.txt", "config.json", ".hidden.png"):
        (tmp_path / name).write_text("index,axis-0,axis-1\n0,1,2\n")
    (tmp_path / "model.safetensors").write_bytes(bytes(99))
    Image.fromarray(RGB).save(tmp_path / "a.webp", lossless=True)
    np.save(tmp_path / "b.npy", GRAY)
    assert [path.name for path in expand_paths(tmp_path)] == ["a.webp", "b.npy"]
    same(tmp_path / "a.webp", RGB, "YXS")


# Files that were cut off


CUT = {
    "plain": {"photometric": "minisblack", "metadata": None},
    "imagej": {"imagej": True, "metadata": {"axes": "TYX"}},
    "imagej, compressed": {"imagej": True, "compression": "zlib", "metadata": {"axes": "TYX"}},
    "shaped": {"photometric": "minisblack", "metadata": {"axes": "TYX"}},
    "shaped, compressed": {"photometric": "minisblack", "compression": "zlib"},
    "ome": {"ome": True, "photometric": "minisblack", "metadata": {"axes": "TYX"}},
    "ome, compressed": {"ome": True, "photometric": "minisblack", "compression": "zlib"},
    "big": {"bigtiff": True, "photometric": "minisblack", "metadata": None},
}


@pytest.mark.parametrize("kind", CUT)
@pytest.mark.parametrize("keep", [0.3, 0.5, 0.8])
def test_stack_that_was_cut_off_is_refused(tmp_path, kind, keep, reading):
    tifffile.imwrite(tmp_path / "whole.tif", integer_noise(8, 40, 50), **CUT[kind])
    content = (tmp_path / "whole.tif").read_bytes()
    (tmp_path / "cut.tif").write_bytes(content[: int(len(content) * keep)])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(FileError, match=r"cut\.tif can't be read as an image"):
            read_image(tmp_path / "cut.tif", axes="TYX")


@pytest.mark.parametrize("write", [imagecodecs.png_encode, imagecodecs.jpeg2k_encode])
def test_picture_that_was_cut_off_is_refused(tmp_path, write):
    content = write(RGB16)
    (tmp_path / "a.img").write_bytes(content[: len(content) // 2])
    with pytest.raises(FileError, match=r"a\.img can't be read as an image"):
        read_image(tmp_path / "a.img")


def test_link_to_nothing_in_a_folder_is_named(tmp_path):
    (tmp_path / "a.tif").symlink_to(tmp_path / "gone.tif")
    with pytest.raises(FileError, match=r"a\.tif is a link to .*gone\.tif, which is not there"):
        read_image(expand_paths(tmp_path)[0])
