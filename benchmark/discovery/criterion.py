"""When a circuit does its task: the mean loss over all prompts, and the mean loss of every form, are low enough."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from benchmark.tasks.prompts import PromptBatch

FORM_FACTOR = 2.0
"""A form may have at most this many times the target as its mean loss."""


@dataclass(frozen=True, eq=False)
class Criterion:
    """The condition that a search keeps, on the prompts of one sample.

    A circuit is a claim about the task, not about one wording of it, so no form may be far above the target either.

    Attributes:
        target: Mean loss that must not be exceeded, nats.
        form: Form of every prompt, from 0.
        by_form: Whether the forms count as well; the paper's own criterion is the mean alone.
    """

    target: float
    form: Int[Tensor, " prompt"]
    by_form: bool = True

    @classmethod
    def mean(cls, target: float, batch: PromptBatch) -> "Criterion":
        """The mean loss over some prompts alone, whatever their forms."""
        return cls(target, batch.form, by_form=False)

    def excess(self, losses: Float[Tensor, "candidate prompt"]) -> Float[Tensor, " candidate"]:
        """By how much each candidate misses the condition, nats; at most 0 where it holds.

        Task losses are never negative. A prompt whose loss is not known yet may therefore be given as 0: the result is
        then a lower bound.
        """
        mean = losses.mean(1) - self.target
        return torch.maximum(mean, self._by_form(losses).amax(1) - self.form_limit) if self.by_form else mean

    def holds(self, losses: Float[Tensor, " prompt"]) -> bool:
        """Whether a circuit with these losses meets the condition."""
        return float(self.excess(losses[None])[0]) <= 0

    def worst(self, losses: Float[Tensor, " prompt"]) -> tuple[int, float]:
        """The form with the highest mean loss, and that loss, nats."""
        loss, form = self._by_form(losses[None])[0].max(0)
        return int(form), float(loss)

    @property
    def form_limit(self) -> float:
        """Mean loss that no form may exceed, nats."""
        return FORM_FACTOR * self.target

    def by_form_mean(
        self, losses: Float[Tensor, "candidate row"], rows: Int[Tensor, " row"]
    ) -> Float[Tensor, "candidate prompt"]:
        """For every prompt of the sample the mean over some rows of its form; over all rows if none has its form."""
        form, forms = self.form[rows], int(self.form.max()) + 1
        sums = losses.new_zeros(len(losses), forms).index_add_(1, form, losses)
        count = form.bincount(minlength=forms).to(losses)
        means = torch.where(count > 0, sums / count.clamp(min=1), losses.mean(1, keepdim=True))
        return means[:, self.form]

    def _by_form(self, losses: Float[Tensor, "candidate prompt"]) -> Float[Tensor, "candidate form"]:
        """Mean loss of each form."""
        prompts = self.form.bincount().to(losses)
        sums = losses.new_zeros(len(losses), len(prompts)).index_add_(1, self.form, losses)
        return sums / prompts.clamp(min=1)
