"""The dense model with layers replaced by dictionaries, and error sites for what the dictionaries miss.

Error = true output minus reconstruction, both computed in the current run, as in Marks et al. 2024 (arXiv 2403.19647)
and Ameisen et al. 2025 (https://transformer-circuits.pub/2025/attribution-graphs/methods.html); the reconstruction
uses the unedited features of its own layer and the edited ones of earlier layers. So ablating a feature changes the
stream by its decoder times its change.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import ClassVar, Literal, cast, get_args

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformer_lens import HookedRootModule
from transformer_lens.hook_points import HookPoint

import benchmark.model.interface
from baselines.activations import activations
from baselines.base import ReplaceableModel
from baselines.dictionary import Dictionary, Encoder
from baselines.row_scale import restored
from benchmark.model.edge_hooks import EdgeHooks
from benchmark.model.graph import EMBEDDING, Read, Write, opaque_connections, virtual_connections
from benchmark.model.hooked import HookedCircuitModel
from benchmark.model.interface import (
    POSITIONS,
    CircuitModel,
    Connection,
    EdgeAblation,
    Edit,
    Graph,
    Kind,
    OpaqueBlock,
    Site,
    State,
    unedited,
)

Errors = Literal["errors_ablated", "errors_available"]
"""Variants: every error fixed at its mean over the corpus, or error nodes that a circuit may keep."""

ATTENTION: tuple[Kind, ...] = ("query", "key", "value")
VALUES: tuple[Kind, ...] = ("value",)
"""The nodes of the dense attention that read the stream, and those that write to it."""


def dense_of(needed: Mapping[str, CircuitModel]) -> ReplaceableModel:
    """The one model that a dictionary needs: the one that it was fitted to."""
    (model,) = needed.values()
    if isinstance(model, HookedCircuitModel):
        from baselines.hooked_base import HookedBase

        model = HookedBase(model.model)
    assert isinstance(model, ReplaceableModel), type(model)
    return model


def no_errors(dense: ReplaceableModel) -> list[Float[Tensor, " channel"]]:
    """Zero mean errors, for a model whose errors have not been measured yet."""
    return [torch.zeros(dense.config.d_model) for _ in range(dense.config.layers)]


class Replacement(HookedRootModule):  # type: ignore[misc]
    """The base class of models with replaced layers: the dense model, the dictionary, the sites and their hook points.

    The dense model is not a submodule: its hook points are not sites here, and its parameters are not counted.

    Args:
        dense: The model whose layers are replaced.
        encoders: One per layer.
        decoders: By source layer, `[d_model, feature]` to its own and, for cross-layer ones, to each later layer.
        biases: `[d_model]` for each layer.
        mean_error: `[d_model]` for each layer, the ablation values of the errors.
        variant: Whether there are error sites.
    """

    can_ablate_edges = True

    dense: ReplaceableModel
    source: str
    """Hook of a block that an encoder reads."""
    target: ClassVar[str]
    """Hook of a block that a decoder predicts."""
    removed: ClassVar[tuple[str, ...]] = ()
    """Parameters of a dense block that go unused once errors are ablated."""
    restores: ClassVar[bool] = False
    """Whether the target is the source, so that what the encoder does to the scale of a row is undone afterwards."""

    def __init__(
        self,
        dense: ReplaceableModel,
        encoders: Sequence[Encoder],
        decoders: Sequence[Sequence[Float[Tensor, "d_model feature"]]],
        biases: Sequence[Float[Tensor, " d_model"]],
        mean_error: Sequence[Float[Tensor, " d_model"]],
        variant: str = "errors_available",
    ) -> None:
        super().__init__()
        if variant not in get_args(Errors):
            raise ValueError(f"unknown variant {variant!r}; choose from {', '.join(get_args(Errors))}")
        self.__dict__["dense"] = dense.requires_grad_(False)
        self.errors_available = variant == "errors_available"
        sites = self._all_sites(dense, encoders)
        self.sites = tuple(site for site in sites if site.kind != "error" or self.errors_available)
        self._site = {site.name: site for site in self.sites}
        self.independent_from = self.sites[-1].stage  # after the last attention
        self.mean_error = nn.ParameterList(mean_error)
        for site in self.sites:
            _add_hook_point(self, site.name)
        self.encoders = cast(Sequence[Encoder], nn.ModuleList(encoders))
        self.decoders = cast(
            Sequence[Sequence[nn.Parameter]], nn.ModuleList(nn.ParameterList(targets) for targets in decoders)
        )
        self.biases = nn.ParameterList(biases)
        scaled_back = self.restores and any(encoder.rows != "none" for encoder in self.encoders)
        self.can_ablate_edges = not scaled_back  # else virtual weights to the logits depend on the row
        self.requires_grad_(False).eval()
        self.setup()
        self.to(next(parameter for _, parameter in dense.named_parameters()))

    @classmethod
    def of(
        cls,
        dictionary: Dictionary,
        dense: ReplaceableModel,
        mean_error: Sequence[Float[Tensor, " d_model"]],
        variant: str,
    ) -> "Replacement":
        """The dense model with its layers replaced by a dictionary; `ValueError` if it cannot read there."""
        encoders = cls._at_their_place(dictionary, dense)
        made = cls(dense, encoders, dictionary.decoders, dictionary.biases, mean_error, variant)
        if dictionary.reads == "resid_mid":
            made.source = dictionary.reads
        return made

    @staticmethod
    def _at_their_place(dictionary: Dictionary, dense: ReplaceableModel) -> Sequence[Encoder]:
        """The encoders, those that read before the gain of a norm as encoders that read after it."""
        if dictionary.reads != "ln2.hook_normalized":
            return dictionary.encoders
        if dense.config.d_read != dense.config.d_model:
            raise ValueError("a dictionary that reads ln2.hook_normalized cannot read concatenated positions")
        gains = [dense.mlp_gain(layer) for layer in range(dense.config.layers)]
        both = zip(dictionary.encoders, gains, strict=True)
        return [encoder if gain is None else encoder.after_norm(*gain) for encoder, gain in both]

    @staticmethod
    def _all_sites(dense: ReplaceableModel, encoders: Sequence[Encoder]) -> Iterator[Site]:
        """Every site in forward order, errors included."""
        raise NotImplementedError

    def _apply(self, function: Callable[[Tensor], Tensor], recurse: bool = True) -> "Replacement":
        """Move to another device or number type, the dense model too."""
        self.dense._apply(function, recurse)
        super()._apply(function, recurse)
        return self

    def forward(self, tokens: Int[Tensor, "batch position"]) -> Float[Tensor, "batch position vocab"]:
        """Logits at all positions, through the same stages as every circuit."""
        return benchmark.model.interface.forward(self, tokens)

    def start(self, tokens: Int[Tensor, "batch position"]) -> State:
        """The embedded tokens."""
        return self.dense.start(tokens)

    def read_out(
        self,
        state: State,
        positions: Int[Tensor, "batch query"] | None = None,
        ablated_edges: EdgeAblation | None = None,
    ) -> Float[Tensor, "batch query vocab"]:
        """Logits at the query positions, from the dense model."""
        return self.dense.read_out(state, positions, ablated_edges)

    def connections(self, graph: Graph) -> Iterator[Connection]:
        """The connections of the unit graph, the only graph of a dictionary."""
        if graph != "unit":
            raise ValueError(f"a dictionary has no graph {graph!r}; choose from unit")
        return self._unit_connections()

    def activations(
        self, tokens: Int[Tensor, "window position"]
    ) -> dict[str, Float[Tensor, "window position channel"]]:
        """What encoders read and decoders predict in the unedited dense model, by hook point."""
        return activations(self.dense, tokens, before_norms=self.source == "resid_mid")

    def reconstructions(
        self, inputs: Sequence[Float[Tensor, "*row source"]]
    ) -> list[tuple[Float[Tensor, "*row feature"], Float[Tensor, "*row target"]]]:
        """Features and prediction of each layer, from the encoders' inputs in the dense model."""
        features = [encoder(values) for encoder, values in zip(self.encoders, inputs, strict=True)]
        written: list[Tensor | int] = [0] * len(features)
        for source, decoders in enumerate(self.decoders):
            for layer, decoder in enumerate(decoders, start=source):
                written[layer] = written[layer] + features[source] @ decoder.T
        return [
            (own, self._restored(layer, bias + write, inputs[layer]))
            for layer, (own, bias, write) in enumerate(zip(features, self.biases, written, strict=True))
        ]

    def _restored(self, layer: int, prediction: Tensor, rows: Tensor) -> Tensor:
        """A prediction at the scale of the rows."""
        return restored(self.encoders[layer].rows, prediction, rows) if self.restores else prediction

    def replaces(self, parameter: str) -> bool:
        """Whether a parameter of the dense model goes unused once errors are ablated."""
        return parameter.startswith("blocks.") and parameter.rpartition(".")[2] in self.removed

    def dictionary_parameters(self) -> list[nn.Parameter]:
        """Encoders, decoders and biases."""
        return [parameter for name, parameter in self.named_parameters() if not name.startswith("mean_error")]

    def _unit_connections(self) -> Iterator[Connection]:
        raise NotImplementedError

    def _joined(self, reads: Sequence[Read], writes: Sequence[Write], sublayer: str) -> Iterator[Connection]:
        """All connections between these reads and writes and those of the errors, which stand for a sublayer each."""
        errors = [site for site in self.sites if site.kind == "error"]
        identity = torch.eye(self.dense.config.d_model).to(self.mean_error[0])
        writes = [*writes, *(Write(site.name, site.stage, identity) for site in errors)]
        yield from virtual_connections(reads, writes)
        yield from self.dense.terminals(reads, writes)
        for site in errors:
            matrices = self.dense.matrices(site.layer, sublayer)
            opaque = OpaqueBlock(f"blocks.{site.layer}.{sublayer}", nonzeros(matrices))
            yield Connection(EMBEDDING, site.name, None, opaque)
            yield from opaque_connections(site.name, site.stage, writes, opaque)

    def _at_own_sites(self, edit: Edit) -> Edit:
        """An edit for a sublayer of the dense model, some of whose sites are not sites here."""
        return lambda site, values: self._edited(site.name, values, edit) if site.name in self._site else values

    def _edited(self, name: str, values: Tensor, edit: Edit) -> Tensor:
        """The values of a site after the edit and the hook point."""
        passed: Tensor = self.hook_dict[name](edit(self._site[name], values))
        return passed


class ReplacedMLPs(Replacement):
    """A dense model whose MLPs are replaced by per-layer or cross-layer transcoders.

    Stage 2l is the attention of block l with the sites q, k and v; stage 2l + 1 its features and errors. In the state,
    `pending.{layer}` is what earlier features write to that later layer.
    """

    source = "mlp_in"
    target = "mlp_out"
    removed = ("W_in", "W_gate", "b_in", "W_out", "b_out")

    @staticmethod
    def _all_sites(dense: ReplaceableModel, encoders: Sequence[Encoder]) -> Iterator[Site]:
        """q, k and v of the dense attention, then features and error of each layer."""
        attention = {site.name: site for site in dense.sites if site.kind in ATTENTION}
        for layer, encoder in enumerate(encoders):
            for hook in ("q", "k", "v"):
                yield attention[f"blocks.{layer}.{hook}"]
            yield Site.at(f"blocks.{layer}.feature", len(encoder.bias), 2 * layer + 1)
            yield Site.at(f"blocks.{layer}.error", dense.config.d_model, 2 * layer + 1)

    def advance(self, state: State, stage: int, edit: Edit, ablated_edges: EdgeAblation | None = None) -> State:
        """The state after one more sublayer."""
        layer, is_mlp = divmod(stage, 2)
        edges = self.dense.edge_hooks(state, ablated_edges, stage)
        if is_mlp:
            return {**self._advance_mlp(state, layer, edit, edges), **edges.state()}
        residual = state["residual"]
        write = self.dense.attention(layer, residual, self._at_own_sites(edit), edges)
        return {**state, **edges.state(), "residual": residual + write}

    def _advance_mlp(self, state: State, layer: int, edit: Edit, edges: EdgeHooks) -> State:
        residual = state["residual"]
        mlp_in = self.dense.mlp_input(layer, residual, unedited, state.get(POSITIONS))
        name = f"blocks.{layer}.feature"
        encoder, rows, reading = self.encoders[layer], mlp_in, edges
        if self.source == "resid_mid":
            rows, reading = residual, edges.without_norm()
        features = encoder.fire(encoder.before(rows, lambda values: reading.into(name, values, residual=residual)))
        edited = self._edited(name, features, edit)
        edges.wrote(name, edited)
        earlier = state.get(f"pending.{layer}", 0) + self.biases[layer]
        own, *later = (edited @ weight.T for weight in self.decoders[layer])
        if self.errors_available:
            unedited_own = own if edited is features else features @ self.decoders[layer][0].T
            missed = self.dense.mlp(layer, mlp_in, unedited) - (earlier + unedited_own)
            error = self._edited(f"blocks.{layer}.error", missed, edit)
            edges.wrote(f"blocks.{layer}.error", error)
        else:
            error = self.mean_error[layer]
        pending = {
            f"pending.{layer + ahead}": state.get(f"pending.{layer + ahead}", 0) + write
            for ahead, write in enumerate(later, start=1)
        }
        return {**state, **pending, "residual": residual + (earlier + own + error)}

    def _unit_connections(self) -> Iterator[Connection]:
        reads, writes = [*self.dense.reads(ATTENTION)], [*self.dense.writes(VALUES)]
        for layer, (encoder, decoders) in enumerate(zip(self.encoders, self.decoders, strict=True)):
            name = f"blocks.{layer}.feature"
            normed = self.source != "resid_mid"
            weight = self.dense.mlp_read(layer, encoder.weight) if normed else encoder.weight.data
            reads.append(Read(name, 2 * layer + 1, weight))
            writes += [Write(name, 2 * target + 1, weight) for target, weight in enumerate(decoders, start=layer)]
        yield from self._joined(reads, writes, "mlp")


def _add_hook_point(root: nn.Module, name: str) -> None:
    """Add a hook point at a dotted name, and the modules on the way to it."""
    *path, last = name.split(".")
    for part in path:
        if part not in root._modules:
            root.add_module(part, nn.Module())
        root = root.get_submodule(part)
    root.add_module(last, HookPoint())


def nonzeros(weights: Iterable[Tensor]) -> int:
    """Number of nonzero entries of some weights."""
    return sum(int(each.count_nonzero()) for each in weights)
