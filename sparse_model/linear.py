"""Linear maps of float32 on a CPU through oneDNN, which PyTorch itself uses only for other number types.

`F.linear` calls MKL, which runs at half speed or less on processors not made by Intel; the kernel of PyTorch's compiler
runs at full speed on all of them. Without that kernel, or for anything but float32 on a CPU, this is `F.linear`.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

KERNEL: Callable[..., Tensor] | None = (
    getattr(torch.ops.mkldnn, "_linear_pointwise", None) if torch.backends.mkldnn.is_available() else None
)
"""oneDNN's `x @ weight.T + bias`; `None` if this build of PyTorch lacks it."""


def linear(
    values: Float[Tensor, "*row source"],
    weight: Float[Tensor, "target source"],
    bias: Float[Tensor, " target"] | None = None,
) -> Float[Tensor, "*row target"]:
    """`values @ weight.T + bias`, with gradients of first order only."""
    if KERNEL is None or values.device.type != "cpu" or values.dtype != torch.float32:
        return F.linear(values, weight, bias)
    mapped: Tensor = Linear.apply(values.reshape(-1, values.shape[-1]), weight, bias)  # type: ignore[no-untyped-call]
    return mapped.view(*values.shape[:-1], len(weight))


def product(left: Float[Tensor, "row shared"], right: Float[Tensor, "column shared"]) -> Float[Tensor, "row column"]:
    """`left @ right.T` of matrices, without gradients."""
    if KERNEL is None or left.device.type != "cpu" or left.dtype != torch.float32:
        return left.detach() @ right.detach().T
    return KERNEL(left.detach(), right.detach(), None, "none", [], "")


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


def weight_gradient(
    gradient: Float[Tensor, "row target"], values: Float[Tensor, "row source"]
) -> Float[Tensor, "target source"]:
    """`gradient.T @ values`; if one is much wider, oneDNN is faster with the wider one second."""
    if 2 * values.shape[1] < gradient.shape[1] < 1024:
        return product(values.T, gradient.T).T
    return product(gradient.T, values.T)
