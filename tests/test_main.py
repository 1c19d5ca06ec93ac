import signal
import subprocess
import sys

import pytest

from napari_pix2pix._signals import ENDING_SIGNALS

# The command, with a signal that comes as soon as a module is looked for.
_WHERE = """
import os, sys

class Watch:
    def find_spec(self, name, path=None, target=None):
        if name == sys.argv[1]:
            os.kill(os.getpid(), int(sys.argv[2]))

sys.meta_path.insert(0, Watch())
from napari_pix2pix.__main__ import run
run()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has other signals")
@pytest.mark.parametrize("number", ENDING_SIGNALS)
@pytest.mark.parametrize("module", ["napari_pix2pix.cli", "click"])
def test_a_signal_while_the_command_is_imported_ends_it_in_a_sentence(number, module):
    command = [sys.executable, "-c", _WHERE, module, str(int(number))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    name = "Ctrl+C" if number == signal.SIGINT else number.name
    assert (done.returncode, done.stdout) == (128 + number, "")
    assert done.stderr == f"Stopped by {name}.\n"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has other signals")
def test_a_signal_that_is_ignored_stays_so():
    command = [sys.executable, "-c", _WHERE.replace("run()", "sys.argv[1:] = ['-h']\nrun()")]
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        done = subprocess.run(
            [*command, "click", str(int(signal.SIGHUP))],
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        signal.signal(signal.SIGHUP, before)
    assert done.returncode == 0
    assert "Usage: " in done.stdout
