"""Compare a training step of ``reference`` in our loop with one in a plain eager loop.

Both train the same networks (U-Net-256, 70 px PatchGAN), each in a process of its own, and take
steps in turn, so that a change of the machine's speed affects both. The plain loop is what a reader
of the paper would write: eager PyTorch as it comes, channels first, Adam with its defaults, one
batch in memory. Ours draws its patches in every step. On a busy machine compare processor time,
with one thread. The exit status is 1 if a bar for the CPU is missed.

    python benchmarks/step.py [--batch 1 4] [--steps 12] [--json]
    OMP_NUM_THREADS=1 python benchmarks/step.py --clock processor
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal

# torch is imported in the processes that train: our package must come before it there, and a
# plain loop must have torch's own settings.

BARS = {1: 0.85, 4: 0.85}  # on a CPU, by batch
_NOT_COUNTED = 3  # the first steps warm up caches and the compiler
Loop = Literal["ours", "plain"]


@dataclass(frozen=True)
class Seconds:
    """How long a step took."""

    wall: float
    processor: float  # of all threads of the process


class Trainer:
    """A process that takes a step of training whenever it is asked to."""

    def __init__(
        self,
        loop: Loop,
        device: str = "cpu",
        environment: dict[str, str] | None = None,
        **fields: Any,
    ) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__, "--train", loop, "--device", device, json.dumps(fields)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **(environment or {})},
        )

    def step(self) -> Seconds:
        """Take a step and return how long it took."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("step\n")
        self._process.stdin.flush()
        return Seconds(*json.loads(self._process.stdout.readline()))

    def end(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def main() -> None:
    """Print the median times and their ratio for each batch size."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--steps", type=int, default=12, help="counted steps of each, in turn")
    parser.add_argument("--clock", choices=["wall", "processor"], default="wall")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--compile", action="store_true", help="compile our networks")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--train", choices=["ours", "plain"], help=argparse.SUPPRESS)
    parser.add_argument("fields", nargs="?", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.train:
        train_when_asked(args.train, args.device, json.loads(args.fields))
        return
    results = []
    for batch in args.batch:
        fields = {"preset": "reference", "batch": batch, "compile": args.compile}
        result = compare(fields, args.device, steps=args.steps, clock=args.clock)
        results.append(result)
        if not args.json:
            print(
                f"batch {batch}: ours {result['ours_seconds']:.3f} s, plain "
                f"{result['plain_seconds']:.3f} s, ratio {result['ratio']:.2f}, bar "
                f"{BARS.get(batch, '-')} ({args.clock} time, {args.device})",
                flush=True,
            )
    if args.json:
        print(json.dumps(results))
    missed = [r for r in results if r["ratio"] > BARS.get(int(r["batch"]), float("inf"))]
    sys.exit(1 if missed and args.device == "cpu" else 0)


def compare(
    fields: dict[str, Any], device: str, *, steps: int, clock: Literal["wall", "processor"]
) -> dict[str, float]:
    """Take ``steps`` steps of each loop in turn; return medians and the ratio by pairs."""
    trainers = Trainer("ours", device, **fields), Trainer("plain", device, **fields)
    taken = [[trainer.step() for trainer in trainers] for _ in range(steps + _NOT_COUNTED)]
    for trainer in trainers:
        trainer.end()
    times = [(getattr(a, clock), getattr(b, clock)) for a, b in taken[_NOT_COUNTED:]]
    return {
        "batch": fields["batch"],
        "ours_seconds": statistics.median(our for our, _ in times),
        "plain_seconds": statistics.median(other for _, other in times),
        "ratio": statistics.median(our / other for our, other in times),
    }


def train_when_asked(loop: Loop, device_name: str, fields: dict[str, Any]) -> None:
    """Take a step for each line that comes in; answer with its seconds."""
    # Our package decides how threads wait if it comes before torch.
    import_module("napari_pix2pix" if loop == "ours" else "torch")
    import torch

    from napari_pix2pix.inference.devices import choose_device
    from napari_pix2pix.training.config import TrainConfig

    device = choose_device(device_name)
    config = TrainConfig(steps=10**6, validation=0.0, device=device_name, **fields)
    ours = our_steps(config, device) if loop == "ours" else None
    step = plain_step(config, device) if ours is None else ours.__next__
    for _ in sys.stdin:
        began, used = time.perf_counter(), time.process_time()
        step()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        print([time.perf_counter() - began, time.process_time() - used], flush=True)


def our_steps(config: Any, device: Any) -> Iterator[object]:
    """Return an iterator that takes one step of our loop each time."""
    import numpy as np

    from napari_pix2pix.data.pair import Pair
    from napari_pix2pix.training.dataset import prepare
    from napari_pix2pix.training.distributed import make_fabric
    from napari_pix2pix.training.events import Control, Step
    from napari_pix2pix.training.loop import TrainingLoop, build_state

    rng = np.random.default_rng(0)
    source, target = rng.integers(0, 255, (2, 512, 512, 3), dtype=np.uint8)
    data = prepare([Pair(source, target)], config)
    state = build_state(config, data, device)
    loop = TrainingLoop(state, data, make_fabric(config, device), control=Control())
    return (event for event in loop if isinstance(event, Step))


def plain_step(config: Any, device: Any) -> Callable[[], None]:
    """Return a function that takes one step in the plain way."""
    import torch
    from torch.nn.functional import binary_cross_entropy_with_logits

    from napari_pix2pix.training.state import build_discriminator, build_generator

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


if __name__ == "__main__":
    main()
