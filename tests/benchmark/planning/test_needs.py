"""What cells are stated to take is what their parts take, measured at small shapes."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from stated import bytes_of_files, check_stated, random_windows
from toy_methods import ROOT, installed

from benchmark.claims.activity import activity
from benchmark.claims.connections import density, drawn_connections, orders
from benchmark.corpus import CorpusConfig, build
from benchmark.corpus.sampling import spread_windows
from benchmark.interventions.ablation import octave_means, over_octaves
from benchmark.model.circuit import Circuit
from benchmark.model.graph import node_sites
from benchmark.model.interface import next_token_loss
from benchmark.planning.needs import CIRCUIT_BYTES, MANIFEST_BYTES, PROFILE_BYTES, Needs, Planned
from benchmark.resources import NUMBER
from benchmark.running.config import configure
from benchmark.running.plan import plan
from benchmark.studies.live_memory import LiveBytes, peak_bytes
from benchmark.validity.choice import Choice
from benchmark.validity.sample import Sample
from sparse_model.checkpoint import read_tensors, write_tensors
from sparse_model.method import WEIGHT_SPARSE
from sparse_model.transformer import Transformer, with_parameters

SHAPES = {
    "wide": ("weight_sparse.d_model=128", "corpus.vocabulary=512", "corpus.context=64"),
    "large vocabulary": ("weight_sparse.d_model=64", "corpus.vocabulary=2048", "corpus.context=64"),
    "deep": ("weight_sparse.d_model=64", "weight_sparse.layers=4", "corpus.vocabulary=300", "corpus.context=128"),
}
TOKENS = (
    "profile.mean_tokens=4096",
    "profile.validation_tokens=4096",
    "claims.tokens=4096",
    "validity.choice_tokens=4096",
)


class Case:
    """A weight-sparse transformer of random weights, and the cells of a run with its settings."""

    def __init__(self, name):
        self.run = configure("smoke", ["weight_sparse"], ["for_while"], changes=[*SHAPES[name], *TOKENS])
        config, corpus = self.run.method_configs["weight_sparse"], self.run.corpus
        self.shape = config.transformer(corpus.vocabulary, corpus.context)
        self.model = Transformer(self.shape).initialise(torch.Generator().manual_seed(0)).eval().requires_grad_(False)
        self.corpus = random_windows(corpus.vocabulary, corpus.context)
        self.tokens, self.targets = spread_windows(self.corpus, "train", 4096)
        self.cells = {(each.kind, each.params.get("graph")): each for each in plan(self.run).cells}

    def needs(self, kind, graph=None):
        return Planned(self.run).needs(self.cells[kind, graph])


@pytest.mark.parametrize("name", SHAPES)
def test_a_profile_holds_logits_and_runs_its_tokens(name, tmp_path):
    case = Case(name)
    stated = case.needs("profile")
    check_stated(stated.activation_bytes, peak_bytes(lambda: next_token_loss(case.model, case.tokens, case.targets)))
    assert stated.tokens == 2 * case.tokens.numel()
    means = octave_means(case.model, case.tokens)
    save_file(means, tmp_path / "position_means.safetensors")
    save_file(over_octaves(means, case.tokens.shape[1]), tmp_path / "means.safetensors")
    check_stated(stated.store_bytes - MANIFEST_BYTES - PROFILE_BYTES, bytes_of_files(tmp_path))


@pytest.mark.parametrize("name", SHAPES)
def test_claims_hold_connections_and_what_fires(name):
    case = Case(name)
    means = over_octaves(octave_means(case.model, case.tokens), case.tokens.shape[1])

    def measured():
        drawn = drawn_connections(case.model)
        seen = activity(case.model, means, case.tokens, [(each.source, each.target) for each in drawn])
        density(drawn, seen, orders(drawn, seen, torch.Generator().manual_seed(0)))

    losses = peak_bytes(lambda: next_token_loss(case.model, case.tokens, case.targets))
    check_stated(case.needs("claims").activation_bytes, max(losses, peak_bytes(measured)))


@pytest.mark.parametrize("name", SHAPES)
def test_validity_holds_all_values_and_gradients(name):
    case = Case(name)
    sample = Sample(case.tokens, case.targets, {"letter": np.ones(case.tokens.shape, dtype=np.int8)})
    check_stated(
        case.needs("validity").activation_bytes, peak_bytes(lambda: Choice(case.model, sample, ["letter"], ["letter"]))
    )


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("graph", ["channel", "unit"])
def test_a_circuit_stores_a_mask_and_an_order(name, graph, tmp_path):
    case = Case(name)
    sites = node_sites(case.model, graph)
    nodes = sum(site.size for site in sites)
    Circuit.first(sites, torch.arange(nodes), 3).save(tmp_path / "circuit.safetensors")
    save_file({"order": torch.arange(nodes)}, tmp_path / "order.safetensors")
    stated = case.needs("circuit", graph).store_bytes - MANIFEST_BYTES - CIRCUIT_BYTES
    check_stated(stated, bytes_of_files(tmp_path))


@pytest.mark.parametrize("name", SHAPES)
def test_a_circuit_cell_holds_all_connections_of_the_unit_graph(name):
    case = Case(name)
    live = LiveBytes()
    with live:
        kept = tuple(case.model.connections("unit"))
    size = Planned(case.run).resources(WEIGHT_SPARSE).variants["native"]
    check_stated(NUMBER * (size.connections + size.terminals), live.now)
    assert case.needs("circuit", "unit").activation_bytes > live.now
    del kept


@pytest.mark.parametrize("name", SHAPES)
def test_reading_a_model_is_counted_where_it_is_the_peak(name, tmp_path):
    case = Case(name)
    path = tmp_path / "model.safetensors"
    write_tensors(path, dict(case.model.named_parameters()))
    read = peak_bytes(lambda: with_parameters(case.shape, read_tensors(path), path))
    for kind in ("profile", "validity", "claims"):
        assert case.needs(kind).memory_bytes >= 0.85 * read


@pytest.mark.parametrize("tokens", [50_000, 100_000])
def test_a_corpus_takes_two_bytes_per_token_and_its_tokenizer(tokens, tmp_path):
    run = configure("smoke", ["weight_sparse"], ["for_while"], changes=[f"corpus.tokens={tokens}"])
    corpus = next(each for each in plan(run).cells if each.kind == "corpus")
    build(CorpusConfig(**run.corpus.model_dump()), tmp_path, lambda *_: None)
    stated = Planned(run).needs(corpus)
    check_stated(stated.store_bytes - MANIFEST_BYTES, bytes_of_files(tmp_path))
    written = sum(len(np.load(file)) for file in tmp_path.glob("*.tokens.npy"))
    check_stated(stated.tokens, written)


def test_of_a_method_that_states_nothing_nothing_is_known():
    with installed(ROOT):
        run = configure("smoke", ["root"], ["for_while"])
        cells = plan(run).cells
        found = {each.kind: Planned(run).needs(each) for each in cells}
    assert found["train"] == found["circuit"] == found["validity"] == Needs()
    assert found["corpus"].store_bytes > NUMBER
