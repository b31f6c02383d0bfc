"""Cuts of an order of the nodes, on planted truth."""

import pytest
import torch
from planted import MODULES
from test_rankings import search
from test_trials import planted

from benchmark.discovery.cutting import cut_again, cut_at, cut_order, size_of

every_model = pytest.mark.parametrize("module", MODULES)


def late_order(module):
    """The nodes of a truth first but for one, then all others, then that one."""
    nodes = planted(module).truths[0].nodes.row(search(module).sites)
    *early, late = nodes.nonzero().flatten().tolist()
    return torch.tensor([*early, *(~nodes).nonzero().flatten().tolist(), late])


def true_size(module):
    return int(planted(module).truths[0].nodes.row(search(module).sites).sum())


@every_model
def test_an_order_that_begins_with_a_truth_is_cut_to_it(module):
    nodes = planted(module).truths[0].nodes.row(search(module).sites)
    found = cut_order(search(module), torch.cat([nodes.nonzero().flatten(), (~nodes).nonzero().flatten()]), 0.0)
    assert (found.status, size_of(found)) == ("ok", true_size(module))


@pytest.mark.parametrize("module", ["two_hop", "planted_string_closing"])
def test_a_needed_node_that_stands_last_is_brought_forward(module):
    order, whole = late_order(module), search(module)
    first = cut_order(whole, order, 0.0)
    assert size_of(first) == whole.size
    again = cut_again(whole, first, whole.trials(10**9))
    assert again.status == "ok"
    assert whole.criterion.holds(whole.sample_losses(again.circuit))
    assert size_of(again) <= 2 * true_size(module)
    assert again.order.sort().values.equal(torch.arange(whole.size))


@every_model
def test_cutting_again_never_makes_a_cut_larger_and_ends_where_the_budget_does(module):
    whole = search(module)
    first = cut_order(whole, torch.randperm(whole.size, generator=torch.Generator().manual_seed(0)), 0.0)
    assert size_of(cut_again(whole, first, whole.trials(10**9))) <= size_of(first)
    assert cut_again(whole, first, whole.trials(1)) is first


def test_a_prefix_says_whether_it_meets_the_criterion():
    whole, order = search("two_hop"), late_order("two_hop")
    assert cut_at(whole, order, whole.size).status == "ok"
    missed = cut_at(whole, order, true_size("two_hop") - 1)
    assert (missed.status, size_of(missed)) == ("not_reached", true_size("two_hop") - 1)
