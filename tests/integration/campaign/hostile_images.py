"""Images that lie: claims of any size, bombs, loops, pipes and links that lead elsewhere."""

from __future__ import annotations

import gzip
import json
import multiprocessing
import os
import random
import resource
import shutil
import struct
import sys
import tempfile
import time
import warnings
import zlib
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any
from unittest import mock

import tifffile
from helpers import gray_noise
from integration.campaign import mutations
from integration.campaign.outcome import Outcome
from numcodecs import get_codec
from PIL import Image
from zarr_files import zarr_of

from napari_pix2pix.errors import Pix2PixError, UnexpectedError
from napari_pix2pix.io.reading import lazy_image_of_file, read_image
from napari_pix2pix.io.writing import write_image

_SLOWEST = 10.0  # seconds that reading may take
_MOST_MEMORY = 1500 << 20  # bytes of a process that reads
_KB = 1024  # what the system counts in
_HUGE = (0, 1, -1, 2**31, 2**32, 2**40, 2**62, 2**63, 10**30)
_WINDOW = slice(0, 256)

Maker = Callable[[Path, random.Random], Path]


def read_all(path: Path) -> None:
    """Read an image and windows of its first and last frame."""
    axes = "TZCQ"
    try:
        image = read_image(path)
    except Pix2PixError as error:
        if not error.remedies or "axes of lengths" not in str(error):
            raise
        count = str(error).partition("lengths (")[2].partition(")")[0].count(",") + 1
        image = read_image(path, axes[: count - 2] + "YX")
    planes = lazy_image_of_file(image)
    for frame in {0, planes.frames - 1}:
        planes.read(frame, _WINDOW, _WINDOW)


def _read_in_process(path: Path, temporary: Path, sender: Connection) -> None:
    tempfile.tempdir = str(temporary)  # of this process alone
    warnings.simplefilter("ignore")
    began, fault = time.perf_counter(), ""
    try:
        read_all(path)
        result = "read"
    except UnexpectedError as error:
        result, fault = "unexpected", str(error)
    except Pix2PixError as error:
        result = f"refused: {error}"
    except BaseException as error:  # what is looked for
        result, fault = "foreign", f"{type(error).__name__}: {str(error)[:100]}"
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    sender.send((result, fault, most * _KB, time.perf_counter() - began))


def try_image(
    path: Path, temporary: Path, context: multiprocessing.context.ForkServerContext
) -> tuple[str, str]:
    """Read an image in a process of its own; return what came out, and the fault or nothing."""
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=_read_in_process, args=(path, temporary, sender))
    child.start()
    sender.close()
    if not receiver.poll(3 * _SLOWEST):
        child.kill()
        child.join()
        return "hangs", f"more than {3 * _SLOWEST:.0f} s"
    try:
        result, fault, most, seconds = receiver.recv()
    except EOFError:
        result, fault, most, seconds = "died", "the process died", 0, 0.0
    child.join()
    if seconds > _SLOWEST:
        fault = fault or f"{seconds:.0f} s"
    if most > _MOST_MEMORY:
        fault = fault or f"{most / 1e9:.1f} GB"
    return f"{result} ({seconds:.1f} s, {most / 1e6:.0f} MB)", fault


def _shape(rng: random.Random) -> list[int]:
    return [rng.choice([*_HUGE, 3, 40]) for _ in range(rng.choice([1, 2, 3, 5]))]


def _npy(folder: Path, rng: random.Random) -> Path:
    path = folder / "a.npy"
    dtype = rng.choice(
        ["<u2", "|u1", "<f8", ">f4", "|O", "|S10", "<c16", "|V1000000", "[('a','u1')]"]
    )
    header = {"descr": dtype, "fortran_order": rng.random() < 0.3, "shape": tuple(_shape(rng))}
    text = str(header).encode() + b"\n"
    path.write_bytes(b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text + bytes(5000))
    return path


def _npy_header(folder: Path, rng: random.Random) -> Path:
    path = folder / "b.npy"
    text = rng.choice([b"(" * 9000, b"{'a':" * 500, b"[" * 60000, b"x", b"1" * 60000])
    path.write_bytes(
        b"\x93NUMPY\2\0" + struct.pack("<I", rng.choice([len(text), 2**32 - 1])) + text
    )
    return path


def _png_of_many_pixels(folder: Path, rng: random.Random) -> Path:
    """Write a picture of one value, which packs into next to nothing."""
    side, (colours, samples) = rng.choice([12_000, 20_000]), rng.choice([(0, 1), (2, 3), (6, 4)])
    bits = rng.choice([8, 16])
    return _png(folder / "c.png", side, side, bits, colours, samples, packed_rows=True)


def _png_of_huge_size(folder: Path, rng: random.Random) -> Path:
    width, height = (rng.choice([1, 2**20, 2**31 - 1]) for _ in range(2))
    return _png(folder / "d.png", width, height, rng.choice([1, 8, 16]), 0, 1, packed_rows=False)


def _png(
    path: Path, width: int, height: int, bits: int, colours: int, samples: int, *, packed_rows: bool
) -> Path:
    packer, rows = zlib.compressobj(1), b""
    if packed_rows:
        row = bytes(1 + width * samples * bits // 8)
        rows = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    head = struct.pack(">IIBBBBB", width, height, bits, colours, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", rows), (b"IEND", b""))
    with path.open("wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n")
        for name, content in chunks:
            file.write(struct.pack(">I", len(content)) + name + content)
            file.write(struct.pack(">I", zlib.crc32(name + content)))
    return path


def _jpeg_of_many_pixels(folder: Path, rng: random.Random) -> Path:
    path, side = folder / "e.jpg", rng.choice([9000, 12_000])
    before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    Image.new(rng.choice(["L", "RGB"]), (side, side)).save(path)
    Image.MAX_IMAGE_PIXELS = before
    return path


def _gif_of_many_frames(folder: Path, rng: random.Random) -> Path:
    path = folder / "f.gif"
    frames = [Image.new("P", (2000, 2000), color) for color in (1, 2)] * rng.choice([40, 80])
    frames[0].save(path, save_all=True, append_images=frames[1:], optimize=False)
    return path


def _other_picture(folder: Path, rng: random.Random) -> Path:
    width, height = (rng.choice([1, 40, 20_000, 2**31 - 1, 10**12]) for _ in range(2))
    small = width % 2**32, height % 2**32
    jpeg_2000 = b"\xff\x4f\xff\x51\0\x29\0\0" + struct.pack(">8I", *small, 0, 0, *small, 0, 0)
    name, content = rng.choice(
        [
            ("g.pgm", f"P5 {width} {height} 255 ".encode() + bytes(2000)),
            ("g.ppm", f"P3 {width} {height} 65535 1 2 3".encode()),
            (
                "g.hdr",
                b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n" + f"-Y {height} +X {width}\n".encode(),
            ),
            ("g.bmp", b"BM" + struct.pack("<IIIIii", 54, 0, 54, 40, *(n - 2**31 for n in small))),
            ("g.j2k", jpeg_2000 + b"\0\1\7\1\1"),
            ("g.jxl", b"\xff\x0a" + rng.randbytes(40)),
            (
                "g.avif",
                b"\0\0\0\x1cftypavif" + bytes(16) + b"ispe" + struct.pack(">III", 0, *small),
            ),
            ("g.webp", b"RIFF\xff\xff\xff\x7fWEBPVP8X" + b"\x0a\0\0\0\0\0\0\0" + b"\xff" * 6),
            ("g.qoi", b"qoif" + struct.pack(">II", *small) + b"\4\0" + bytes(20)),
            ("g.psd", b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", 3, *small, 8, 3) + bytes(20)),
            ("g.sgi", b"\x01\xda\0\1\0\3\xff\xff\xff\xff\0\3" + bytes(600)),
            ("g.ico", b"\0\0\1\0\xff\xff" + bytes(64)),
        ]
    )
    path = folder / str(name)
    path.write_bytes(content)
    return path


def _tiff(folder: Path, rng: random.Random) -> Path:
    """Write a TIFF and change numbers of its tags."""
    path = folder / "h.tif"
    packed = rng.choice([None, "zlib", "lzw", "zstd", "packbits"])
    layout: dict[str, Any] = {} if rng.random() < 0.5 else {"tile": (32, 32)}
    layout |= {"bigtiff": rng.random() < 0.5, "photometric": "minisblack"}
    tifffile.imwrite(path, gray_noise(3, 40, 40), compression=packed, **layout)
    _change_tag(path, rng)
    if rng.random() < 0.3:
        with suppress(Exception):  # tifffile no longer reads its tags
            _change_tag(path, rng)
    return path


def _change_tag(path: Path, rng: random.Random) -> None:
    with tifffile.TiffFile(path) as tiff:
        tag = rng.choice([*rng.choice([*tiff.pages]).tags])
        at, is_big = tag.offset, tiff.is_bigtiff
    where = rng.choice(["count", "value", "value", "value", "type"])
    content = bytearray(path.read_bytes())
    wide = 8 if is_big else 4
    number = rng.choice([0, 1, 7, 65_535, 2**31 - 1, 2**32 - 1, rng.randrange(2**32), 2**62])
    start = at + {"type": 2, "count": 4, "value": 4 + wide}[where]
    size = 2 if where == "type" else wide
    content[start : start + size] = (number % 2 ** (8 * size)).to_bytes(size, "little")
    path.write_bytes(content)


def _tiff_bomb(folder: Path, rng: random.Random) -> Path:
    """Write tiles or strips that unpack to far more than they should, or claim to be huge."""
    path, packed = folder / "i.tif", zlib.compress(bytes(4 * 10**8), 1)
    side = rng.choice([256, 30_000, 65_536])
    tags = [
        *((256, 4, side), (257, 4, side), (258, 3, 8), (259, 3, 8), (262, 3, 1), (277, 3, 1)),
        *((273, 4, 8), (278, 4, side), (279, 4, len(packed))),
    ]
    tags.sort()
    ifd = struct.pack("<H", len(tags)) + b"".join(
        struct.pack("<HHII", *t[:2], 1, t[2]) for t in tags
    )
    path.write_bytes(b"II*\0" + struct.pack("<I", 8 + len(packed)) + packed + ifd + bytes(4))
    return path


def _tiff_of_many_pages(folder: Path, rng: random.Random) -> Path:
    path, count = folder / "j.tif", rng.choice([1000, 400_000])
    tags = [(256, 4), (257, 4), (258, 8), (259, 1), (262, 1), (273, 8), (278, 4), (279, 16)]
    ifd = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", t, 4, 1, v) for t, v in tags)
    size = len(ifd) + 4
    follows = rng.choice(["end", "loop"])
    with path.open("wb") as file:
        file.write(b"II*\0" + struct.pack("<I", 24) + bytes(16))
        for number in range(count):
            is_last = number == count - 1
            last = 24 if follows == "loop" else 0
            file.write(ifd + struct.pack("<I", last if is_last else 24 + size * (number + 1)))
    return path


def _ome_tiff(folder: Path, rng: random.Random) -> Path:
    """Write an OME-TIFF whose description claims other sizes, types or files."""
    path = folder / "k.ome.tif"
    tifffile.imwrite(path, gray_noise(3, 40, 40), photometric="minisblack", ome=True)
    xml = tifffile.tiffcomment(path)
    size = rng.choice(_HUGE)
    change = rng.choice(
        [
            *((f'{key}="{old}"', f'{key}="{size}"') for key, old in (("SizeZ", 3), ("SizeX", 40))),
            *((f'{key}="{old}"', f'{key}="{size}"') for key, old in (("SizeT", 1), ("SizeC", 1))),
            ('PlaneCount="3"', f'PlaneCount="{size}"'),
            ('IFD="0"', f'IFD="{size}"'),
            ('Type="uint8"', f'Type="{rng.choice(["double", "bit", "x", ""])}"'),
            ("<TiffData", '<TiffData FirstZ="999999999" '),
            ("<Pixels", "<Pixels " + "".join(f'a{n}="" ' for n in range(5000))),
            ("</Image>", "</Image>" * 3),
            ("XYZCT", rng.choice(["", "ZZZZZ", "XYCTZ" * 1000])),
            ('<TiffData IFD="0" PlaneCount="3">', '<TiffData><UUID FileName="../../x">u</UUID>'),
        ]
    )
    tifffile.tiffcomment(path, xml.replace(*change))
    return path


def _companion(folder: Path, rng: random.Random) -> Path:
    """Write XML that names files: elsewhere, a pipe, a link to nothing, or entities in entities."""
    path, named = (
        folder / "l.companion.ome",
        rng.choice(["../m.tif", "/etc/passwd", "p", "n", "\0"]),
    )
    if named == "p" and not (folder / "p").exists():
        os.mkfifo(folder / "p")
    if named == "n" and not (folder / "n").is_symlink():
        (folder / "n").symlink_to("nowhere")
    sizes = 'SizeX="4" SizeY="4" SizeZ="1" SizeC="1" SizeT="1"'
    pixels = f'<Pixels DimensionOrder="XYZCT" Type="uint8" {sizes}>'
    tiff_data = f'<TiffData><UUID FileName="{named}">urn:uuid:1</UUID></TiffData>'
    xml = f'<OME UUID="u"><Image>{pixels}{tiff_data}</Pixels></Image></OME>'
    if rng.random() < 0.3:
        entities = "".join(
            f'<!ENTITY e{n} "{f"&e{n - 1};" * 10 if n else "lol"}">' for n in range(10)
        )
        xml = f"<!DOCTYPE x [{entities}]><OME><Image>&e9;</Image></OME>"
    elif rng.random() < 0.3:
        xml = "<OME>" + "<Image>" * 100_000
    path.write_text(xml, encoding="utf-8")
    return path


def _imagej(folder: Path, rng: random.Random) -> Path:
    path = folder / "m.tif"
    tifffile.imwrite(path, gray_noise(3, 40, 40), imagej=True, photometric="minisblack")
    size = rng.choice([n for n in _HUGE if n >= 0])
    keys = ("images", "slices", "frames", "channels")
    tifffile.tiffcomment(path, f"ImageJ=1.11a\n{rng.choice(keys)}={size}\nhyperstack=true\n")
    return path


def _shaped(folder: Path, rng: random.Random) -> Path:
    path = folder / "n.tif"
    tifffile.imwrite(path, gray_noise(3, 40, 40), photometric="minisblack")
    text = json.dumps({"shape": _shape(rng), "axes": rng.choice(["ZYX", "QQ", "", 5])})
    tifffile.tiffcomment(path, rng.choice([text, '{"shape": ' + "[" * 100_000]))
    return path


def _zarr_claims(folder: Path, rng: random.Random) -> Path:
    """Write a zarr whose metadata claim shapes and chunks of any size."""
    path = folder / "o.zarr"
    write_image(path, gray_noise(3, 40, 40), "ZYX")
    file = rng.choice([path / "0" / "zarr.json", path / "zarr.json"])
    values = json.loads(file.read_text())
    how = rng.choice(["shape", "chunks", "both", "any", "any", "deep", "long"])
    if file.parent == path or how == "any":
        values, _ = mutations.mutate_json(values, rng)
    else:
        if how in ("shape", "both"):
            values["shape"] = [rng.choice(_HUGE) for _ in range(3)]
        if how in ("chunks", "both"):
            grid = values["chunk_grid"]["configuration"]
            grid["chunk_shape"] = [rng.choice([*_HUGE[:4], 1, 40]) for _ in range(3)]
    text = json.dumps(values)
    if how == "deep":
        text = '{"a":' * 100_000
    elif how == "long":
        text = " " * (40 << 20) + text
    file.write_text(text)
    return path


def _zarr_bomb(folder: Path, rng: random.Random) -> Path:
    """Write chunks that unpack to far more than the array says."""
    path = folder / "p.zarr"
    name = rng.choice(["gzip", "zlib", "blosc", "zstd", "bz2", "lzma", "lz4"])
    many = bytes(3 * 10**7 if name in ("bz2", "lzma") else 4 * 10**8)  # they are slow
    packed = (
        gzip.compress(many, 1) if name == "gzip" else bytes(get_codec({"id": name}).encode(many))
    )
    if rng.random() < 0.5 or name not in ("gzip", "blosc", "zstd"):
        return zarr_of(path, name, packed, 2)
    return zarr_of(path, name, packed, "shards" if rng.random() < 0.4 else 3)


def _zarr_of_links(folder: Path, rng: random.Random) -> Path:
    """Put a link, a loop, a pipe or a device in the place of a file of a zarr."""
    path = folder / "q.zarr"
    write_image(path, gray_noise(3, 40, 40), "ZYX")
    files = sorted(file for file in path.rglob("*"))
    chosen = rng.choice(files)
    elsewhere = folder / "secret"
    elsewhere.write_bytes(bytes(40 * 40))
    (chosen.rename(folder / "moved.zarr"))
    how = rng.choice(["out", "device", "nothing", "loop", "pipe", "back"])
    targets = {"out": folder / "moved.zarr", "device": Path("/dev/zero"), "nothing": "nowhere"}
    targets |= {"loop": chosen.name, "back": "."}
    if how == "pipe":
        os.mkfifo(chosen)
    else:
        chosen.symlink_to(targets[how])
    return path


def _not_a_file(folder: Path, rng: random.Random) -> Path:
    path = (
        folder / f"r{rng.choice(['.tif', '.png', '.npy', '.zarr', '.czi', '.ome.tif', '', '.ome'])}"
    )
    how = rng.choice(["pipe", "loop", "nothing", "device", "endless", "long", "nul", "empty"])
    if how == "pipe":
        os.mkfifo(path)
    elif how in ("long", "nul"):
        return folder / ("x" * 5000 if how == "long" else "a\0b.tif")
    elif how == "empty":
        path.write_bytes(b"")
    else:
        targets = {
            "loop": path.name,
            "nothing": "nowhere",
            "device": "/dev/null",
            "endless": "/dev/zero",
        }
        path.symlink_to(targets[how])
    return path


def _damaged(folder: Path, rng: random.Random) -> Path:
    """Damage bytes of an image of any format that is written."""
    name = rng.choice(["s.tif", "s.ome.tif", "s.npy", "s.zarr", "s.png"])
    pixels = gray_noise(40, 40) if name.endswith("png") else gray_noise(3, 40, 40)
    path = write_image(folder / name, pixels, "YX" if name.endswith("png") else "ZYX")
    file = rng.choice(sorted(p for p in path.rglob("*") if p.is_file())) if path.is_dir() else path
    file.write_bytes(mutations.mutate_bytes(file.read_bytes(), rng)[0])
    return path


def _plugin_format(folder: Path, rng: random.Random) -> Path:
    ending = rng.choice(
        [".czi", ".nd2", ".lif", ".dcm", ".mp4", ".ims", ".vsi", ".mhd", ".csv", ".py"]
    )
    path = folder / f"t{ending}"
    path.write_bytes(
        rng.choice(
            [rng.randbytes(3000), b"", bytes(3000), bytes(128) + b"DICM" + rng.randbytes(900)]
        )
    )
    return path


MAKERS: tuple[Maker, ...] = (
    *(_npy, _npy, _npy_header, _png_of_many_pixels, _png_of_huge_size, _jpeg_of_many_pixels),
    *(_gif_of_many_frames, _other_picture, _other_picture, _tiff, _tiff, _tiff, _tiff_bomb),
    *(_tiff_of_many_pages, _ome_tiff, _ome_tiff, _companion, _imagej, _shaped),
    *(_zarr_claims, _zarr_claims, _zarr_claims, _zarr_bomb, _zarr_bomb, _zarr_of_links),
    *(_zarr_of_links, _not_a_file, _not_a_file, _damaged, _damaged, _plugin_format),
)


def images_that_lie(folder: Path, rng: random.Random, seconds: float) -> Outcome:
    """Make images that lie, of all kinds in turn, and read each in a process of its own."""
    outcome, context, temporary = Outcome(), _fork_server(), folder / "temporary"
    temporary.mkdir()
    ends, number = time.monotonic() + seconds, rng.randrange(len(MAKERS))
    while time.monotonic() < ends:
        make, number = MAKERS[number % len(MAKERS)], number + 1
        place = folder / "image"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        path = make(place, rng)
        before = _listed(place)
        result, fault = try_image(path, temporary, context)
        outcome.tries += 1
        what = make.__name__.strip("_")
        outcome.expect(f"{what}: {fault}, {result}", not fault)
        left = _listed(temporary), _listed(place)
        outcome.expect(f"{what}: something was written", left == ([], before))
    return outcome


def _fork_server() -> multiprocessing.context.ForkServerContext:
    """Return what makes processes in little time, from one that has imported all readers."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    # Before Python 3.13 the server finds modules by this alone.
    with mock.patch.dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path)):
        first = context.Process(target=time.sleep, args=(0,))
        first.start()
    first.join()
    return context


def _listed(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))
