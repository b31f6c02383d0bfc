"""TransformerLens models as circuit models: a `HookedTransformer` with RMS norms, in the unit graph.

Nodes are edited at the hook points of TransformerLens, so nothing in the model is computed twice. What cannot be
ablated exactly (LayerNorm, gated MLPs, grouped-query attention, parallel blocks) is refused by name instead of being
approximated.
"""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from benchmark.model.edge_hooks import EdgeHooks
from benchmark.model.graph import EMBEDDING, LOGITS, Read, Write, terminal_connections, virtual_connections
from benchmark.model.interface import Connection, EdgeAblation, Edit, Graph, Site, State, at_positions

if TYPE_CHECKING:
    from transformer_lens import HookedTransformer

HEADS = {"q": "attn.hook_q", "k": "attn.hook_k", "v": "attn.hook_v"}
"""The attention sites of a block, and the hook points that compute them, one row of `d_head` per head."""


class HookedCircuitModel:
    """A `HookedTransformer` as a circuit model: stage l is block l, with the sites q, k, v and neuron.

    Args:
        model: RMS norms (folded or not), MLPs without gates, as many key and value heads as query heads.

    Raises:
        ValueError: Names the part of the model that cannot be ablated exactly.
    """

    can_ablate_edges = True

    def __init__(self, model: "HookedTransformer") -> None:
        _check(model.cfg)
        self.model = model.eval().requires_grad_(False)
        cfg: Any = model.cfg
        self.attention_heads: int = cfg.n_heads
        sizes = dict.fromkeys(HEADS, cfg.n_heads * cfg.d_head) | ({} if cfg.attn_only else {"neuron": cfg.d_mlp})
        self.sites = tuple(
            Site.at(f"blocks.{layer}.{hook}", size, layer)
            for layer in range(cfg.n_layers)
            for hook, size in sizes.items()
        )

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        device: torch.device = next(self.model.parameters()).device
        return device

    def to(self, place: torch.device | torch.dtype) -> "HookedCircuitModel":
        """Move the model to another device, or to another number type."""
        self.model.to(place, print_details=False)
        return self

    def start(self, tokens: Int[Tensor, "batch position"]) -> State:
        """The embedded tokens, with their positions."""
        residual = self.model.embed(tokens)
        if self.model.cfg.positional_embedding_type == "standard":
            residual = residual + self.model.pos_embed(tokens)
        return {"residual": residual, "tokens": tokens}

    def advance(self, state: State, stage: int, edit: Edit, ablated_edges: EdgeAblation | None = None) -> State:
        """The state after a block, with `edit` called at each of its sites."""
        edges = self._edges(state, ablated_edges)
        with self.model.hooks(fwd_hooks=list(self._hooks(stage, edit, edges, state["residual"]))):
            residual = self.model.blocks[stage](state["residual"])
        return {**state, **edges.state(), "residual": residual}

    def read_out(
        self,
        state: State,
        positions: Int[Tensor, "batch query"] | None = None,
        ablated_edges: EdgeAblation | None = None,
    ) -> Float[Tensor, "batch query vocab"]:
        """Logits at the query positions."""
        residual = at_positions(state["residual"], positions)
        logits: Tensor = self.model.unembed(self.model.ln_final(residual))
        edges = self._edges(state, ablated_edges)
        edges.written = {name: at_positions(values, positions) for name, values in edges.written.items()}
        return edges.into(LOGITS, logits, residual=residual)

    def connections(self, graph: Graph) -> Iterator[Connection]:
        """Virtual weights between units, from the embeddings and to the logits; there is no channel graph."""
        if graph != "unit":
            raise ValueError(f"a HookedTransformer has no graph {graph!r}; choose from unit")
        reads, writes = list[Read](), list[Write]()
        for layer, block in enumerate(self.model.blocks):
            at, attention, stage = f"blocks.{layer}.", block.attn, 2 * layer
            for hook, weight in (("q", attention.W_Q), ("k", attention.W_K), ("v", attention.W_V)):
                reads.append(Read(f"{at}{hook}", stage, weight.transpose(1, 2).flatten(0, 1) * _gain(block.ln1)))
            writes.append(Write(f"{at}v", stage, attention.W_O.flatten(0, 1).T))
            if not self.model.cfg.attn_only:
                reads.append(Read(f"{at}neuron", stage + 1, block.mlp.W_in.T * _gain(block.ln2)))
                writes.append(Write(f"{at}neuron", stage + 1, block.mlp.W_out.T))
        yield from virtual_connections(reads, writes)
        unembedding = self.model.W_U.T * _gain(self.model.ln_final)
        yield from terminal_connections(reads, writes, self.model.W_E, unembedding)

    def _edges(self, state: State, ablated_edges: EdgeAblation | None) -> EdgeHooks:
        edges = EdgeHooks(ablated_edges, state, eps=self.model.cfg.eps)
        if ablated_edges is not None and EMBEDDING not in edges.written:
            edges.wrote(EMBEDDING, self.model.embed(state["tokens"]))
        return edges

    def _hooks(self, layer: int, edit: Edit, edges: EdgeHooks, residual: Tensor) -> Iterator[tuple[str, Any]]:
        """The hooks that edit a block's nodes and ablate its edges."""
        at, site = f"blocks.{layer}.", {each.name: each for each in self.sites}

        def of_heads(name: str) -> Callable[..., Tensor]:
            def edited(values: Tensor, hook: object) -> Tensor:
                before = edges.into(name, values.flatten(2), residual=residual)
                return edit(site[name], before).view_as(values)

            return edited

        def mixed(values: Tensor, hook: object) -> None:
            edges.wrote(f"{at}v", values.flatten(2))

        def pre(values: Tensor, hook: object) -> Tensor:
            return edges.into(f"{at}neuron", values, residual=stream[0])

        def post(values: Tensor, hook: object) -> Tensor:
            edited = edit(site[f"{at}neuron"], values)
            edges.wrote(f"{at}neuron", edited)
            return edited

        stream: list[Tensor] = []
        yield from ((f"{at}{hook}", of_heads(f"{at}{name}")) for name, hook in HEADS.items())
        yield f"{at}attn.hook_z", mixed
        if not self.model.cfg.attn_only:
            yield f"{at}hook_resid_mid", lambda values, hook: stream.append(values)
            yield f"{at}mlp.hook_pre", pre
            yield f"{at}mlp.hook_post", post


def _gain(norm: Any) -> Tensor | float:
    """The gain of an RMS norm; 1 where it is folded into the weights."""
    return getattr(norm, "w", 1.0)


def _check(cfg: Any) -> None:
    """Raise a `ValueError` that names the part of the model that cannot be ablated exactly."""
    positions = cfg.positional_embedding_type
    refused = {
        f"normalization {cfg.normalization_type!r} (only RMS norms)": cfg.normalization_type not in ("RMS", "RMSPre"),
        "a gated MLP": cfg.gated_mlp,
        "grouped-query attention": cfg.n_key_value_heads not in (None, cfg.n_heads),
        "parallel attention and MLP": cfg.parallel_attn_mlp,
        "norms after the sublayers": getattr(cfg, "use_normalization_before_and_after", False),
        f"positions {positions!r} (only standard and rotary)": positions not in ("standard", "rotary"),
        "an MLP whose activation has a norm of its own": str(cfg.act_fn).endswith("_ln"),
    }
    for part, present in refused.items():
        if present:
            raise ValueError(f"the HookedTransformer cannot be ablated exactly: it has {part}")
