"""Settings of networks and patches that take milliseconds a step, for the tests of all rooms."""

from __future__ import annotations

from typing import Any

TINY: dict[str, Any] = {
    "width": 4,
    "depth": 2,
    "discriminator_width": 4,
    "patch": 32,
    "batch": 2,
    "device": "cpu",
}
