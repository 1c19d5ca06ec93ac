"""Compare a training step of ``reference`` in our loop with one in a plain eager loop.

Both train the same networks (U-Net-256, 70 px PatchGAN) in turns within one process, so that a
change of the machine's speed affects both. The plain loop is what a reader of the paper would
write: eager PyTorch, channels first, Adam with its defaults, one batch in memory. Ours draws its
patches in every step. The exit status is 1 if a bar for the CPU is missed.

    python benchmarks/step.py [--batch 1 4] [--steps 12] [--json]
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from napari_pix2pix.data.pair import Pair
from napari_pix2pix.inference.devices import choose_device, name_device
from napari_pix2pix.training.config import TrainConfig
from napari_pix2pix.training.dataset import prepare
from napari_pix2pix.training.distributed import make_fabric
from napari_pix2pix.training.events import Control, Step
from napari_pix2pix.training.loop import TrainingLoop, build_state
from napari_pix2pix.training.state import build_discriminator, build_generator

BARS = {1: 1.0, 4: 0.9}  # on a CPU, by batch


def main() -> None:
    """Print the median times and their ratio for each batch size."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--steps", type=int, default=12, help="counted steps of each, in turn")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--compile", action="store_true", help="compile our networks")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    device = choose_device(args.device)
    results = []
    for batch in args.batch:
        config = TrainConfig(
            preset="reference", batch=batch, steps=10**6, validation=0.0, compile=args.compile
        )
        result = compare(config, device, steps=args.steps)
        results.append(result)
        if not args.json:
            print(
                f"batch {batch}: ours {result['ours_seconds']:.3f} s, plain "
                f"{result['plain_seconds']:.3f} s, ratio {result['ratio']:.2f}, bar "
                f"{BARS.get(batch, '-')} ({name_device(device)})"
            )
    if args.json:
        print(json.dumps(results))
    missed = [r for r in results if r["ratio"] > BARS.get(int(r["batch"]), float("inf"))]
    sys.exit(1 if missed and device.type == "cpu" else 0)


def compare(config: TrainConfig, device: torch.device, *, steps: int) -> dict[str, float]:
    """Take ``steps`` steps of each loop in turn; return medians and the ratio by pairs."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 255, (2, 512, 512, 3), dtype=np.uint8)
    ours = our_steps(config, device, *images)
    plain = plain_step(config, device)
    times: list[tuple[float, float]] = []
    for _ in range(steps + 3):
        times.append((seconds_of(lambda: next(ours), device), seconds_of(plain, device)))
    counted = times[3:]  # the first ones warm up caches and the compiler
    return {
        "batch": config.batch,
        "ours_seconds": statistics.median(our for our, _ in counted),
        "plain_seconds": statistics.median(other for _, other in counted),
        "ratio": statistics.median(our / other for our, other in counted),
    }


def our_steps(
    config: TrainConfig, device: torch.device, source: np.ndarray, target: np.ndarray
) -> Iterator[Step]:
    """Return an iterator that takes one step of our loop each time."""
    data = prepare([Pair(source, target)], config)
    state = build_state(config, data, device)
    loop = TrainingLoop(state, data, make_fabric(config, device), control=Control())
    return (event for event in loop if isinstance(event, Step))


def plain_step(config: TrainConfig, device: torch.device) -> Callable[[], None]:
    """Return a function that takes one step in the plain way."""
    generator = build_generator(config, planes_in=3, planes_out=3).to(device)
    discriminator = build_discriminator(config, planes_in=6)
    assert discriminator is not None
    discriminator.to(device)
    optimizer_g = torch.optim.Adam(generator.parameters(), lr=2e-4, betas=(0.5, 0.999))
    optimizer_d = torch.optim.Adam(discriminator.parameters(), lr=2e-4, betas=(0.5, 0.999))
    shape = (config.batch, 3, config.patch, config.patch)
    source, target = (torch.rand(shape, device=device) * 2 - 1 for _ in range(2))

    def discriminator_loss(image: torch.Tensor, real: bool) -> torch.Tensor:
        logits = discriminator(torch.cat([source, image], 1))
        return binary_cross_entropy_with_logits(logits, torch.full_like(logits, float(real)))

    def step() -> None:
        fake = generator(source)
        discriminator.requires_grad_(True)
        optimizer_d.zero_grad()
        (
            0.5 * (discriminator_loss(fake.detach(), False) + discriminator_loss(target, True))
        ).backward()
        optimizer_d.step()
        discriminator.requires_grad_(False)
        optimizer_g.zero_grad()
        (discriminator_loss(fake, True) + 100 * (fake - target).abs().mean()).backward()
        optimizer_g.step()

    return step


def seconds_of(work: Callable[[], object], device: torch.device) -> float:
    """Return the seconds that ``work`` takes, to its end on the device."""
    began = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
