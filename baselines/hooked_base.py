"""TransformerLens models whose layers dictionaries replace."""

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from benchmark.model.edge_hooks import NO_EDGES_ABLATED, EdgeHooks
from benchmark.model.graph import Read, Write, terminal_connections
from benchmark.model.hooked import HookedCircuitModel
from benchmark.model.hooked_sublayers import AttentionSublayer, MLPSublayer
from benchmark.model.interface import KIND_OF_HOOK, Connection, EdgeAblation, Edit, Kind, State, unedited

if TYPE_CHECKING:
    from transformer_lens import HookedTransformer


@dataclass(frozen=True)
class HookedShape:
    """The sizes of a TransformerLens model, as `baselines.base.Shape`."""

    layers: int
    d_model: int

    @property
    def d_read(self) -> int:
        """Width of an MLP's input, channels."""
        return self.d_model


class HookedBase(HookedCircuitModel):
    """A `HookedTransformer` as a `baselines.base.ReplaceableModel`.

    Raises:
        ValueError: Names the part of the model with which its layers cannot be replaced one after another.
    """

    def __init__(self, model: "HookedTransformer") -> None:
        super().__init__(model)
        cfg: Any = self.model.cfg
        parts = {
            "no MLPs": cfg.attn_only,
            "parallel attention and MLP": not cfg.attn_only and cfg.parallel_attn_mlp,
            "positions 'shortformer'": cfg.positional_embedding_type == "shortformer",
        }
        for part, present in parts.items():
            if present:
                raise ValueError(f"layers of the HookedTransformer cannot be replaced: it has {part}")
        self.config = HookedShape(cfg.n_layers, cfg.d_model)

    def attention(
        self,
        layer: int,
        residual: Float[Tensor, "batch position d_model"],
        edit: Edit,
        edges: EdgeHooks = NO_EDGES_ABLATED,
    ) -> Float[Tensor, "batch position d_model"]:
        """What the attention of a block writes to the stream."""
        no_tokens = torch.empty(0)  # only shortformer needs them
        return self._attention(self._attention_of(layer), residual, no_tokens, edit, edges)

    def mlp_input(
        self,
        layer: int,
        residual: Float[Tensor, "batch position d_model"],
        edit: Edit,
        positions: Int[Tensor, "batch position"] | None = None,
    ) -> Float[Tensor, "batch position d_model"]:
        """The input of a block's MLP, after the norm."""
        sublayer = self._mlp_of(layer)
        return edit(self._site[sublayer.site("mlp_in")], sublayer.norm(residual))

    def mlp(
        self, layer: int, mlp_in: Float[Tensor, "batch position d_model"], edit: Edit
    ) -> Float[Tensor, "batch position d_model"]:
        """What the MLP of a block writes to the stream, its neurons unedited."""
        assert edit is unedited, "only whole MLPs are replaced"
        sublayer = self._mlp_of(layer)
        written: Tensor = sublayer.norm_after(sublayer.block.mlp(mlp_in))
        return written

    def mlp_read(self, layer: int, weight: Float[Tensor, "node d_model"]) -> Float[Tensor, "node d_model"]:
        """What reads the input of a block's MLP, as a read of the stream."""
        return self._mlp_of(layer).norm.into(weight)

    def matrices(self, layer: int, kind: str) -> list[Float[Tensor, "_ _"]]:
        """The weights of a sublayer, `attention` or `mlp`; keys and values that heads share are there once."""
        if kind == "mlp":
            mlp = self._mlp_of(layer)
            return [*mlp.weights_in().values(), mlp.block.mlp.W_out]
        attention = self._attention_of(layer)
        return [*attention.weights_in().values(), *attention.weights_out().values()]

    def edge_hooks(self, state: State, ablated_edges: EdgeAblation | None, stage: int) -> EdgeHooks:
        """What has been written to the stream, for targets that read it through the norm of a stage."""
        return self._edges(state, self._sublayers[stage].norm, ablated_edges)

    def reads(self, kinds: Collection[Kind]) -> Iterator[Read]:
        """What the units of these kinds read from the stream."""
        for read in (read for sublayer in self._sublayers for read in sublayer.reads()):
            if KIND_OF_HOOK[read.site.rpartition(".")[2]] in kinds:
                yield read

    def writes(self, kinds: Collection[Kind]) -> Iterator[Write]:
        """What the units of these kinds write to the stream."""
        for write in (write for sublayer in self._sublayers for write in sublayer.writes()):
            if KIND_OF_HOOK[write.site.rpartition(".")[2]] in kinds:
                yield write

    def terminals(self, reads: Iterable[Read], writes: Iterable[Write]) -> Iterator[Connection]:
        """The connections from the token embeddings to units, and from units to the logits."""
        return terminal_connections(reads, writes, self._embeddings(), self._final.into(self.model.W_U.T))

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """The parameters by the names of TransformerLens."""
        found: Iterator[tuple[str, nn.Parameter]] = self.model.named_parameters()
        return found

    def requires_grad_(self, requires_grad: bool = True) -> "HookedBase":
        """Whether its parameters need gradients."""
        self.model.requires_grad_(requires_grad)
        return self

    def _apply(self, function: Callable[[Tensor], Tensor], recurse: bool = True) -> "HookedBase":
        """Move to another device or number type; the configuration of TransformerLens says which."""
        self.model._apply(function, recurse)
        self.model.cfg.dtype, self.model.cfg.device = self.model.W_E.dtype, str(self.model.W_E.device)
        return self

    def _attention_of(self, layer: int) -> AttentionSublayer:
        sublayer = self._sublayers[2 * layer]
        assert isinstance(sublayer, AttentionSublayer)
        return sublayer

    def _mlp_of(self, layer: int) -> MLPSublayer:
        sublayer = self._sublayers[2 * layer + 1]
        assert isinstance(sublayer, MLPSublayer)
        return sublayer
