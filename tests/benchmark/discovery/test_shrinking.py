from itertools import combinations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.discovery import shrinking
from benchmark.discovery.criterion import Criterion
from benchmark.discovery.search import Budget, criterion_of
from benchmark.discovery.shrinking import certify, exchange, removable, thin
from benchmark.discovery.spending import BudgetSpentError
from benchmark.tasks.prompts import PromptBatch


class Cover:
    """Elements that each cover some items; a set meets the criterion if it covers every item."""

    def __init__(self, covers):
        self.covers = torch.tensor(covers).bool()
        self.tried = 0

    def excess(self, base, candidates):
        self.tried += len(candidates)
        covered = (candidates.float() @ self.covers.float()) > 0
        return (~covered).float().sum(1)

    def screen(self, base, candidates):
        return self.excess(base, candidates)

    def effects(self, kept):
        return -self.covers.float().sum(1)

    @property
    def everything(self):
        return torch.ones(len(self.covers), dtype=torch.bool)

    def smallest(self):
        """Size of the smallest cover, by trying all subsets."""
        size = len(self.covers)
        for count in range(size + 1):
            for chosen in combinations(range(size), count):
                kept = torch.zeros(size, dtype=torch.bool)
                kept[list(chosen)] = True
                if self.excess(None, kept[None])[0] <= 0:
                    return count
        return None


def shrink(cover, kept):
    return certify(cover, thin(cover, kept))


covers = st.integers(1, 6).flatmap(
    lambda items: st.lists(st.lists(st.booleans(), min_size=items, max_size=items), min_size=1, max_size=9)
)


@given(covers)
@settings(deadline=None)
def test_a_shrunk_set_meets_the_criterion_and_no_element_can_be_spared(made):
    cover = Cover([*made, [True] * len(made[0])])
    kept = shrink(cover, cover.everything).kept
    assert float(cover.excess(kept, kept[None])[0]) <= 0
    assert not len(removable(cover, kept))
    for element in kept.nonzero().flatten().tolist():
        without = kept.clone()
        without[element] = False
        assert float(cover.excess(kept, without[None])[0]) > 0


class Table:
    """Every subset meets the criterion or not by a toss, whatever its parts do; all elements together meet it."""

    def __init__(self, elements, seed):
        self.excesses = torch.randn(2**elements, generator=torch.Generator().manual_seed(seed))
        self.excesses[-1] = -1.0
        self.bits = 2 ** torch.arange(elements)

    def excess(self, base, candidates):
        return self.excesses[(candidates * self.bits).sum(1)]

    def screen(self, base, candidates):
        return self.excess(base, candidates)

    def effects(self, kept):
        return self.excesses[: len(kept)]


@pytest.mark.parametrize("together", [1, 2, 16])
def test_nothing_can_be_spared_though_a_removal_may_make_any_other_harmless(together, monkeypatch):
    monkeypatch.setattr(shrinking, "AT_ONCE", together)
    for seed in range(150):
        table = Table(7, seed)
        kept = certify(table, torch.ones(7, dtype=torch.bool)).kept
        assert table.excess(kept, kept[None])[0] <= 0
        for element in kept.nonzero().flatten().tolist():
            without = kept.clone()
            without[element] = False
            assert table.excess(kept, without[None])[0] > 0


@given(covers)
@settings(deadline=None)
def test_exchanges_keep_the_criterion_and_never_make_a_set_larger(made):
    cover = Cover([*made, *torch.eye(len(made[0])).bool().tolist()])
    kept = shrink(cover, cover.everything).kept
    exchanged = exchange(cover, kept, tries=len(cover.covers))
    assert float(cover.excess(exchanged, exchanged[None])[0]) <= 0
    assert cover.smallest() <= exchanged.sum() <= kept.sum()
    assert not len(removable(cover, exchanged))


def test_an_exchange_takes_out_two_elements_for_one():
    cover = Cover([[1, 1, 0, 0], [0, 0, 1, 1], [1, 1, 1, 1]])
    minimal = torch.tensor([True, True, False])
    assert not len(removable(cover, minimal))
    assert exchange(cover, minimal, tries=1).tolist() == [False, False, True]


def test_nothing_is_exchanged_where_nothing_may_be_tried():
    cover = Cover([[1, 1, 0, 0], [0, 0, 1, 1], [1, 1, 1, 1]])
    minimal = torch.tensor([True, True, False])
    assert exchange(cover, minimal, tries=0).tolist() == minimal.tolist()


def test_an_exchange_takes_out_an_element_with_more_edges_than_the_one_that_comes():
    cover = Cover([[1, 1, 0], [1, 1, 0], [0, 0, 1]])
    minimal, edges = torch.tensor([True, False, True]), torch.tensor([5, 2, 1])
    assert exchange(cover, minimal, tries=1, degrees=lambda kept: edges).tolist() == [False, True, True]
    assert exchange(cover, minimal, tries=1, degrees=lambda kept: edges[[1, 0, 2]]).tolist() == minimal.tolist()
    assert exchange(cover, minimal, tries=1).tolist() == minimal.tolist()


def test_an_exchange_takes_out_an_element_with_more_edges_only_if_the_criterion_holds():
    class Hopeful(Cover):
        def screen(self, base, candidates):
            return torch.full((len(candidates),), -1.0)

    cover = Hopeful([[1, 1, 0], [0, 1, 0], [0, 0, 1]])
    minimal, edges = torch.tensor([True, False, True]), torch.tensor([5, 2, 4])
    assert exchange(cover, minimal, tries=1, degrees=lambda kept: edges).tolist() == minimal.tolist()


def test_many_elements_that_do_nothing_are_removed_in_few_tries():
    cover = Cover([[0, 0, 0]] * 500 + torch.eye(3).bool().tolist())
    kept = shrink(cover, cover.everything).kept
    assert kept.nonzero().flatten().tolist() == [500, 501, 502]
    assert cover.tried < 100


def test_a_set_that_can_be_empty_becomes_empty():
    cover = Cover([[]] * 4)
    assert not shrink(cover, cover.everything).kept.any()


def test_the_mean_and_every_form_have_to_be_low():
    criterion = Criterion(0.15, torch.tensor([0, 0, 1, 1]))
    low = torch.tensor([[0.1, 0.1, 0.1, 0.1]])
    one_form = torch.tensor([[0.0, 0.0, 0.29, 0.29], [0.0, 0.0, 0.32, 0.32]])
    assert criterion.excess(low)[0] == pytest.approx(-0.05)
    assert (criterion.excess(one_form) <= 0).tolist() == [True, False]
    assert (Criterion(0.16, criterion.form, by_form=False).excess(one_form) <= 0).tolist() == [True, True]


@given(st.lists(st.floats(0, 2), min_size=6, max_size=6), st.lists(st.booleans(), min_size=6, max_size=6))
def test_losses_that_are_not_known_yet_give_a_lower_bound(losses, known):
    criterion, row = Criterion(0.15, torch.tensor([0, 0, 1, 1, 2, 2])), torch.tensor([losses])
    partly = torch.where(torch.tensor([known]), row, 0)
    assert criterion.excess(partly)[0] <= criterion.excess(row)[0] + 1e-6


@given(covers, st.integers(0, 2**20))
@settings(deadline=None)
def test_a_screen_that_knows_nothing_costs_trials_but_no_certificate(made, seed):
    class Blind(Cover):
        def screen(self, base, candidates):
            return torch.rand(len(candidates), generator=torch.Generator().manual_seed(seed)) - 0.5

    cover = Blind([*made, [True] * len(made[0])])
    found = shrink(cover, cover.everything)
    assert found.minimal
    assert float(cover.excess(found.kept, found.kept[None])[0]) <= 0
    assert not len(removable(cover, found.kept))


def test_what_is_left_when_the_budget_is_spent_meets_the_criterion_and_is_not_called_minimal():
    class Poor(Cover):
        def excess(self, base, candidates):
            if self.tried > 20:
                raise BudgetSpentError
            return super().excess(base, candidates)

    cover = Poor([[0, 0, 0]] * 500 + torch.eye(3).bool().tolist() * 9)
    found = shrink(cover, cover.everything)
    assert not found.minimal
    assert 3 < found.kept.sum() < 527
    assert float(Cover(cover.covers.tolist()).excess(None, found.kept[None])[0]) <= 0
    assert exchange(cover, found.kept, tries=3) is found.kept


def test_the_form_with_the_highest_loss_is_named():
    criterion = Criterion(0.15, torch.tensor([0, 0, 1, 1]))
    losses = torch.tensor([0.0, 0.0, 0.3, 0.4])
    form, loss = criterion.worst(losses)
    assert (form, loss) == (1, pytest.approx(0.35))
    assert criterion.form_limit == pytest.approx(0.3)
    assert not criterion.holds(losses)


def test_the_search_stays_below_the_target_by_the_margin_unless_it_is_the_papers_own():
    sample = PromptBatch(*(torch.zeros(2, 1, dtype=torch.int64), *torch.zeros(3, 2, dtype=torch.int64)))
    forms = criterion_of(sample, 0.15, Budget(margin=1 / 3))
    assert (forms.target, forms.by_form) == (pytest.approx(0.1), True)
    mean = criterion_of(sample, 0.15, Budget(margin=1 / 3, criterion="mean"))
    assert (mean.target, mean.by_form) == (0.15, False)
