"""Devices of ONNX Runtime, with builds of it that stand in for those that are not here."""

import numpy as np
import pytest
import torch
from foreign_models import onnx_file

from napari_pix2pix import load
from napari_pix2pix.errors import DeviceError
from napari_pix2pix.io.onnx_devices import choices_of, providers_of

onnxruntime = pytest.importorskip("onnxruntime", reason="needs the extra onnx")
CPU, CUDA = torch.device("cpu"), torch.device("cuda", 0)
IMAGE = np.random.default_rng(0).random((40, 36), dtype=np.float32)


@pytest.fixture
def offer(monkeypatch):
    """Say which providers ONNX Runtime was built with."""

    def offer(*names):
        offered = [*names, "CPUExecutionProvider"]
        monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: offered)

    return offer


@pytest.fixture
def sessions(monkeypatch):
    """Let sessions compute on the CPU what they are asked to compute elsewhere, and list these."""
    asked, own = [], onnxruntime.InferenceSession

    class Session(own):
        def __init__(self, model, options, providers, **more):
            self._asked = providers
            asked.append(providers)
            super().__init__(model, options, providers=["CPUExecutionProvider"], **more)

        def get_providers(self):
            return [one if isinstance(one, str) else one[0] for one in self._asked]

    monkeypatch.setattr(onnxruntime, "InferenceSession", Session)
    return asked


@pytest.fixture
def works_on_cpu_alone(monkeypatch):
    """Let sessions go on without what they are asked for, as with a driver that is missing."""
    own = onnxruntime.InferenceSession

    def open_session(model, options, providers, **more):
        return own(model, options, providers=["CPUExecutionProvider"], **more)

    monkeypatch.setattr(onnxruntime, "InferenceSession", open_session)


@pytest.mark.parametrize(
    ("offered", "wanted", "expected"),
    [
        ([], "auto", [CPU]),
        ([], "cpu", [CPU]),
        (["CUDAExecutionProvider"], "auto", [CUDA, CPU]),
        (["CUDAExecutionProvider"], "cuda", [CUDA]),
        (["CUDAExecutionProvider"], "cuda:1", [torch.device("cuda", 1)]),
        (["MIGraphXExecutionProvider"], "auto", [CUDA, CPU]),
        (["CoreMLExecutionProvider"], "auto", [CPU]),
        (["CoreMLExecutionProvider"], "mps", [torch.device("mps")]),
    ],
)
def test_a_name_stands_for_devices_that_are_offered(offered, wanted, expected, offer):
    offer(*offered)
    assert choices_of(wanted) == expected


@pytest.mark.parametrize("wanted", ["cuda", "cuda:3", "mps", "xpu", "no device"])
def test_a_device_that_is_not_offered_is_refused_in_one_sentence(wanted, tmp_path):
    model = load(onnx_file(tmp_path / "plain.onnx"))
    with pytest.raises(DeviceError, match=rf"offers no device '{wanted}' here: choose auto or cpu"):
        model(IMAGE, device=wanted)


def test_a_gpu_computes_in_full_precision(offer):
    offer("CUDAExecutionProvider")
    (name, options), rest = providers_of(torch.device("cuda", 1))
    assert (name, rest) == ("CUDAExecutionProvider", "CPUExecutionProvider")
    assert options.items() >= {"device_id": "1", "use_tf32": "0"}.items()


@pytest.mark.parametrize(("device", "first"), [(None, "cuda"), ("cuda", "cuda"), ("cpu", "cpu")])
def test_the_network_runs_where_it_is_asked_to(device, first, offer, sessions, tmp_path):
    model = load(onnx_file(tmp_path / "plain.onnx", side=48, batch=1))
    wanted = model(IMAGE, device="cpu")
    offer("CUDAExecutionProvider")
    sessions.clear()
    np.testing.assert_array_equal(model(IMAGE, device=device), wanted)
    names = [one if isinstance(one, str) else one[0] for asked in sessions for one in asked[:1]]
    assert names == [] if first == "cpu" else names == ["CUDAExecutionProvider"]
    assert model.generator._device.type == first


def test_a_gpu_that_fails_is_left_out_unless_it_is_asked_for(offer, works_on_cpu_alone, tmp_path):
    model = load(onnx_file(tmp_path / "plain.onnx"))
    offer("CUDAExecutionProvider")
    assert model(IMAGE).shape == IMAGE.shape
    with pytest.raises(DeviceError, match="can't use cuda:0 here, though it was made for it"):
        model(IMAGE, device="cuda")


def test_a_session_is_opened_once_for_all_frames_and_copies(sessions, tmp_path):
    model = load(onnx_file(tmp_path / "plain.onnx", side=48, batch=1))
    sessions.clear()
    model(np.stack([IMAGE] * 3))
    model.detached_copy().predict_window(IMAGE[np.newaxis])
    assert len(sessions) == 1
