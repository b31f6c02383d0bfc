"""The faster way of linear maps is found by timing both."""

import pytest
import torch
import torch.nn.functional as F

from sparse_model import kernels, linear
from sparse_model.kernels import LINEAR, measure
from sparse_model.linear import KERNEL, LIBRARY, ONEDNN


class Machine:
    """A clock that only linear maps move, by what each way takes."""

    def __init__(self, library, onednn):
        self.now, self.seconds, self.timed = 0.0, {LIBRARY: library, ONEDNN: onednn}, []

    def __call__(self):
        return self.now

    def linear(self, values, weight, bias):
        self.timed.append(linear._way)
        self.now += self.seconds[linear._way]
        return F.linear(values, weight, bias)


@pytest.mark.skipif(KERNEL is None, reason="this build of PyTorch has one way")
@pytest.mark.parametrize(
    ("library", "onednn", "wanted"),
    [(1.0, 0.5, ONEDNN), (1.0, 0.94, ONEDNN), (1.0, 0.96, LIBRARY), (1.0, 1.0, LIBRARY), (0.9, 1.0, LIBRARY)],
)
def test_the_faster_way_is_taken_and_the_library_if_it_is_hardly_slower(monkeypatch, library, onednn, wanted):
    machine = Machine(library, onednn)
    monkeypatch.setattr(kernels, "linear", machine.linear)
    assert [measure(machine) for _ in range(3)] == [wanted] * 3
    assert linear._way == LIBRARY  # measuring chooses nothing
    assert set(machine.timed) == {LIBRARY, ONEDNN}


def test_without_the_kernel_nothing_is_timed(monkeypatch):
    machine = Machine(1.0, 0.5)
    monkeypatch.setattr(kernels, "linear", machine.linear)
    monkeypatch.setattr(linear, "KERNEL", None)
    assert measure(machine) == LIBRARY
    assert not machine.timed


def test_the_measured_way_exists_and_can_be_used():
    way = measure()
    assert way in LINEAR.options
    with linear.using(LIBRARY):
        LINEAR.use(way)
        assert linear.linear(torch.ones(1, 2), torch.ones(3, 2)).tolist() == [[2.0, 2.0, 2.0]]
