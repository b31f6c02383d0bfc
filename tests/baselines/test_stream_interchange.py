"""The stream interchanged in models of random weights: what must hold whatever they compute."""

import dataclasses

import pytest
import torch
from tiny_dense import LAYERS, random_clt, random_dense, random_saes, random_tokens, random_transcoders
from torch.testing import assert_close

from benchmark.interventions.ablation import corpus_means, keep_only
from benchmark.model.circuit import Circuit
from benchmark.model.graph import TERMINALS, node_sites
from benchmark.model.interface import unedited
from benchmark.scoring.case import CircuitUnderTest
from benchmark.scoring.path_length import (
    boundaries,
    depth_scores,
    stream_effects,
    whole_stream,
    written,
)
from benchmark.tasks.answers import answer_logits, first_answer_difference, partners
from benchmark.tasks.prompts import PromptBatch

KINDS = {"transcoder": random_transcoders, "clt": random_clt, "sae": random_saes}
DENSE = random_dense()


def batch() -> PromptBatch:
    tokens = random_tokens(rows=8)
    tokens[1::2, -1] = tokens[::2, -1]
    answer = torch.tensor([3, 5] * 4)
    return PromptBatch(tokens, torch.full((8,), tokens.shape[1] - 1), answer, 8 - answer)


def moved(model, edit=unedited):
    difference = first_answer_difference(answer_logits(model, batch(), edit), batch())
    return (difference[partners(len(batch()))] - difference).expand(LAYERS - 1, -1)


def trial(model, kept, prompts=None) -> CircuitUnderTest:
    prompts = prompts or batch()
    means = corpus_means(model, random_tokens(rows=6, seed=9))
    explained = answer_logits(DENSE, prompts, unedited)
    return CircuitUnderTest(model, node_sites(model, "unit"), kept, means, prompts, explained, torch.Generator())


def rows_of(model, kept, explained=DENSE, prompts=None):
    connections = model.connections("unit")
    corpus = random_tokens(rows=6, seed=9)
    return {row.metric: row for row in depth_scores(trial(model, kept, prompts), explained, connections, corpus)}


def half(model) -> Circuit:
    generator = torch.Generator().manual_seed(4)
    sites = node_sites(model, "unit")
    return Circuit({site.name: torch.rand(site.size, generator=generator) < 0.5 for site in sites})


def test_model_with_the_other_prompts_stream_is_the_model_on_the_other_prompt():
    assert_close(stream_effects(DENSE, batch(), part=whole_stream), moved(DENSE), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("kind", ["transcoder", "sae"])
def test_so_is_every_circuit_in_which_nothing_goes_round_the_stream(kind):
    model = KINDS[kind](DENSE, "errors_ablated")
    edit = keep_only(half(model), trial(model, half(model)).means)
    effects = stream_effects(model, batch(), edit, part=whole_stream)
    assert_close(effects, moved(model, edit), atol=1e-4, rtol=1e-4)
    assert rows_of(model, half(model))["stream_share"].value == pytest.approx(1, abs=1e-4)


def test_cross_layer_decoders_go_round_it():
    model = random_clt(DENSE, "errors_ablated")
    assert rows_of(model, Circuit.whole(node_sites(model, "unit")))["stream_share"].value < 0.99


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("part", [whole_stream, written])
def test_whole_dictionary_with_its_errors_predicts_every_interchange(kind, part):
    model = KINDS[kind](DENSE, "errors_available")
    found = stream_effects(model, batch(), part=part)
    assert_close(found, stream_effects(DENSE, batch(), part=part), atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_boundaries_lie_after_every_block_but_the_last(kind):
    assert boundaries(KINDS[kind](DENSE, "errors_ablated")) == boundaries(DENSE) == [2, 4]


def test_whole_model_predicts_itself():
    rows = rows_of(DENSE, Circuit.whole(node_sites(DENSE, "unit")))
    for metric in ("stream_interchange_r2", "write_interchange_r2", "stream_share"):
        assert rows[metric].value == pytest.approx(1, abs=1e-6)
    assert 1 < rows["path_length"].value < rows["longest_path"].value == 2 * LAYERS


def test_path_through_replaced_streams_takes_a_feature_a_block_and_its_weights_cannot_be_told():
    model = random_saes(DENSE, "errors_ablated")
    rows = rows_of(model, Circuit.whole(node_sites(model, "unit")))
    assert rows["longest_path"].value == LAYERS
    assert (rows["path_length"].status, rows["path_length"].reason) == (
        "undefined",
        "edges run through an opaque block",
    )


# What cannot be measured


def test_pairs_of_different_length_cannot_be_interchanged():
    last = batch().last - torch.tensor([0, 1] * 4)
    whole = Circuit.whole(node_sites(DENSE, "unit"))
    rows = rows_of(DENSE, whole, prompts=dataclasses.replace(batch(), last=last))
    assert rows["stream_share"].status == "undefined"
    assert rows["stream_share"].reason == "the prompts of every pair differ in length"


class Shallow:
    """A model of which only the first blocks are told, or whose state has another name."""

    def __init__(self, layers=LAYERS, renamed=False):
        self.sites = tuple(site for site in DENSE.sites if site.layer < layers)
        self.renamed = renamed

    def start(self, tokens):
        state = DENSE.start(tokens)
        return {"other": state["residual"]} if self.renamed else state

    def advance(self, state, stage, edit):
        return DENSE.advance(state, stage, edit)

    def read_out(self, state, positions):
        return DENSE.read_out(state, positions)

    def connections(self, graph):
        ends = {*TERMINALS, *(site.name for site in self.sites)}
        return [each for each in DENSE.connections(graph) if {each.source, each.target} <= ends]


@pytest.mark.parametrize(
    ("explained", "reason"),
    [
        (Shallow(layers=2), "the circuit has 3 blocks, the reference model 2"),
        (Shallow(renamed=True), "the model's state has no 'residual'"),
    ],
)
def test_models_whose_streams_do_not_correspond_are_refused_with_a_reason(explained, reason):
    rows = rows_of(DENSE, Circuit.whole(node_sites(DENSE, "unit")), explained)
    assert (rows["stream_interchange_r2"].status, rows["stream_interchange_r2"].reason) == ("undefined", reason)


def test_one_block_has_no_boundary_and_what_it_cannot_tell_of_its_edges_is_said():
    model = Shallow(layers=1)
    rows = rows_of(model, Circuit.whole(node_sites(model, "unit")), model)
    assert rows["stream_share"].reason == "one block has no stream between blocks"
    assert rows["path_length"].reason == "the model does not say what flows along its edges"
