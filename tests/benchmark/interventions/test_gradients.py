"""Derivatives with respect to values inside a computation."""

import torch

from benchmark.interventions.gradients import values_and_gradients


def test_derivatives_are_those_of_the_values_that_are_tracked_and_not_of_what_the_model_keeps():
    """A dictionary with its errors computes them from the features as they were before the edit."""
    features = torch.tensor([1.0, 2.0, 3.0])

    def number(track):
        return (2 * track("features", features) - features).sum()

    values, gradients = values_and_gradients(number)["features"]
    assert values.tolist() == [1, 2, 3]
    assert gradients.tolist() == [2, 2, 2]
    assert not features.requires_grad


def test_derivatives_of_earlier_places_go_through_later_ones():
    def number(track):
        first = track("first", torch.tensor(3.0))
        return track("second", first * first)

    found = values_and_gradients(number)
    assert found["first"][1] == 6
    assert found["second"][1] == 1


def test_places_on_which_the_number_does_not_depend_have_derivatives_of_zero():
    found = values_and_gradients(lambda track: 0 * track("unused", torch.ones(2)).detach().sum())
    assert found["unused"][1].tolist() == [0, 0]
