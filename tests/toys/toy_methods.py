"""Methods that train nothing, found as installed ones are."""

import json
from contextlib import contextmanager
from copy import copy
from dataclasses import replace

import pytest
from pydantic import BaseModel, ConfigDict, Field

from benchmark.methods import METHODS, Method, Variant
from benchmark.plugins.registry import Loaded
from benchmark.running.config import load_preset


class ToyModel(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    width: int = Field(8, ge=1)


class ToyConfig(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    density: float = Field(0.5, gt=0, le=1)
    steps: int = Field(10, ge=1)
    model: ToyModel = ToyModel()
    shares: dict[str, float] = {}


def toy_method(name, **fields):
    fields = {"variants": (Variant("native", ("channel", "unit")),), **fields}
    return Method(name, f"Toy {name}.", "nobody", ToyConfig, train="toy:train", load="toy:load", **fields)


ROOT = toy_method("root")
SPARSE = toy_method("sparse")
FITTED = toy_method(
    "fitted",
    needs=("root",),
    explains="root",
    variants=(Variant("errors_ablated", ("unit",)), Variant("errors_available", ("unit",), ranked=False)),
)


def forged(record, **fields):
    """A record with fields that its types forbid, as a distribution without type checks may give it."""
    made = copy(record)
    for name, value in fields.items():
        object.__setattr__(made, name, value)
    return made


@contextmanager
def installed(*methods):
    """These methods are the only installed ones, other people's unless they really are installed.

    No kernel is chosen, as toys compute nothing: workers would import torch for it.
    """
    ours = METHODS.origin
    with pytest.MonkeyPatch.context() as patch:
        records = {method.name: method for method in methods}
        origins = {name: ours(name) if METHODS.get(name) is records[name] else "toys 1.0" for name in records}
        values = {name: "toy_methods:SOMETHING" for name in records if origins[name] == "toys 1.0"}
        patch.setattr("benchmark.running.experiment.recorded_kernels", lambda folder: None)
        patch.setattr(METHODS, "_loaded", METHODS._sorted(Loaded(records, origins, values, ())))
        yield


@contextmanager
def registered(registry, record):
    """A record is added for the length of a test."""
    loaded = registry._loaded
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "_loaded", replace(loaded, records=dict(loaded.records), origins=dict(loaded.origins)))
        registry.add(record)
        yield record


def write_corpus(params, folder):
    """Write what a run asks of a finished corpus: the digest that preset smoke states."""
    if "sources" in params:
        (folder / "corpus.json").write_text(json.dumps({"digest": load_preset("smoke").corpus_digest}))
