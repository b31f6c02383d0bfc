"""Dictionaries that scale every row of their input by itself: `layer_norm` and `constant_norm_rescale` of sae-lens.

The factor is treated like that of a norm: it depends on the row, and what flows along an edge is multiplied by the
factor of the current run. sae-lens centres rows before `layer_norm`; here that is part of the encoder's weights.
"""

import math
from typing import Literal

from jaxtyping import Float
from torch import Tensor

RowScale = Literal["none", "constant_norm_rescale", "layer_norm"]
"""How rows are scaled; the names are those of `normalize_activations` in a configuration of sae-lens."""

EPSILON = 1e-5
"""Added to a standard deviation, as in sae-lens."""


def row_factor(rows: RowScale, values: Float[Tensor, "*row channel"]) -> Float[Tensor, "*row 1"]:
    """What the linear part of the encoder is multiplied by at each row."""
    assert rows != "none"
    if rows == "constant_norm_rescale":
        return math.sqrt(values.shape[-1]) / values.norm(dim=-1, keepdim=True)
    return 1 / (values.std(dim=-1, keepdim=True) + EPSILON)


def restored(
    rows: RowScale, prediction: Float[Tensor, "*row channel"], values: Float[Tensor, "*row channel"]
) -> Float[Tensor, "*row channel"]:
    """A prediction of scaled rows as a prediction of the rows themselves, given these."""
    if rows == "none":
        return prediction
    if rows == "constant_norm_rescale":
        return prediction / row_factor(rows, values)
    return prediction * values.std(dim=-1, keepdim=True) + values.mean(dim=-1, keepdim=True)
