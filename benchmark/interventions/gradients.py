"""Values at places in a model, and the derivatives of a number with respect to them."""

from collections.abc import Callable, Hashable
from typing import TypeVar

import torch
from jaxtyping import Float
from torch import Tensor

Place = TypeVar("Place", bound=Hashable)

Tracked = dict[Place, tuple[Float[Tensor, "..."], Float[Tensor, "..."]]]
"""Values and derivatives by place."""


def values_and_gradients(
    number: Callable[[Callable[[Place, Tensor], Tensor]], Float[Tensor, ""]],
) -> Tracked[Place]:
    """Values that `number` tracks while it is computed, and its derivatives with respect to them.

    Args:
        number: Computes a scalar. It calls the function that it is given with a place and the values there, and goes on
            with the values that are returned. Places that it does not depend on have derivatives of 0.
    """
    seen: dict[Place, Tensor] = {}

    def track(place: Place, values: Tensor) -> Tensor:
        tracked = values.view_as(values)  # a tensor of its own: the model may go on with `values` as well
        seen[place] = tracked if tracked.requires_grad else tracked.requires_grad_()
        return seen[place]

    with torch.enable_grad():
        result = number(track)
        if not result.requires_grad:  # it depends on none of them
            return {place: (values.detach(), torch.zeros_like(values)) for place, values in seen.items()}
        gradients = torch.autograd.grad(result, list(seen.values()), allow_unused=True, materialize_grads=True)
    return {place: (seen[place].detach(), gradient) for place, gradient in zip(seen, gradients, strict=True)}
