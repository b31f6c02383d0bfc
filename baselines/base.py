"""What a model must offer so that dictionaries can be fitted to it and replace its layers.

Our own transformer and the models of TransformerLens (`baselines.hooked_base`) do. A stage is one sublayer: stage 2l is
the attention of block l, stage 2l + 1 its MLP. Sites have the names of our transformer's.
"""

from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any, Protocol, runtime_checkable

from jaxtyping import Float, Int
from torch import Tensor, nn

from benchmark.model.edge_hooks import EdgeHooks
from benchmark.model.graph import Read, Write
from benchmark.model.interface import Connection, EdgeAblatable, EdgeAblation, Edit, Kind, State


class Shape(Protocol):
    """The sizes of a model."""

    @property
    def layers(self) -> int:
        """Number of blocks."""
        ...

    @property
    def d_model(self) -> int:
        """Width of the residual stream, channels."""
        ...

    @property
    def d_read(self) -> int:
        """Width of an MLP's input, channels."""
        ...


@runtime_checkable
class ReplaceableModel(EdgeAblatable, Protocol):
    """A transformer whose sublayers can be run one by one."""

    @property
    def config(self) -> Shape:
        """Its sizes."""
        ...

    def attention(
        self, layer: int, residual: Float[Tensor, "batch position d_model"], edit: Edit, edges: EdgeHooks = ...
    ) -> Float[Tensor, "batch position d_model"]:
        """What the attention of a block writes to the stream."""
        ...

    def mlp_input(
        self,
        layer: int,
        residual: Float[Tensor, "batch position d_model"],
        edit: Edit,
        positions: Int[Tensor, "batch position"] | None = None,
    ) -> Float[Tensor, "batch position d_read"]:
        """The input of a block's MLP, after the norm; `positions` says where the stream is, if not everywhere."""
        ...

    def mlp(
        self, layer: int, mlp_in: Float[Tensor, "batch position d_read"], edit: Edit
    ) -> Float[Tensor, "batch position d_model"]:
        """What the MLP of a block writes to the stream."""
        ...

    def mlp_read(self, layer: int, weight: Float[Tensor, "node d_read"]) -> Float[Tensor, "node d_model"]:
        """What reads the input of a block's MLP, as a read of the stream: up to the norm's factor on each row."""
        ...

    def matrices(self, layer: int, kind: str) -> list[Float[Tensor, "_ _"]]:
        """The weights of a sublayer, `attention` or `mlp`."""
        ...

    def edge_hooks(self, state: State, ablated_edges: EdgeAblation | None, stage: int) -> EdgeHooks:
        """What has been written to the stream, for the targets of a stage."""
        ...

    def reads(self, kinds: Collection[Kind]) -> Iterator[Read]:
        """What the units of these kinds read from the stream, with the norm's gain folded in."""
        ...

    def writes(self, kinds: Collection[Kind]) -> Iterator[Write]:
        """What the units of these kinds write to the stream."""
        ...

    def terminals(self, reads: Iterable[Read], writes: Iterable[Write]) -> Iterator[Connection]:
        """The connections from the token embeddings to units, and from units to the logits."""
        ...

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Its parameters by name; a table that is added to the logits is called `bigram`."""
        ...

    def requires_grad_(self, requires_grad: bool = True) -> Any:
        """Whether its parameters need gradients."""
        ...

    def _apply(self, function: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
        """Apply a function to every parameter, as `torch.nn.Module` does."""
        ...
