"""Run after run in one process takes no more memory and leaves no file open."""

import gc
import os

import psutil
import pytest
from click.testing import CliRunner
from toy_bench import ROOT, toy_bench

RUNS = 30


@pytest.mark.slow
def test_thirty_runs_leave_nothing_behind(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TOY_BENCH_DIARY", str(tmp_path / "diary"))
    process, memory, files = psutil.Process(), [], []
    with toy_bench(ROOT, workers=True) as bench:
        for _ in range(RUNS):
            done = CliRunner().invoke(bench, ["run", "--method", "root", "--preset", "smoke", "--fresh"])
            assert done.exit_code == 0, done.output
            gc.collect()
            memory.append(process.memory_info().rss)
            files.append(process.num_fds() if os.name == "posix" else process.num_handles())
    assert files[-1] <= 1.05 * files[2], files
    assert memory[-1] <= 1.05 * memory[2], memory
    assert not process.children(recursive=True) or all(
        "resource_tracker" in " ".join(c.cmdline()) for c in process.children()
    )
