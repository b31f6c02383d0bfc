"""A TransformerLens model gives its own logits as a circuit model, and its nodes and edges are ablated exactly."""

from functools import cache

import pytest
import torch
from emulated_device import emulated_device
from hooked_architectures import ARCHITECTURES, LLAMA, SHARED, VOCABULARY, hooked_transformer
from hooked_reference import EdgeReference, ablated_node_logits
from torch.testing import assert_close

import benchmark
from benchmark.discovery.criterion import Criterion
from benchmark.discovery.edge_attribution import source_means
from benchmark.discovery.edge_trials import ManyEdgeAblations
from benchmark.discovery.edges import verify_edges
from benchmark.discovery.finder import find_circuit
from benchmark.discovery.search import Budget
from benchmark.interventions.ablation import ablate, at_means, corpus_means
from benchmark.interventions.edge_ablation import AblatedEdges, kept_ends
from benchmark.model.checks import check_model
from benchmark.model.circuit import Circuit
from benchmark.model.devices import choose_device, device_of, placed
from benchmark.model.graph import node_sites
from benchmark.model.hooked import HookedCircuitModel
from benchmark.model.interface import EdgeAblatable, forward, run_stages, stage_count, state_at, unedited
from benchmark.tasks.answers import answer_logits, prompt_losses
from benchmark.tasks.prompts import PromptBatch, TaskPrompts

pytestmark = pytest.mark.filterwarnings("ignore:HookedTransformer is deprecated:DeprecationWarning")

TOKENS = torch.randint(50, (3, 9), generator=torch.Generator().manual_seed(1))
EVERY = pytest.mark.parametrize("name", ARCHITECTURES)


@cache
def circuit_model(name, dtype=torch.float64):
    return benchmark.from_hooked(hooked_transformer(dtype, **ARCHITECTURES[name]))


def edges_between(model, graph):
    whole = Circuit.whole(node_sites(model, graph))
    return [each for each in (kept_ends(one, whole) for one in model.connections(graph)) if each is not None]


def means_of(model):
    return {**corpus_means(model, TOKENS), **source_means(model, TOKENS)}


def without_one(parts, chosen, target, source, means):
    """Ablates one edge: that from a node to a node by the chosen connection."""
    masks = [torch.zeros(len(each.targets), len(each.sources)) for each in parts]
    masks[chosen][target, source] = 1
    gone = torch.cat([mask.flatten() for mask in masks])
    return AblatedEdges.keeping(parts, gone.argsort(stable=True), len(gone) - 1, means)


@EVERY
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_nothing_edited_gives_the_models_own_logits(name, dtype):
    model = circuit_model(name, dtype)
    assert isinstance(model, EdgeAblatable)
    assert_close(forward(model, TOKENS), model.model(TOKENS), atol=1e-5, rtol=1e-5)


@EVERY
def test_it_keeps_the_promises_of_a_circuit_model_in_both_graphs(name):
    check_model(circuit_model(name, torch.float32), ("unit", "channel"))


@EVERY
def test_an_ablated_node_is_ablated_in_the_model_itself(name):
    model = circuit_model(name)
    means, generator = corpus_means(model, TOKENS), torch.Generator().manual_seed(2)
    for site in model.sites:
        kept = torch.rand(site.size, generator=generator) < 0.7
        mean = means[site.name].double()
        edit = lambda values, kept=kept, mean=mean: torch.where(kept, values, mean)  # noqa: E731
        expected = ablated_node_logits(model.model, TOKENS, site.name, edit)
        found = forward(model, TOKENS, ablate(Circuit({site.name: kept}), at_means(means)))
        assert_close(found, expected, msg=lambda text, site=site: f"{site.name}: {text}")


@EVERY
@pytest.mark.parametrize("graph", ["unit", "channel"])
@pytest.mark.parametrize("every", [4, pytest.param(1, marks=pytest.mark.slow)])
def test_an_ablated_edge_is_ablated_in_the_model_itself(name, graph, every):
    """A random edge of a connection: the target reads a stream without what the source brings beyond its mean.

    One connection in four takes turns over the architectures; the slow test takes all.
    """
    model = circuit_model(name)
    parts, means, generator = edges_between(model, graph), means_of(model), torch.Generator().manual_seed(3)
    clean, reference = forward(model, TOKENS), EdgeReference(model.model, TOKENS)
    for index in range(list(ARCHITECTURES).index(name) % every, len(parts), every):
        each = parts[index]
        ends = each.targets, each.sources
        target, source = (int(torch.randint(len(nodes), (1,), generator=generator)) for nodes in ends)
        found = forward(model, TOKENS, ablated_edges=without_one(parts, index, target, source, means))
        expected = getattr(reference, graph)(*each.pair, source, target)
        assert_close(found, expected, atol=1e-5, rtol=1e-5, msg=lambda text, each=each: f"{each.pair}: {text}")
        assert (found - clean).abs().max() > 1e-4, each.pair


@EVERY
def test_many_ablations_at_once_are_each_like_one_alone(name):
    model = circuit_model(name)
    parts, means = edges_between(model, "unit"), means_of(model)
    generator = torch.Generator().manual_seed(4)
    kept = [torch.rand(2, len(each.targets), len(each.sources), generator=generator).round() for each in parts]
    together = forward(model, TOKENS.repeat(2, 1), ablated_edges=ManyEdgeAblations(parts, kept, means))
    for candidate, logits in enumerate(together.split(len(TOKENS))):
        row = torch.cat([each[candidate].flatten() for each in kept])
        order = row.argsort(descending=True, stable=True)
        alone = AblatedEdges.keeping(parts, order, int(row.sum()), means)
        assert_close(logits, forward(model, TOKENS, ablated_edges=alone))


@EVERY
def test_positions_do_not_interact_from_the_last_mlp_on(name):
    model = circuit_model(name)
    if name == "attention only":
        assert model.independent_from is None
        return
    assert model.independent_from == stage_count(model) - 1
    positions = torch.tensor([[2, 5], [8, 0], [1, 1]])
    state = run_stages(model, model.start(TOKENS), last=model.independent_from)
    alone = forward(model, TOKENS, unedited, None, state_at(state, positions), model.independent_from)
    assert_close(alone, forward(model, TOKENS, positions=positions))


@EVERY
def test_a_stored_state_is_not_changed_by_running_on_from_it(name):
    model = circuit_model(name)
    state = model.start(TOKENS)
    for stage in range(stage_count(model)):
        before = {key: values.clone() for key, values in state.items()}
        after = model.advance(state, stage, unedited)
        assert_close(state, before, rtol=0, atol=0)
        state = after


def answered_by(model, pairs, generator):
    """Prompts whose answers are what a model says anyway: token 3 or token 4."""
    tokens = torch.randint(VOCABULARY, (40 * pairs, 5), generator=generator)
    logits = forward(model, tokens)[:, -1]
    order = (logits[:, 3] - logits[:, 4]).argsort(descending=True)
    rows = torch.stack([order[:pairs], order[-pairs:]], dim=1).flatten()
    answer = torch.tensor([3, 4]).repeat(pairs)
    return PromptBatch(tokens[rows], torch.full((2 * pairs,), 4), answer, 7 - answer)


@pytest.mark.parametrize("name", ["gated, keys shared by heads", "norms before and after, capped, local"])
def test_a_circuit_and_its_verified_edges_are_found(name):
    model, generator = circuit_model(name, torch.float32), torch.Generator().manual_seed(5)
    with torch.no_grad():
        prompts = TaskPrompts(*(answered_by(model, 8, generator) for _ in range(3)))
    whole = float(prompt_losses(answer_logits(model, prompts.train, unedited), prompts.train).mean())
    target, means = whole + 0.1, corpus_means(model, TOKENS)
    budget = Budget(tokens=2_000, batch_pairs=8, shrink=False)
    options = {"graph": "unit", "target": target, "ranking": "integrated_gradients"}
    found = find_circuit(model, prompts, means, **options, budget=budget, generator=generator)
    assert found.status == "ok"
    assert sum(map(len, found.circuit.kept().values())) < sum(site.size for site in node_sites(model, "unit"))
    batch, connections = prompts.train, list(model.connections("unit"))
    criterion = Criterion.mean(target + 0.1, batch)
    edges = verify_edges(model, found.circuit, connections, means, batch, TOKENS, criterion)
    assert edges.status == "ok"
    assert 0 < edges.edges < sum(len(each.targets) * len(each.sources) for each in edges_between(model, "unit"))
    edit = ablate(found.circuit, at_means(means))
    losses = prompt_losses(answer_logits(model, batch, edit, edges.ablation), batch)
    assert float(losses.mean()) <= target + 0.1


def test_sites_are_those_of_our_transformer_with_one_node_for_what_heads_share():
    model = HookedCircuitModel(hooked_transformer(**LLAMA, **SHARED))
    sizes = {"attn_in": 12, "q": 16, "k": 8, "v": 8, "attn_out": 12, "mlp_in": 12, "neuron": 20, "mlp_out": 12}
    assert [(site.name, site.size) for site in model.sites[:8]] == [(f"blocks.0.{hook}", sizes[hook]) for hook in sizes]
    assert [site.stage for site in model.sites] == [0] * 5 + [1] * 3 + [2] * 5 + [3] * 3


def test_the_virtual_weight_into_a_gated_neuron_counts_both_of_its_branches():
    model = hooked_transformer(**LLAMA)
    found = {(each.source, each.target): each.weight for each in benchmark.from_hooked(model).connections("unit")}
    block = model.blocks[1]
    written = model.blocks[0].mlp.W_out * block.ln2.w
    expected = ((written @ block.mlp.W_gate).square() + (written @ block.mlp.W_in).square()).sqrt().T
    assert_close(found["blocks.0.neuron", "blocks.1.neuron"], expected)


def test_a_layer_norm_reads_nothing_of_what_all_channels_share():
    model = hooked_transformer(normalization_type="LN")
    with torch.no_grad():
        model.blocks[0].mlp.W_out[3] = 2.0
    weights = {(each.source, each.target): each.weight for each in benchmark.from_hooked(model).connections("unit")}
    assert_close(weights["blocks.0.neuron", "blocks.1.q"][:, 3], torch.zeros(12), atol=1e-5, rtol=0)
    assert weights["blocks.0.neuron", "blocks.1.q"][:, 2].abs().min() > 1e-3


def test_logits_are_made_at_the_asked_positions():
    model = circuit_model("layer norms")
    positions = torch.tensor([[2], [8], [0]])
    asked = forward(model, TOKENS, positions=positions)
    assert_close(asked[:, 0], model.model(TOKENS)[torch.arange(3), positions[:, 0]])


def test_more_tokens_than_the_context_are_refused():
    with pytest.raises(ValueError, match="17 tokens are more than the context of 16 positions"):
        forward(circuit_model("layer norms"), torch.zeros(1, 17, dtype=torch.int64))


def test_an_unknown_graph_is_refused():
    with pytest.raises(ValueError, match="unknown graph 'token'; choose from channel, unit"):
        HookedCircuitModel.connections.__wrapped__(circuit_model("layer norms"), "token")


def bidirectional(**changes):
    return hooked_transformer(attention_dir="bidirectional", **changes)


def with_a_hook():
    model = hooked_transformer()
    model.add_hook("blocks.0.hook_resid_mid", lambda values, hook: values * 2, is_permanent=True)
    return model


REFUSED = {
    "a mixture of experts": lambda: hooked_transformer(num_experts=2, experts_per_token=1),
    "attention in the direction 'bidirectional'": bidirectional,
    "positions 'relative_positional_bias'": lambda: hooked_transformer(
        positional_embedding_type="relative_positional_bias"
    ),
    "a gated MLP whose activation has a norm": lambda: hooked_transformer(gated_mlp=True, act_fn="solu_ln"),
    r"one copy of the stream per head \(call set_use_attn_in": lambda: hooked_transformer(use_attn_in=True),
    r"inputs split by head \(call set_use_split_qkv_input": lambda: hooked_transformer(use_split_qkv_input=True),
    r"parameters of torch.bfloat16 under a configuration of torch.float32": lambda: hooked_transformer().bfloat16(),
    r"hooks of its own, at blocks.0.hook_resid_mid \(call reset_hooks": with_a_hook,
}


@pytest.mark.parametrize("part", REFUSED)
def test_what_cannot_be_ablated_exactly_is_refused_by_name(part):
    with pytest.raises(ValueError, match=f"the HookedTransformer cannot be ablated exactly: it has {part}"):
        HookedCircuitModel(REFUSED[part]())


def test_what_is_not_a_model_of_transformer_lens_is_refused():
    with pytest.raises(ValueError, match="a Linear is not a HookedTransformer of TransformerLens"):
        HookedCircuitModel(torch.nn.Linear(2, 2))


@pytest.mark.parametrize("name", ["RMS norms", "gated, keys shared by heads", "alibi, normalised embeddings"])
def test_it_moves_to_another_number_type_and_with_the_chosen_device(name):
    expected = forward(circuit_model(name, torch.float32), TOKENS)
    narrow = HookedCircuitModel(hooked_transformer(**ARCHITECTURES[name])).to(torch.bfloat16)
    assert_close(forward(narrow, TOKENS), narrow.model(TOKENS))
    assert forward(narrow, TOKENS).dtype == torch.bfloat16
    with emulated_device() as device:
        choose_device(str(device))
        try:
            moved = placed(HookedCircuitModel(hooked_transformer(**ARCHITECTURES[name])))
        finally:
            choose_device("cpu")
        assert device_of(moved) == device
        assert_close(forward(moved, TOKENS).cpu(), expected, rtol=1e-4, atol=1e-4)
