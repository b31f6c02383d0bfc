"""What ablated nodes hold: means over all positions and over octaves of them, zero, and the values of other prompts."""

import pytest
import torch
from planted_string_closing import planted
from toy_methods import registered

from benchmark.discovery.finder import find_circuit
from benchmark.discovery.rankings import RANKINGS, Ranking
from benchmark.discovery.search import Budget
from benchmark.discovery.settings import CircuitConfig
from benchmark.interventions.ablation import (
    ablation_values,
    corpus_means,
    octave_means,
    octaves,
    off,
    position_mean,
)
from benchmark.interventions.ablations import ABLATIONS, Ablation, AblationContext
from benchmark.model.interface import Site, record

MODEL = planted()
TOKENS = MODEL.task.train.tokens
SITE = MODEL.model.sites[0]


def held(ablation: str, seed: int = 0):
    means, by_position = corpus_means(MODEL.model, TOKENS), octave_means(MODEL.model, TOKENS)
    return ablation_values(ablation, MODEL.model, means, by_position, seed)(MODEL.task.test)


def values(name: str = "blocks.0.attn_in") -> tuple[Site, torch.Tensor]:
    site = next(site for site in MODEL.model.sites if site.name == name)
    return site, record(MODEL.model, MODEL.task.test.tokens)[name]


def test_octaves_double_with_the_distance_from_the_start():
    assert octaves(16).tolist() == [0, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3, 4]


def test_octave_means_are_the_means_over_their_positions():
    found, seen = octave_means(MODEL.model, TOKENS, batch=5), record(MODEL.model, TOKENS)
    assert torch.allclose(found[SITE.name][1], seen[SITE.name][:, 1:3].flatten(0, 1).mean(0), atol=1e-5)


def test_corpus_means_are_the_means_over_all_positions():
    found, seen = corpus_means(MODEL.model, TOKENS, batch=5), record(MODEL.model, TOKENS)
    for name, mean in found.items():
        assert torch.allclose(mean, seen[name].flatten(0, 1).mean(0), atol=1e-5)


def test_positions_beyond_the_last_octave_hold_its_mean():
    context = AblationContext(MODEL.model, {}, {SITE.name: torch.tensor([[1.0], [2.0]])}, seed=0)
    rows = position_mean(MODEL.task.test, context)(SITE, torch.zeros(1, 9, 1))
    assert rows.flatten().tolist() == [1.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0]


def test_features_are_off_at_zero_and_other_nodes_at_their_means():
    context = AblationContext(MODEL.model, {"a": torch.tensor([1.0, 2.0]), "b": torch.tensor([3.0, 4.0])}, {}, seed=0)
    taken = off(MODEL.task.test, context)
    assert taken(Site("a", "feature", 0, 2, 0), torch.ones(1, 1, 2)).tolist() == [0.0, 0.0]
    assert taken(Site("b", "neuron", 0, 2, 0), torch.ones(1, 1, 2)).tolist() == [3.0, 4.0]


def test_counterfactual_ablation_takes_the_values_of_the_other_prompt():
    site, own = values()
    assert torch.equal(held("counterfactual")(site, own), own[torch.arange(len(own)) ^ 1])


def test_resampling_takes_each_prompts_values_from_another_and_the_same_each_time():
    site, own = values()
    taken = held("resample")(site, own)
    assert torch.equal(taken, held("resample")(site, own))
    assert not torch.equal(taken, held("resample", seed=1)(site, own))
    assert sorted(map(tuple, taken.flatten(1).tolist())) == sorted(map(tuple, own.flatten(1).tolist()))


@pytest.mark.parametrize("ablation", ABLATIONS)
def test_what_is_held_fits_the_values_of_every_site(ablation):
    for site in MODEL.model.sites:
        own = record(MODEL.model, MODEL.task.test.tokens)[site.name]
        assert torch.broadcast_shapes(held(ablation)(site, own).shape, own.shape) == own.shape


def test_the_settings_know_the_same_ablations():
    assert {CircuitConfig(ablation=name).ablation for name in ABLATIONS} == set(ABLATIONS)
    with pytest.raises(
        ValueError, match="unknown ablation 'half'; choose from mean, position_mean, zero, off, resample, co"
    ):
        CircuitConfig(ablation="half")


def test_an_ablation_whose_values_do_not_fit_is_named():
    wrong = Ablation("wrong", "Too many nodes.", "tests", lambda batch, context: lambda site, values: torch.zeros(99))
    with (
        registered(ABLATIONS, wrong),
        pytest.raises(ValueError, match=r"^ablation 'wrong' of this session does not fit"),
    ):
        held("wrong")(SITE, torch.zeros(2, 3, SITE.size))


def test_a_ranking_that_leaves_out_nodes_is_named():
    wrong = Ranking(
        "wrong", "One node.", "tests", lambda search, budget, generator: [torch.zeros(1, dtype=torch.int64)]
    )
    settings = {"graph": MODEL.graph, "target": 0.15, "budget": Budget(tokens=1), "generator": torch.Generator()}
    with registered(RANKINGS, wrong), pytest.raises(ValueError, match="'wrong' of this session did not return orders"):
        find_circuit(MODEL.model, MODEL.task, corpus_means(MODEL.model, TOKENS), ranking="wrong", **settings)
