from dataclasses import replace
from functools import cache
from importlib import import_module

import pytest
import torch
from planted import MODULES

from benchmark.discovery.candidates import BatchedTrials, NodeTrials
from benchmark.discovery.criterion import Criterion
from benchmark.discovery.edge_attribution import source_means
from benchmark.discovery.edge_trials import EdgeTrials
from benchmark.discovery.shrinking import certify, removable, thin
from benchmark.discovery.spending import BudgetSpentError, Spending
from benchmark.interventions.ablation import ablate, ablation_values, corpus_means
from benchmark.interventions.edge_ablation import AblatedEdges, kept_ends
from benchmark.model.circuit import Circuit, by_site
from benchmark.model.graph import node_sites
from benchmark.tasks.answers import answer_logits, prompt_losses

every_model = pytest.mark.parametrize("module", MODULES)


@cache
def planted(module):
    return import_module(module).planted()


def one_form(batch):
    return Criterion(0.15, torch.zeros(len(batch), dtype=torch.int64))


def node_trials(module, ablation="mean", spending=None):
    made = planted(module)
    values = ablation_values(ablation, made.model, corpus_means(made.model, made.means_tokens), {}, seed=3)
    batch, sites = made.task.validation, node_sites(made.model, made.graph)
    return NodeTrials(made.model, sites, values, batch, one_form(batch), spending or Spending())


def edge_trials(module):
    made = planted(module)
    nodes, kept = node_trials(module), made.truths[0].nodes
    joined = [each for each in (kept_ends(one, kept) for one in made.model.connections(made.graph)) if each is not None]
    means = {**corpus_means(made.model, made.means_tokens), **source_means(made.model, made.means_tokens)}
    shared = {name: getattr(nodes, name) for name in ("model", "sites", "ablation_values", "batch", "criterion")}
    return EdgeTrials(**shared, circuit=kept, joined=joined, means=means)


def some(trials: BatchedTrials, share: float, count: int = 7):
    """Subsets of the elements, the last of them all."""
    drawn = torch.rand(count, len(trials.stage), generator=torch.Generator().manual_seed(4)) < share
    return torch.cat([drawn, torch.ones(1, len(trials.stage), dtype=torch.bool)])


@torch.no_grad()
def loss_of(trials, circuit, batch):
    edit = ablate(circuit, trials.ablation_values(batch))
    return prompt_losses(answer_logits(trials.model, batch, edit), batch)


@pytest.mark.parametrize("ablation", ["mean", "zero", "resample", "counterfactual"])
@every_model
def test_losses_of_many_circuits_are_those_of_each_alone(module, ablation):
    trials = node_trials(module, ablation)
    circuits = some(trials, 0.9)
    rows = torch.arange(len(trials.batch))
    expected = torch.stack([loss_of(trials, Circuit(by_site(trials.sites, kept)), trials.batch) for kept in circuits])
    for base in (circuits[0], circuits[-1]):
        torch.testing.assert_close(trials.losses(base, circuits, rows), expected)
    some_rows = rows[4:10]
    torch.testing.assert_close(trials.losses(circuits[0], circuits, some_rows), expected[:, some_rows])


@every_model
def test_losses_of_many_sets_of_edges_are_those_of_each_alone(module):
    trials = edge_trials(module)
    sets = some(trials, 0.7)
    edit = ablate(trials.circuit, trials.values)
    with torch.no_grad():
        expected = torch.stack(
            [
                prompt_losses(answer_logits(trials.model, trials.batch, edit, all_but(trials, kept)), trials.batch)
                for kept in sets
            ]
        )
    for base in (sets[0], sets[-1]):
        torch.testing.assert_close(trials.losses(base, sets, torch.arange(len(trials.batch))), expected)


def all_but(trials, kept):
    order = torch.cat([kept.nonzero().flatten(), (~kept).nonzero().flatten()])
    return AblatedEdges.keeping(trials.joined, order, int(kept.sum()), trials.means)


@every_model
def test_excess_is_exact_where_the_criterion_holds_and_a_lower_bound_elsewhere(module):
    trials = node_trials(module)
    truth = planted(module).truths[0].nodes.row(trials.sites)
    circuits = torch.cat([some(trials, 0.95), truth[None]])
    excess = trials.excess(circuits[0], circuits)
    exact = trials.criterion.excess(trials.losses(circuits[0], circuits, torch.arange(len(trials.batch))))
    holds = exact <= 0
    assert holds.any()
    assert ((excess <= 0) == holds).all()
    torch.testing.assert_close(excess[holds], exact[holds])
    assert (excess <= exact + 1e-6).all()


@every_model
@pytest.mark.parametrize("kind", [node_trials, edge_trials])
def test_a_screen_adds_what_each_form_changes_in_one_block_to_the_losses_of_the_base(module, kind):
    trials = kind(module)
    form = (torch.arange(len(trials.batch)) // 2) % 3
    trials = replace(trials, criterion=Criterion(0.15, form))
    base, *candidates = some(trials, 0.9, count=4)
    everything, first = torch.arange(len(trials.batch)), trials._blocks[0]
    losses = trials.losses(base, torch.stack([base, *candidates]), everything)
    expected = losses[:1].repeat(len(candidates), 1)
    for number in range(3):
        rows = first[form[first] == number]
        changed = losses[1:, rows].mean(1) - losses[0, rows].mean()
        expected[:, form == number] += changed[:, None]
    torch.testing.assert_close(trials.screen(base, torch.stack(candidates)), trials.criterion.excess(expected))


@every_model
def test_every_block_has_as_many_pairs_of_each_form_give_or_take_one(module):
    trials = node_trials(module)
    form = (torch.arange(len(trials.batch)) // 2) % 3
    blocks = replace(trials, criterion=Criterion(0.15, form))._blocks
    assert torch.cat(blocks).sort().values.equal(torch.arange(len(trials.batch)))
    pairs = torch.stack([form[block].bincount(minlength=3) // 2 for block in blocks])
    assert int((pairs.amax(0) - pairs.amin(0)).max()) <= 1


def test_a_form_without_a_row_is_given_the_mean_of_all_rows():
    criterion = Criterion(0.15, torch.tensor([0, 0, 1, 1, 2]))
    losses = torch.tensor([[0.1, 0.3, 0.8], [0.0, 0.0, 0.3]])
    means = criterion.by_form_mean(losses, torch.tensor([0, 1, 3]))
    expected = torch.tensor([[0.2, 0.2, 0.8, 0.8, 0.4], [0.0, 0.0, 0.3, 0.3, 0.1]])
    torch.testing.assert_close(means, expected)


def partly_kept(trials, mask):
    """Mean loss with every element part of the way between its ablation value (0) and its own value (1)."""
    if isinstance(trials, EdgeTrials):
        edit, edges = ablate(trials.circuit, trials.values), trials.ablation(mask[None])
    else:
        parts, values, edges = by_site(trials.sites, mask), trials.values, None

        def edit(site, whole):
            if site.name not in parts:
                return whole
            return values(site, whole) + parts[site.name] * (whole - values(site, whole))

    return prompt_losses(answer_logits(trials.model, trials.batch, edit, edges), trials.batch).mean()


@every_model
@pytest.mark.parametrize("kind", [node_trials, edge_trials])
def test_effects_are_the_derivative_of_the_loss(module, kind):
    trials = kind(module)
    kept = some(trials, 0.8)[0]
    effects = trials.effects(kept)
    toward = effects / effects.norm()
    with torch.no_grad():
        ahead, behind = (partly_kept(trials, kept.float() + step * toward) for step in (0.01, -0.01))
    assert float((ahead - behind) / 0.02) == pytest.approx(float(effects.norm()), rel=0.05, abs=1e-4)


@every_model
def test_the_smallest_circuit_is_what_is_left_of_the_whole_model(module):
    made, trials = planted(module), node_trials(module)
    kept = certify(trials, thin(trials, torch.ones(len(trials.stage), dtype=torch.bool))).kept
    assert int(kept.sum()) == min(sum(int(mask.sum()) for mask in truth.nodes.masks.values()) for truth in made.truths)
    assert not len(removable(trials, kept))


@every_model
def test_the_edges_of_the_truth_are_what_is_left_of_all_between_its_nodes(module):
    trials = edge_trials(module)
    weights = torch.cat([each.connection.weight[each.targets][:, each.sources].flatten() for each in trials.joined])
    kept = certify(trials, thin(trials, weights != 0)).kept
    assert int(kept.sum()) == len(planted(module).truths[0].edges)
    assert not len(removable(trials, kept))


def test_a_search_stops_before_it_runs_more_than_its_budget():
    trials = node_trials("two_hop", spending=Spending(limit=100))
    kept = torch.ones(len(trials.stage), dtype=torch.bool)
    with pytest.raises(BudgetSpentError):
        trials.effects(kept)
    assert thin(trials, kept).equal(kept)
    assert not certify(trials, kept).minimal
    assert trials.spending.spent <= 100


def test_tokens_are_counted_from_the_first_stage_that_differs():
    trials = node_trials("two_hop")
    kept = torch.ones(1, len(trials.stage), dtype=torch.bool)
    last = kept.clone()
    last[0, -1] = False
    rows = torch.arange(len(trials.batch))
    trials.losses(kept[0], last, rows)
    late = trials.spending.spent
    last[0, 0] = False
    trials.losses(kept[0], last, rows)
    whole = pytest.approx(trials.batch.tokens.numel() / 3)  # forward only
    assert 0 < late < trials.spending.spent - late == whole
