"""The one place where a metric's arguments, torch tensors or numpy arrays, become numpy arrays."""

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Array = Tensor | NDArray[Any]
"""What metrics take; annotate it with a shape, `Float[Array, "prompt vocab"]`."""


def exact(values: Array) -> NDArray[Any]:
    """The values in their own precision (bfloat16, which numpy has not, in single precision)."""
    if not isinstance(values, Tensor):
        return values
    detached = values.detach().cpu()
    return (detached.float() if detached.dtype == torch.bfloat16 else detached).numpy()


def double(values: Array) -> NDArray[np.float64]:
    """The values in double precision, in which all metrics are computed."""
    return exact(values).astype(np.float64)


def rows(values: NDArray[Any]) -> NDArray[Any]:
    """All leading axes as one."""
    return values.reshape(math.prod(values.shape[:-1]), values.shape[-1])


def mean(values: NDArray[np.float64]) -> float:
    """Mean of all values, `nan` where there are none."""
    return float(values.mean()) if values.size else float("nan")


def share(part: float, whole: float | int) -> float:
    """`part / whole`, `nan` unless the whole is above zero: a share of nothing is undefined."""
    return part / whole if whole > 0 else float("nan")
