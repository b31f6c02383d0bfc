"""A finished run in seconds: tiny models that are really trained, and circuits that nobody has searched for."""

from dataclasses import replace
from pathlib import Path

import torch

from benchmark import evaluate
from benchmark.interventions.edge_ablation import VERIFIED_EDGES, edges_by_site, kept_ends, save_edges
from benchmark.methods import METHODS
from benchmark.model.circuit import Circuit
from benchmark.model.graph import node_sites
from benchmark.records.table import Measurement, write_measurements
from benchmark.running.config import configure, with_needed
from benchmark.running.models import load_variant
from benchmark.running.plan import plan
from benchmark.running.schedule import Outcome
from benchmark.running.store import Store
from benchmark.running.tables import write_tables

TASK = "for_while"

CHANGES = (
    'corpus.sources={"idioms"=1.0}',
    "corpus.tokens=6_000",
    "corpus.vocabulary=300",
    "corpus.context=32",
    "profile.mean_tokens=256",
    "profile.validation_tokens=256",
)
TINY_METHOD = {"d_model": 16, "features": 24, "k": 4, "measured_tokens": 256, "tokens": 512, "batch": 4}

NOT_REACHED = "the lowest loss is 0.3"


def circuit_of(model, graph):
    """Every fourth node of each site."""
    return Circuit({site.name: torch.arange(site.size) % 4 == 0 for site in node_sites(model, graph)})


def compute_circuit(params, inputs, folder, progress):
    """A circuit with half of its edges verified; that of the second seed is said not to have been found."""
    model, graph = load_variant(params["method"], params["variant"], inputs), params["graph"]
    circuit = circuit_of(model, graph)
    circuit.save(folder / "circuit.safetensors")
    joined = [each for each in (kept_ends(one, circuit) for one in model.connections(graph)) if each is not None]
    edges = sum(len(each.targets) * len(each.sources) for each in joined)
    save_edges(edges_by_site(joined, torch.arange(edges) % 2 == 0), folder / VERIFIED_EDGES)
    if params["seed"] == 1:
        rows = [Measurement("edges", status="not_reached", reason=NOT_REACHED)]
    else:
        rows = [
            Measurement("edges", 7.0),
            Measurement("faithfulness", 0.5, low=0.25, high=0.75, interval="prompts", n=8),
        ]
        rows += [Measurement("cpr", status="undefined", reason="empty equals whole")]
    write_measurements([replace(row, ablation=params["circuit"]["ablation"]) for row in rows], folder)


COMPUTE = {
    "corpus": evaluate.compute_corpus,
    "train": evaluate.compute_train,
    "profile": evaluate.compute_profile,
    "circuit": compute_circuit,
}


def toy_run(folder: Path, *methods: str, seeds=(0,)):
    """Write `results` and `store` of a run of these methods into a folder."""
    run = configure("smoke", methods, (TASK,), seeds, [*CHANGES, *tiny(methods)])
    store, outcomes = Store(folder / "store"), []
    for cell in plan(run).cells:
        order = cell.order("toy")
        partial = store.partial(order)
        inputs = {role: store.artifact(key) for role, key in order.needs.items()}
        if cell.kind in COMPUTE:
            COMPUTE[cell.kind](order.params, inputs, partial, lambda *done: None)
        else:
            write_measurements([], partial)
        store.commit(order, seconds=1.0, peak_memory=2**20)
        outcomes.append(Outcome(cell, "computed"))
    write_tables(run, outcomes, store, folder / "results", workers=1)
    return run


def tiny(methods):
    """Changes that make these methods, and those that they depend on, as small as can be."""
    for name in dict.fromkeys(needed for method in methods for needed in with_needed(method)):
        small = TINY_METHOD | ({"density": 0.5} if name == "weight_sparse" else {})
        fields = METHODS[name].config.model_fields
        yield from (f"{name}.{key}={value}" for key, value in small.items() if key in fields)
