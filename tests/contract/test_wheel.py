"""The wheel has everything that the packages need, and works in an environment of its own."""

import os
import subprocess
import sys
import venv
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("benchmark", "sparse_model", "baselines")

PROGRAM = """
import sys
from benchmark.metrics import faithfulness
from benchmark.running.config import load_preset, preset_names

assert faithfulness(0.0, 0.5) == 1.0
assert "torch" not in sys.modules
assert [load_preset(name).name for name in preset_names()] == ["smoke", "quick", "standard", "paper"]
"""
"""What is done with the installed packages: a metric without torch, and the data that lies beside the code."""


def tracked():
    """The files of the packages that git knows."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a checkout, so nobody knows which files belong to it")
    listed = subprocess.run(["git", "ls-files", "-z", *PACKAGES], cwd=ROOT, capture_output=True, check=True, text=True)
    return {name for name in listed.stdout.split("\0") if name and (ROOT / name).exists()}


def test_the_wheel_has_every_file_of_the_packages_and_no_other(tmp_path):
    wheel = pytest.importorskip("hatchling.builders.wheel").WheelBuilder(str(ROOT))
    (built,) = wheel.build(directory=str(tmp_path), versions=["standard"])
    with ZipFile(built) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert tracked() <= names
    assert {name.split("/")[0] for name in names} == set(PACKAGES)
    assert not [name for name in names if "__pycache__" in name or name.endswith(".pyc")]


@pytest.mark.slow
def test_the_wheel_works_in_an_environment_of_its_own(tmp_path):
    home = tmp_path / "environment"
    venv.create(home, with_pip=True)
    python, constraints = home / "bin" / "python", ROOT / "constraints.txt"
    pip = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")
    called(*pip, "wheel", "--no-deps", "--wheel-dir", tmp_path, ROOT, folder=tmp_path)
    (wheel,) = tmp_path.glob("*.whl")
    called(python, "-m", *pip[2:], "install", "--constraint", constraints, wheel, folder=tmp_path)

    bench = home / "bin" / "bench"
    assert called(bench, "--version", folder=tmp_path).startswith("bench, version ")
    assert "weight_sparse" in called(bench, "list", "methods", folder=tmp_path)
    called(python, "-c", PROGRAM, folder=tmp_path)
    planned = called(bench, "run", "--preset", "smoke", "--method", "dense", "--dry-run", folder=tmp_path)
    assert "missing  train dense seed 0" in planned


def called(*command, folder):
    """What a command prints, called in a folder and without the packages of this checkout."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(list(map(str, command)), cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout
