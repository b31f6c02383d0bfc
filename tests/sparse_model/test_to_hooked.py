"""Our transformer gives equal logits as a TransformerLens model, and the same circuits there."""

import pytest
import string_closing
import torch
from torch.testing import assert_close

import benchmark
from benchmark import metrics
from benchmark.discovery.finder import find_circuit
from benchmark.discovery.search import Budget
from benchmark.interventions.ablation import corpus_means, keep_only
from benchmark.model.interface import forward, record
from benchmark.tasks.answers import answer_logits, prompt_losses
from benchmark.tasks.prompts import TaskPrompts
from sparse_model.config import TransformerConfig
from sparse_model.to_hooked import to_hooked
from sparse_model.transformer import Transformer

TOKENS = torch.randint(40, (3, 9), generator=torch.Generator().manual_seed(1))


def transformer(**changes):
    options = {"activation_density": 1.0, "bigram": False, "vocabulary": 40, "context": 12, "d_model": 32, **changes}
    model, generator = Transformer(TransformerConfig(**options)), torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            values = 0.3 * torch.randn(parameter.shape, generator=generator)
            parameter.copy_(1 + values if "ln" in name else values)
    return model.requires_grad_(False)


@pytest.mark.parametrize("changes", [{}, {"positional": "learned"}, {"sink": True}, {"d_head": 8, "d_mlp": 20}])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_logits_and_the_values_of_all_sites_are_equal(changes, dtype):
    model = transformer(**changes).to(dtype)
    hooked = to_hooked(model)
    assert hooked.W_E.dtype == dtype
    assert_close(hooked(TOKENS), forward(model, TOKENS), atol=1e-5, rtol=1e-5)
    wrapped = benchmark.from_hooked(hooked)
    assert wrapped.sites == model.sites
    assert_close(record(wrapped, TOKENS), record(model, TOKENS), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("graph", ["unit", "channel"])
def test_the_connections_of_both_graphs_are_equal(graph):
    model = transformer()
    ours, theirs = (
        {(each.source, each.target): each for each in one.connections(graph)}
        for one in (model, benchmark.from_hooked(to_hooked(model)))
    )
    assert theirs.keys() == ours.keys()
    for pair, each in ours.items():
        assert_close(theirs[pair].weight, each.weight, atol=1e-6, rtol=1e-5)
        assert_close(theirs[pair].maps, each.maps, atol=1e-6, rtol=1e-5)


def test_the_planted_circuit_does_its_task_in_it_and_is_found():
    with torch.no_grad():
        model = string_closing.model()
    wrapped, generator = benchmark.from_hooked(to_hooked(model)), torch.Generator().manual_seed(0)
    prompts = TaskPrompts(*(string_closing.batch(pairs, generator) for pairs in (16, 16, 16)))
    planted, means = string_closing.circuit(model), corpus_means(wrapped, prompts.train.tokens)
    logits = answer_logits(wrapped, prompts.test, keep_only(planted, means))
    assert float(prompt_losses(logits, prompts.test).mean()) < 0.01
    assert metrics.edge_count(planted, wrapped.connections("channel")) == 9
    budget, generator = Budget(tokens=10_000, batch_pairs=16), torch.Generator().manual_seed(1)
    options = {"graph": "channel", "target": 0.15, "ranking": "integrated_gradients"}
    found = find_circuit(wrapped, prompts, means, **options, budget=budget, generator=generator)
    assert found.status == "ok"
    assert all(set(nodes) <= set(planted.kept().get(name, [])) for name, nodes in found.circuit.kept().items())


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"activation_density": 0.25, "activation_sites": ("v", "neuron")}, "AbsTopK at v, neuron"),
        ({"positional": "concatenated", "d_positional": 4}, "concatenated positions"),
        ({"bigram": True}, "a bigram table"),
    ],
)
def test_what_has_no_counterpart_is_refused_by_name(changes, part):
    with pytest.raises(ValueError, match=f"a HookedTransformer has no counterpart of {part}"):
        to_hooked(transformer(**changes))


def test_a_bigram_table_of_zeros_is_none():
    model = transformer(bigram=True)
    model.bigram.zero_()
    assert_close(to_hooked(model)(TOKENS), forward(model, TOKENS), atol=1e-5, rtol=1e-5)
