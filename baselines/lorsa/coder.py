"""Low-rank sparse attention during training: all layers in normalised units, with their loss."""

from collections.abc import Iterable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from baselines.activations import Normaliser
from baselines.coder_training import Loss, Sources, SparseCoder, Targets
from baselines.dictionary import Dictionary, among_largest, auxiliary_loss, revived
from baselines.lorsa import LorsaConfig
from baselines.lorsa.heads import SparseHeads, mix
from sparse_model.transformer import Transformer


class SparseAttentionCoder(SparseCoder):
    """The heads of all layers, which read normalised inputs of the attention layers and predict normalised outputs.

    Args:
        config: Their number, how many fire, and how many query-key circuits they share.
        dense: The model whose attention they begin with.
        sources: What normalises the inputs of each layer.
        generator: Draws the directions of values and outputs.
    """

    def __init__(
        self, config: LorsaConfig, dense: Transformer, sources: Sequence[Normaliser], generator: torch.Generator
    ) -> None:
        super().__init__()
        self.config, self.layers = config, dense.config.layers
        begun = [_begun(config, dense, layer, source, generator) for layer, source in enumerate(sources)]
        weights = (nn.Parameter(torch.stack(each)) for each in zip(*begun, strict=True))
        self.W_Q, self.b_Q, self.W_K, self.b_K, self.W_V, self.W_O = weights
        self.b_V = nn.Parameter(torch.zeros(self.layers, config.features))
        self.b_O = nn.Parameter(torch.zeros(self.layers, dense.config.d_model))

    def before(
        self, layer: int, rows: Float[Tensor, "window position source"]
    ) -> Float[Tensor, "window position head"]:
        """Pre-activations of a layer."""
        return self._mixed(layer, rows, F.linear(rows, self.W_V[layer])) + self.b_V[layer]

    def features(
        self, layer: int, before: Float[Tensor, "window position head"]
    ) -> Float[Tensor, "window position head"]:
        """The activations of a layer: the K largest pre-activations of each position, by what they write."""
        strength = before.detach() * self.W_O[layer].detach().norm(dim=1)
        return F.relu(before) * among_largest(strength, self.config.k)

    def loss(self, inputs: Sources, targets: Targets, dead: Bool[Tensor, "layer feature"], step: int) -> Loss:
        """The squared error and AuxK."""
        errors, extra, missed, fired = [], [], list[Tensor](), []
        for layer, (rows, target) in enumerate(zip(inputs, targets, strict=True)):
            before = self.before(layer, rows)
            features = self.features(layer, before)
            error = target - (features @ self.W_O[layer] + self.b_O[layer])
            errors.append(error.square().sum(-1).mean())
            missed.append(error.detach())
            fired.append((features.detach() > 0).any(0).any(0))
            if (silent := dead[layer]).any():
                weakest = before[..., silent].flatten(0, 1), self.W_O[layer, silent], missed[layer].flatten(0, 1)
                extra.append(self.config.auxiliary * auxiliary_loss(*weakest))
        total = torch.stack(errors).sum()
        return Loss(total.item(), torch.stack([total, *extra]).sum(), missed, torch.stack(fired))

    @torch.no_grad()
    def revive(
        self, dead: Bool[Tensor, "layer feature"], inputs: Sources, missed: Targets, generator: torch.Generator
    ) -> Iterable[tuple[Tensor, Any]]:
        """Move dead heads to where the error is large: each reads what its group's pattern averages there."""
        groups = self.config.qk_heads
        for layer, silent in enumerate(dead.unflatten(1, (groups, -1))):
            if not silent.any():
                continue
            averaged = self._mixed(layer, inputs[layer], inputs[layer].repeat(1, 1, groups))
            by_group = averaged.flatten(0, 1).unflatten(1, (groups, -1)).unbind(1)
            for group, rows in enumerate(by_group):
                heads = silent[group].nonzero().flatten() + group * silent.shape[1]
                encoder, bias, decoder = revived(rows, missed[layer].flatten(0, 1), len(heads), generator)
                self.W_V[layer, heads], self.b_V[layer, heads], self.W_O[layer, heads] = encoder, bias, decoder
        return [(self.W_V, dead), (self.b_V, dead), (self.W_O, dead)]

    @torch.no_grad()
    def dictionary(self, sources: Sequence[Normaliser], targets: Sequence[Normaliser]) -> Dictionary:
        """The heads for raw activations, scaled so that what TopK compares is what each writes in normalised units."""
        norms = self.W_O.norm(dim=2)
        encoders, decoders, biases = [], [], []
        for layer, (source, target) in enumerate(zip(sources, targets, strict=True)):
            weight = self.W_V[layer] * norms[layer, :, None] * source.scale
            bias = self.b_V[layer] * norms[layer] - weight @ source.mean
            queries, keys = (
                (own * source.scale, shift - own @ source.mean * source.scale)
                for own, shift in ((self.W_Q[layer], self.b_Q[layer]), (self.W_K[layer], self.b_K[layer]))
            )
            encoders.append(SparseHeads(weight, bias, queries, keys, groups=self.config.qk_heads, k=self.config.k))
            decoders.append([F.normalize(self.W_O[layer], dim=1).T / target.scale])
            biases.append(self.b_O[layer] / target.scale + target.mean)
        return Dictionary(encoders, decoders, biases)

    def _mixed(self, layer: int, rows: Tensor, values: Tensor) -> Tensor:
        """Values averaged by the patterns that the rows make."""
        queries = F.linear(rows, self.W_Q[layer], self.b_Q[layer])
        keys = F.linear(rows, self.W_K[layer], self.b_K[layer])
        return mix(queries, keys, values, self.config.qk_heads)


@torch.no_grad()
def _begun(
    config: LorsaConfig, dense: Transformer, layer: int, source: Normaliser, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """The weights with which a layer begins, for normalised rows: those of dense heads, which groups take in turn.

    Returns:
        Weight and bias of the queries, then of the keys, what heads read as values, and what they write.
    """
    block, width = dense.blocks[layer], dense.config.d_head
    of_group = [group % dense.config.heads for group in range(config.qk_heads)]

    def taken(weight: Tensor) -> Tensor:
        """The rows of the dense head of each group, `[group, width, ...]`."""
        heads: Tensor = weight.detach().unflatten(0, (-1, width))
        return heads[of_group]

    (queries, query_bias), (keys, key_bias) = (
        (taken(weight).flatten(0, 1), taken(bias).flatten())
        for weight, bias in ((block.W_Q, block.b_Q), (block.W_K, block.b_K))
    )
    drawn = torch.randn(config.qk_heads, config.features // config.qk_heads, width, generator=generator)
    values, outputs = (
        F.normalize((drawn.to(weight) @ taken(weight)).flatten(0, 1), dim=1) for weight in (block.W_V, block.W_O.T)
    )
    return (
        queries / source.scale,
        query_bias + queries @ source.mean,
        keys / source.scale,
        key_bias + keys @ source.mean,
        values,
        outputs,
    )
