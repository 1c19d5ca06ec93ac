"""A share of the campaign: kills, damaged files and runs that meet, for some seconds each.

``make campaign`` runs all of it for longer; docs/campaign.md holds its last result.
"""

import os
import random

import pytest

pytest.importorskip("resource", reason="this system has no limits of processes, and can't fork")
from integration.campaign.kinds import KINDS

_SECONDS = float(os.environ.get("CAMPAIGN_SECONDS", "3"))
_SEED = int(os.environ.get("CAMPAIGN_SEED", "0"))


@pytest.mark.parametrize("name", list(KINDS))
def test_no_try_finds_a_fault(name, tmp_path):
    outcome = KINDS[name](tmp_path, random.Random(f"{_SEED} {name}"), _SECONDS)
    assert outcome.tries
    assert outcome.faults == []
