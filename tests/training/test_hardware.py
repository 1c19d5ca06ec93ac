import pytest
import torch

from napari_pix2pix.inference.devices import available_devices
from napari_pix2pix.training.config import TrainConfig
from napari_pix2pix.training.dataset import prepare
from napari_pix2pix.training.hardware import Device, find_devices, suggest_fields, training_memory


def test_devices_have_names_and_memory():
    found = find_devices()
    assert [device.key for device in found] == [str(device) for device in available_devices()]
    assert all("GB free" in device.name and device.free > 0 for device in found)


@pytest.mark.parametrize(
    ("key", "gigabytes", "preset", "fields"),
    [
        ("cpu", 16, "light", {}),
        ("cpu", 1, "light", {"batch": 4}),
        ("cuda:0", 4, "light", {}),
        ("cuda:0", 24, "light", {"patch": 256}),
        ("cuda:0", 24, "paper", {}),
        ("cpu", 1, "reference", {}),
    ],
)
def test_suggestions_fit_the_memory_and_the_config(key, gigabytes, preset, fields):
    suggested = suggest_fields(Device(key, "", gigabytes * 2**30), preset)
    assert suggested == fields
    TrainConfig(preset=preset, **suggested)  # type: ignore[arg-type]


def test_memory_grows_as_what_it_is_needed_for(make_pair, tiny):
    def needed(**fields):
        return training_memory(prepare([make_pair()], tiny(**fields)))

    base = needed()
    weights = needed(batch=1) * 2 - base  # what does not grow with the batch
    assert 0 < weights < base
    assert needed(batch=4) - weights == 2 * (base - weights)
    assert needed(width=8) > base
    assert needed(adversarial_weight=0) < base
    assert needed(generator="resnet", blocks=2, patch=32) > 0


def test_estimate_allocates_nothing(make_pair, tiny):
    data = prepare([make_pair()], tiny(width=64, depth=5))
    state = torch.get_rng_state()
    assert training_memory(data) > 100e6
    assert torch.equal(state, torch.get_rng_state())
