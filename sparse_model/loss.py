"""The next-token loss and its gradient, computed in pieces that stay in the processor's cache.

Logits are the largest tensors of a small model with a vocabulary of thousands: written out for a whole batch, with
their logarithms and gradients, they cost more than the blocks. Here they exist for a few hundred positions at a time,
and the gradients with respect to them are used up at once.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from benchmark.model.interface import run_stages
from sparse_model.linear import product, weight_gradient
from sparse_model.transformer import Transformer

LOGITS_AT_ONCE = 2**19
"""Logits that exist at one time."""


def train_on(
    model: Transformer, tokens: Int[Tensor, "batch position"], targets: Int[Tensor, "batch position"]
) -> float:
    """Accumulate into every parameter's `grad` the gradient of the mean next-token cross entropy.

    The same as `F.cross_entropy(model(tokens), targets).backward()`, faster.

    Args:
        model: The transformer.
        tokens: Token ids.
        targets: The token that follows each.

    Returns:
        The loss, nats.
    """
    read = model.ln_final(run_stages(model, model.start(tokens))["residual"])
    head = Head(read.detach().flatten(0, 1), model.W_U, model.bigram if model.config.bigram else None)
    loss, gradient = head.loss_and_gradient(tokens.flatten(), targets.flatten())
    read.backward(gradient.view(read.shape))
    return loss


@torch.no_grad()
def piecewise_losses(
    model: Transformer, tokens: Int[Tensor, "batch position"], targets: Int[Tensor, "batch position"]
) -> Float[Tensor, "batch position"]:
    """The next-token cross entropy at every position, nats."""
    read = model.ln_final(run_stages(model, model.start(tokens))["residual"])
    head = Head(read.flatten(0, 1), model.W_U, model.bigram if model.config.bigram else None)
    return head.losses(tokens.flatten(), targets.flatten()).view(tokens.shape)


@dataclass(frozen=True, eq=False)
class Head:
    """The map from the normalised stream to logits, at a list of positions.

    Attributes:
        read: The normalised stream, `[position, d_model]`, detached.
        unembedding: `[vocab, d_model]`.
        bigram: The table of logits by current token, `[vocab, vocab]`, if there is one.
    """

    read: Float[Tensor, "position channel"]
    unembedding: Float[Tensor, "vocab channel"]
    bigram: Float[Tensor, "vocab vocab"] | None

    def pieces(self) -> range:
        """Where the pieces begin."""
        return range(0, len(self.read), self.piece)

    @property
    def piece(self) -> int:
        """Positions in a piece."""
        return max(1, LOGITS_AT_ONCE // len(self.unembedding))

    def log_probabilities(self, start: int, tokens: Int[Tensor, " position"]) -> Float[Tensor, "piece vocab"]:
        """The log probabilities of a piece."""
        piece = slice(start, start + self.piece)
        logits = product(self.read[piece], self.unembedding)
        if self.bigram is not None:
            logits += self.bigram.index_select(0, tokens[piece])
        return F.log_softmax(logits, dim=-1)

    def losses(self, tokens: Int[Tensor, " position"], targets: Int[Tensor, " position"]) -> Float[Tensor, " position"]:
        """The cross entropy at each position."""
        pieces = [
            self.log_probabilities(start, tokens).gather(1, targets[start : start + self.piece, None])[:, 0]
            for start in self.pieces()
        ]
        return -torch.cat(pieces)

    @torch.no_grad()
    def loss_and_gradient(
        self, tokens: Int[Tensor, " position"], targets: Int[Tensor, " position"]
    ) -> tuple[float, Float[Tensor, "position channel"]]:
        """The mean cross entropy and its gradient in `read`; those of the parameters are added to their `grad`."""
        total, gradient = 0.0, torch.empty_like(self.read)
        for start in self.pieces():
            piece = slice(start, start + self.piece)
            log_probabilities, target = self.log_probabilities(start, tokens), targets[piece, None]
            total -= log_probabilities.gather(1, target).sum().item()
            by_logit = log_probabilities.exp_()  # the gradient of the sum: probability, less 1 at the target
            by_logit.scatter_add_(1, target, by_logit.new_full(target.shape, -1))
            by_logit /= len(self.read)
            gradient[piece] = product(by_logit, self.unembedding.T)
            _gradient(self.unembedding).add_(weight_gradient(by_logit, self.read[piece]))
            if self.bigram is not None:
                _gradient(self.bigram).index_add_(0, tokens[piece], by_logit)
        return total / len(self.read), gradient


def _gradient(parameter: Tensor) -> Tensor:
    """A parameter's gradient, zeros at first."""
    if parameter.grad is None:
        parameter.grad = torch.zeros_like(parameter)
    return parameter.grad
