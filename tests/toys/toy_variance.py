"""Circuits whose scores are plain functions of their seeds, so that the parts of a variance are known by hand."""

import math
from contextlib import contextmanager

import pytest
from inline import inline_cells
from toy_methods import installed, write_corpus
from toy_sweep import DENSE, SAE, WEIGHT_SPARSE

from benchmark.records.table import Measurement, write_measurements
from benchmark.running.cells import KINDS, CellKind

PROMPTS = 0.5
"""What other prompts change, as a variance."""


def compute(params, inputs, folder, progress):
    """The circuits of `nonsense` fail in one finder seed."""
    rows = []
    if "circuit" in params:
        finder = params["circuit"]["finder_seed"]
        if (params["task"], finder) == ("nonsense", 1):
            raise RuntimeError("no luck")
        rows = circuit(params["method"], params["seed"], finder)
    write_corpus(params, folder)
    write_measurements(rows, folder)


def circuit(method, seed, finder):
    """Of weight_sparse the scores are 3 and 5 with the first training seed, 7 and 9 with the second; of dense, 2.

    The faithfulness is 20 less, the sizes are exponentials of the scores.
    """
    score = 3.0 + 4 * seed + 2 * finder if method == "weight_sparse" else 2.0
    half = 1.959964 * math.sqrt(PROMPTS)
    share = score - 20.0  # a faithfulness is at most 1, and so are its limits
    limits = {"low": share - half, "high": share + half, "interval": "prompts"}
    logs = {"low": math.exp(score - half), "high": math.exp(score + half), "interval": "prompts"}
    missed = Measurement("verified_edges", status="not_reached", reason="the lowest loss is 0.3")
    return [
        Measurement("nodes", math.exp(score)),
        Measurement("edges", math.exp(score), **logs),
        missed if (seed, finder) == (1, 0) else Measurement("verified_edges", 7.0),
        Measurement("faithfulness", share, **limits),
        Measurement("faithfulness", -9.0, ablation="zero"),
    ]


@contextmanager
def toy_variance():
    with installed(WEIGHT_SPARSE, DENSE, SAE), inline_cells(), pytest.MonkeyPatch.context() as patch:
        for name, kind in KINDS.items():
            patch.setitem(KINDS, name, CellKind(kind.version, "toy_variance:compute", kind.shown))
        yield
