"""The next-token loss and its gradient, computed in pieces that stay in the processor's cache.

Logits are the largest tensors of a small model with a vocabulary of thousands: for a whole batch, they, their
logarithms and their gradients cost more than the blocks. Here they exist for a few hundred positions at a time, and
the gradients with respect to them are used immediately.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from benchmark.model.devices import device_of
from benchmark.model.interface import run_stages
from sparse_model.linear import product, weight_gradient
from sparse_model.transformer import Transformer

LOGITS_AT_ONCE = 2**19
"""Number of logits that exist at one time."""


def train_on(
    model: Transformer, tokens: Int[Tensor, "batch position"], targets: Int[Tensor, "batch position"]
) -> float:
    """Add the gradient of the mean next-token cross entropy to every parameter's `grad`, and return the loss in nats.

    The same as `F.cross_entropy(model(tokens), targets).backward()`, but faster.
    """
    tokens, targets = (each.to(device_of(model)) for each in (tokens, targets))
    read = model.ln_final(run_stages(model, model.start(tokens))["residual"])
    head = Head(read.detach().flatten(0, 1), model.W_U, model.bigram if model.config.bigram else None)
    loss, gradient = head.loss_and_gradient(tokens.flatten(), targets.flatten())
    read.backward(gradient.view(read.shape))
    return loss


@torch.no_grad()
def piecewise_losses(
    model: Transformer, tokens: Int[Tensor, "batch position"], targets: Int[Tensor, "batch position"]
) -> Float[Tensor, "batch position"]:
    """The next-token cross entropy at every position, nats; on the CPU."""
    tokens, targets = (each.to(device_of(model)) for each in (tokens, targets))
    read = model.ln_final(run_stages(model, model.start(tokens))["residual"])
    head = Head(read.flatten(0, 1), model.W_U, model.bigram if model.config.bigram else None)
    return head.losses(tokens.flatten(), targets.flatten()).view(tokens.shape).cpu()


@dataclass(frozen=True, eq=False)
class Head:
    """The map from the normalised stream to logits, at a list of positions."""

    read: Float[Tensor, "position channel"]
    """The normalised stream, detached."""
    unembedding: Float[Tensor, "vocab channel"]
    bigram: Float[Tensor, "vocab vocab"] | None
    """The table of logits by current token, if there is one."""

    @property
    def pieces(self) -> list[slice]:
        """The pieces into which the positions are cut."""
        size = max(1, LOGITS_AT_ONCE // len(self.unembedding))
        return [slice(start, start + size) for start in range(0, len(self.read), size)]

    def log_probabilities(self, piece: slice, tokens: Int[Tensor, " position"]) -> Float[Tensor, "piece vocab"]:
        """The log probabilities of a piece."""
        logits = product(self.read[piece], self.unembedding).float()
        if self.bigram is not None:
            logits += self.bigram.index_select(0, tokens[piece])
        return F.log_softmax(logits, dim=-1)

    def losses(self, tokens: Int[Tensor, " position"], targets: Int[Tensor, " position"]) -> Float[Tensor, " position"]:
        """The cross entropy at each position."""
        by_piece = [self.log_probabilities(piece, tokens).gather(1, targets[piece, None]) for piece in self.pieces]
        return -torch.cat(by_piece)[:, 0]

    @torch.no_grad()
    def loss_and_gradient(
        self, tokens: Int[Tensor, " position"], targets: Int[Tensor, " position"]
    ) -> tuple[float, Float[Tensor, "position channel"]]:
        """The mean cross entropy and its gradient with respect to `read`; parameter gradients are added to `grad`."""
        total, gradient = 0.0, torch.empty_like(self.read)
        for piece in self.pieces:
            log_probabilities, target = self.log_probabilities(piece, tokens), targets[piece, None]
            total -= log_probabilities.gather(1, target).sum().item()
            by_logit = log_probabilities.exp_()  # the gradient of the sum: probability, minus 1 at the target
            by_logit.scatter_add_(1, target, by_logit.new_full(target.shape, -1))
            by_logit /= len(self.read)
            gradient[piece] = product(by_logit, self.unembedding.T)
            _gradient(self.unembedding).add_(weight_gradient(by_logit, self.read[piece]))
            if self.bigram is not None:
                _gradient(self.bigram).index_add_(0, tokens[piece], by_logit)
        return total / len(self.read), gradient


def _gradient(parameter: Tensor) -> Tensor:
    """A parameter's gradient, initially zeros."""
    if parameter.grad is None:
        parameter.grad = torch.zeros_like(parameter)
    return parameter.grad
