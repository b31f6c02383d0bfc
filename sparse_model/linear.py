"""Linear maps of float32 on a CPU, by PyTorch's own `F.linear` or by oneDNN, whichever was measured to be faster.

`F.linear` calls the library that PyTorch was built with, usually MKL. The kernel of PyTorch's compiler, which calls
oneDNN, takes half the time on some processors and a tenth more on others; the two agree within rounding. A process
starts with the library, which every build has, and `sparse_model.kernels` measures. Anything but float32 on a CPU goes
to the library. In either way, `sparse_model.zeros` computes the maps of weights that are mostly zeros and get no
gradient.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from sparse_model.zeros import MostlyZeros, mostly_zeros, product_with

LIBRARY, ONEDNN = "library", "onednn"
"""The two ways."""

KERNEL: Callable[..., Tensor] | None = (
    getattr(torch.ops.mkldnn, "_linear_pointwise", None) if torch.backends.mkldnn.is_available() else None
)
"""oneDNN's `x @ weight.T + bias`; `None` if this build of PyTorch lacks it."""

_way = LIBRARY
"""The way of this process."""


def available() -> tuple[str, ...]:
    """The ways that this build of PyTorch has, the library first."""
    return (LIBRARY,) if KERNEL is None else (LIBRARY, ONEDNN)


def current() -> str:
    """The way of this process."""
    return _way


def use(way: str) -> None:
    """Compute in one of the available ways from now on, in this process."""
    global _way
    if way not in available():
        raise ValueError(f"this build of torch has no way {way!r} of linear maps; choose from {', '.join(available())}")
    _way = way


@contextmanager
def using(way: str) -> Iterator[None]:
    """Compute in one of the available ways inside the context."""
    before = _way
    use(way)
    try:
        yield
    finally:
        use(before)


def linear(
    values: Float[Tensor, "*row source"],
    weight: Float[Tensor, "target source"],
    bias: Float[Tensor, " target"] | None = None,
) -> Float[Tensor, "*row target"]:
    """`values @ weight.T + bias`; rely on gradients of first order only, as oneDNN has no others."""
    if (few := mostly_zeros(weight, values)) is not None:
        return _skipping_zeros(values, bias, few)
    if not _by_onednn(values):
        return F.linear(values, weight, bias)
    mapped: Tensor = Linear.apply(values.reshape(-1, values.shape[-1]), weight, bias)  # type: ignore[no-untyped-call]
    return mapped.view(*values.shape[:-1], len(weight))


def _skipping_zeros(values: Tensor, bias: Tensor | None, few: MostlyZeros) -> Tensor:
    """The linear map of a weight that is mostly zeros and gets no gradient."""
    rows = values.reshape(-1, values.shape[-1])
    if torch.is_grad_enabled() and (values.requires_grad or (bias is not None and bias.requires_grad)):
        mapped: Tensor = SkippingZeros.apply(rows, bias, few)  # type: ignore[no-untyped-call]
    else:
        mapped = product_with(few.matrix, rows, bias)
    return mapped.view(*values.shape[:-1], mapped.shape[-1])


def product(left: Float[Tensor, "row shared"], right: Float[Tensor, "column shared"]) -> Float[Tensor, "row column"]:
    """`left @ right.T` of matrices, without gradients."""
    if not _by_onednn(left):
        return left.detach() @ right.detach().T
    assert KERNEL is not None
    return KERNEL(left.detach(), right.detach(), None, "none", [], "")


def _by_onednn(values: Tensor) -> bool:
    """Whether oneDNN computes a map of these values."""
    exact = values.device.type == "cpu" and values.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")
    return _way == ONEDNN and exact


class Linear(torch.autograd.Function):
    """oneDNN's linear map, computing only the gradients that are needed."""

    @staticmethod
    def forward(context: Any, values: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """`values @ weight.T + bias` of a matrix of rows."""
        context.save_for_backward(values, weight)
        assert KERNEL is not None
        return KERNEL(values, weight, bias, "none", [], "")

    @staticmethod
    @once_differentiable
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        """The gradients with respect to the rows, the weight and the bias."""
        gradient = gradients[0].contiguous()  # an expanded scalar, as of a sum, is a thousand times as slow
        values, weight = context.saved_tensors
        for_values, for_weight, for_bias = context.needs_input_grad
        return (
            product(gradient, weight.T) if for_values else None,
            weight_gradient(gradient, values) if for_weight else None,
            gradient.sum(0) if for_bias else None,
        )


class SkippingZeros(torch.autograd.Function):
    """The linear map of a weight that is mostly zeros and gets no gradient."""

    @staticmethod
    def forward(context: Any, values: Tensor, bias: Tensor | None, few: MostlyZeros) -> Tensor:
        """`values @ weight.T + bias` of a matrix of rows."""
        context.transpose = few.transpose
        return product_with(few.matrix, values, bias)

    @staticmethod
    @once_differentiable
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        """The gradients with respect to the rows and the bias."""
        for_values, for_bias, _ = context.needs_input_grad
        return (
            product_with(context.transpose, gradients[0]) if for_values else None,
            gradients[0].sum(0) if for_bias else None,
            None,
        )


def weight_gradient(
    gradient: Float[Tensor, "row target"], values: Float[Tensor, "row source"]
) -> Float[Tensor, "target source"]:
    """`gradient.T @ values`; if one is much wider, oneDNN is faster with the wider one second."""
    if 2 * values.shape[1] < gradient.shape[1] < 1024:
        return product(values.T, gradient.T).T
    return product(gradient.T, values.T)
