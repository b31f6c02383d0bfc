"""A run of the released model and its circuit, from the command to the tables."""

import csv
import os
import subprocess
import sys

import pytest
from released_files import viz_data, write_model
from test_released_method import KEPT, SHAPE, checkpoint, write_circuit, write_tokens

pytestmark = pytest.mark.slow

SETTINGS = [
    "circuit.ranking=released",
    "circuit.target_loss=20",
    "validity.piloted=1",
    "validity.concepts=['in_string']",
]
"""The weights are random, so any circuit is near enough with such a target."""


def test_a_released_circuit_is_in_the_tables_with_its_sizes(tmp_path):
    shape = {**SHAPE, "vocab_size": 1024}
    write_model(tmp_path / "model", shape, checkpoint(shape))
    write_tokens(tmp_path / "model", 1024)
    write_circuit(tmp_path / "viz" / "single_double_quote" / "8", viz_data(KEPT, {}))
    changes = ["released.path=model", "released.circuits=viz", *SETTINGS]
    arguments = ["--preset", "smoke", "--method", "released", "--tasks", "single_double_quote", "--workers", "1"]
    done = subprocess.run(
        [sys.executable, "-m", "benchmark", "run", *arguments, *(f"--set={change}" for change in changes)],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    with (tmp_path / "results" / "records.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert not [row["reason"] for row in rows if row["status"] == "failed"]
    nodes = {row["graph"]: row["value"] for row in rows if row["metric"] == "nodes"}
    assert nodes == {"channel": "4", "unit": "2"}
    assert {row["ranking"] for row in rows if row["metric"] == "nodes"} == {"released"}
    (flops,) = [row for row in rows if row["metric"] == "training_flops"]
    assert (flops["status"], flops["reason"]) == ("undefined", "the model was trained elsewhere")
