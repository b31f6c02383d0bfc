"""Circuits searched under each ablation, on planted truth, and a decoy that a search under means would take."""

from functools import cache

import cancelling
import planted_string_closing
import pytest
import torch
from planted import loss

from benchmark.discovery.finder import find_circuit
from benchmark.discovery.search import Budget
from benchmark.discovery.settings import CircuitConfig
from benchmark.interventions.ablation import ablate, ablation_values, corpus_means, octave_means
from benchmark.interventions.ablations import ABLATIONS
from benchmark.scoring.case import DiscoveredCircuit, Setting
from benchmark.scoring.score_circuit import score_circuit


def setting_of(planted, ablation: str) -> Setting:
    means, by_position = (measure(planted.model, planted.means_tokens) for measure in (corpus_means, octave_means))
    return Setting(
        planted.model,
        planted.model,
        means,
        planted.graph,
        planted.task,
        planted.means_tokens,
        seed=0,
        position_means=by_position,
        ablation=ablation,
    )


def search(setting: Setting):
    return find_circuit(
        setting.model,
        setting.prompts,
        setting.means,
        graph=setting.graph,
        target=0.15,
        budget=Budget(tokens=40_000),
        ablation_values=setting.ablation_values,
        generator=torch.Generator().manual_seed(1),
    )


@cache
def found(ablation: str):
    return search(setting_of(planted_string_closing.planted(), ablation))


@pytest.mark.parametrize("ablation", ["position_mean", "resample"])
def test_a_search_under_another_ablation_keeps_the_nodes_whose_values_tell_prompts_apart(ablation):
    """Where prompts share their form, keys and constants hold the same in every prompt, and need not be kept."""
    planted = planted_string_closing.planted()
    assert found(ablation).status == "ok"
    recovery = planted.recovery(found(ablation).circuit)
    assert recovery.precision == 1.0
    assert 0.5 < recovery.recall < 1.0


def test_scores_under_another_ablation_name_it_and_all_others():
    planted = planted_string_closing.planted()
    circuit = found("resample")
    rows = score_circuit(
        DiscoveredCircuit.of(setting_of(planted, "resample"), circuit, CircuitConfig(ablation="resample"))
    )
    faithful = {row.ablation: row for row in rows if row.metric == "faithfulness"}
    assert faithful["resample"].value == pytest.approx(1.0, abs=0.05)
    assert {"mean", "position_mean", "zero", "counterfactual"} <= faithful.keys()
    assert "" not in faithful
    edges = next(row for row in rows if row.metric == "verified_edges")
    assert (edges.status, edges.value) == ("ok", len(planted.edges_of(circuit.circuit)))


def test_only_mean_ablation_lets_a_search_take_the_decoy():
    model, prompts = cancelling.model(), cancelling.batch(32, torch.Generator().manual_seed(0))
    tokens = cancelling.means_tokens(torch.Generator().manual_seed(1))
    means, by_position = corpus_means(model, tokens), octave_means(model, tokens)
    decoy = cancelling.unit_circuit(model, cancelling.DECOY_CIRCUIT)
    losses = {
        name: loss(model, prompts, ablate(decoy, ablation_values(name, model, means, by_position, 0)(prompts)))
        for name in ABLATIONS
    }
    assert losses["mean"] < 0.15
    assert losses["position_mean"] < 0.15
    assert losses["resample"] > 0.4
