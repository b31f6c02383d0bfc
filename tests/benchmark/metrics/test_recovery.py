import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from metric_examples import random_circuit

from benchmark.metrics.recovery import Recovery, node_recovery
from benchmark.model.circuit import Circuit

TRUE = Circuit({"a": torch.tensor([True, True, False, False]), "b": torch.tensor([True, False])})
FOUND = Circuit({"a": torch.tensor([True, False, True, True]), "b": torch.tensor([True, True])})


def test_nodes_count_over_all_sites_together():
    assert node_recovery(FOUND, TRUE) == Recovery(precision=2 / 5, recall=2 / 3)
    assert node_recovery(TRUE, FOUND) == Recovery(precision=2 / 3, recall=2 / 5)


def test_f1_is_the_share_of_both_that_is_in_both():
    assert node_recovery(FOUND, TRUE).f1 == pytest.approx(2 * 2 / (5 + 3))
    assert Recovery(1.0, 1.0).f1 == 1
    assert Recovery(0.0, 0.0).f1 == 0


def test_what_was_not_found_is_undefined_precision_and_what_is_not_there_undefined_recall():
    nothing = Circuit({"a": torch.zeros(4, dtype=torch.bool), "b": torch.zeros(2, dtype=torch.bool)})
    missed, invented = node_recovery(nothing, TRUE), node_recovery(FOUND, nothing)
    assert math.isnan(missed.precision)
    assert (missed.recall, missed.f1) == (0, 0)
    assert invented.precision == 0
    assert math.isnan(invented.recall)
    assert math.isnan(invented.f1)


def test_a_site_without_a_mask_keeps_no_node():
    without = Circuit({"a": TRUE.masks["a"]})
    assert node_recovery(without, TRUE) == Recovery(precision=1.0, recall=2 / 3)
    assert node_recovery(TRUE, without) == Recovery(precision=2 / 3, recall=1.0)


def test_masks_may_be_numpy_arrays():
    assert node_recovery(TRUE, TRUE) == Recovery(1.0, 1.0)
    arrays = Circuit.__new__(Circuit)
    object.__setattr__(arrays, "masks", {name: mask.numpy() for name, mask in FOUND.masks.items()})
    assert node_recovery(arrays, TRUE) == node_recovery(FOUND, TRUE)


def test_sites_of_different_sizes_are_named():
    other = Circuit({"a": torch.ones(3, dtype=torch.bool)})
    with pytest.raises(ValueError, match="site 'a' has 3 nodes in one circuit and 4 in the other"):
        node_recovery(other, TRUE)


@given(st.integers(0, 2**32 - 1))
def test_precision_one_way_is_recall_the_other_way(seed):
    random = np.random.default_rng(seed)
    first, second = random_circuit(random, 0.6), random_circuit(random, 0.4)
    there, back = node_recovery(first, second), node_recovery(second, first)
    np.testing.assert_equal((there.precision, there.recall), (back.recall, back.precision))


@given(st.integers(0, 2**32 - 1))
def test_a_circuit_recovers_itself_and_redundant_nodes_change_nothing(seed):
    random = np.random.default_rng(seed)
    circuit, found = random_circuit(random, 0.9), random_circuit(random, 0.5)
    assert node_recovery(circuit, circuit) == Recovery(1.0, 1.0)
    padded = [
        Circuit({name: torch.cat([mask, torch.zeros(9, dtype=torch.bool)]) for name, mask in each.masks.items()})
        for each in (found, circuit)
    ]
    np.testing.assert_equal(vars(node_recovery(*padded)), vars(node_recovery(found, circuit)))
