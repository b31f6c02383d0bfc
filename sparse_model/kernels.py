"""The choice of the kernel of linear maps: both ways are timed on this machine, forward and backward."""

from collections.abc import Callable
from functools import partial

import torch

from benchmark.running.kernels import CLOCK, KernelChoice, fastest
from sparse_model.linear import available, linear, use, using

SHAPES = ((1_024, 128), (512, 128), (512,))
"""The shapes of the values, the weight and the bias: into the neurons of preset quick, at one training step."""


def measure(clock: Callable[[], float] = CLOCK) -> str:
    """The way of a linear map and its gradients that is the fastest here; the library's if another is hardly faster."""
    generator = torch.Generator().manual_seed(0)
    inputs = [torch.randn(shape, generator=generator).requires_grad_() for shape in SHAPES]
    gradient = torch.randn(SHAPES[0][0], SHAPES[1][0], generator=generator)

    def run(way: str) -> None:
        with using(way):
            torch.autograd.grad(linear(*inputs), inputs, gradient)

    return fastest({way: partial(run, way) for way in available()}, clock)


LINEAR = KernelChoice("linear", available(), measure, use)
"""How `sparse_model.linear` computes."""
