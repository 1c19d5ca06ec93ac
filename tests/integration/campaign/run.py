"""Run the campaign for long, and write what it found: ``make campaign``."""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from integration.campaign.hostile_images import images_that_lie
from integration.campaign.kinds import KINDS, Outcome

from napari_pix2pix import __version__

_HEAD = """# Campaign

`make campaign` damages files, kills processes and lets runs meet, and counts what goes wrong: an
error that is not ours, a try of more than 10 s, another result, something left behind. A share of
it runs with the tests (`tests/integration/campaign/`).
"""


def main() -> int:
    """Run all kinds; return 1 if one found a fault."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=300, help="of each kind")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("docs/campaign.md"))
    options = parser.parse_args()
    outcomes: dict[str, Outcome] = {}
    for name, kind in (KINDS | {"images that lie": images_that_lie}).items():
        with tempfile.TemporaryDirectory() as folder:
            rng = random.Random(f"{options.seed} {name}")
            outcomes[name] = kind(Path(folder), rng, options.seconds)
        found = outcomes[name]
        sys.stdout.write(f"{name}: {found.tries} tries, {len(found.faults)} faults\n")
        sys.stdout.flush()
    options.out.write_text(_report(outcomes, options.seconds, options.seed), encoding="utf-8")
    return int(any(outcome.faults for outcome in outcomes.values()))


def _report(outcomes: dict[str, Outcome], seconds: float, seed: int) -> str:
    day = f"{datetime.now(UTC):%Y-%m-%d}"
    lines = [
        _HEAD,
        f"Last run: {day}, version {__version__}, {seconds:g} s of each kind, seed {seed}.",
        "",
        "| kind | tries | faults |",
        "|---|---|---|",
    ]
    lines += [f"| {name} | {one.tries:,} | {len(one.faults)} |" for name, one in outcomes.items()]
    faults = [fault for one in outcomes.values() for fault in one.faults]
    lines += ["", *(f"- {fault}" for fault in faults[:20])] if faults else []
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
