"""A local Ray for all tests of a file, and toys that processes elsewhere can import."""

import os
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def importable_elsewhere():
    """Let processes that are not children of this one import the toys and the code of this working tree."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(map(str, (TESTS.parent, TESTS / "toys"))))
        patch.setenv("BENCH_SUBMITIT_CLUSTER", "local")
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.delenv("RAY_ADDRESS", raising=False)
        yield


@pytest.fixture(scope="module")
def running_ray(importable_elsewhere):
    """Start Ray once for all tests of a file: that takes longer than all of them."""
    ray = pytest.importorskip("ray", reason="ray is not installed: `make executors` installs it")
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=2**27)
    yield
    ray.shutdown()
