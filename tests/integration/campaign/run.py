"""Run the campaign for long, and write what it found: ``make campaign``."""

from __future__ import annotations

import argparse
import platform
import random
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from integration.campaign.kinds import KINDS, LONG
from integration.campaign.outcome import Outcome

from napari_pix2pix import __version__

_ROUND = 60.0  # seconds, after which a kind begins again with files of its own
_HEAD = """# Campaign

`make campaign` damages files, kills processes, takes disk and memory away, lets runs meet and calls
everything oddly. It counts what goes wrong: an error that is not ours, a try of more than 10 s or
1.5 GB, an input or an old file that changed, another result, something left behind. A share of it
runs with the tests (`tests/integration/campaign/`).

What is tried:

- Trainings and translations are killed at any moment, and before any of their changes of files.
  Resumed, they end with the same bits.
- Two runs, of trainings or translations, write one output: one is refused, or comes later.
- A disk is full from some new file on, or a file may have some bytes only. Old files stay.
- Allocations fail, or a process may take little memory: tiles become smaller, or it is refused.
- A translator is called from 8 threads; two trainings run at once beside random draws.
- Public functions get odd arguments; commands get odd words, odd options and the files that they
  read as outputs. No input changes.
- Model files, checkpoints and images are damaged where their structure is.
- Images claim more than they hold, unpack to more than there is memory for, or are no files at all.
"""


def main() -> int:
    """Run all kinds; return 1 if one found a fault."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3600, help="at most, of each kind")
    parser.add_argument("--share", type=float, default=1.0, help="of the tries of a long run")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("docs/campaign.md"))
    parser.add_argument("--only", choices=[*KINDS], action="append")
    options = parser.parse_args()
    outcomes: dict[str, Outcome] = {}
    for name in options.only or KINDS:
        most = max(1, round(options.share * LONG[name]))
        found = outcomes[name] = _run(name, most, options.seconds, options.seed)
        sys.stdout.write(f"{name}: {found.tries} tries, {len(found.faults)} faults\n")
        sys.stdout.writelines(f"  {fault}\n" for fault in dict.fromkeys(found.faults))
        sys.stdout.flush()
    options.out.write_text(_report(outcomes, options.seed), encoding="utf-8")
    return int(any(outcome.faults for outcome in outcomes.values()))


def _run(name: str, most: int, seconds: float, seed: int) -> Outcome:
    """Go through rounds of a kind until there are enough tries, or the time is up."""
    total, ends = Outcome(), time.monotonic() + seconds
    while total.tries < most and (left := ends - time.monotonic()) > 0:
        rng = random.Random(f"{seed} {name} {total.tries}")
        with tempfile.TemporaryDirectory() as folder:
            total.add(KINDS[name](Path(folder), rng, min(left, _ROUND)))
    return total


def _report(outcomes: dict[str, Outcome], seed: int) -> str:
    lines = [
        _HEAD,
        f"Last run: {__version__}, Python {platform.python_version()}, {sys.platform}, seed {seed}",
        "",
        "| kind | tries | faults |",
        "|---|---|---|",
    ]
    lines += [f"| {name} | {one.tries:,} | {len(one.faults)} |" for name, one in outcomes.items()]
    faults = [fault for one in outcomes.values() for fault in dict.fromkeys(one.faults)]
    lines += ["", *(f"- {fault}" for fault in faults[:20])] if faults else []
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
