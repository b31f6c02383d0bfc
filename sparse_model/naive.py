"""The training step of the released recipe written naively, with PyTorch's own operators: what ours is timed against.

It gives the same parameters as `sparse_model.training`, by `torch.topk` and scatter for AbsTopK, `torch.kthvalue` for
the projection, the cross entropy of all logits at once, and an optimizer that updates one parameter after another.
"""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from benchmark.corpus import Corpus
from sparse_model.config import CorpusModelConfig, TransformerConfig
from sparse_model.schedule import annealed, learning_rate_at
from sparse_model.sparsity import Axis
from sparse_model.training import NEURON_AXES, Run
from sparse_model.transformer import Transformer


def abs_top_k(values: Float[Tensor, "*row node"], count: int) -> Float[Tensor, "*row node"]:
    """The `count` entries of largest magnitude in each row, zero elsewhere."""
    kept = values.abs().topk(count, dim=-1).indices
    return values * torch.zeros_like(values).scatter(-1, kept, 1.0)


@torch.no_grad()
def keep_largest(weight: Float[Tensor, "target source"], count: int, minimum: int = 0, axis: Axis = "rows") -> None:
    """Set all but the `count` largest weights to zero, in place, except that every neuron keeps `minimum`."""
    if count >= weight.numel():
        return
    score = weight.abs()
    along = 1 if axis == "rows" else 0
    score.scatter_(along, score.topk(minimum, dim=along).indices, torch.inf)
    threshold = score.flatten().kthvalue(score.numel() - count + 1).values
    weight.copy_(torch.where(score >= threshold, weight, 0.0))


def logits(model: Transformer, tokens: Int[Tensor, "batch position"]) -> Float[Tensor, "batch position vocab"]:
    """The logits of a model without an attention sink and without learned positions, at all positions."""
    config = model.config
    assert not config.sink
    assert config.positional != "learned"
    residual = F.embedding(tokens, model.W_E)
    for block in model.blocks:
        read = _sparse(config, _read(model, block, "ln1", residual))
        q = _by_head(config, _sparse(config, F.linear(read, block.W_Q, block.b_Q)))
        k = _by_head(config, _sparse(config, F.linear(read, block.W_K, block.b_K)))
        v = _by_head(config, _sparse(config, F.linear(read, block.W_V, block.b_V)))
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2)
        residual = residual + _sparse(config, F.linear(mixed, block.W_O, block.b_O))
        read = _sparse(config, _read(model, block, "ln2", residual))
        neuron = _sparse(config, F.gelu(F.linear(read, block.W_in, block.b_in)))
        residual = residual + _sparse(config, F.linear(neuron, block.W_out, block.b_out))
    found = F.linear(model.ln_final(residual), model.W_U)
    return found + F.embedding(tokens, model.bigram) if config.bigram else found


def _read(model: Transformer, block: torch.nn.Module, norm: str, residual: Tensor) -> Tensor:
    """The normalised stream, and the normalised positions beside it if they are concatenated."""
    read: Tensor = block.get_submodule(norm)(residual)
    if model.config.positional != "concatenated":
        return read
    positions: Tensor = block.get_submodule(f"{norm}_pos")(model.W_pos[: residual.shape[1]])
    return torch.cat([read, positions.expand(len(residual), -1, -1)], dim=-1)


def _sparse(config: TransformerConfig, values: Tensor) -> Tensor:
    """The values of a site after AbsTopK, which is applied at all sites."""
    return abs_top_k(values, int(config.activation_density * values.shape[-1]))


def _by_head(config: TransformerConfig, values: Tensor) -> Tensor:
    """Channels split into heads, `[batch, head, position, channel]`."""
    heads: Tensor = values.unflatten(-1, (config.heads, config.d_head))
    return heads.transpose(1, 2)


class NaiveRun(Run):
    """A training run whose steps are written naively; states of `Run` and of this are interchangeable."""

    def __init__(self, corpus: Corpus, training: CorpusModelConfig, seed: int) -> None:
        super().__init__(corpus, training, seed)
        settings = self.optimizer.param_groups[0]
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(), betas=settings["betas"], eps=settings["eps"], weight_decay=0.0, foreach=False
        )

    def step(self, step: int) -> float:
        """Do one step of the recipe and return the loss before it, nats."""
        training, parameters = self.training, dict(self.model.named_parameters())
        tokens, targets = self.batches.at(step)
        loss = F.cross_entropy(logits(self.model, tokens).flatten(0, 1), targets.flatten())
        self.optimizer.zero_grad()
        loss.backward()
        gradients = [parameter.grad for parameter in parameters.values() if parameter.grad is not None]
        squares = torch.stack([gradient.square().sum() for gradient in gradients]).sum()
        scale = squares.sqrt() / math.sqrt(sum(parameter.numel() for parameter in parameters.values())) + 1e-5
        for gradient in gradients:
            gradient.div_(scale)
        rate = learning_rate_at(step, self.total, training)
        self.optimizer.param_groups[0]["lr"] = rate
        self.optimizer.step()
        density, embedding_density = (
            annealed(step / self.total, target, training) for target in (training.density, training.embedding_density)
        )
        for name, parameter in parameters.items():
            last = name.rpartition(".")[2]
            if last in NEURON_AXES:
                count = round(density * parameter.numel())
                keep_largest(parameter, count, training.minimum_per_neuron, NEURON_AXES[last])
            elif last in ("W_E", "W_U"):
                keep_largest(parameter, round(embedding_density * parameter.numel()))
            if parameter.ndim > 1 and name != "bigram":
                parameter.data.mul_(1 - rate * training.weight_decay)
        return loss.item()
