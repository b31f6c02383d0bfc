"""Every option of every method's settings goes through a whole run and is shown."""

import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Literal, get_args, get_origin

import pytest

from benchmark.methods import METHODS
from benchmark.records.table import RECORDS, read_records
from benchmark.report.circuit_text import describe_circuit

pytestmark = pytest.mark.long

TASK = "for_while"

TRIED = {name: method for name, method in METHODS.items() if method.role != "control" and not method.by_name}

TINY = (
    "corpus.tokens=40_000",
    "corpus.context=64",
    "circuit.budget_tokens=500",
    "circuit.train_pairs=4",
    "circuit.validation_pairs=4",
    "circuit.test_pairs=4",
    "circuit.edge_tokens=256",
    "profile.mean_tokens=256",
    "profile.validation_tokens=256",
    'validity.concepts=["in_string"]',
    "validity.choice_tokens=512",
    "validity.score_tokens=512",
    "validity.piloted=1",
    "claims.tokens=256",
    "weight_sparse.density=0.5",
)
TINY_METHOD = {"d_model": 16, "features": 32, "k": 4, "measured_tokens": 256, "tokens": 1024, "batch": 4}


def choices(name, field):
    """The values of a switch or a choice that are not its default."""
    if field.annotation is bool:
        return [str(not field.default).lower()]
    if name == "activation_sites":
        return ["[]", '["q", "mlp_out"]']
    values = get_args(field.annotation) if get_origin(field.annotation) is Literal else ()
    return [value for value in values if value != field.default]


def options():
    """Lists of changes: the first other choice of every option of every method, the second, and so on."""
    found = []
    for name, method in TRIED.items():
        for key, field in method.config.model_fields.items():
            for number, value in enumerate(choices(key, field)):
                found += [[] for _ in range(number + 1 - len(found))]
                found[number].append(f"{name}.{key}={value}")
    return found


def tiny():
    for name, method in TRIED.items():
        fields = method.config.model_fields
        yield from (f"{name}.{key}={value}" for key, value in TINY_METHOD.items() if key in fields)


def rounds():
    """The first other choice of every option in every run of the tests; further choices where it may take minutes."""
    first, *further = options()
    return [first, *(pytest.param(changes, marks=pytest.mark.slow) for changes in further)]


@pytest.mark.parametrize("changes", rounds(), ids=lambda changes: f"{len(changes)} options")
def test_every_option_goes_through_a_whole_run(changes, tmp_path):
    settings = [word for change in (*TINY, *tiny(), *changes) for word in ("--set", change)]
    command = [Path(sys.executable).with_name("bench"), "run", "--preset", "smoke", "--tasks", TASK, *settings]
    command += ["--method", ",".join(TRIED), "--workers", "1", "--no-page"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]
    results, store = tmp_path / "results", tmp_path / "store"
    rows = read_records(results / RECORDS)
    assert not [row.reason for row in rows if row.status == "failed"]
    for name, method in TRIED.items():
        losses = [row.value for row in rows if row.method == name and row.metric == "validation_loss"]
        assert len(losses) == len(method.variants)
        assert all(map(math.isfinite, losses))
        assert f"task {TASK}" in describe_circuit(results, store, name, TASK, as_json=False)
