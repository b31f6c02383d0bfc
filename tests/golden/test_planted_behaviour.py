"""Minimality, interchange, two levels, predicted interventions and a second circuit, where the truth is known."""

import math
from dataclasses import replace
from functools import cache
from importlib import import_module
from itertools import combinations

import pytest
import torch
from planted import MODULES, Planted, circuit, loss

from benchmark.discovery.cutting import FoundCircuit
from benchmark.discovery.finder import find_circuit
from benchmark.discovery.search import Budget
from benchmark.discovery.settings import CircuitConfig
from benchmark.interventions.ablation import corpus_means, keep_only
from benchmark.model.circuit import Circuit, by_site
from benchmark.model.interface import forward, record, unedited
from benchmark.records.table import Measurement
from benchmark.scoring.case import CircuitUnderTest, DiscoveredCircuit, Setting
from benchmark.scoring.causal_scrubbing import scrubbed
from benchmark.scoring.intervention_prediction import intervention_prediction
from benchmark.scoring.redundant_nodes import (
    TRIED,
    drawn_nodes,
    first_pairs,
    redundant_nodes,
    removable_pairs,
    silent_nodes,
)
from benchmark.scoring.score_circuit import SCORES, score_circuit
from benchmark.scoring.second_circuit import Forbidding, find_second_circuit, second_circuit
from benchmark.tasks.answers import answer_logits, prompt_losses

BUDGET = Budget(tokens=60_000, batch_pairs=16)
NEW = {
    *("idle_share", "random_necessity", "interchange_loss", "binarised_loss"),
    *("prediction_r2", "prediction_rank_correlation"),
}

every_model = pytest.mark.parametrize("module", MODULES)


@cache
def planted(module: str) -> Planted:
    return import_module(module).planted()


@cache
def means(module: str) -> dict[str, torch.Tensor]:
    return corpus_means(planted(module).model, planted(module).means_tokens)


def trial(module: str, kept: Circuit, seed: int = 0) -> CircuitUnderTest:
    model, batch = planted(module), planted(module).task.test
    with torch.no_grad():
        explained = answer_logits(model.model, batch, unedited)
    return CircuitUnderTest(
        model.model, model.sites, kept, means(module), batch, explained, torch.Generator().manual_seed(seed)
    )


def by_name(rows: list[Measurement]) -> dict[str, Measurement]:
    return {row.metric: row for row in rows}


def whole(module: str) -> Circuit:
    return Circuit.whole(planted(module).sites)


def union(first: Circuit, second: Circuit) -> Circuit:
    return Circuit({name: mask | second.masks[name] for name, mask in first.masks.items()})


def distractors(module: str, count: int) -> Circuit:
    """Nodes outside the circuit that vary on the task's prompts."""
    model = planted(module)
    values = record(model.model, model.task.test.tokens)
    live = [
        (site.name, node)
        for site in model.sites
        for node in (values[site.name].flatten(0, 1).std(0) > 1e-3).nonzero().flatten().tolist()
        if not model.nodes.masks[site.name][node]
    ][:count]
    return circuit(model.sites, {name: [node for site, node in live if site == name] for name, _ in live})


# Minimality


@every_model
def test_no_node_of_a_planted_circuit_idles(module):
    tried = trial(module, planted(module).nodes)
    row = by_name(redundant_nodes(tried))["idle_share"]
    assert (row.value, row.n) == (0.0, first_pairs(tried.batch).clusters)


def test_idle_share_of_a_padded_circuit_is_the_share_of_its_padding():
    padded = union(planted("planted_string_closing").nodes, distractors("planted_string_closing", 33))
    row = by_name(redundant_nodes(trial("planted_string_closing", padded)))["idle_share"]
    assert row.value == 33 / 44


@every_model
def test_silent_nodes_are_those_that_no_prompt_moves(module):
    tried = trial(module, planted(module).nodes)
    assert by_name(silent_nodes(tried))["silent_share"].value == 0
    values, inside = record(tried.model, tried.batch.tokens), tried.batch.tokens >= 0
    assert bool(inside.all())
    still = {
        site.name: (values[site.name].flatten(0, 1) - values[site.name][0, 0]).abs().amax(0) < 1e-7
        for site in tried.sites
    }
    joined = union(planted(module).nodes, Circuit(still))
    sizes = [sum(int(mask.sum()) for mask in each.masks.values()) for each in (planted(module).nodes, joined)]
    row = by_name(silent_nodes(trial(module, joined)))["silent_share"]
    assert row.value == pytest.approx(1 - sizes[0] / sizes[1], abs=0.1)


def test_a_circuit_without_nodes_has_no_silent_share():
    row = by_name(silent_nodes(trial("two_hop", Circuit.empty(planted("two_hop").sites))))["silent_share"]
    assert (row.status, row.reason) == ("undefined", "the circuit keeps no node")


def test_each_of_two_copies_idles_beside_the_other():
    copies = planted("redundant_copies")
    both = union(copies.nodes, copies.alternatives[0].nodes)
    assert by_name(redundant_nodes(trial("redundant_copies", both)))["idle_share"].value == 1


def test_of_many_nodes_a_sample_is_tried():
    tried = trial("two_hop", whole("two_hop"))
    assert len(drawn_nodes(tried.circuit, TRIED, tried.generator)) == TRIED
    assert by_name(redundant_nodes(tried))["idle_share"].n == first_pairs(tried.batch).clusters


def test_a_circuit_without_nodes_has_no_idle_share():
    row = by_name(redundant_nodes(trial("two_hop", Circuit.empty(planted("two_hop").sites))))["idle_share"]
    assert (row.status, row.reason) == ("undefined", "the circuit keeps no node")


@pytest.mark.parametrize("module", ["planted_string_closing", "two_hop", "boolean_function"])
def test_ablating_a_planted_circuit_does_more_harm_than_ablating_random_ones(module):
    model = planted(module)
    necessity = loss(model.model, model.task.test, keep_only(model.nodes.complement(), means(module)))
    assert by_name(redundant_nodes(trial(module, model.nodes)))["random_necessity"].value < necessity


# Interchange and two levels


def behaviour(module: str, kept: Circuit | None = None) -> dict[str, Measurement]:
    chosen = planted(module).nodes if kept is None else kept
    return by_name(scrubbed(trial(module, chosen), planted(module).task.validation))


@pytest.mark.parametrize("module", ["planted_string_closing", "bracket_counting", "redundant_copies"])
def test_values_of_a_class_are_interchangeable_where_the_class_determines_them(module):
    assert behaviour(module)["interchange_loss"].value < 0.02


def test_interchanging_every_node_of_the_whole_string_closing_model_changes_no_answer():
    assert behaviour("planted_string_closing", whole("planted_string_closing"))["interchange_loss"].value < 0.02


@pytest.mark.parametrize("module", ["two_hop", "boolean_function"])
def test_nodes_that_carry_what_their_class_does_not_determine_are_not_interchangeable(module):
    assert behaviour(module)["interchange_loss"].value > math.log(2)


def test_interchange_of_an_empty_circuit_is_that_of_no_node():
    empty = Circuit.empty(planted("two_hop").sites)
    expected = loss(planted("two_hop").model, planted("two_hop").task.test, keep_only(empty, means("two_hop")))
    rows = behaviour("two_hop", empty)
    assert rows["interchange_loss"].value == pytest.approx(expected)
    assert rows["binarised_loss"].value == pytest.approx(expected)


def test_prompts_without_another_of_their_class_cannot_be_interchanged():
    tried = trial("two_hop", planted("two_hop").nodes)
    alone = replace(tried, batch=tried.batch.rows(slice(2)), reference_logits=tried.reference_logits[:2])
    row = by_name(scrubbed(alone, planted("two_hop").task.validation))["interchange_loss"]
    assert (row.status, row.reason) == ("undefined", "no two prompts share answer and length")


@pytest.mark.parametrize("module", ["planted_string_closing", "two_hop", "boolean_function"])
def test_nodes_of_two_values_can_be_binarised(module):
    assert behaviour(module)["binarised_loss"].value < 0.02


def test_an_averaged_depth_cannot_be_binarised():
    assert behaviour("bracket_counting")["binarised_loss"].value > math.log(2)


# Prediction


def predicted(module: str, kept: Circuit, seed: int = 0) -> dict[str, Measurement]:
    return by_name(intervention_prediction(trial(module, kept, seed)))


@every_model
def test_the_whole_model_predicts_itself_exactly(module):
    rows = predicted(module, whole(module))
    assert rows["prediction_r2"].value == 1
    assert rows["prediction_rank_correlation"].value == pytest.approx(1)


@pytest.mark.parametrize("module", [name for name in MODULES if name != "redundant_copies"])
def test_a_planted_circuit_predicts_edits_inside_and_outside(module):
    rows = predicted(module, planted(module).nodes)
    assert rows["prediction_r2"].value > 0.99
    assert rows["prediction_rank_correlation"].value > 0.9
    assert rows["prediction_rank_correlation"].n == rows["prediction_r2"].n


@pytest.mark.parametrize("seed", range(5))
def test_a_circuit_that_misses_a_live_path_predicts_worse(seed):
    copies = planted("redundant_copies")
    rows = predicted("redundant_copies", copies.nodes, seed)
    assert rows["prediction_r2"].value < 0.9
    both = predicted("redundant_copies", union(copies.nodes, copies.alternatives[0].nodes), seed)
    assert both["prediction_r2"].value > 0.99


def test_an_empty_circuit_predicts_nothing():
    rows = predicted("two_hop", Circuit.empty(planted("two_hop").sites))
    assert rows["prediction_r2"].value <= 0
    assert rows["prediction_rank_correlation"].status == "undefined"


@pytest.mark.parametrize(
    ("last", "reason"),
    [([6, 7], "the prompts of every pair differ in length"), ([0, 0], "no node differs between the prompts of a pair")],
)
def test_prediction_is_undefined_where_no_edit_can_be_made(last, reason):
    tried = trial("two_hop", planted("two_hop").nodes)
    batch = replace(tried.batch.rows(slice(2)), last=torch.tensor(last))
    rows = intervention_prediction(replace(tried, batch=batch, reference_logits=tried.reference_logits[:2]))
    assert {(row.status, row.reason) for row in rows} == {("undefined", reason)}
    assert len(rows) == 2


# A second circuit


def setting(module: str) -> Setting:
    model = planted(module)
    return Setting(model.model, model.model, means(module), model.graph, model.task, model.means_tokens, 0)


@cache
def found(module: str) -> FoundCircuit:
    """What a search by attribution finds, with the planted circuit in the place of its own."""
    model, generator = planted(module), torch.Generator().manual_seed(1)
    result = find_circuit(
        model.model,
        model.task,
        means(module),
        graph=model.graph,
        target=0.15,
        ranking="attribution",
        generator=generator,
    )
    return replace(result, circuit=model.nodes)


def discovered(module: str, **settings) -> DiscoveredCircuit:
    config = CircuitConfig(**{"redundancy": True, "ranking": "attribution", "budget_tokens": BUDGET.tokens, **settings})
    return DiscoveredCircuit.of(setting(module), found(module), config)


def with_circuit(module: str, kept: Circuit, minimal: bool | None) -> DiscoveredCircuit:
    config = CircuitConfig(ranking="attribution", budget_tokens=BUDGET.tokens)
    return DiscoveredCircuit.of(setting(module), replace(found(module), circuit=kept, minimal=minimal), config)


@every_model
def test_no_two_nodes_of_a_planted_circuit_can_be_removed(module):
    row = by_name(removable_pairs(with_circuit(module, planted(module).nodes, True)))["removable_pairs"]
    assert (row.value, row.n) == (0.0, found(module).sample.clusters)


def test_the_share_of_removable_pairs_is_that_of_each_pair_alone():
    copies = planted("redundant_copies")
    both = union(copies.nodes, copies.alternatives[0].nodes)
    tried = with_circuit("redundant_copies", both, True)
    holds = []
    for pair in combinations(both.row(copies.sites).nonzero().flatten().tolist(), 2):
        kept = both.row(copies.sites).clone()
        kept[list(pair)] = False
        edit = keep_only(Circuit(by_site(copies.sites, kept)), means("redundant_copies"))
        losses = prompt_losses(answer_logits(copies.model, tried.found.sample, edit), tried.found.sample)
        holds.append(tried.found.criterion.holds(losses))
    assert 0 < sum(holds) < len(holds) > TRIED
    row = by_name(removable_pairs(tried))["removable_pairs"]
    assert row.value == pytest.approx(sum(holds) / len(holds), abs=0.15)


@pytest.mark.parametrize("minimal", [None, False])
def test_pairs_are_not_judged_where_single_nodes_were_not(minimal):
    row = by_name(removable_pairs(with_circuit("two_hop", planted("two_hop").nodes, minimal)))["removable_pairs"]
    assert row.status == "undefined"
    assert "may be removable alone" in row.reason


def test_second_circuit_is_the_other_copy():
    copies = planted("redundant_copies")
    first, other = copies.nodes, copies.alternatives[0].nodes
    for given, expected in ((first, other), (other, first)):
        second = find_second_circuit(
            copies.model,
            copies.task,
            means("redundant_copies"),
            given,
            graph=copies.graph,
            target=0.15,
            budget=BUDGET,
            generator=torch.Generator().manual_seed(1),
        )
        assert (second.status, second.circuit.kept()) == ("ok", expected.kept())


def test_second_circuit_nodes_are_those_of_the_other_copy_or_not_reached():
    [row] = second_circuit(discovered("redundant_copies"))
    assert (row.metric, row.value) == ("second_circuit_nodes", 6)
    [row] = second_circuit(discovered("two_hop"))
    assert (row.status, row.value) == ("not_reached", None)
    assert row.reason.startswith("without the circuit's nodes the lowest validation loss is")


def test_no_second_circuit_is_searched_where_the_first_does_not_count():
    case = discovered("two_hop", target_loss=1e-9, generalisation_margin=0)
    [score] = [each for each in SCORES if each.measured is second_circuit]
    [row] = score.rows(case)
    assert row.status == "unsolved"
    assert (row.status, row.reason) == case.status


def test_no_second_circuit_is_searched_unless_it_is_asked_for():
    assert second_circuit(discovered("two_hop", redundancy=False)) == []


def test_forbidden_nodes_hold_their_means_whatever_an_edit_says():
    model = planted("two_hop")
    forbidding = Forbidding(model.model, model.nodes, means("two_hop"))
    tokens = model.task.test.tokens
    ablated = forward(model.model, tokens, keep_only(model.nodes.complement(), means("two_hop")))
    assert torch.equal(forward(forbidding, tokens), ablated)
    shouted = forward(forbidding, tokens, lambda site, values: values + 9.0 * model.nodes.masks[site.name])
    assert torch.equal(shouted, ablated)


# In the scores of a circuit


def test_scores_of_a_circuit_hold_the_new_metrics_or_its_status():
    reached = by_name(score_circuit(discovered("planted_string_closing", redundancy=False)))
    assert all(reached[metric].status == "ok" for metric in NEW)
    impossible = {"redundancy": False, "target_loss": 1e-9, "generalisation_margin": 0}
    missed = by_name(score_circuit(discovered("planted_string_closing", **impossible)))
    assert all((missed[metric].status, missed[metric].value) == ("unsolved", None) for metric in NEW)
    assert "second_circuit_nodes" not in reached


@pytest.mark.parametrize("redundancy", [False, True])
def test_circuits_that_miss_have_the_rows_of_those_that_do_not_except_the_certificate_of_edges(redundancy):
    impossible = {"target_loss": 1e-9, "generalisation_margin": 0}
    keys = [
        {(row.metric, row.ablation, row.concept) for row in score_circuit(case)}
        for case in (
            discovered("planted_string_closing", redundancy=redundancy),
            discovered("planted_string_closing", redundancy=redundancy, **impossible),
        )
    ]
    assert ("minimal_nodes", "mean", "") in keys[1]
    assert keys[0] - {("minimal_edges", "mean", "")} == keys[1]


def test_nothing_but_losses_is_computed_for_a_circuit_that_misses(monkeypatch):
    case = discovered("planted_string_closing", target_loss=1e-9, generalisation_margin=0)
    assert case.status[0] == "unsolved"

    def refuse(*_):
        raise AssertionError("a score was computed")

    assert all(row.status == "unsolved" for score in SCORES for row in replace(score, measured=refuse).rows(case))
