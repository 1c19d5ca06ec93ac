"""ONNX files and packages become translators: ours as they were, and those of others."""

import json
import pickle
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from foreign_models import onnx_file, package, run_package
from helpers import gray_noise, integer_noise, make_model, noise

from napari_pix2pix import convert, load, train
from napari_pix2pix.errors import FileError, InputError

pytest.importorskip("bioimageio.core", reason="needs the extra bioimageio")
v0_5 = pytest.importorskip("bioimageio.spec.model.v0_5")

IMAGE = integer_noise(64, 64)
GIVEN = gray_noise(70, 61, seed=3)


def squares():
    labels = np.kron(np.arange(1, 17).reshape(4, 4), np.ones((16, 16), int)).astype(np.uint16)
    labels[::16] = labels[:, ::16] = 0
    return labels


def pair_of(kind):
    """Return source, target and the fields of a training."""
    if kind == "image":
        return IMAGE, gray_noise(64, 64, seed=1, dtype=np.uint16), {}
    if kind == "rgb":
        return integer_noise(64, 64, 3), 255 - integer_noise(64, 64, 3), {}
    if kind == "channels":
        source = integer_noise(2, 64, 64)
        return source, source.astype(np.int16) - 100, {"channel_axis": 0}
    target = (IMAGE > 100).astype(np.uint8) if kind == "classes" else squares()
    return IMAGE, target, {"target_kind": kind}


def image_of(kind, height=72, width=56):
    if kind == "rgb":
        return integer_noise(height, width, 3, seed=5)
    return integer_noise(*((2,) if kind == "channels" else ()), height, width, seed=5)


NETWORKS = {
    "unet": {},
    "resize": {"upsampling": "resize"},
    "resnet": {"generator": "resnet", "blocks": 1},
    "encoder_decoder": {"generator": "encoder_decoder"},
}


def check_equal(found, wanted, kind):
    """Allow one grey level; of objects, a few pixels that a threshold may split otherwise."""
    assert found.dtype == wanted.dtype
    assert found.shape == wanted.shape
    if kind == "instances":
        assert ((found > 0) ^ (wanted > 0)).mean() < 0.01
    else:
        assert np.abs(found.astype(np.int64) - wanted.astype(np.int64)).max() <= 1


# Exporting includes the tests of ONNX Runtime and of bioimageio.core.
@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("norm", ["batch", "instance", "none"])
@pytest.mark.parametrize("kind", ["image", "rgb", "channels", "classes", "instances"])
def test_own_package_is_the_models_equal(kind, norm, network, tmp_path):
    source, target, fields = pair_of(kind)
    model = make_model(source, target, **fields, **NETWORKS[network], norm=norm)
    model.export(tmp_path / "model.zip", authors="Ada Lovelace", licence="MIT")
    again, given = load(tmp_path / "model.zip"), image_of(kind)
    check_equal(again(given), model(given), kind)
    assert again.card().startswith(model.card())
    assert again.card().endswith("- By Ada Lovelace.\n- Licence: MIT.")


@pytest.mark.parametrize("kind", ["image", "rgb", "channels", "classes", "instances"])
def test_own_onnx_file_is_the_models_equal(kind, tmp_path):
    source, target, fields = pair_of(kind)
    model = make_model(source, target, **fields)
    model.export(tmp_path / "model.onnx")
    again, given = load(tmp_path / "model.onnx"), image_of(kind)
    check_equal(again(given), model(given), kind)
    assert again.card() == model.card()


def test_conditions_and_neighbours_come_back(tmp_path):
    stacks = [integer_noise(3, 48, 48, seed=seed) for seed in range(2)]
    model = make_model(stacks, [255 - stack for stack in stacks], condition=["a", "b"], z_context=1)
    model.export(tmp_path / "model.onnx")
    again, stack = load(tmp_path / "model.onnx"), integer_noise(3, 48, 48, seed=5)
    for condition in ("a", "b"):
        wanted = model(stack, condition=condition).astype(int)
        assert np.abs(again(stack, condition=condition) - wanted).max() <= 1


def test_tiles_and_dask_chunks_equal_the_whole(tmp_path):
    import dask.array as da

    model = make_model(IMAGE, noise(64, 64, seed=1))
    model.export(tmp_path / "model.onnx")
    again, image = load(tmp_path / "model.onnx"), integer_noise(2, 90, 75, seed=5)
    whole = again(image, tile=0)
    np.testing.assert_allclose(again(image, tile=16, batch=2), whole, atol=1e-5)
    lazy = again(da.from_array(image, chunks=(1, 32, 32)))
    assert lazy.chunks[1] == (32, 32, 26)
    np.testing.assert_allclose(lazy.compute(), whole, atol=1e-5)


def test_network_that_measures_its_input_is_given_whole_images(tmp_path):
    model = make_model(IMAGE, noise(64, 64, seed=1), norm="instance")
    model.export(tmp_path / "model.onnx")
    again = load(tmp_path / "model.onnx")
    with pytest.raises(InputError, match="given whole images"):
        again(IMAGE, tile=32)
    np.testing.assert_allclose(again(GIVEN), model(GIVEN, tile=0), atol=1e-4)


def step(name, **kwargs):
    kinds = {
        "f32": (v0_5.EnsureDtypeDescr, v0_5.EnsureDtypeKwargs),
        "u8": (v0_5.EnsureDtypeDescr, v0_5.EnsureDtypeKwargs),
        "linear": (v0_5.ScaleLinearDescr, v0_5.ScaleLinearKwargs),
        "along": (v0_5.ScaleLinearDescr, v0_5.ScaleLinearAlongAxisKwargs),
        "clip": (v0_5.ClipDescr, v0_5.ClipKwargs),
        "fixed": (v0_5.FixedZeroMeanUnitVarianceDescr, v0_5.FixedZeroMeanUnitVarianceKwargs),
        "mean": (v0_5.ZeroMeanUnitVarianceDescr, v0_5.ZeroMeanUnitVarianceKwargs),
        "range": (v0_5.ScaleRangeDescr, v0_5.ScaleRangeKwargs),
        "binarize": (v0_5.BinarizeDescr, v0_5.BinarizeKwargs),
        "softmax": (v0_5.SoftmaxDescr, v0_5.SoftmaxKwargs),
    }
    given = {"f32": {"dtype": "float32"}, "u8": {"dtype": "uint8"}}.get(name, kwargs)
    if name == "sigmoid":
        return v0_5.SigmoidDescr()
    kind, wanted = kinds[name]
    return kind(kwargs=wanted(**given))


PLANE = {"axes": ["y", "x"]}
STEPS = {
    "linear": ([step("linear", gain=0.01, offset=-1.0)], []),
    "along": ([step("along", axis="channel", gain=[0.01], offset=[0.5])], [step("sigmoid")]),
    "fixed": ([step("fixed", mean=100.0, std=50.0), step("clip", min=-1.0, max=1.0)], []),
    "mean": ([step("mean", **PLANE)], []),
    "all": ([step("mean")], []),
    "range": ([step("range", **PLANE, min_percentile=2, max_percentile=99)], []),
    "range and clip": (
        [step("range", **PLANE, min_percentile=5, max_percentile=90), step("clip", min=0, max=1)],
        [],
    ),
    "clip": ([step("clip", **PLANE, min_percentile=10, max_percentile=90)], []),
}


@pytest.mark.parametrize("name", STEPS)
def test_package_of_others_gives_what_its_own_library_gives(name, tmp_path):
    before, after = STEPS[name]
    path = package(tmp_path / "others.zip", [*before, step("f32")], after)
    model, wanted = load(path), run_package(path, GIVEN[np.newaxis, np.newaxis])[0, 0]
    scale = np.abs(wanted).max()
    np.testing.assert_allclose(model(GIVEN) / scale, wanted / scale, atol=1e-5)
    np.testing.assert_allclose(model(GIVEN, tile=16) / scale, wanted / scale, atol=1e-5)


def test_classes_of_others_are_planes_between_0_and_1(tmp_path):
    path = package(
        tmp_path / "others.zip",
        [step("f32"), step("linear", gain=0.01, offset=0.0), step("f32")],
        [step("softmax")],
        channels=(1, 3),
    )
    made = load(path)(GIVEN)
    assert made.shape == (3, 70, 61)
    np.testing.assert_allclose(made.sum(0), 1, atol=1e-5)
    np.testing.assert_allclose(made, run_package(path, GIVEN[np.newaxis, np.newaxis])[0], atol=1e-5)


def test_integers_of_others_come_out_as_they_are(tmp_path):
    after = [step("linear", gain=0.1, offset=128.0), step("clip", min=0, max=255), step("u8")]
    path = package(tmp_path / "others.zip", [step("f32")], after, dtypes=("uint8", "uint8"))
    model = load(path)
    wanted = run_package(path, GIVEN[np.newaxis, np.newaxis])[0, 0]
    np.testing.assert_array_equal(model(GIVEN), wanted)
    assert model.target_codec.data_range == (255.0,)


def test_binary_planes_of_others_are_binary(tmp_path):
    after = [step("binarize", threshold=20.0)]
    path = package(tmp_path / "others.zip", [step("f32")], after, dtypes=("uint8", "bool"))
    made = load(path)(GIVEN)
    assert made.dtype == bool
    assert 0 < made.mean() < 1


@pytest.mark.parametrize("axes", ["bcyx", "byxc", "bxyc"])
def test_axes_may_be_in_any_order(axes, tmp_path):
    kept = {"channels": (3, 2), "names": ["red", "green", "blue"], "axes": axes}
    path = package(tmp_path / "others.zip", [step("f32")], **kept)
    model, image = load(path), gray_noise(40, 33, 3)
    order = ["yxc".index(axis) for axis in axes[1:]]
    back = [axes[1:].index(axis) for axis in "cyx"]
    wanted = run_package(path, image.transpose(order)[np.newaxis])[0].transpose(back)
    np.testing.assert_allclose(model(image), wanted, rtol=1e-4)


@pytest.mark.parametrize(
    ("size", "tile"), [(40, 36), ((32, 8), None), ((20, 16), 256), ((48, 1), None)]
)
def test_sizes_of_a_package_are_kept(size, tile, tmp_path):
    wanted = size if isinstance(size, int) else v0_5.ParameterizedSize(min=size[0], step=size[1])
    path = package(tmp_path / "others.zip", [step("f32")], size=wanted, halo=2, batch=1)
    model, free = load(path), package(tmp_path / "free.zip", [step("f32")])
    assert model.generator.tile == tile
    image = gray_noise(2, 90, 101)
    inner = np.s_[:, 2:-2, 2:-2]  # where no window ends
    whole = load(free)(image)
    np.testing.assert_allclose(model(image)[inner], whole[inner], rtol=1e-4, atol=1e-3)


def test_package_says_who_made_it_and_its_pixel_size(tmp_path):
    path = package(tmp_path / "others.zip", [step("f32")], scale=0.5, unit="micrometer")
    card = load(path).card()
    assert "Trained at 0.5 µm per pixel." in card
    assert "Trained by another program." in card
    assert "By Ada Lovelace, Charles Babbage." in card
    assert "Licence: MIT." in card


def test_package_may_be_a_folder_or_its_description(tmp_path):
    path = package(tmp_path / "others.zip", [step("f32")])
    folder = tmp_path / "unpacked"
    with zipfile.ZipFile(path) as file:
        file.extractall(folder)
    [description] = [*folder.glob("rdf.yaml"), *folder.glob("bioimageio.yaml")]
    digests = {load(one).digest for one in (path, folder, description)}
    assert len(digests) == 1


def test_plain_file_is_given_whole_images_unless_it_has_a_halo(tmp_path):
    path = onnx_file(tmp_path / "plain.onnx", stride=4)
    image = noise(70, 61)
    whole = load(path)
    assert (whole.generator.stride, whole.generator.tile) == (4, 0)
    assert "given whole images" in " ".join(whole.info.notes)
    with pytest.raises(InputError, match="load it with a halo"):
        whole(image, tile=16)
    cut = load(path, halo=8)
    np.testing.assert_allclose(cut(image, tile=16), whole(image), atol=1e-5)


def test_plain_file_has_no_intensities_unless_a_dtype_is_given(tmp_path):
    path = onnx_file(tmp_path / "plain.onnx")
    as_it_is, scaled = load(path), load(path, dtype="uint8")
    made = as_it_is((GIVEN / 127.5 - 1).astype(np.float32))
    np.testing.assert_allclose(
        scaled(GIVEN), np.clip(np.rint((made + 1) * 127.5), 0, 255), atol=1.001
    )
    with pytest.raises(InputError, match="dtype must be an integer dtype"):
        load(path, dtype="float32")


def test_plain_file_of_one_size_is_cut_into_it(tmp_path):
    one, free = (
        onnx_file(tmp_path / "one.onnx", side=48, batch=1),
        onnx_file(tmp_path / "free.onnx"),
    )
    model, image = load(one), noise(70, 61)
    assert "windows overlap by 6 pixels" in " ".join(model.info.notes)
    np.testing.assert_allclose(model(image)[1:-1, 1:-1], load(free)(image)[1:-1, 1:-1], atol=1e-4)
    with pytest.raises(InputError, match="windows of one size"):
        model(image, tile=16)
    with pytest.raises(InputError, match="less than half of the window"):
        load(one, halo=24)
    with pytest.raises(InputError, match="halo must be 0 or more"):
        load(one, halo=-1)


@pytest.fixture
def plain(tmp_path):
    return load(onnx_file(tmp_path / "plain.onnx"))


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        (lambda model, _: model.export("a.onnx"), "neither trained on, saved"),
        (lambda model, _: model.save("a.safetensors"), "neither trained on, saved"),
        (lambda model, _: convert(model, "latest_net_G.pth"), "neither trained on, saved"),
        (lambda model, image: train(image, image, start=model, steps=1), "neither trained on"),
        (lambda model, image: model.discriminator_map(image, image), "no discriminator"),
        (lambda model, image: model.unlikeness_map(image), "does not know what its training"),
        (lambda model, image: model(image, compile=True), "leave compile out"),
        (lambda model, image: model(image, precision="bf16-mixed"), "leave precision out"),
        (lambda model, image: model(image, dropout=True), "no dropout"),
        (lambda model, image: model.with_weights("best"), "holds only its last weights"),
    ],
)
def test_what_needs_our_weights_is_refused(asked, sentence, plain):
    with pytest.raises(InputError, match=sentence):
        asked(plain, noise(64, 64))


def test_it_can_be_sent_to_another_process_before_and_after_it_has_run(plain):
    image = noise(64, 64)
    before = pickle.loads(pickle.dumps(plain))
    wanted = plain(image)
    after = pickle.loads(pickle.dumps(plain))
    for sent in (before, after):
        np.testing.assert_array_equal(sent(image), wanted)
        assert sent.digest == plain.digest


@pytest.mark.parametrize(
    ("options", "sentence"),
    [({"dtype": "uint8"}, "says its dtype itself"), ({"halo": 3}, "says its halo")],
)
def test_what_a_package_says_itself_is_not_given(options, sentence, tmp_path):
    path = package(tmp_path / "others.zip", [step("f32")])
    with pytest.raises(InputError, match=sentence):
        load(path, **options)


def changed(path, out, change=None, without=(), content=None):
    """Copy a package with another description, or without some files."""
    import ruyaml

    yaml = ruyaml.YAML(typ="safe")
    with zipfile.ZipFile(path) as file, zipfile.ZipFile(out, "w") as copy:
        for name in file.namelist():
            data = file.read(name)
            if name.endswith(".yaml"):
                described = yaml.load(data.decode())
                if change is not None:
                    change(described)
                data = json.dumps(described)  # which is YAML too
            if name.endswith(".onnx") and content is not None:
                data = content
            if name not in without:
                copy.writestr(name, data)
    return out


def set_weights(described, **values):
    described["weights"]["onnx"] |= values


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda d: d.update(format_version="0.9.0"), "version 0.9.0.*update napari-pix2pix"),
        (lambda d: d.update(type="dataset"), "describes no model but a dataset"),
        (lambda d: d["inputs"].append(d["inputs"][0]), "can't be applied"),
        (lambda d: set_weights(d, source="../weights.onnx"), "outside of itself"),
        (lambda d: set_weights(d, source="/etc/passwd"), "outside of itself|invalid"),
        (lambda d: set_weights(d, source="https://example.com/weights.onnx"), "on the web"),
        (lambda d: set_weights(d, sha256="0" * 64), "SHA-256 differs"),
        (lambda d: set_weights(d, source="other.onnx"), "has no other.onnx"),
        (lambda d: d["outputs"][0]["axes"][2].update(scale=0.5), "another size than its input"),
        (
            lambda d: d["outputs"][0]["postprocessing"].insert(
                0, {"id": "scale_mean_variance", "kwargs": {"reference_tensor": "source"}}
            ),
            "scale_mean_variance",
        ),
    ],
)
def test_package_that_cannot_be_applied_is_refused_in_words(change, sentence, tmp_path):
    path = package(tmp_path / "others.zip", [step("f32")], halo=0)
    bad = changed(path, tmp_path / "bad.zip", change)
    with pytest.raises(FileError, match=sentence) as caught:
        load(bad)
    assert "bad.zip" in str(caught.value)


def test_package_with_other_weights_than_it_describes_is_refused(tmp_path):
    path = package(tmp_path / "others.zip", [step("f32")])
    weights = onnx_file(tmp_path / "w.onnx", value=3.0).read_bytes()
    with pytest.raises(FileError, match="is not the file that the package describes"):
        load(changed(path, tmp_path / "bad.zip", content=weights))


def test_package_without_a_file_is_refused(tmp_path):
    path = package(tmp_path / "others.zip", [step("f32")])
    with pytest.raises(FileError, match="get the whole package"):
        load(changed(path, tmp_path / "bad.zip", without=["weights.onnx"]))


@pytest.mark.parametrize(
    ("network", "sentence"),
    [
        ({"inputs": 2}, "has 2 inputs"),
        ({"axes": "byx"}, "4 axes"),
        ({"dtype": "INT64"}, "floating point"),
        ({"value": np.nan}, "NaN or infinite"),
        ({"value": np.inf}, "NaN or infinite"),
    ],
)
def test_onnx_file_of_something_else_is_refused_in_words(network, sentence, tmp_path):
    path = onnx_file(tmp_path / "bad.onnx", **network)
    with pytest.raises(FileError, match=sentence):
        load(path)


@pytest.mark.parametrize("content", [b"", b"no network", b"PK\x03\x04" + bytes(100)])
def test_damaged_onnx_file_is_refused(content, tmp_path):
    (tmp_path / "bad.onnx").write_bytes(content)
    with pytest.raises(FileError, match=r"bad\.onnx"):
        load(tmp_path / "bad.onnx")


def test_own_file_whose_network_was_exchanged_is_refused(tmp_path):
    import onnx

    make_model(IMAGE, noise(64, 64)).export(tmp_path / "model.onnx")
    header = onnx.load(tmp_path / "model.onnx").metadata_props
    other = onnx.load(onnx_file(tmp_path / "other.onnx", channels=(2, 1)))
    other.metadata_props.extend(header)
    onnx.save(other, tmp_path / "other.onnx")
    with pytest.raises(FileError, match="it was changed"):
        load(tmp_path / "other.onnx")


def test_engine_is_in_no_file(tmp_path):
    model = make_model(IMAGE, noise(64, 64))
    model.export(tmp_path / "model.onnx")
    info = load(tmp_path / "model.onnx").info
    assert (info.engine, info.is_external) == ("onnx", True)
    assert not {"engine", "is_external"} & {*info.to_header()}
    assert replace(info, engine="torch", is_external=False).to_header() == info.to_header()


@pytest.mark.parametrize(
    ("side", "message"),
    [
        (2**62, "are tried: export it with free or smaller sides"),
        (50_000, "takes windows of 50000 x 50000 pixels alone, 10000 MB of source"),
        (None, "not of the shape or kind"),
    ],
)
def test_sizes_that_no_network_has_are_refused(tmp_path, side, message):
    import onnx

    path = onnx_file(tmp_path / "net.onnx", side=32)
    lying = onnx.load(path)
    if side is not None:
        for end in (lying.graph.input[0], lying.graph.output[0]):
            for axis in (2, 3):
                end.type.tensor_type.shape.dim[axis].dim_value = side
    else:
        lying.graph.initializer[0].dims[0] = 2**40
    onnx.save(lying, path)
    with pytest.raises(FileError, match=message):
        load(path)
