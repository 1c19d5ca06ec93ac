"""What a package says of its model, in several versions of the format."""

import pytest

from napari_pix2pix.errors import FileError
from napari_pix2pix.external._description import PackageFile, parse_description
from napari_pix2pix.external._network import PlaneSizes, Sizes

pytest.importorskip("bioimageio.core", reason="needs the extra bioimageio")

COMMON = {
    "type": "model",
    "name": "A network of others",
    "description": "Sharpens",
    "authors": [{"name": "Ada Lovelace"}],
    "license": "MIT",
    "cite": [{"text": "None", "doi": "10.1109/CVPR.2017.632"}],
    "documentation": "README.md",
    "weights": {"onnx": {"source": "weights.onnx", "opset_version": 17}},
}


def space(size, **more):
    return {"type": "space", "size": size, **more}


def reference(axis, **more):
    return {"tensor_id": "source", "axis_id": axis, **more}


def described(rows=None, columns=None, given=(), made=None, depth=(), **more):
    """Describe a model in version 0.5, by the sizes of its input and some fields.

    `depth` is the size of an axis z and its halo.
    """
    planes = []
    if depth:
        size, halo = depth
        given = [*given, space(size, id="z")]
        planes = [space(reference("z"), id="z", **({"halo": halo} if halo else {}))]
    rows = rows or {"min": 64, "step": 16}
    sizes = {"y": rows, "x": columns or rows}
    follows = "axis_id" in sizes["x"] if isinstance(sizes["x"], dict) else False
    channel = {"type": "channel", "channel_names": ["intensity"]}
    source = {
        "id": "source",
        "axes": [
            {"type": "batch"},
            channel,
            *given,
            *(space(size, id=axis) for axis, size in sizes.items()),
        ],
        "test_tensor": {"source": "source.npy"},
        "data": {"type": "uint16"},
    }
    target = {
        "id": "target",
        "axes": [
            {"type": "batch"},
            channel,
            *planes,
            *(
                space(reference("y" if follows else axis), id=axis, **(made or {}))
                for axis in sizes
            ),
        ],
        "test_tensor": {"source": "target.npy"},
        "data": {"type": "float32", "range": [0, 1]},
    }
    return {**COMMON, "format_version": "0.5.4", "inputs": [source], "outputs": [target], **more}


@pytest.mark.parametrize(
    ("rows", "columns", "halo", "sizes"),
    [
        ({"min": 64, "step": 16}, None, 16, Sizes(16, 64, halo=16)),
        ({"min": 64, "step": 16}, None, 0, Sizes(16, 64)),
        ({"min": 64, "step": 16}, {"min": 96, "step": 24}, 8, Sizes(48, 96, halo=8)),
        ({"min": 64, "step": 16}, reference("y"), 8, Sizes(16, 64, halo=8)),
        (128, 128, 8, Sizes(1, 128, fixed=True, halo=8)),
        (128, {"min": 64, "step": 16}, 8, Sizes(1, 128, fixed=True, halo=8)),
        ({"min": 20, "step": 16}, None, 8, Sizes(1, 276, fixed=True, halo=8)),
    ],
)
def test_sizes_are_those_that_both_sides_take(rows, columns, halo, sizes):
    made = {"halo": halo} if halo else None
    assert parse_description(described(rows, columns, made=made)).sizes == sizes


@pytest.mark.parametrize(
    ("depth", "planes"),
    [
        (({"min": 8, "step": 4}, 2), PlaneSizes(4, 8, halo=2)),
        (({"min": 1, "step": 1}, 0), PlaneSizes(1, 1)),
        (({"min": 7, "step": 4}, 2), PlaneSizes(1, 39, fixed=True, halo=2)),
        ((16, 0), PlaneSizes(1, 16, fixed=True)),
    ],
)
def test_numbers_of_planes_are_read(depth, planes):
    found = parse_description(described(depth=depth))
    assert found.sizes == Sizes(16, 64, planes=planes)
    assert (found.given.axes, found.made.axes) == ("bczyx", "bczyx")


def test_all_that_matters_is_read():
    found = parse_description(described())
    assert (found.authors, found.licence) == ("Ada Lovelace", "MIT")
    assert (found.weights, found.architecture) == (PackageFile("weights.onnx", None), None)
    assert (found.given.axes, found.given.dtype, found.given.names) == (
        "bcyx",
        "uint16",
        ("intensity",),
    )
    assert found.made.span == (0, 1)


def test_axis_of_one_plane_is_kept():
    assert parse_description(described(given=[space(1, id="z")])).given.axes == "bcsyx"


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"format_version": "0.6.0"}, "version 0.6.0 .* update napari-pix2pix"),
        ({"format_version": "new"}, "version new"),
        ({"rows": 64, "columns": 96}, "no square tiles"),
        ({"given": [space(3, id="z")]}, "another size than its input, along z"),
        ({"given": [{"type": "time", "size": 3, "id": "t"}]}, "time series can't be"),
        ({"made": {"scale": 0.5}}, "another size than its input"),
        ({"weights": {"torchscript": {"source": "a.pt", "pytorch_version": "2.0"}}}, "torchscript"),
        ({"inputs": []}, "invalid"),
    ],
)
def test_what_cannot_be_applied_is_said(fields, sentence):
    with pytest.raises(FileError, match=sentence):
        parse_description(described(**fields))


def test_older_version_of_the_format_is_read():
    source = {
        "name": "raw",
        "axes": "bcyx",
        "data_type": "float32",
        "shape": {"min": [1, 1, 16, 16], "step": [0, 0, 4, 4]},
        "preprocessing": [
            {"name": "zero_mean_unit_variance", "kwargs": {"axes": "yx", "mode": "per_sample"}}
        ],
    }
    shape = {"reference_tensor": "raw", "scale": [1, 1, 1, 1], "offset": [0, 0, 0, 0]}
    target = {"name": "out", "axes": "bcyx", "data_type": "float32", "shape": shape}
    older = {
        **COMMON,
        "format_version": "0.4.9",
        "timestamp": "2021-01-01T00:00:00",
        "test_inputs": ["source.npy"],
        "test_outputs": ["target.npy"],
        "inputs": [source],
        "outputs": [target | {"halo": [0, 0, 4, 4], "postprocessing": [{"name": "sigmoid"}]}],
    }
    found = parse_description(older)
    assert found.sizes == Sizes(4, 16, halo=4)
    assert [step.measures for step in found.given.steps].count(True) == 1
