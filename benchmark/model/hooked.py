"""TransformerLens models as circuit models: any usual `HookedTransformer`, in both graphs.

Nodes are edited at the hook points of TransformerLens, so that its own code computes everything in between. What cannot
be ablated exactly is refused by name (`benchmark.model.hooked_support`) instead of being approximated.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import chain
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from benchmark.model.edge_hooks import EdgeHooks
from benchmark.model.graph import (
    EMBEDDING,
    LOGITS,
    branch_name,
    terminal_connections,
    virtual_connections,
)
from benchmark.model.hooked_sublayers import (
    AttentionSublayer,
    MLPSublayer,
    Norm,
    Sublayer,
    final_norm,
    sublayers_of,
)
from benchmark.model.hooked_support import check_supported
from benchmark.model.interface import GRAPHS, Connection, EdgeAblation, Edit, Graph, Site, State, at_positions

if TYPE_CHECKING:
    from transformer_lens import HookedTransformer

ATTENTION_OUT = "attention"
"""The entry of a state that holds what attention has written, until a parallel MLP has read the stream."""


class HookedCircuitModel:
    """A `HookedTransformer` as a circuit model; a stage is one sublayer, as in our transformer.

    Sites have the names of our transformer's, `blocks.{l}.attn_in`, `q`, `k`, `v`, `attn_out`, `mlp_in`, `neuron` and
    `mlp_out`. Keys and values that several query heads share are one node each. An edge into a gated neuron enters both
    of its branches. Norms are linear up to a factor, which an ablated edge takes from the run in which it is ablated.

    Args:
        model: A model with norms before or after its sublayers or without any, and with position embeddings of any
            kind that TransformerLens runs. It is put into evaluation mode, and its parameters need no gradients from
            then on.

    Raises:
        ValueError: Names the part of the model that cannot be ablated exactly.
    """

    can_ablate_edges = True

    def __init__(self, model: "HookedTransformer") -> None:
        check_supported(model)
        self.model: Any = model.eval().requires_grad_(False)
        self._sublayers = sublayers_of(self.model)
        self._final = final_norm(self.model)
        self.attention_heads: int = self.model.cfg.n_heads
        self.sites = tuple(
            Site.at(each.site(hook), size, each.stage)
            for each in self._sublayers
            for hook, size in each.sizes().items()
        )
        self._site = {site.name: site for site in self.sites}
        self.independent_from = None if self.model.cfg.attn_only else self.sites[-1].stage
        """The stage of the last MLP, from which on positions do not interact; none without MLPs."""

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
        """The embedded tokens, with their positions where those are added to the stream; no token is padding."""
        cfg = self.model.cfg
        if tokens.shape[1] > cfg.n_ctx:
            raise ValueError(f"{tokens.shape[1]} tokens are more than the context of {cfg.n_ctx} positions")
        embedded = self.model.hook_embed(self.model.embed(tokens))
        residual, _ = self.model.get_residual(embedded, 0, tokens=tokens)
        return {"residual": residual, "tokens": tokens}

    def advance(self, state: State, stage: int, edit: Edit, ablated_edges: EdgeAblation | None = None) -> State:
        """The state after one more sublayer has written to the stream."""
        sublayer = self._sublayers[stage]
        block, residual = sublayer.block, state["residual"]
        edges = self._edges(state, sublayer.norm, ablated_edges)
        if isinstance(sublayer, MLPSublayer):
            written = self._mlp(sublayer, residual, edit, edges)
            kept = {name: values for name, values in state.items() if name != ATTENTION_OUT}
            residual = block.hook_resid_post(residual + state.get(ATTENTION_OUT, 0) + written)
            return {**kept, **edges.state(), "residual": residual}
        assert isinstance(sublayer, AttentionSublayer)
        residual = block.hook_resid_pre(residual)
        written = self._attention(sublayer, residual, state["tokens"], edit, edges)
        if self.model.cfg.attn_only:
            return {**state, **edges.state(), "residual": block.hook_resid_post(residual + written)}
        if self.model.cfg.parallel_attn_mlp:
            return {**state, **edges.state(), "residual": residual, ATTENTION_OUT: written}
        return {**state, **edges.state(), "residual": block.hook_resid_mid(residual + written)}

    def read_out(
        self,
        state: State,
        positions: Int[Tensor, "batch query"] | None = None,
        ablated_edges: EdgeAblation | None = None,
    ) -> Float[Tensor, "batch query vocab"]:
        """Logits at the query positions."""
        from transformer_lens.utilities.activation_functions import apply_softcap

        residual = at_positions(state["residual"], positions)
        edges = self._edges(state, self._final, ablated_edges)
        edges.written = {name: at_positions(values, positions) for name, values in edges.written.items()}
        logits = edges.into(LOGITS, self.model.unembed(self._final(residual)), residual=residual)
        capped: Tensor = apply_softcap(logits, self.model.cfg.output_logits_soft_cap)
        return capped

    def connections(self, graph: Graph) -> Iterator[Connection]:
        """The weights inside the sublayers, or the virtual weights between units."""
        if graph not in GRAPHS:
            raise ValueError(f"unknown graph {graph!r}; choose from {', '.join(GRAPHS)}")
        if graph == "channel":
            return chain.from_iterable(each.channel_connections() for each in self._sublayers)
        reads = [read for each in self._sublayers for read in each.reads()]
        writes = [write for each in self._sublayers for write in each.writes()]
        unembedding = self._final.into(self.model.W_U.T)
        return chain(
            virtual_connections(reads, writes),
            terminal_connections(reads, writes, self._embeddings(), unembedding),
        )

    @torch.no_grad()
    def _embeddings(self) -> Float[Tensor, "vocab d_model"]:
        """What each token adds to the stream."""
        embeddings: Tensor = self.model.embed(torch.arange(self.model.cfg.d_vocab, device=self.device)[None])[0]
        return embeddings

    def _edges(self, state: State, norm: Norm, ablated_edges: EdgeAblation | None) -> EdgeHooks:
        """What has been written to the stream, the embeddings first."""
        edges = EdgeHooks(ablated_edges, state, norm.scale)
        if ablated_edges is not None and EMBEDDING not in edges.written:
            edges.wrote(EMBEDDING, self.model.embed(state["tokens"]))
        return edges

    def _attention(
        self, sublayer: AttentionSublayer, residual: Tensor, tokens: Tensor, edit: Edit, edges: EdgeHooks
    ) -> Float[Tensor, "batch position d_model"]:
        """What an attention sublayer writes to the stream."""
        attention, inputs = sublayer.block.attn, sublayer.site(sublayer.inputs)
        read = edit(self._site[inputs], sublayer.norm(residual))
        mixed: list[Tensor] = []

        def edited(hook: str) -> Callable[[Tensor], Tensor]:
            def at_heads(values: Float[Tensor, "batch position head d_head"]) -> Tensor:
                name = sublayer.site(hook)
                before = edges.into(name, values.flatten(2), {inputs: read}, residual)
                return edit(self._site[name], before).reshape(values.shape)

            return at_heads

        placed = read
        if self.model.cfg.positional_embedding_type == "shortformer":
            placed = read + self.model.hook_pos_embed(self.model.pos_embed(tokens))
        hooks = {getattr(attention, f"hook_{hook}"): edited(hook) for hook in ("q", "k", "v")}
        with _hooked({**hooks, attention.hook_z: mixed.append}):
            out = attention(query_input=placed, key_input=placed, value_input=read)
        return self._written(sublayer, sublayer.mixed(mixed[0]), out, edit, edges)

    def _mlp(
        self, sublayer: MLPSublayer, residual: Tensor, edit: Edit, edges: EdgeHooks
    ) -> Float[Tensor, "batch position d_model"]:
        """What an MLP writes to the stream."""
        mlp, inputs, unit = sublayer.block.mlp, sublayer.site(sublayer.inputs), sublayer.site(sublayer.unit)
        read = edit(self._site[inputs], sublayer.norm(residual))
        neurons: list[Tensor] = []

        def entered(branch: str) -> Callable[[Tensor], Tensor]:
            return lambda values: edges.into(branch_name(unit, branch), values, {inputs: read}, residual)

        def edited(values: Float[Tensor, "batch position neuron"]) -> Tensor:
            neurons.append(edit(self._site[unit], values))
            return neurons[0]

        points = {"": "hook_pre", "linear": "hook_pre_linear"}
        hooks = {getattr(mlp, points[branch]): entered(branch) for branch in sublayer.weights_in()}
        with _hooked({**hooks, mlp.hook_post: edited}):
            out = mlp(read)
        return self._written(sublayer, {"": neurons[0]}, out, edit, edges)

    def _written(
        self, sublayer: Sublayer, values: Mapping[str, Tensor], out: Tensor, edit: Edit, edges: EdgeHooks
    ) -> Float[Tensor, "batch position d_model"]:
        """What a sublayer writes to the stream, given its units' values by branch and what its weights make of them."""
        name, unit = sublayer.site(sublayer.outputs), sublayer.site(sublayer.unit)
        out = edges.into(name, out, {branch_name(unit, branch): each for branch, each in values.items()})
        scale = None if edges.ablation is None else sublayer.norm_after.scale(out)
        for branch, each in values.items():
            edges.wrote(branch_name(unit, sublayer.written(branch)), each if scale is None else each * scale)
        point = getattr(sublayer.block, f"hook_{sublayer.outputs}")
        passed: Tensor = point(edit(self._site[name], sublayer.norm_after(out)))
        return passed


def from_hooked(model: "HookedTransformer") -> HookedCircuitModel:
    """A TransformerLens model as a circuit model: for `find_circuit`, the metrics and everything else that takes one.

    Args:
        model: Any usual `HookedTransformer`.

    Raises:
        ValueError: Names the part of the model that cannot be ablated exactly.
    """
    return HookedCircuitModel(model)


@contextmanager
def _hooked(hooks: Mapping[Any, Callable[[Tensor], Tensor | None]]) -> Iterator[None]:
    """Hook points pass on what a function returns for their values, where it returns anything."""
    handles = [
        point.register_forward_hook(lambda module, inputs, output, hook=hook: hook(output))
        for point, hook in hooks.items()
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
