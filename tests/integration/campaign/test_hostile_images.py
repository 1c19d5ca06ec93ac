"""A share of the images that lie; ``make campaign`` reads them for longer."""

import os
import random

import pytest
from integration.campaign.hostile_images import images_that_lie

_SECONDS = float(os.environ.get("CAMPAIGN_SECONDS", "6"))
_SEED = int(os.environ.get("CAMPAIGN_SEED", "0"))


@pytest.mark.skipif(os.name == "nt", reason="this system can't fork, and has no pipes")
def test_no_image_that_lies_finds_a_fault(tmp_path):
    outcome = images_that_lie(tmp_path, random.Random(f"{_SEED} images that lie"), _SECONDS)
    assert outcome.tries
    assert outcome.faults == []
