"""How dense connections are, against the definition and by hand."""

import numpy as np
import pytest
import torch
from tiny_dense import random_clt, random_dense, random_saes, random_tokens

from benchmark import metrics
from benchmark.claims.activity import Activity, activity
from benchmark.claims.connections import density, density_by_kinds, drawn_connections, orders
from benchmark.interventions.ablation import corpus_means
from benchmark.model.graph import TERMINALS
from benchmark.model.interface import Connection, record

TOKENS = random_tokens(5)


def watched(model):
    """The drawn connections of a model, what it did, and the permutations of its sources."""
    connections = drawn_connections(model)
    pairs = [(each.source, each.target) for each in connections]
    seen = activity(model, corpus_means(model, TOKENS), TOKENS, pairs, batch=2)
    return connections, seen, orders(connections, seen, torch.Generator().manual_seed(0))


def naive_attribution(model, connection):
    """Mean of |W (u - mean u)| where the target fires, one pair at a time; and who fires with whom."""
    values, means = record(model, TOKENS), corpus_means(model, TOKENS)
    source, target = (values[name].flatten(0, 1) for name in (connection.source, connection.target))
    found = torch.zeros_like(connection.weight)
    together = torch.zeros_like(connection.weight, dtype=torch.bool)
    for t, s in np.ndindex(*found.shape):
        fires = target[:, t] != 0
        moved = connection.weight[t, s] * (source[fires, s] - means[connection.source][s])
        found[t, s] = moved.abs().sum() / max(int(fires.sum()), 1)
        together[t, s] = (fires & (source[:, s] != 0)).any()
    return found, together, (target != 0).any(0), (source != 0).any(0)


def test_density_is_that_of_the_attributions_by_definition():
    model = random_clt(random_dense(), "errors_available")
    connections, seen, permuted = watched(model)
    every, rows = [], []
    for target in dict.fromkeys(each.target for each in connections):
        parts = [naive_attribution(model, each) for each in connections if each.target == target]
        live = parts[0][2]
        real = torch.cat([attribution[live][:, sources] for attribution, _, _, sources in parts], dim=1)
        together = torch.cat([fires[live][:, sources] for _, fires, _, sources in parts], dim=1)
        every.append(real)
        rows += [row[mask][None] for row, mask in zip(real, together, strict=True)]
    found = density(connections, seen, permuted)
    assert found.every == pytest.approx(metrics.connection_density(every), abs=2e-3)
    assert found.coactive == pytest.approx(metrics.connection_density(rows), abs=2e-3)
    assert found.pairs == sum(each.numel() for each in every)
    assert found.coactive_pairs == sum(each.numel() for each in rows)
    assert found.coactive_pairs < found.pairs


PAIR = ("blocks.0.feature", "blocks.1.feature")


def by_hand(weight, deviation, together, source_fires, target_fires):
    """Two sites joined by one connection, and what they did."""
    fires = {PAIR[0]: torch.tensor(source_fires), PAIR[1]: torch.tensor(target_fires)}
    seen = Activity(10, fires, {PAIR: torch.tensor(together)}, {PAIR: torch.tensor(deviation)})
    return [Connection(*PAIR, torch.tensor(weight))], seen


def test_density_by_hand():
    connections, seen = by_hand(
        weight=[[10.0, -1.0, 0.0, 5.0], [0.0, 3.0, 3.0, 5.0], [9.0, 9.0, 9.0, 9.0]],
        deviation=[[4.0, 4.0, 4.0, 0.0], [2.0, 2.0, 2.0, 0.0], [0.0, 0.0, 0.0, 0.0]],
        together=[[1.0, 1.0, 0.0, 0.0], [0.0, 2.0, 2.0, 0.0], [0.0, 0.0, 0.0, 0.0]],
        source_fires=[3.0, 3.0, 3.0, 0.0],
        target_fires=[4.0, 2.0, 0.0],
    )
    found = density(connections, seen, {PAIR[0]: torch.arange(4)})
    # Attributions of the live pairs: [10, 1, 0] and [0, 3, 3]. 95 % of 11 takes two sources, of 6 two.
    assert found.pairs == 6
    assert found.every == found.every_null == pytest.approx(4 / 6)
    assert found.coactive_pairs == 4
    assert found.coactive == pytest.approx(4 / 4)
    turned = density(connections, seen, {PAIR[0]: torch.tensor([2, 1, 0, 3])})
    assert turned.every_null == pytest.approx(4 / 6)  # [0, 1, 10], [3, 3, 0]
    assert turned.coactive_null == pytest.approx(2 / 4)  # [0, 1], [3, 0]


def test_null_equals_the_real_density_where_all_sources_write_the_same():
    model = random_clt(random_dense(), "errors_ablated")
    with torch.no_grad():
        for parts in model.decoders:
            for part in parts:
                part[:] = part[:, :1]
        for block in model.dense.blocks:
            block.W_O[:] = block.W_O[:, :1]
    found = density(*watched(model))
    assert found.every == found.every_null
    assert found.coactive == found.coactive_null


def test_null_moves_every_live_source_of_a_site_alike_and_no_dead_one():
    model = random_clt(random_dense(), "errors_ablated")
    model.encoders[0].threshold[:3] = 1e9
    connections, seen, permuted = watched(model)
    order = permuted["blocks.0.feature"]
    assert order[:3].tolist() == [0, 1, 2]
    assert order.sort().values.tolist() == list(range(12))
    assert order.tolist() != list(range(12))
    assert density(connections, seen, permuted).every != density(connections, seen, permuted).every_null


def test_only_weights_between_units_are_looked_at():
    for model in (random_clt(random_dense(), "errors_available"), random_dense()):
        drawn = drawn_connections(model)
        assert drawn
        assert not {name for each in drawn for name in (each.source, each.target)} & set(TERMINALS)
        assert all(each.weight is not None for each in drawn)


def test_saes_have_no_connection_that_is_drawn():
    assert drawn_connections(random_saes(random_dense(), "errors_ablated")) == []


def test_each_pair_of_kinds_has_its_own_density():
    model = random_clt(random_dense(), "errors_available")
    connections, seen, permuted = watched(model)
    kinds = density_by_kinds(model, connections, seen, permuted)
    assert {"feature to feature", "error to feature", "value to query"} <= kinds.keys()
    assert sum(each.pairs for each in kinds.values()) == density(connections, seen, permuted).pairs
    features = [each for each in connections if each.source.endswith("feature") and each.target.endswith("feature")]
    assert kinds["feature to feature"] == density(features, seen, permuted)


def test_batches_change_nothing():
    model = random_clt(random_dense(), "errors_ablated")
    means = corpus_means(model, TOKENS)
    pairs = [(each.source, each.target) for each in drawn_connections(model)]
    small, large = (activity(model, means, TOKENS, pairs, batch) for batch in (1, 16))
    assert small.positions == large.positions == TOKENS.numel()
    for pair in pairs:
        assert torch.equal(small.together[pair], large.together[pair])
        assert torch.allclose(small.deviation[pair], large.deviation[pair], rtol=1e-4, atol=1e-4)
