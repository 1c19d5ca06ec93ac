import numpy as np
import pytest
from helpers import TINY, gray_noise
from scipy import ndimage

from napari_pix2pix import train
from napari_pix2pix.errors import ConfigError, FileError, InputError
from napari_pix2pix.training.events import Step

SIZE = 96


def fields(**more):
    return {**TINY, "validation": 0.0, "warp_tolerance": 6, **more}


def pairs(count: int = 2) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Sources, and targets that are moved by 3 px."""
    sources = [ndimage.gaussian_filter(gray_noise(SIZE, SIZE, seed=n), 2) for n in range(count)]
    return sources, [np.roll(source, 3, axis=1) for source in sources]


def test_targets_are_registered_early_and_the_model_says_so():
    sources, targets = pairs()
    translator = train(sources, targets, steps=4, **fields())
    [note] = [note for note in translator.info.notes if "registered" in note]
    assert "px from it on average" in note
    plain = train(sources, targets, steps=4, **fields(warp_tolerance=0))
    losses = [model.info.history[-1].losses["G_L1"] for model in (translator, plain)]
    assert losses[0] != losses[1]  # after the registration


def test_a_run_that_is_resumed_keeps_its_displacements(tmp_path):
    sources, targets = pairs()
    whole = train(sources, targets, steps=6, **fields())
    path = tmp_path / "run.ckpt"

    def stop(event):
        return isinstance(event, Step) and event.step == 4  # after the registration

    train(sources, targets, steps=6, checkpoint=path, callback=stop, **fields())
    resumed = train(sources, targets, steps=6, checkpoint=path, resume=True, **fields())
    for name, tensor in whole.tensors.items():
        np.testing.assert_array_equal(resumed.tensors[name], tensor, err_msg=name)
    assert resumed.info.notes == whole.info.notes
    assert not any(name.startswith("warps") for name in resumed.tensors)


def test_displacements_of_other_pairs_are_refused(tmp_path):
    from napari_pix2pix.io.model_file import read_container, write_container

    sources, targets = pairs()
    path = tmp_path / "run.ckpt"
    train(sources, targets, steps=4, checkpoint=path, **fields())
    tensors, header = read_container(path)
    tensors = {name: tensor.clone() for name, tensor in tensors.items()}
    tensors["warps.0.0"] = tensors["warps.0.0"][:, 1:].clone()
    write_container(path, tensors, header)
    with pytest.raises(FileError, match="displacements are not those"):
        train(sources, targets, steps=8, checkpoint=path, resume=True, **fields())


def test_what_can_not_be_registered_is_refused_before_training():
    image = gray_noise(SIZE, SIZE)
    labels = np.kron(np.arange(36).reshape(6, 6), np.ones((16, 16), int)).astype("uint16")
    with pytest.raises(InputError, match="these hold instances"):
        train(image, labels, steps=2, **fields(target_kind="instances"))
    large = np.tile(image, (63, 63))[:6000, :6000]
    with pytest.raises(InputError, match="32 megapixels at most, and there are 36"):
        train(large, large, steps=2, **fields())
    with pytest.raises(ConfigError, match="no volumes yet"):
        train(np.stack([image] * 16), np.stack([image] * 16), steps=2, ndim=3, **fields())
