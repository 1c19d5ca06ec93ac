"""Forked processes compute, although the threads of their parent are not theirs."""

import multiprocessing
import os
import sys
import warnings

import numpy as np
import pytest
import torch
from helpers import make_model, noise

from napari_pix2pix.errors import DeviceError
from napari_pix2pix.inference import _forks as forks


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nobody forks by default")
def test_a_pool_translates_after_threads_have_computed_here(two_threads):
    image = noise(96, 96)
    model = make_model(image, 1 - image)
    torch.rand(500, 500) @ torch.rand(500, 500)  # OpenMP's threads begin
    expected = model(image)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # from Python 3.12 on: it has threads
        pool = multiprocessing.get_context("fork").Pool(1)
    with pool:
        [made] = pool.map_async(model, [image]).get(timeout=60)
    assert np.array_equal(made, expected)


def test_a_gpu_that_was_used_before_the_fork_is_refused_in_a_sentence(monkeypatch):
    def refuse():
        raise RuntimeError("Cannot re-initialize CUDA in forked subprocess.")

    monkeypatch.setattr(torch.cuda, "init", refuse)
    forks.check_usable_here(torch.device("cuda:0"))
    monkeypatch.setattr(forks, "_LOADED_IN", os.getppid())  # as in a forked process
    with pytest.raises(DeviceError, match=r'cuda:0 was used before .*get_context."spawn".'):
        forks.check_usable_here(torch.device("cuda:0"))
    forks.check_usable_here(torch.device("cpu"))
