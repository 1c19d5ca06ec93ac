"""Training in several processes, one for each device, launched by Lightning Fabric.

Each process draws its part of every batch, and all apply the mean of the gradients to the same
weights. torch's DistributedDataParallel is not used: its hooks miss second derivatives and copies
of weights, and it broadcasts buffers in every forward pass, of which a step has several.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, distributed, nn

from napari_pix2pix.core.layers import BatchNorm
from napari_pix2pix.errors import ConfigError, DeviceError, InputError
from napari_pix2pix.training._batches import TensorBatch, make_rng
from napari_pix2pix.training.config import TrainConfig

if TYPE_CHECKING:
    from lightning_fabric import Fabric
    from lightning_fabric.strategies.ddp import DDPStrategy

    from napari_pix2pix.training.dataset import TrainingData

# How long a process waits for the others: the first may be paused, or be reading.
_TIMEOUT = timedelta(hours=2)


def make_fabric(config: TrainConfig, device: torch.device) -> Fabric:
    """Make the Fabric for a config's devices, precision and processes, if they are there."""
    # Imported late: it takes a second.
    from lightning_fabric import Fabric

    precision = config.precision
    if precision == "auto":
        half = device.type == "cuda" and torch.cuda.is_bf16_supported()
        precision = "bf16-mixed" if half else "32-true"
    options: dict[str, Any] = {"accelerator": device.type, "precision": precision}
    if config.processes == 1 and config.strategy == "auto":
        _check_count(config, _started_by_torchrun())
        return Fabric(devices=[device.index] if device.type == "cuda" else 1, **options)
    _check_devices(config, device)
    try:
        return Fabric(
            devices=config.devices, num_nodes=config.num_nodes, strategy=_make_strategy(), **options
        )
    except RuntimeError as error:  # an interactive session, or an incomplete SLURM environment
        raise ConfigError(f"{_single_process(config)} {error}") from error


def join(fabric: Fabric, config: TrainConfig, *, may_start: bool = False) -> None:
    """Join the other processes of a training; nothing to do for a single process."""
    # With `may_start` this program is run again, with the same arguments, for each other process.
    environment = getattr(fabric.strategy, "cluster_environment", None)
    if environment is None:
        return
    if environment.creates_processes_externally:
        if type(environment).__name__ == "SLURMEnvironment" and "SLURM_STEP_ID" not in os.environ:
            raise ConfigError("SLURM has started one process here: write srun before the command.")
        started = os.environ.get("WORLD_SIZE") or os.environ.get("SLURM_NTASKS")
        _check_count(config, int(started or config.processes))
    elif not may_start:
        raise ConfigError(_single_process(config))
    try:
        with _connection_errors():
            fabric.launch()
    except ValueError as error:  # SLURM has other numbers of nodes and tasks
        raise ConfigError(
            f"The scheduler's job does not fit devices={config.devices} and num_nodes="
            f"{config.num_nodes}: {error}"
        ) from error


@atexit.register
def _leave() -> None:
    """Leave the process group while Python runs: gloo's thread needs it to free its tensors."""
    if distributed.is_available() and distributed.is_initialized():
        distributed.destroy_process_group()


def broadcast_from_rank0(fabric: Fabric, *values: float) -> list[float]:
    """Return the first process's values in all processes."""
    if fabric.world_size == 1:
        return list(values)
    shared = torch.tensor(values, dtype=torch.float64, device=fabric.device)
    with _connection_errors():
        distributed.broadcast(shared, 0)
        return shared.tolist()


def check_same_on_all_ranks(fabric: Fabric, number: int, what: str) -> None:
    """Refuse a process whose number differs from the first's, as it was given `what`."""
    if broadcast_from_rank0(fabric, number) != [number]:
        raise InputError(
            f"Process {fabric.global_rank} was given {what} than the first: give all the same."
        )


def mean_over_processes(fabric: Fabric, values: Tensor) -> Tensor:
    """Return the mean of the values over all processes; the argument is overwritten."""
    if fabric.world_size == 1:
        return values
    with _connection_errors():
        distributed.all_reduce(values)
    return values.div_(fabric.world_size)


def average_gradients(fabric: Fabric, network: nn.Module) -> None:
    """Average each parameter's gradient over all processes."""
    _average(fabric, (p.grad for p in network.parameters() if p.grad is not None))


def average_statistics(fabric: Fabric, networks: Iterable[nn.Module]) -> None:
    """Average the running statistics of batch norms over all processes."""
    # Training does not read them and their updates are linear: once before use is enough.
    modules = [module for network in networks for module in network.modules()]
    norms = [module for module in modules if isinstance(module, BatchNorm)]
    pairs = [(norm.running_mean, norm.running_var) for norm in norms]
    _average(fabric, (tensor for pair in pairs for tensor in pair if tensor is not None))


def local_slice(fabric: Fabric, draws: Tensor) -> Tensor:
    """Return this process's part, (B, ...), of draws for the images of all processes."""
    return draws.chunk(fabric.world_size)[fabric.global_rank]


def prepare_same_on_all_ranks(
    fabric: Fabric,
    prepare: Callable[..., TrainingData],
    *,
    sampled: Sequence[int] | None,
    in_time: bool,  # whether the time limits how much is read
) -> TrainingData:
    """Prepare the same data in each process, with `dataset.prepare` or a partial of it."""
    data = None
    # The first process then reads before the others, which read as much.
    if in_time and sampled is None and fabric.world_size > 1:
        data = prepare(sampled=None) if fabric.global_rank == 0 else None
        shared = broadcast_from_rank0(fabric, *((0, 0) if data is None else data.sampled))
        sampled = [int(count) for count in shared]
    data = data or prepare(sampled=sampled)
    check_same_on_all_ranks(fabric, int(data.fingerprint[:12], 16), "other pairs")
    return data


def rank_specific_rng(fabric: Fabric, rng: torch.Generator | None) -> torch.Generator | None:
    """Return what this process draws from for itself alone (for dropout)."""
    if fabric.global_rank == 0:
        return rng
    seed = torch.initial_seed() if rng is None else rng.initial_seed()
    return make_rng(seed, fabric.global_rank, device=fabric.device)


def share_of_valid(fabric: Fabric, batch: TensorBatch) -> Tensor | float:
    """Return this process's number of valid elements over the mean number of all processes."""
    # With this factor the mean of the processes' losses is the mean over all valid elements.
    if fabric.world_size == 1:
        return 1.0
    valid, target = batch.valid, batch.target
    count = target.new_tensor(target.numel(), dtype=torch.float64)
    if valid is not None:
        count = valid.expand_as(target).sum(dtype=torch.float64)
    mean = mean_over_processes(fabric, count.clone())
    return (count / mean.clamp_min(1 / fabric.world_size)).float()


def _make_strategy() -> DDPStrategy:
    """Make Fabric's strategy of one process for each device, without its module wrapper."""
    from lightning_fabric.strategies.ddp import DDPStrategy

    class UnwrappedStrategy(DDPStrategy):
        def setup_module(self, module: nn.Module) -> nn.Module:  # type: ignore[override]
            return module

    return UnwrappedStrategy(timeout=_TIMEOUT)


def _average(fabric: Fabric, tensors: Iterable[Tensor]) -> None:
    if fabric.world_size == 1 or not (parts := list(tensors)):
        return
    # In one message: the number of messages costs more than their length.
    mean = mean_over_processes(fabric, torch.cat([part.flatten() for part in parts]))
    sizes = [part.numel() for part in parts]
    for part, averaged in zip(parts, mean.split(sizes), strict=True):
        part.copy_(averaged.view(part.shape))


def _single_process(config: TrainConfig) -> str:
    return (
        f"devices={config.devices} and num_nodes={config.num_nodes} need a process for each device "
        "and this program is a single one: train in a shell with napari-pix2pix train, or start "
        "your script with torchrun or srun (see docs/cluster.md)."
    )


def _check_devices(config: TrainConfig, device: torch.device) -> None:
    if device.type == "cpu":  # each process takes its share of the cores
        return
    count = torch.cuda.device_count() if device.type == "cuda" else 1
    if config.devices > count:
        raise DeviceError(
            f"devices={config.devices}, but this process sees {count} of the kind {device.type}: "
            "ask for as many, let the scheduler show each process all devices of its machine, or "
            "train on the CPU."
        )


def _check_count(config: TrainConfig, started: int) -> None:
    if started != config.processes:
        raise ConfigError(
            f"{started} processes were started, but devices={config.devices} and num_nodes="
            f"{config.num_nodes} make {config.processes}: give the launcher's number of devices "
            "per machine and of machines."
        )


def _started_by_torchrun() -> int:
    elastic = distributed.is_available() and distributed.is_torchelastic_launched()
    return int(os.environ["WORLD_SIZE"]) if elastic else 1


@contextmanager
def _connection_errors() -> Iterator[None]:
    """Turn torch's `RuntimeError` about a lost process into a `DeviceError`."""
    try:
        yield
    except RuntimeError as error:
        raise DeviceError(
            "Another process of this training has ended or can't be reached: see its output, and "
            f"resume from the checkpoint. ({str(error).partition('. ')[0]})"
        ) from error
