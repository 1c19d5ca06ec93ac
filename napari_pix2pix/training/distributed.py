"""Several processes that train together, one for each device, started and joined by Fabric.

Each draws its part of every batch, and the mean of all gradients moves the same weights in all of
them. Modules are not wrapped in torch's DistributedDataParallel: its hooks do not see gradients of
gradients or copies of weights, and it hands the first process's buffers round in every forward
pass, in the middle of a step that has several.
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

from napari_pix2pix.errors import ConfigError, DeviceError, InputError
from napari_pix2pix.training._batches import TensorBatch, seeded
from napari_pix2pix.training.config import TrainConfig

if TYPE_CHECKING:
    from lightning_fabric import Fabric
    from lightning_fabric.strategies.ddp import DDPStrategy

    from napari_pix2pix.training.dataset import TrainingData

# How long a process waits for the others: the first may be paused, or read much.
_PATIENCE = timedelta(hours=2)


def make_fabric(config: TrainConfig, device: torch.device) -> Fabric:
    """Make the Lightning Fabric that carries devices, precision and processes.

    Raises
    ------
    ConfigError, DeviceError
        When there are fewer devices than asked for, or other processes than would take part.
    """
    # Imported when training starts: it takes a second.
    from lightning_fabric import Fabric

    precision = config.precision
    if precision == "auto":
        half = device.type == "cuda" and torch.cuda.is_bf16_supported()
        precision = "bf16-mixed" if half else "32-true"
    carried: dict[str, Any] = {"accelerator": device.type, "precision": precision}
    if config.processes == 1 and config.strategy == "auto":
        _check_count(config, _started_by_torchrun())
        return Fabric(devices=[device.index] if device.type == "cuda" else 1, **carried)
    _check_devices(config, device)
    try:
        return Fabric(
            devices=config.devices, num_nodes=config.num_nodes, strategy=_averaging(), **carried
        )
    except RuntimeError as error:  # an interactive session, or half of what SLURM needs
        raise ConfigError(f"{_alone(config)} {error}") from error


def join(fabric: Fabric, config: TrainConfig, *, may_start: bool = False) -> None:
    """Meet the other processes of a training; does nothing where there is one process.

    Parameters
    ----------
    fabric : lightning_fabric.Fabric
        Made by `make_fabric`.
    config : TrainConfig
    may_start : bool
        Start the others of this machine, where nothing else has: each runs this program anew, with
        the same arguments.

    Raises
    ------
    ConfigError, DeviceError
        When nobody started the other processes, or another number of them.
    """
    environment = getattr(fabric.strategy, "cluster_environment", None)
    if environment is None:
        return
    if environment.creates_processes_externally:
        if type(environment).__name__ == "SLURMEnvironment" and "SLURM_STEP_ID" not in os.environ:
            raise ConfigError("SLURM has started one process here: write srun before the command.")
        started = os.environ.get("WORLD_SIZE") or os.environ.get("SLURM_NTASKS")
        _check_count(config, int(started or config.processes))
    elif not may_start:
        raise ConfigError(_alone(config))
    try:
        with _in_words():
            fabric.launch()
    except ValueError as error:  # SLURM's nodes and tasks are others
        raise ConfigError(f"The scheduler was told otherwise. {error}") from error


@atexit.register
def _leave() -> None:
    """Leave the other processes before Python ends, or gloo's thread may abort what is done.

    It lets go of its last tensors when it comes to it, and needs an interpreter for that.
    """
    if distributed.is_available() and distributed.is_initialized():
        distributed.destroy_process_group()


def leading(fabric: Fabric, *values: float) -> list[float]:
    """Return the first process's ``values`` in all processes, so that all decide alike."""
    if fabric.world_size == 1:
        return list(values)
    shared = torch.tensor(values, dtype=torch.float64, device=fabric.device)
    with _in_words():
        distributed.broadcast(shared, 0)
        return shared.tolist()


def check_alike(fabric: Fabric, number: int, what: str) -> None:
    """Refuse a process whose ``number`` is not the first's, since it was given ``what``."""
    if leading(fabric, number) != [number]:
        raise InputError(
            f"Process {fabric.global_rank} was given {what} than the first: give all the same."
        )


def mean_over_processes(fabric: Fabric, values: Tensor) -> Tensor:
    """Return the mean of each process's ``values``; they are overwritten."""
    if fabric.world_size == 1:
        return values
    with _in_words():
        distributed.all_reduce(values)
    return values.div_(fabric.world_size)


def average_gradients(fabric: Fabric, network: nn.Module) -> None:
    """Give each parameter the mean of its gradients in all processes."""
    _average(fabric, (p.grad for p in network.parameters() if p.grad is not None))


def average_statistics(fabric: Fabric, networks: Iterable[nn.Module]) -> None:
    """Give the batch norms of ``networks`` the mean of the running statistics of all processes.

    Training never reads them, and they move in straight lines, as does their running average. So
    it makes no difference how often this is done, as long as it is before they are used.
    """
    modules = [module for network in networks for module in network.modules()]
    norms = [module for module in modules if isinstance(module, nn.BatchNorm2d)]
    both = [(norm.running_mean, norm.running_var) for norm in norms]
    _average(fabric, (tensor for pair in both for tensor in pair if tensor is not None))


def own_part(fabric: Fabric, drawn: Tensor) -> Tensor:
    """Return this process's part of what all drew alike for the images of all, (B, ...)."""
    return drawn.chunk(fabric.world_size)[fabric.global_rank]


def prepare_alike(
    fabric: Fabric,
    prepare: Callable[..., TrainingData],
    *,
    sampled: Sequence[int] | None,
    in_time: bool,
) -> TrainingData:
    """Prepare the data in each process, so that all know the same.

    Parameters
    ----------
    fabric : lightning_fabric.Fabric
    prepare : callable
        `napari_pix2pix.training.dataset.prepare` with all but ``sampled``.
    sampled : sequence of int or None
        How much is read, as `prepare` takes it.
    in_time : bool
        Whether that depends on the time it takes. Then the first process reads before the others,
        which read as much.

    Raises
    ------
    InputError
        When the processes were given different pairs.
    """
    data = None
    if in_time and sampled is None and fabric.world_size > 1:
        data = prepare(sampled=None) if fabric.global_rank == 0 else None
        shared = leading(fabric, *((0, 0) if data is None else data.sampled))
        sampled = [int(count) for count in shared]
    data = data or prepare(sampled=sampled)
    check_alike(fabric, int(data.fingerprint[:12], 16), "other pairs")
    return data


@contextmanager
def own_draws(fabric: Fabric) -> Iterator[None]:
    """Draw otherwise than the other processes, what is not drawn for the images of all."""
    if fabric.global_rank == 0:
        yield
        return
    with seeded(torch.initial_seed(), fabric.global_rank, device=fabric.device):
        yield


def share_of_valid(fabric: Fabric, batch: TensorBatch) -> Tensor | float:
    """Say how much this process's mean over valid elements counts in the mean over processes.

    Times this factor, the processes' means have the mean of all valid elements as their mean, as if
    one process had seen them all, whichever way they lie.
    """
    if fabric.world_size == 1:
        return 1.0
    valid, target = batch.valid, batch.target
    here = target.new_tensor(target.numel(), dtype=torch.float64)
    if valid is not None:
        here = valid.expand_as(target).sum(dtype=torch.float64)
    mean = mean_over_processes(fabric, here.clone())
    return (here / mean.clamp_min(1 / fabric.world_size)).float()


def _averaging() -> DDPStrategy:
    """Make Fabric's strategy of a process for each device, without its wrapper."""
    from lightning_fabric.strategies.ddp import DDPStrategy

    class Averaging(DDPStrategy):
        def setup_module(self, module: nn.Module) -> nn.Module:  # type: ignore[override]
            return module

    return Averaging(timeout=_PATIENCE)


def _average(fabric: Fabric, tensors: Iterable[Tensor]) -> None:
    if fabric.world_size == 1 or not (parts := list(tensors)):
        return
    # One message: their number costs more than their length.
    mean = mean_over_processes(fabric, torch.cat([part.flatten() for part in parts]))
    sizes = [part.numel() for part in parts]
    for part, averaged in zip(parts, mean.split(sizes), strict=True):
        part.copy_(averaged.view(part.shape))


def _alone(config: TrainConfig) -> str:
    return (
        f"devices={config.devices} and num_nodes={config.num_nodes} need a process for each device "
        "and this program is a single one: train in a shell with napari-pix2pix train, or start "
        "your script by torchrun or srun (see docs/cluster.md)."
    )


def _check_devices(config: TrainConfig, device: torch.device) -> None:
    if device.type == "cpu":  # of which each process takes its share of the cores
        return
    found = torch.cuda.device_count() if device.type == "cuda" else 1
    if config.devices > found:
        raise DeviceError(
            f"devices={config.devices}, but this process sees {found} of the kind {device.type}: "
            "ask for as many, let the scheduler show each process all of its machine, or train on "
            "the CPU."
        )


def _check_count(config: TrainConfig, started: int) -> None:
    if started != config.processes:
        raise ConfigError(
            f"{started} processes were started, but devices={config.devices} and num_nodes="
            f"{config.num_nodes} make {config.processes}: give the devices of a machine and the "
            "number of machines that the launcher was told."
        )


def _started_by_torchrun() -> int:
    elastic = distributed.is_available() and distributed.is_torchelastic_launched()
    return int(os.environ["WORLD_SIZE"]) if elastic else 1


@contextmanager
def _in_words() -> Iterator[None]:
    """Say in words that the others are gone: torch says so in a `RuntimeError`."""
    try:
        yield
    except RuntimeError as error:
        raise DeviceError(
            "Another process of this training has ended or can't be reached: see what it said, and "
            f"go on from the checkpoint. ({str(error).partition('. ')[0]})"
        ) from error
