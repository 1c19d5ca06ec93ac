import io
import math
import signal
import sys

import pytest
from helpers import strict_json

from napari_pix2pix.cli._progress import bar, pixel_bar, show_progress, to_json
from napari_pix2pix.training.events import Done, Health, Prepared, Step, Validated

LINES = [
    "gray -> gray",
    "Nothing is held out.",
    "Training on CPU (2 threads).",
    "Epoch 1: 9 s left, G_L1 0.5, D_real 1.25e-05",
    "Epoch 2: Pearson 0.500, baseline 0.250, 8 s left",
    "It stands still.",
    "Epoch 3: 7 s left, G_L1 0.5, D_real 1.25e-05",
]


class Terminal(io.StringIO):
    def isatty(self):
        return True


def step(number: int, epoch: int) -> Step:
    losses = {"G_L1": 0.5, "D_real": 1.25e-5}
    return Step(number, epoch, losses, {"G": 1e-3}, number / 6, 10.0 - epoch)


def training(control, reason="budget"):
    yield Prepared("gray -> gray", ("Nothing is held out.",), "CPU (2 threads)", 2)
    for number in range(1, 7):
        if control.stopped:
            break
        yield step(number, (number + 1) // 2)
        if number == 4:
            yield Validated(4, 2, {"pearson": 0.5}, {"pearson": 0.25}, True)
            yield Health(4, "It stands still.")
    yield Done(number, 1.0, "stopped" if control.stopped else reason)
    return "model"


def test_log_has_a_line_an_epoch_and_no_bar(capsys):
    assert show_progress(training, quiet=False) == "model"
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == LINES
    assert "\r" not in err


def test_log_says_why_a_training_ended_before_its_budget(capsys):
    show_progress(lambda control: training(control, "passes"), quiet=False)
    *_, last = capsys.readouterr().err.splitlines()
    assert last.startswith("The training ended before its budget, after 6 steps: ")
    assert last.endswith("To train for longer, give more images, or set passes=0.")


def test_terminal_has_a_bar_below_its_lines(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    show_progress(training, quiet=False)
    shown = sys.stderr.getvalue()
    assert "\r" in shown
    assert "Epoch 2: Pearson 0.500, baseline 0.250" in shown
    last = shown.rstrip().rpartition("\r")[2]
    assert last.startswith("Epoch 3 100%")
    assert ", 7 s left, G_L1 0.5" in last
    assert ", ," not in shown


@pytest.mark.parametrize("terminal", [False, True])
def test_quiet_shows_nothing(monkeypatch, terminal):
    monkeypatch.setattr(sys, "stderr", Terminal() if terminal else io.StringIO())
    assert show_progress(training, quiet=True) == "model"
    assert list(bar([1, 2], total=2, quiet=True)) == [1, 2]
    assert sys.stderr.getvalue() == ""


def test_first_interrupt_stops_and_keeps_the_model(capsys, interruptible):
    def interrupted(control):
        for event in training(control):
            yield event
            if isinstance(event, Step) and event.step == 2:
                signal.raise_signal(signal.SIGINT)
        return "model so far"

    assert show_progress(interrupted, quiet=False) == "model so far"
    assert "Stopped after" in capsys.readouterr().err
    assert signal.getsignal(signal.SIGINT) is interruptible


def test_error_passes_through_and_closes_the_bar(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())

    def failing(control):
        yield from list(training(control))[:3]
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        show_progress(failing, quiet=False)
    assert sys.stderr.getvalue().endswith("\n")


def test_bar_of_files(monkeypatch, capsys):
    assert list(bar(["a", "b"], total=2, quiet=False)) == ["a", "b"]
    assert capsys.readouterr().err == ""  # no terminal
    monkeypatch.setattr(sys, "stderr", Terminal())
    assert list(bar(["a"], total=1, quiet=False)) == ["a"]
    assert sys.stderr.getvalue() == ""  # nothing to wait for
    assert list(bar(["a", "b"], total=2, quiet=False)) == ["a", "b"]
    assert "2/2" in sys.stderr.getvalue()


def test_bar_of_pixels_counts_all_frames(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    with pixel_bar(2, quiet=False) as on_tile:
        for _ in range(2):
            on_tile(30, 60)
            on_tile(60, 60)
    shown = sys.stderr.getvalue()
    assert shown.rstrip().rpartition("\r")[2].startswith("100%")


@pytest.mark.parametrize(("terminal", "quiet"), [(True, True), (False, False)])
def test_bar_of_pixels_that_is_not_wanted(monkeypatch, terminal, quiet):
    monkeypatch.setattr(sys, "stderr", Terminal() if terminal else io.StringIO())
    with pixel_bar(1, quiet=quiet) as on_tile:
        assert on_tile is None
    assert sys.stderr.getvalue() == ""


def test_json_is_strict():
    result = {"psnr": math.inf, "all": [math.nan, 1.5, (2, "x", None)], "deep": {"y": -math.inf}}
    expected = {"psnr": None, "all": [None, 1.5, [2, "x", None]], "deep": {"y": None}}
    assert strict_json(to_json(result)) == expected
