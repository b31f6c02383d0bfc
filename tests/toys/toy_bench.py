"""The command `bench` with methods that train nothing and cells that measure nothing."""

import json
import os
import signal
import time
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pytest
from inline import inline_cells
from toy_methods import FITTED, ROOT, SPARSE, installed, toy_method, write_corpus

from benchmark.cli import main
from benchmark.records.table import Measurement, write_measurements
from benchmark.running.cells import KINDS, CellKind

RUN_MODULE = import_module("benchmark.cli.run")
"""The module of `bench run`, whose name in its package is that of the command."""

DIARY = "TOY_BENCH_DIARY"
"""The environment variable that holds the file in which every computation is noted down."""

RAISING = toy_method("raising")
SLOW = toy_method("slow")


def compute(params, inputs, folder, progress):
    with Path(os.environ[DIARY]).open("a") as diary:
        diary.write(json.dumps({name: params[name] for name in ("method", "task", "graph") if name in params}) + "\n")
    if params.get("method") == "raising" and "config" in params:
        raise RuntimeError("no luck")
    if params.get("method") == "slow" and "config" in params:
        count_slowly(folder / "steps", progress)
    rows = []
    if "circuit" in params:
        number = 10 + len(params["task"]) + len(params["method"])
        rows = [
            Measurement("nodes", float(number)),
            Measurement("edges", number * 2.0, low=1.0, high=99.0, interval="prompts", n=8),
            Measurement("faithfulness", status="not_reached", reason="the lowest loss is 0.3"),
            Measurement("cpr", float("nan"), reason="empty equals whole"),
            Measurement("whole_loss", 0.01),
        ]
        rows = [replace(row, ablation=params["circuit"]["ablation"]) for row in rows]
    elif "mean_tokens" in params:
        rows = [Measurement("validation_loss", 1.5), Measurement("nonzero_parameters", 100.0)]
    elif "choice_tokens" in params:
        rows = [Measurement("named_nodes", 3.0)]
    elif "reference" in params:
        rows = [Measurement("replaced_kl", 2.0)]
    write_corpus(params, folder)
    write_measurements(rows, folder)


def count_slowly(file, progress, steps=20):
    for step in range(int(file.read_text()) if file.exists() else 0, steps):
        progress(step, steps, "counting")
        time.sleep(0.05)
        file.with_suffix(".new").write_text(str(step + 1))
        file.with_suffix(".new").replace(file)


@contextmanager
def toy_bench(*methods, workers=False):
    """`bench` with these methods and with cells that are computed at once, in worker processes only if asked for."""
    computed = nullcontext() if workers else inline_cells()
    with installed(*(methods or (ROOT, SPARSE, FITTED))), computed, pytest.MonkeyPatch.context() as patch:
        for name, kind in KINDS.items():
            patch.setitem(KINDS, name, CellKind(kind.version, "toy_bench:compute", kind.shown))
        patch.setattr(RUN_MODULE, "page_line", lambda *run: "no page of a toy run")
        yield main


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # also where the tests run in the background of a shell
    with toy_bench(SLOW, ROOT, workers=True) as bench:
        bench()
