"""An executor that cannot be used is refused in one line that says what to do."""

import pytest

from benchmark.running import executors
from benchmark.running.executors import LIBRARIES, check_executor, executor_named
from benchmark.running.store import Store


@pytest.mark.parametrize("name", LIBRARIES)
def test_a_missing_library_is_named_with_the_command_that_installs_it(name, monkeypatch, tmp_path):
    monkeypatch.setattr(executors, "find_spec", lambda library: None)
    said = f"'{name}' needs {LIBRARIES[name]}, which is not installed: pip install \"sparse-circuit-bench[{name}]\""
    with pytest.raises(ValueError, match="is not installed") as refused:
        executor_named(name, Store(tmp_path), 1, "cpu")
    assert str(refused.value) == said
    check_executor("local")


def test_a_machine_without_slurm_and_an_address_for_clients_are_refused(monkeypatch):
    monkeypatch.setattr(executors, "find_spec", lambda library: object())
    monkeypatch.setattr(executors, "which", lambda command: None)
    monkeypatch.delenv("BENCH_SUBMITIT_CLUSTER", raising=False)
    with pytest.raises(ValueError, match="the command sbatch was not found"):
        check_executor("slurm")
    monkeypatch.setenv("BENCH_SUBMITIT_CLUSTER", "local")
    check_executor("slurm")
    monkeypatch.setenv("RAY_ADDRESS", "ray://head:10001")
    with pytest.raises(ValueError, match="is for clients outside a cluster"):
        check_executor("ray")
