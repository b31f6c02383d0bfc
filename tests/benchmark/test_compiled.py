"""Compiled functions run wherever the packages are installed and whoever runs them."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from benchmark.compiled import compiled

ROOT = Path(__file__).resolve().parents[2]

PROGRAM = """
import torch
from benchmark import compiled
from benchmark.validity.precision import _fill
from sparse_model.sparsity import abs_top_k
assert compiled.__file__.startswith(FOLDER), compiled.__file__
print(abs_top_k(torch.tensor([[1.0, -3.0, 2.0]]), 1).tolist())
print(_fill._cache.cache_path)
"""


def run(folder, **environment):
    environment = {name: text for name, text in os.environ.items() if not name.startswith("NUMBA")} | environment
    environment |= {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    program = [sys.executable, "-c", PROGRAM.replace("FOLDER", repr(str(folder)))]
    done = subprocess.run(program, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.splitlines()


def test_where_neither_the_installation_nor_the_home_can_be_written_functions_run_uncached(tmp_path):
    for package in ("benchmark", "sparse_model"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    home = tmp_path / "home"
    cached = run(tmp_path, HOME=str(home), XDG_CACHE_HOME=str(home))
    for folder in [tmp_path / "benchmark", *(tmp_path / "benchmark").rglob("*/"), tmp_path / "sparse_model"]:
        shutil.rmtree(folder / "__pycache__", ignore_errors=True)
        if folder.is_dir() and folder.name != "__pycache__":
            (folder / "__pycache__").touch()  # a file, so that no folder can be made there, by whomever
    uncached = run(tmp_path, HOME=os.devnull, XDG_CACHE_HOME=os.devnull)
    assert cached[0] == uncached[0] == "[[0.0, -3.0, 0.0]]"
    assert (cached[1] == "None", uncached[1]) == (False, "None")


def test_compiled_functions_compute_what_they_say():
    def twice(number):
        return 2 * number

    assert compiled(twice)(21) == 42
