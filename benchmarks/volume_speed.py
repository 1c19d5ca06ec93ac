"""How fast a network of volumes is: as it is, in channels last, and with factorised convolutions.

A factorised convolution is one within planes, (1, k, k), and one along Z, (k, 1, 1). Times are CPU
seconds, so that what else runs on the machine matters little.

    OMP_NUM_THREADS=1 python benchmarks/volume_speed.py [--side 128] [--planes 32] [--learn 200]

With `--learn` both learn, in so many steps, what lies six planes above; Pearson is that on another
volume.
"""

from __future__ import annotations

import argparse
import copy
import time
import warnings
from collections.abc import Callable

import numpy as np
import torch
from torch import nn
from volumes import structure

from napari_pix2pix import train
from napari_pix2pix.core.generators import make_generator

_FORMATS = {"contiguous": torch.contiguous_format, "channels last": torch.channels_last_3d}


def factorised(layer: nn.Conv3d | nn.ConvTranspose3d) -> nn.Sequential:
    """Return the two convolutions that stand for one, with as many channels between them."""
    kernel, stride, padding = layer.kernel_size, layer.stride, layer.padding
    make = type(layer)

    def part(channels: int, *, along_z: bool) -> nn.Module:
        kept = (slice(0, 1), slice(1, 3)) if along_z else (slice(1, 3), slice(0, 1))
        sizes = []
        for values, neutral in ((kernel, 1), (stride, 1), (padding, 0)):
            chosen = [neutral] * 3
            chosen[kept[0]] = values[kept[0]]
            sizes.append(tuple(chosen))
        return make(channels, layer.out_channels, sizes[0], stride=sizes[1], padding=sizes[2])

    return nn.Sequential(
        part(layer.in_channels, along_z=False), part(layer.out_channels, along_z=True)
    )


def factorise(network: nn.Module) -> nn.Module:
    """Return the same network with factorised convolutions where these see several planes."""
    made = copy.deepcopy(network)
    for module in list(made.modules()):
        for name, layer in list(module.named_children()):
            if type(layer) in (nn.Conv3d, nn.ConvTranspose3d) and layer.kernel_size[0] > 1:
                setattr(module, name, factorised(layer))
    return made


def cpu_seconds(run: Callable[[], object], repeats: int = 2) -> float:
    """Return the CPU seconds of the fastest of some runs, after one that warms up."""
    run()
    taken = []
    for _ in range(repeats):
        began = time.process_time()
        run()
        taken.append(time.process_time() - began)
    return min(taken)


def learn(network: nn.Module, steps: int, seed: int) -> float:
    """Learn what lies six planes above; return Pearson on another volume."""
    volumes = [torch.from_numpy(structure(number, 48, 96, 96))[None, None] for number in (1, 2)]
    random = np.random.default_rng(seed)
    optimizer = torch.optim.Adam(network.train().parameters(), 2e-3)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = 2e-3 * (1 - step / steps)
        z, y, x = (int(random.integers(0, most)) for most in (17, 49, 49))
        part = volumes[0][:, :, z : z + 32, y : y + 48, x : x + 48]
        made, wanted = network(2 * part - 1)[:, :, 6:], (2 * part - 1)[:, :, :-6]
        optimizer.zero_grad()
        (made - wanted).abs().mean().backward()
        optimizer.step()
    with torch.inference_mode():
        found = network.eval()(2 * volumes[1] - 1)[0, 0, 6:]
    return float(np.corrcoef(found.ravel(), volumes[1][0, 0, :-6].ravel())[0, 1])


def main() -> None:
    """Print million voxels a CPU second, applied and trained."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=128)
    parser.add_argument("--planes", type=int, default=32)
    parser.add_argument("--learn", type=int, default=0, help="steps")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    volume = np.random.default_rng(0).random((chosen.planes, chosen.side, chosen.side), np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fields = {"ndim": 3, "steps": 1, "validation": 0.0, "adversarial_weight": 0.0}
        model = train(volume, 1 - volume, device="cpu", **fields)
        applied = cpu_seconds(lambda: model(volume))
    print(f"{'applied, with tiles and codecs':32} {volume.size / applied / 1e6:.2f}", flush=True)
    plain = model.generator
    networks = {"as it is": plain, "factorised": factorise(plain)}
    for name, network in networks.items():
        count = sum(p.numel() for p in network.parameters())
        for title, memory_format in _FORMATS.items():
            network.to(memory_format=memory_format)  # type: ignore[call-overload]
            given = torch.from_numpy(volume)[None, None].contiguous(memory_format=memory_format)

            def forward(network: nn.Module = network, given: torch.Tensor = given) -> None:
                with torch.inference_mode():
                    network.eval()(given)

            part = given[..., :64, :64].contiguous(memory_format=memory_format)

            def step(network: nn.Module = network, part: torch.Tensor = part) -> None:
                network.train()(part).square().mean().backward()

            speeds = [volume.size / cpu_seconds(forward), part.numel() / cpu_seconds(step)]
            text = ", ".join(
                f"{what} {speed / 1e6:.2f}"
                for what, speed in zip(("forward", "step"), speeds, strict=True)
            )
            print(f"{name + ', ' + title:32} {text} ({count:,} weights)", flush=True)
    for seed in range(3 if chosen.learn else 0):
        for name in networks:
            torch.manual_seed(seed)
            plain = make_generator("unet", 1, 1, depth=4, width=16, ndim=3)
            network = plain if name == "as it is" else factorise(plain)
            pearson = learn(network, chosen.learn, seed)
            print(f"{name}, seed {seed}: Pearson {pearson:.3f}", flush=True)


if __name__ == "__main__":
    main()
