"""How to compare with the golden values of the PyTorch reference implementation."""

import pytest
import torch
from torch import nn


@pytest.fixture
def check_golden(golden):
    """Return a check of a network against one entry of the golden values."""

    def check(network, entry):
        state = network.state_dict()
        shapes = {name: list(tensor.shape) for name, tensor in state.items()}
        assert list(shapes.items()) == list(entry["state_dict"].items())
        assert sum(p.numel() for p in network.parameters()) == entry["parameters"]
        for mode in {"train_statistics", "eval"} & set(entry):
            golden.fill_(state)
            network.train(mode == "train_statistics")
            for module in network.modules():
                if isinstance(module, nn.Dropout):
                    module.eval()
            with torch.no_grad():
                got = golden.probe(network(golden.ramp(*entry["input"])))
            assert got["shape"] == entry[mode]["shape"]
            for key in ("mean", "std", "values"):
                assert got[key] == pytest.approx(entry[mode][key], abs=1e-4)

    return check
