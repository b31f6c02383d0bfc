"""Families whose losses and sizes are plain functions of their settings, so that a frontier can be drawn by hand."""

import json
import os
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from inline import inline_cells
from pydantic import BaseModel, ConfigDict, Field
from toy_bench import DIARY
from toy_methods import installed, toy_method, write_corpus

from benchmark.methods import Axis, Variant
from benchmark.records.table import Measurement, write_measurements
from benchmark.running.cells import KINDS, CellKind


class FamilyConfig(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")  # the preset's other settings
    density: float = Field(1.0, gt=0, le=1)
    minimum_per_neuron: int = 4
    d_model: int = 32
    d_head: int = 16
    k: int = Field(12, ge=1)
    features: int = 256


def family(name, **fields):
    return replace(toy_method(name, **fields), config=FamilyConfig)


ERRORS = (Variant("errors_available", ("unit",), ranked=False), Variant("errors_ablated", ("unit",)))
DENSITY = Axis(
    "density", (0.4, 1.0, 2.5), least=lambda config: config["minimum_per_neuron"] / config["d_model"], most=1.0
)
CODED = (Axis("k", (0.5, 1.0, 2.0), "L0"), Axis("features", (0.5, 1.0, 2.0), "width"))
WEIGHT_SPARSE = family("weight_sparse", role="reference", sweep=(DENSITY,))
WIDTH = Axis("d_model", (0.5, 1.0, 1.5), multiple_of="d_head")
DENSE = family("dense", role="reference", matched_to="weight_sparse", sweep=(WIDTH,))
SAE = family("sae", needs=("dense",), explains="dense", variants=ERRORS, sweep=CODED)


def compute(params, inputs, folder, progress):
    """Of sae, 128 features cannot be trained, and k = 4 reaches no task; narrow dense reaches only one."""
    rows = []
    if "config" in params:
        with Path(os.environ[DIARY]).open("a") as diary:
            diary.write(json.dumps([params["method"], params["config"]]) + "\n")
        if params["config"]["features"] == 128:
            raise RuntimeError("no luck")
        (folder / "config.json").write_text(json.dumps(params["config"]))
    elif "mean_tokens" in params or "circuit" in params:
        name, config = params["method"], json.loads((inputs[params["method"]] / "config.json").read_text())
        loss, size = LOSS_AND_SIZE[name](config)
        rows = [Measurement("validation_loss", loss + params["seed"]), Measurement("training_flops", 1e12)]
        if "circuit" in params:
            rows = circuit(name, config, params["task"], size)
    elif "choice_tokens" in params:
        rows = splitting(json.loads((inputs[params["method"]] / "config.json").read_text()), "other" in inputs, params)
    write_corpus(params, folder)
    write_measurements(rows, folder)


def splitting(config, compared, params):
    rows = [Measurement("concept_splits", config["features"] / 16 + params["seed"])]
    if compared:
        rows += [Measurement("feature_splits", 3.0 + params["seed"]), Measurement("feature_splits_null", 1.25)]
        rows.append(Measurement("feature_splits_back", 1.5))
    return rows


def circuit(name, config, task, size):
    narrow = (name, config["d_model"], task) == ("dense", 16, "single_double_quote")
    if narrow or config["k"] == 4:
        return [Measurement("edges", status="not_reached", reason="the lowest loss is 0.3")]
    return [Measurement("edges", size * 4 if task == "single_double_quote" else size)]


LOSS_AND_SIZE = {
    "weight_sparse": lambda config: (2 - config["density"], 100 * config["density"]),
    "dense": lambda config: (2.0, config["d_model"]),
    "sae": lambda config: (1.9 if config["features"] == 64 else 1.7, config["k"]),
}


@contextmanager
def toy_sweep(*methods):
    with installed(*(methods or (WEIGHT_SPARSE, DENSE, SAE))), inline_cells(), pytest.MonkeyPatch.context() as patch:
        for name, kind in KINDS.items():
            patch.setitem(KINDS, name, CellKind(kind.version, "toy_sweep:compute", kind.shown))
        yield
