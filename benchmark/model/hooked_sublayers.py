"""The sublayers of a TransformerLens model: which norm each reads through, and its weights as reads and writes.

What a norm does to a row x is linear up to one factor per position: `gain * (x - mean(x)) * scale`, without the mean
for an RMS norm. The gain and the centring are folded into the weights of the graphs; the factor is that of the current
run. A norm after a sublayer is folded into its writes in the same way, and its factor into the values that it writes.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from benchmark.model.edge_hooks import norm_scale
from benchmark.model.graph import Read, Write, branch_name, connection_of
from benchmark.model.interface import Connection

POST_NORM = ("Olmo2ForCausalLM", "Olmo3ForCausalLM")
"""Architectures of TransformerLens whose blocks have their norms after the sublayers instead of before them."""

NORMALISED = "normalised"
"""The branch of what is written through a norm."""


@dataclass(frozen=True, eq=False)
class Norm:
    """A norm of a TransformerLens model, or none.

    Attributes:
        module: The norm; `None` for the identity.
        centred: Whether it subtracts the mean: a layer norm, not an RMS norm.
    """

    module: Any = None
    centred: bool = False

    def __call__(self, values: Float[Tensor, "*row d_model"]) -> Float[Tensor, "*row d_model"]:
        """The normalised rows."""
        return values if self.module is None else self.module(values)  # type: ignore[no-any-return]

    def scale(self, values: Float[Tensor, "batch position d_model"]) -> Float[Tensor, "batch position 1"] | None:
        """Its factor on each row; `None` for the identity."""
        return None if self.module is None else norm_scale(values, self.module.eps, self.centred)

    def into(self, weight: Float[Tensor, "node d_model"]) -> Float[Tensor, "node d_model"]:
        """What reads its output, as a read of its input."""
        weight = weight * getattr(self.module, "w", 1.0)
        return weight - weight.mean(1, keepdim=True) if self.centred else weight

    def out_of(self, weight: Float[Tensor, "d_model node"]) -> Float[Tensor, "d_model node"]:
        """What writes its input, as a write of its output."""
        weight = weight - weight.mean(0, keepdim=True) if self.centred else weight
        return weight if self.module is None else weight * getattr(self.module, "w", torch.ones(1).to(weight))[:, None]


@dataclass(frozen=True, eq=False)
class Sublayer:
    """An attention or an MLP sublayer: one stage of the circuit model.

    Attributes:
        block: The block of the TransformerLens model.
        layer: Number of the block.
        stage: The stage that runs it.
        reads_at: It reads the stream as it is before this stage.
        norm: The norm through which it reads the stream.
        norm_after: The norm through which it writes to the stream.
    """

    block: Any
    layer: int
    stage: int
    reads_at: int
    norm: Norm
    norm_after: Norm

    def site(self, hook: str) -> str:
        """The name of one of its sites."""
        return f"blocks.{self.layer}.{hook}"

    def written(self, branch: str) -> str:
        """The branch under which its units' values are written to the stream, given that without a norm after it."""
        return branch if self.norm_after.module is None else f"{branch} {NORMALISED}".strip()


@dataclass(frozen=True, eq=False)
class AttentionSublayer(Sublayer):
    """Attention: the sites `attn_in`, `q`, `k`, `v` and `attn_out`.

    Several heads may share the keys and values of one. A value node then writes once for each of them, by branches
    `0`, `1`, ... .
    """

    @property
    def key_heads(self) -> int:
        """How many heads of keys and values are computed."""
        cfg = self.block.attn.cfg
        shared = cfg.n_key_value_heads is not None and not cfg.ungroup_grouped_query_attention
        return int(cfg.n_key_value_heads if shared else cfg.n_heads)

    @property
    def branches(self) -> tuple[str, ...]:
        """The writes of a value node, one for each query head that it serves."""
        count = self.block.attn.cfg.n_heads // self.key_heads
        return tuple(map(str, range(count))) if count > 1 else ("",)

    def sizes(self) -> dict[str, int]:
        """Number of nodes of each site, in forward order."""
        cfg = self.block.attn.cfg
        keys = self.key_heads * cfg.d_head
        return {"attn_in": cfg.d_model, "q": cfg.n_heads * cfg.d_head, "k": keys, "v": keys, "attn_out": cfg.d_model}

    def weights_in(self) -> dict[str, Float[Tensor, "_node d_model"]]:
        """What q, k and v read of the sublayer's input."""
        attention = self.block.attn
        shared = self.key_heads != attention.cfg.n_heads
        names = {"q": "W_Q", "k": "_W_K" if shared else "W_K", "v": "_W_V" if shared else "W_V"}
        return {hook: getattr(attention, name).transpose(1, 2).flatten(0, 1) for hook, name in names.items()}

    def weights_out(self) -> dict[str, Float[Tensor, "d_model _node"]]:
        """What values write to the sublayer's output, by branch."""
        by_head = self.block.attn.W_O.unflatten(0, (self.key_heads, -1))
        return {branch: by_head[:, index].flatten(0, 1).T for index, branch in enumerate(self.branches)}

    def mixed(
        self, values: Float[Tensor, "batch position head d_head"]
    ) -> dict[str, Float[Tensor, "batch position _"]]:
        """Values after the attention pattern, by branch of the value nodes."""
        by_head = values.unflatten(2, (self.key_heads, -1))
        return {branch: by_head[:, :, :, index].flatten(2) for index, branch in enumerate(self.branches)}

    def reads(self) -> Iterator[Read]:
        """What q, k and v read of the stream."""
        for hook, weight in self.weights_in().items():
            yield Read(self.site(hook), self.reads_at, self.norm.into(weight))

    def writes(self) -> Iterator[Write]:
        """What values write to the stream."""
        for branch, weight in self.weights_out().items():
            yield Write(self.site("v"), self.stage, self.norm_after.out_of(weight), self.written(branch))

    def channel_connections(self) -> Iterator[Connection]:
        """The edges inside the sublayer."""
        for hook, weight in self.weights_in().items():
            yield Connection(self.site("attn_in"), self.site(hook), weight)
        source, target = self.site("v"), self.site("attn_out")
        parts = {(branch_name(source, branch), target): weight for branch, weight in self.weights_out().items()}
        yield connection_of(source, target, parts)


@dataclass(frozen=True, eq=False)
class MLPSublayer(Sublayer):
    """An MLP: the sites `mlp_in`, `neuron` and `mlp_out`.

    A gated neuron reads twice: its gate, and by the branch `linear` what the gate is multiplied with.
    """

    def sizes(self) -> dict[str, int]:
        """Number of nodes of each site, in forward order."""
        cfg = self.block.mlp.cfg
        return {"mlp_in": cfg.d_model, "neuron": self.block.mlp.d_mlp, "mlp_out": cfg.d_model}

    def weights_in(self) -> dict[str, Float[Tensor, "neuron d_model"]]:
        """What neurons read of the sublayer's input, by branch."""
        mlp = self.block.mlp
        return {"": mlp.W_gate.T, "linear": mlp.W_in.T} if mlp.cfg.gated_mlp else {"": mlp.W_in.T}

    def reads(self) -> Iterator[Read]:
        """What neurons read of the stream."""
        for branch, weight in self.weights_in().items():
            yield Read(self.site("neuron"), self.reads_at, self.norm.into(weight), branch)

    def writes(self) -> Iterator[Write]:
        """What neurons write to the stream."""
        weight = self.norm_after.out_of(self.block.mlp.W_out.T)
        yield Write(self.site("neuron"), self.stage, weight, self.written(""))

    def channel_connections(self) -> Iterator[Connection]:
        """The edges inside the sublayer."""
        source, unit = self.site("mlp_in"), self.site("neuron")
        parts = {(source, branch_name(unit, branch)): weight for branch, weight in self.weights_in().items()}
        yield connection_of(source, unit, parts)
        yield Connection(unit, self.site("mlp_out"), self.block.mlp.W_out.T)


def sublayers_of(model: Any) -> tuple[Sublayer, ...]:
    """The sublayers of a `HookedTransformer` in forward order."""
    return tuple(each for layer, block in enumerate(model.blocks) for each in _of_block(model.cfg, layer, block))


def final_norm(model: Any) -> Norm:
    """The norm between the last block and the unembedding."""
    centred = _centred(model.cfg) and not model.cfg.final_rms
    return Norm() if model.cfg.normalization_type is None else Norm(model.ln_final, centred)


def _of_block(cfg: Any, layer: int, block: Any) -> Iterator[Sublayer]:
    """The attention and the MLP of a block; where they are parallel, both read the stream before the block."""
    count = 1 if cfg.attn_only else 2
    stage = count * layer
    yield AttentionSublayer(block, layer, stage, stage, *_norms(cfg, block, "ln1"))
    if not cfg.attn_only:
        reads_at = stage if cfg.parallel_attn_mlp else stage + 1
        yield MLPSublayer(block, layer, stage + 1, reads_at, *_norms(cfg, block, "ln2"))


def _norms(cfg: Any, block: Any, name: str) -> tuple[Norm, Norm]:
    """The norms before and after a sublayer."""
    if cfg.normalization_type is None:
        return Norm(), Norm()
    norm = Norm(getattr(block, name), _centred(cfg))
    if cfg.original_architecture in POST_NORM:
        return Norm(), norm
    return norm, Norm(getattr(block, f"{name}_post")) if cfg.use_normalization_before_and_after else Norm()


def _centred(cfg: Any) -> bool:
    return str(cfg.normalization_type).startswith("LN")
