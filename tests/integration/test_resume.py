"""A run that ended, however it ended, goes on as if nothing had happened."""

import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import helpers
import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

import napari_pix2pix.data.patches as patches
from napari_pix2pix._load import load
from napari_pix2pix._train import train
from napari_pix2pix.errors import FileError, InputError
from napari_pix2pix.io.model_file import read_container
from napari_pix2pix.training import _schedule, dataset
from napari_pix2pix.training.events import Checkpoint, Done, Event, Step
from napari_pix2pix.training.model_info import describe_weights

TINY = helpers.TINY | {
    "depth": 3,
    "discriminator_layers": 1,
    # All that a run is made of: both networks, Adam's moments, an average, noise, dropout.
    "adversarial_start": 0.0,
    "adversarial_full": 0.0,
    "ema": 0.9,
    "noise_channels": 1,
    "dropout": 0.5,
    "dropout_placement": "paper",
    "gradient_penalty": 1.0,
    "spectral_norm": True,
    "discriminator_augmentation": "colour+translation+cutout",
    "feature_matching": 10.0,
    "adversarial": "relativistic",
    "r1": 0.1,
    "r1_every": 2,
    "shift_tolerance": 1,
    "foreground_weight": 3.0,
    "foreground_dice": 0.1,
}

# Trains as the test does, and is killed right after the checkpoint of one step.
KILLED = """
import os, signal, sys, types
import numpy as np
import napari_pix2pix.data.patches as patches
import napari_pix2pix.training._schedule as schedule
from napari_pix2pix._train import train
from napari_pix2pix.training.events import Checkpoint, Step

patches._FEWEST_STEPS = 3
images, at = np.load(sys.argv[1]), int(sys.argv[3])
now = 0.0
schedule.time = types.SimpleNamespace(perf_counter=lambda: now)  # nothing takes time by this clock

def callback(event):
    global now
    if isinstance(event, Step) and event.step == at:
        now += 1  # so that a checkpoint is due
    if isinstance(event, Checkpoint) and event.step == at:
        os.kill(os.getpid(), signal.SIGKILL)

train(*images, steps=10, checkpoint=sys.argv[2], checkpoint_seconds=0.5, callback=callback,
      **eval(sys.argv[4]))
"""


@pytest.fixture
def images():
    source = gaussian_filter(np.random.default_rng(0).normal(size=(80, 72)), 2)
    return np.stack([source, source**2]).astype(np.float32)


@pytest.fixture
def short_epochs(monkeypatch):
    monkeypatch.setattr(patches, "_FEWEST_STEPS", 3)


def run(images: np.ndarray, **fields):
    seen: list[Event] = []
    callback = fields.pop("callback", None)

    def watch(event):
        seen.append(event)
        return callback and callback(event)

    return train(*images, **{**TINY, "callback": watch, **fields}), seen


def stop_at(step: int):
    return lambda event: isinstance(event, Step) and event.step == step


def steps_of(events) -> list[int]:
    return [event.step for event in events if isinstance(event, Step)]


def assert_same_run(one: Path, other: Path) -> None:
    """Weights, moments, average and best are bit-identical; so are counters and history."""
    (tensors, header), (tensors_b, header_b) = read_container(one), read_container(other)
    assert set(tensors) == set(tensors_b)
    parts = {"generator", "averaged", "discriminator", "optimizer_g", "optimizer_d", "best"}
    assert {name.split(".")[0] for name in tensors} >= parts
    assert not [name for name in tensors if not torch.equal(tensors[name], tensors_b[name])]
    counters, counters_b = header["counters"], header_b["counters"]
    assert counters.pop("seconds") > 0
    assert counters_b.pop("seconds") > 0
    assert counters == counters_b


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
@pytest.mark.usefixtures("short_epochs")
@pytest.mark.parametrize("at", [4, 6], ids=["within an epoch", "at the end of an epoch"])
def test_killed_and_resumed_is_bit_identical(at, images, tmp_path):
    whole, killed = tmp_path / "whole.ckpt", tmp_path / "killed.ckpt"
    np.save(tmp_path / "images.npy", images)
    command = [sys.executable, "-c", KILLED, str(tmp_path / "images.npy"), str(killed), str(at)]
    process = subprocess.run([*command, repr(TINY)], capture_output=True, timeout=600, check=False)
    assert process.returncode == -signal.SIGKILL, process.stderr.decode()
    assert read_container(killed)[1]["counters"]["step"] == at
    said = describe_weights(load(killed).info)
    assert said.startswith("last (4 steps, not validated), which are applied; best (3") == (at == 4)

    straight, _ = run(images, steps=10, checkpoint=whole)
    resumed, events = run(images, steps=10, checkpoint=killed, resume=True)
    assert steps_of(events) == list(range(at + 1, 11))
    assert_same_run(whole, killed)
    assert resumed.history == straight.history
    assert len(straight.history) == 4  # after steps 3, 6, 9 and 10
    assert np.array_equal(resumed(images[0]), straight(images[0]))


@pytest.mark.usefixtures("short_epochs")
def test_stopped_and_resumed_has_the_same_weights(images, tmp_path):
    path = tmp_path / "run.ckpt"
    straight, _ = run(images, steps=10)
    run(images, steps=10, checkpoint=path, callback=stop_at(4))
    # From a path of its own as well as from where it is written.
    resumed, events = run(images, steps=10, resume=path)
    assert steps_of(events) == [5, 6, 7, 8, 9, 10]
    assert np.array_equal(resumed(images[0]), straight(images[0]))
    assert read_container(path)[1]["counters"]["step"] == 10


def test_more_steps_go_on_from_a_finished_run(images, tmp_path):
    """With a constant schedule, 3 and then 3 more are 6."""
    path = tmp_path / "run.ckpt"
    constant = {"decay": "constant", "validation": 0}
    straight, _ = run(images, steps=6, **constant)
    run(images, steps=3, checkpoint=path, **constant)
    resumed, events = run(images, steps=6, checkpoint=path, resume=True, **constant)
    assert steps_of(events) == [4, 5, 6]
    assert np.array_equal(resumed(images[0]), straight(images[0]))


def test_more_passes_go_on_from_a_run_that_they_ended(images, tmp_path, monkeypatch):
    monkeypatch.setattr(_schedule, "_FEWEST_STEPS", 1)
    fields = {"patch": 32, "batch": 2, "validation": 0, "epochs": 1}  # 2.8 steps a pass
    fields["checkpoint"] = tmp_path / "run.ckpt"
    _, events = run(images, passes=1, **fields)
    assert (events[-1].step, events[-1].reason) == (3, "passes")
    _, events = run(images, passes=2, resume=True, **fields)
    assert steps_of(events) == [4, 5, 6]
    _, events = run(images, resume=True, **fields)  # keeps the limit that the run has
    assert steps_of(events) == []


def test_a_finished_run_returns_at_once(images, tmp_path):
    path = tmp_path / "run.ckpt"
    first, _ = run(images, steps=3, checkpoint=path)
    again, events = run(images, steps=3, checkpoint=path, resume=True)
    assert steps_of(events) == []
    assert events[-1].reason == "budget"
    assert np.array_equal(again(images[0]), first(images[0]))
    assert again.history == first.history
    assert again.scores == first.scores


def test_seconds_go_on_with_those_left(images, tmp_path, counted_clock):
    path = tmp_path / "run.ckpt"

    def stop(event):
        return isinstance(event, Step) and event.progress > 0.6

    run(images, max_seconds=2.5, checkpoint=path, callback=stop)
    used = read_container(path)[1]["counters"]["seconds"]
    assert 1.5 <= used <= 1.8
    _, events = run(images, max_seconds=2.5, checkpoint=path, resume=True)
    assert 0.6 <= next(e for e in events if isinstance(e, Step)).progress <= 0.8
    assert isinstance(events[-1], Done)
    assert 2.2 <= events[-1].seconds <= 2.8


def test_a_training_is_the_same_beside_others(images):
    alone, _ = run(images, steps=6)
    drawn = []

    def draw_at_every_step(event):
        drawn.append(torch.rand(7))

    beside, _ = run(images, steps=6, callback=draw_at_every_step)
    with ThreadPoolExecutor(2) as pool:
        both = [model for model, _ in pool.map(lambda _: run(images, steps=6), range(2))]
    assert drawn
    for other in (beside, *both):
        for name, tensor in alone.tensors.items():
            assert torch.equal(tensor, other.tensors[name]), name


def test_a_checkpoint_is_a_model_too(images, tmp_path):
    path = tmp_path / "run.ckpt"
    model, events = run(images, steps=3, checkpoint=path)
    assert [event.path for event in events if isinstance(event, Checkpoint)] == [str(path)]
    assert np.array_equal(load(path)(images[0]), model(images[0]))


@pytest.fixture
def checkpoint(images, tmp_path):
    path = tmp_path / "run.ckpt"
    run(images, steps=2, checkpoint=path)
    return path


def test_an_old_checkpoint_is_not_written_over_unasked(images, checkpoint):
    before = checkpoint.read_bytes()
    with pytest.raises(FileError, match="of an earlier run exists: resume it, or overwrite it"):
        run(images, steps=3, checkpoint=checkpoint)
    other = checkpoint.with_name("other.ckpt")
    other.write_bytes(before)
    with pytest.raises(FileError, match=f"{checkpoint} of an earlier run exists"):
        run(images, steps=3, checkpoint=checkpoint, resume=other)
    assert checkpoint.read_bytes() == before


def test_resume_false_begins_anew(images, checkpoint):
    _, events = run(images, steps=3, checkpoint=checkpoint, resume=False)
    assert steps_of(events) == [1, 2, 3]
    assert read_container(checkpoint)[1]["counters"]["step"] == 3


def test_resume_is_yes_no_or_a_file(images, tmp_path):
    with pytest.raises(InputError, match="resume must be True, False or the name of a file, got 3"):
        run(images, steps=2, checkpoint=tmp_path / "new.ckpt", resume=3)


def test_resume_true_begins_where_there_is_none(images, tmp_path):
    _, events = run(images, steps=2, checkpoint=tmp_path / "new.ckpt", resume=True)
    assert steps_of(events) == [1, 2]


def test_resume_from_one_file_into_another(images, checkpoint):
    before, other = checkpoint.read_bytes(), checkpoint.with_name("other.ckpt")
    _, events = run(images, steps=4, checkpoint=other, resume=checkpoint)
    assert steps_of(events) == [3, 4]
    assert checkpoint.read_bytes() == before
    assert read_container(other)[1]["counters"]["step"] == 4


def test_other_pairs_are_refused(images, checkpoint):
    changed = images.copy()
    changed[1, 40, 36] += 1
    with pytest.raises(InputError, match="was made on other pairs or another split"):
        run(changed, steps=4, checkpoint=checkpoint, resume=True)


@pytest.mark.parametrize(
    ("name", "value"),
    [("width", 6), ("learning_rate", 0.5), ("ema", 0.5), ("flips", False), ("preset", "paper")],
)
def test_other_fields_are_refused(name, value, images, checkpoint):
    fields = {name: value}
    if name == "preset":
        fields["stale_discriminator"] = False
    with pytest.raises(InputError, match=r"The checkpoint .* was made with .*=.*, got .*: give"):
        run(images, steps=4, checkpoint=checkpoint, resume=True, **fields)


def test_fields_that_do_not_matter_may_change(images, checkpoint):
    other = {"epochs": 1, "checkpoint_seconds": 3.0, "keep": "best"}
    _, events = run(images, steps=4, checkpoint=checkpoint, resume=True, **other)
    assert steps_of(events) == [3, 4]


def test_what_is_no_checkpoint_is_refused(images, tmp_path):
    cut = tmp_path / "cut.ckpt"
    model, _ = run(images, steps=2, checkpoint=cut)
    model.save(tmp_path / "model.safetensors")
    with pytest.raises(FileError, match="is a model and not a checkpoint"):
        run(images, steps=4, resume=tmp_path / "model.safetensors")
    with pytest.raises(FileError, match="There is no file"):
        run(images, steps=4, resume=tmp_path / "missing.ckpt")
    (tmp_path / "text.ckpt").write_text("not a checkpoint")
    cut.write_bytes(cut.read_bytes()[:-1000])
    for name in ("text.ckpt", "cut.ckpt"):
        with pytest.raises(FileError, match=name):
            run(images, steps=4, resume=tmp_path / name)


def test_without_a_budget_the_old_one_counts(images, tmp_path):
    run(images, checkpoint=tmp_path / "run.ckpt", steps=6, callback=stop_at(2))
    translator, events = run(images, checkpoint=tmp_path / "run.ckpt", resume=True)
    assert translator.config.steps == 6
    assert steps_of(events) == [3, 4, 5, 6]


def test_what_was_read_in_time_is_read_again(tmp_path, monkeypatch):
    """Ranges and fingerprint follow from blocks, whose number followed from the time there was."""
    image = np.random.default_rng(0).random((128, 96), dtype=np.float32)
    fields = TINY | {"patch": 16, "depth": 2, "max_seconds": 500.0}
    path = tmp_path / "run.ckpt"
    with monkeypatch.context() as slow:
        slow.setattr(dataset, "_STATISTICS_SHARE", 0.0)
        slow.setattr(dataset, "_VALIDATION_SHARE", 0.0)
        first = train(image, 1 - image, steps=2, checkpoint=path, **fields)
    assert read_container(path)[1]["sampled_blocks"] == [8, 1]
    again = train(image, 1 - image, steps=4, checkpoint=path, resume=True, **fields)
    assert again.source_codec == first.source_codec
    assert read_container(path)[1]["sampled_blocks"] == [8, 1]
    path.unlink()
    fresh = train(image, 1 - image, steps=2, checkpoint=path, **fields)
    assert fresh.source_codec != first.source_codec
