"""Linear maps of float32 on a CPU through oneDNN, which PyTorch itself uses for other number types only.

`F.linear` calls MKL, which runs at half speed or less on processors that are not Intel's; the kernel that PyTorch's
compiler uses runs at full speed on all. Where it does not exist, or for anything but float32 on a CPU, this is
`F.linear`.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable


def _kernel() -> Callable[..., Tensor] | None:
    """`x @ weight.T + bias` of oneDNN, if this build of PyTorch has it."""
    if not torch.backends.mkldnn.is_available():
        return None
    kernel: Callable[..., Tensor] | None = getattr(torch.ops.mkldnn, "_linear_pointwise", None)
    return kernel


KERNEL = _kernel()
"""oneDNN's linear map; `None` where there is none."""


def linear(
    values: Float[Tensor, "*row source"],
    weight: Float[Tensor, "target source"],
    bias: Float[Tensor, " target"] | None = None,
) -> Float[Tensor, "*row target"]:
    """`values @ weight.T + bias`.

    Args:
        values: Any tensor; rows are along the last dimension.
        weight: `[target, source]`.
        bias: Added to every row.

    Returns:
        The mapped rows; gradients of first order alone.
    """
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
    """oneDNN's linear map with its gradients, only those that are asked for."""

    @staticmethod
    def forward(context: Any, values: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """`values @ weight.T + bias` of a matrix of rows."""
        context.save_for_backward(values, weight)
        assert KERNEL is not None
        return KERNEL(values, weight, bias, "none", [], "")

    @staticmethod
    @once_differentiable
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        """The gradients in the rows, the weight and the bias."""
        (gradient,) = gradients
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
    """`gradient.T @ values`; of far unequal widths, oneDNN is faster with the wider one second."""
    if 2 * values.shape[1] < gradient.shape[1] < 1024:
        return product(values.T, gradient.T).T
    return product(gradient.T, values.T)
