"""Preset smoke gives the same records byte for byte, wherever its cells are computed."""

import os
import shutil
import subprocess
import sys

import pytest

SMOKE = (
    *("--preset", "smoke", "--tasks", "single_double_quote", "--workers", "2"),
    *("--set", "validity.piloted=1", "--set", "validity.concepts=['in_string']"),
)


def bench_run(folder, executor):
    folder.mkdir(exist_ok=True)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "BENCH_SUBMITIT_CLUSTER": "local"}
    command = [sys.executable, "-m", "benchmark", "run", *SMOKE, "--executor", executor, "--no-page"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "WorkerDied" not in done.stderr
    return (folder / "results" / "records.csv").read_bytes()


@pytest.fixture(scope="module", params=[("ray", "ray"), ("slurm", "submitit")], ids=["ray", "slurm"])
def executor(request):
    name, library = request.param
    pytest.importorskip(library, reason=f"{library} is not installed: `make executors` installs it")
    return name


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    folder = tmp_path_factory.mktemp("here")
    return folder, bench_run(folder, "local")


@pytest.mark.slow
def test_records_do_not_depend_on_the_executor(executor, here, tmp_path):
    folder, records = here
    (tmp_path / "store").mkdir()
    shutil.copy(folder / "store" / "kernels.json", tmp_path / "store")  # another choice would change the last digits
    assert bench_run(tmp_path, executor) == records
