"""Calibration of a circuit: the scale and shift of its logit difference that minimise the task loss."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from benchmark.model.interface import CircuitModel, Edit
from benchmark.tasks.answers import answer_logits, logit_difference, pair_signs
from benchmark.tasks.prompts import PromptBatch


@dataclass(frozen=True)
class Calibration:
    """An affine map of the logit difference, `scale * difference + shift`."""

    scale: float
    shift: float


def calibrate(model: CircuitModel, batch: PromptBatch, edit: Edit) -> Calibration:
    """The scale and shift of the logit difference that minimise the task loss, by 16 LBFGS steps (paper A.5).

    The shift favours the first answer of every pair over the second, so it is the same for the whole task.
    """
    with torch.no_grad():
        difference = logit_difference(answer_logits(model, batch, edit), batch)
    scale_and_shift = torch.tensor([1.0, 0.0], requires_grad=True)
    optimizer = torch.optim.LBFGS([scale_and_shift], max_iter=16, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = calibrated_loss(difference, scale_and_shift[0], scale_and_shift[1])
        loss.backward()
        return loss

    optimizer.step(closure)
    scale, shift = scale_and_shift.tolist()
    return Calibration(scale, shift)


def calibrated_loss(
    difference: Float[Tensor, " prompt"], scale: Float[Tensor, ""], shift: Float[Tensor, ""]
) -> Float[Tensor, ""]:
    """Task loss after the affine map; the shift has the opposite sign for the second prompt of each pair."""
    return torch.nn.functional.softplus(-(scale * difference + pair_signs(len(difference)) * shift)).mean()
