"""The dense model with its attention layers replaced by low-rank sparse attention."""

from collections.abc import Iterator, Sequence
from typing import cast

from jaxtyping import Float, Int
from torch import Tensor

from baselines.base import ReplaceableModel
from baselines.dictionary import Encoder
from baselines.lorsa.activations import attention_activations
from baselines.lorsa.heads import SparseHeads
from baselines.replacement import Replacement
from benchmark.model.edge_hooks import EdgeHooks
from benchmark.model.graph import Read, Write
from benchmark.model.interface import POSITIONS, Connection, EdgeAblation, Edit, Kind, Site, State, unedited
from sparse_model.transformer import Transformer

NEURONS: tuple[Kind, ...] = ("neuron",)
"""The nodes of the dense model that remain."""


class ReplacedAttention(Replacement):
    """A dense model whose attention layers are replaced by sparse heads.

    Stage 2l has the sites q and k of the query-key circuits, the activations of the heads, and errors; stage 2l + 1 the
    neurons of the dense MLP.
    """

    source = "attn_in"
    target = "attn_out"
    removed = ("W_Q", "b_Q", "W_K", "b_K", "W_V", "b_V", "W_O", "b_O", "sink")

    dense: Transformer
    encoders: Sequence[SparseHeads]

    @property
    def averaged_sites(self) -> frozenset[str]:
        """The sites whose nodes average over earlier positions."""
        return frozenset(site.name for site in self.sites if site.kind == "feature")

    @staticmethod
    def _all_sites(dense: ReplaceableModel, encoders: Sequence[Encoder]) -> Iterator[Site]:
        """Queries, keys, heads and error, then neurons, of each layer."""
        neurons = {site.layer: site for site in dense.sites if site.kind == "neuron"}
        for layer, heads in enumerate(cast(Sequence[SparseHeads], encoders)):
            for hook in ("q", "k"):
                yield Site.at(f"blocks.{layer}.{hook}", len(heads.b_Q), 2 * layer)
            yield Site.at(f"blocks.{layer}.feature", len(heads.bias), 2 * layer)
            yield Site.at(f"blocks.{layer}.error", dense.config.d_model, 2 * layer)
            yield neurons[layer]

    def activations(
        self, tokens: Int[Tensor, "window position"]
    ) -> dict[str, Float[Tensor, "window position channel"]]:
        """Inputs and outputs of the attention layers of the unedited dense model, by hook point."""
        return attention_activations(self.dense, tokens)

    def advance(self, state: State, stage: int, edit: Edit, ablated_edges: EdgeAblation | None = None) -> State:
        """The state after one more sublayer."""
        layer, is_mlp = divmod(stage, 2)
        residual, edges = state["residual"], self.dense.edge_hooks(state, ablated_edges)
        if is_mlp:
            mlp_in = self.dense.mlp_input(layer, residual, unedited, state.get(POSITIONS))
            write = self.dense.mlp(layer, mlp_in, self._at_own_sites(edit), edges, residual)
        else:
            write = self._attention(layer, residual, edit, edges)
        return {**state, **edges.state(), "residual": residual + write}

    def _attention(self, layer: int, residual: Tensor, edit: Edit, edges: EdgeHooks) -> Tensor:
        """What the heads of a layer and its error write to the stream."""
        at, heads, rows = (
            f"blocks.{layer}.",
            self.encoders[layer],
            self.dense.attention_input(layer, residual, unedited),
        )

        def into(hook: str, values: Tensor) -> Tensor:
            return edges.into(f"{at}{hook}", values, residual=residual)

        queries = self._edited(f"{at}q", into("q", heads.queries(rows)), edit)
        keys = self._edited(f"{at}k", into("k", heads.keys(rows)), edit)
        values = into("feature", heads.values(rows))
        edited = self._edited(f"{at}feature", heads.fire(heads.averaged(queries, keys, values)), edit)
        edges.wrote(f"{at}feature", edited)
        error: Tensor = self.mean_error[layer]
        if self.errors_available:
            predicted = self._prediction(layer, heads(rows))
            error = self._edited(f"{at}error", self.dense.attention(layer, residual, unedited) - predicted, edit)
            edges.wrote(f"{at}error", error)
        return self._prediction(layer, edited) + error

    def _prediction(self, layer: int, activations: Tensor) -> Tensor:
        """What given activations of the heads write, with the bias of the layer."""
        written: Tensor = activations @ self.decoders[layer][0].T + self.biases[layer]
        return written

    def _unit_connections(self) -> Iterator[Connection]:
        reads, writes = [*self.dense.reads(NEURONS)], [*self.dense.writes(NEURONS)]
        for layer, (heads, (decoder,)) in enumerate(zip(self.encoders, self.decoders, strict=True)):
            for hook, weight in (("q", heads.W_Q), ("k", heads.W_K), ("feature", heads.weight)):
                reads.append(Read(f"blocks.{layer}.{hook}", 2 * layer, self.dense.attention_read(layer, weight)))
            writes.append(Write(f"blocks.{layer}.feature", 2 * layer, decoder))
        return self._joined(reads, writes, "attention")
