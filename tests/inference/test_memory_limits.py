"""Memory is asked of what limits this process, not of the machine alone."""

import psutil
import pytest

from napari_pix2pix.inference import memory_limits
from napari_pix2pix.inference.memory_limits import available_memory


@pytest.fixture
def groups(tmp_path, monkeypatch):
    """Stand in for the control groups of Linux, and write what they say."""
    monkeypatch.setattr(memory_limits, "_GROUPS", tmp_path / "groups")
    monkeypatch.setattr(memory_limits, "_MEMBERSHIP", tmp_path / "cgroup")
    monkeypatch.setattr(memory_limits, "_left_in_process", lambda: iter(()))

    def say(membership: str, files: dict[str, str]) -> None:
        (tmp_path / "cgroup").write_text(membership)
        for name, text in files.items():
            path = tmp_path / "groups" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    return say


def test_a_group_of_version_2_limits(groups):
    files = {"memory.max": "5000\n", "memory.current": "3000\n"}
    groups("0::/\n", {**files, "memory.stat": "anon 5\ninactive_file 500\n"})
    assert available_memory() == 2500


def test_a_group_within_another_is_limited_by_both(groups):
    outer = {"jobs/memory.max": "900\n", "jobs/memory.current": "400\n"}
    inner = {"jobs/one/memory.max": "max\n", "jobs/one/memory.current": "300\n"}
    groups("0::/jobs/one\n", outer | inner)
    assert available_memory() == 500


def test_a_group_of_version_1_limits(groups):
    files = {"memory.limit_in_bytes": "700\n", "memory.usage_in_bytes": "800\n"}
    groups("4:cpu,memory:/docker/abc\n", {f"memory/{name}": text for name, text in files.items()})
    assert available_memory() == 0


def test_without_groups_the_machine_decides(groups):
    groups("0::/\n", {"memory.max": "max\n"})
    free = psutil.virtual_memory().available
    assert available_memory() == pytest.approx(free, rel=0.5)


def test_the_limit_of_the_process_counts(monkeypatch):
    resource = pytest.importorskip("resource")
    used = psutil.Process().memory_info().vms
    monkeypatch.setattr(memory_limits, "_left_in_groups", lambda: iter(()))
    monkeypatch.setattr(resource, "getrlimit", lambda _: (used + 10**7, -1))
    assert available_memory() <= 10**7 + 10**8
