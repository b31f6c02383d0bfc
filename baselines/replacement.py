"""The dense model with layers replaced by dictionaries, and error sites for what they miss.

Error = true output minus reconstruction, both computed in the current run, as in Marks et al. 2024 (arXiv 2403.19647)
and Ameisen et al. 2025 (https://transformer-circuits.pub/2025/attribution-graphs/methods.html); the reconstruction
uses the unedited features of the own layer and the edited ones of earlier layers. So ablating a feature changes the
stream by its decoder times its change.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Literal, cast, get_args

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformer_lens import HookedRootModule
from transformer_lens.hook_points import HookPoint

import benchmark.model.interface
from baselines.activations import hook_points
from baselines.dictionary import Dictionary, Encoder
from baselines.files import load_dictionary, load_mean_errors
from benchmark.model.edge_hooks import EdgeHooks
from benchmark.model.graph import EMBEDDING, Read, Write, opaque_connections, virtual_connections
from benchmark.model.interface import (
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
from sparse_model.transformer import Transformer

Errors = Literal["errors_ablated", "errors_available"]
"""Variants: every error constant, at its mean over the corpus; or error nodes that a circuit may keep."""

ATTENTION: tuple[Kind, ...] = ("query", "key", "value")
VALUES: tuple[Kind, ...] = ("value",)
"""What of the dense attention reads the stream, and what writes to it."""


def dense_of(needed: Mapping[str, CircuitModel]) -> Transformer:
    """The dense model among the models that a dictionary needs."""
    dense = needed["dense"]
    assert isinstance(dense, Transformer), type(dense)
    return dense


def no_errors(dense: Transformer) -> list[Float[Tensor, " channel"]]:
    """Mean errors before any are measured."""
    return [torch.zeros(dense.config.d_model) for _ in range(dense.config.layers)]


class Replacement(HookedRootModule):  # type: ignore[misc]
    """What all models with replaced layers share: the dense model, the dictionary, the sites and their hook points.

    The dense model is not a submodule: its hook points are not sites here, and its parameters are not counted.

    Args:
        dense: The model whose layers are replaced.
        encoders: One per layer, from what it reads.
        decoders: By source layer, `[d_model, feature]` to its own and, cross-layer, to each later layer.
        biases: `[d_model]` for each layer.
        mean_error: `[d_model]` for each layer, the ablation values of the errors.
        variant: Whether there are error sites.
    """

    can_ablate_edges = True

    dense: Transformer
    source: ClassVar[str]
    """What an encoder reads, the hook of a block."""
    target: ClassVar[str]
    """What a decoder predicts."""
    removed: ClassVar[tuple[str, ...]] = ()
    """Parameters of a block of the dense model that are not used where errors are ablated."""

    def __init__(
        self,
        dense: Transformer,
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
        sites = self._all_sites(dense, [len(encoder.bias) for encoder in encoders])
        self.sites = tuple(site for site in sites if site.kind != "error" or self.errors_available)
        self._site = {site.name: site for site in self.sites}
        self.mean_error = nn.ParameterList(mean_error)
        for site in self.sites:
            _add_hook_point(self, site.name)
        self.encoders = cast(Sequence[Encoder], nn.ModuleList(encoders))
        self.decoders = cast(
            Sequence[Sequence[nn.Parameter]], nn.ModuleList(nn.ParameterList(targets) for targets in decoders)
        )
        self.biases = nn.ParameterList(biases)
        self.requires_grad_(False).eval()
        self.setup()

    @classmethod
    def of(
        cls, dictionary: Dictionary, dense: Transformer, mean_error: Sequence[Float[Tensor, " d_model"]], variant: str
    ) -> "Replacement":
        """The dense model with its layers replaced by a dictionary."""
        return cls(dense, dictionary.encoders, dictionary.decoders, dictionary.biases, mean_error, variant)

    @staticmethod
    def _all_sites(dense: Transformer, features: Sequence[int]) -> Iterator[Site]:
        """Every site in forward order, errors included, from the number of features of each layer."""
        raise NotImplementedError

    def _apply(self, function: Callable[[Tensor], Tensor], recurse: bool = True) -> "Replacement":
        """Moves to another device or number type: the dense model goes along."""
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
        """Logits at the asked positions, by the dense model."""
        return self.dense.read_out(state, positions, ablated_edges)

    def connections(self, graph: Graph) -> Iterator[Connection]:
        """The connections of the unit graph, the only one that dictionaries have."""
        if graph != "unit":
            raise ValueError(f"a dictionary has no graph {graph!r}; choose from unit")
        return self._unit_connections()

    def reconstructions(
        self, inputs: Sequence[Float[Tensor, "*row source"]]
    ) -> list[tuple[Float[Tensor, "*row feature"], Float[Tensor, "*row target"]]]:
        """Features and prediction of each layer, from what the encoders read in the dense model."""
        features = [encoder(values) for encoder, values in zip(self.encoders, inputs, strict=True)]
        return [
            (
                features[layer],
                self.biases[layer]
                + sum(
                    features[source] @ self.decoders[source][layer - source].T
                    for source in range(layer + 1)
                    if layer - source < len(self.decoders[source])
                ),
            )
            for layer in range(len(features))
        ]

    def replaces(self, parameter: str) -> bool:
        """Whether a parameter of the dense model is not used where errors are ablated."""
        return parameter.startswith("blocks.") and parameter.rpartition(".")[2] in self.removed

    def dictionary_parameters(self) -> list[nn.Parameter]:
        """Encoders, decoders and biases."""
        return [parameter for name, parameter in self.named_parameters() if not name.startswith("mean_error")]

    def _unit_connections(self) -> Iterator[Connection]:
        raise NotImplementedError

    def _edited(self, name: str, values: Tensor, edit: Edit) -> Tensor:
        """The values of a site after the edit and the hook point."""
        passed: Tensor = self.hook_dict[name](edit(self._site[name], values))
        return passed

    def _at_own_sites(self, edit: Edit) -> Edit:
        """The edit for sublayers of the dense model: what is no site of this model is left as it is."""

        def at_own_sites(site: Site, values: Tensor) -> Tensor:
            return self._edited(site.name, values, edit) if site.name in self._site else values

        return at_own_sites


class ReplacedMLPs(Replacement):
    """A dense model whose MLPs are replaced: per-layer transcoders, and cross-layer transcoders.

    Stage 2l is the attention of block l with the sites q, k and v; stage 2l + 1 its features and errors. The state
    carries what earlier features will write at later layers as `pending.{layer}`.
    """

    source = "mlp_in"
    target = "mlp_out"
    removed = ("W_in", "b_in", "W_out", "b_out")

    @staticmethod
    def _all_sites(dense: Transformer, features: Sequence[int]) -> Iterator[Site]:
        """q, k and v of the dense attention, then features and error of each layer."""
        attention = {site.name: site for site in dense.sites if site.kind in ATTENTION}
        for layer, count in enumerate(features):
            for hook in ("q", "k", "v"):
                yield attention[f"blocks.{layer}.{hook}"]
            yield Site.at(f"blocks.{layer}.feature", count, 2 * layer + 1)
            yield Site.at(f"blocks.{layer}.error", dense.config.d_model, 2 * layer + 1)

    def advance(self, state: State, stage: int, edit: Edit, ablated_edges: EdgeAblation | None = None) -> State:
        """The state after one more sublayer."""
        layer, is_mlp = divmod(stage, 2)
        edges = self.dense.edge_hooks(state, ablated_edges)
        if is_mlp:
            after = self._advance_mlp(state, layer, edit, edges)
        else:
            residual = state["residual"]
            write = self.dense.attention(layer, residual, self._at_own_sites(edit), edges)
            after = {**state, "residual": residual + write}
        return {**after, **edges.state()}

    def _advance_mlp(self, state: State, layer: int, edit: Edit, edges: EdgeHooks) -> State:
        residual = state["residual"]
        mlp_in = self.dense.mlp_input(layer, residual, unedited)
        name = f"blocks.{layer}.feature"
        features = self.encoders[layer].fire(edges.into(name, self.encoders[layer].before(mlp_in), residual=residual))
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
        writes = [*self.dense.writes(VALUES), *self._feature_writes(), *self._error_writes()]
        reads = [*self.dense.reads(ATTENTION), *self._feature_reads()]
        yield from virtual_connections(reads, writes)
        yield from self.dense.terminals(reads, writes)
        for layer, block in enumerate(self.dense.blocks):
            name = f"blocks.{layer}.error"
            if name in self._site:
                opaque = OpaqueBlock(f"blocks.{layer}.mlp", _nonzeros(block, ("W_in", "W_out")))
                yield Connection(EMBEDDING, name, None, opaque)
                yield from opaque_connections(name, 2 * layer + 1, writes, opaque)

    def _feature_reads(self) -> Iterator[Read]:
        for layer, (encoder, block) in enumerate(zip(self.encoders, self.dense.blocks, strict=True)):
            weight = encoder.weight[:, : self.dense.config.d_model] * block.ln2.weight
            yield Read(f"blocks.{layer}.feature", 2 * layer + 1, weight)

    def _feature_writes(self) -> Iterator[Write]:
        for layer, decoders in enumerate(self.decoders):
            for target, weight in enumerate(decoders, start=layer):
                yield Write(f"blocks.{layer}.feature", 2 * target + 1, weight)

    def _error_writes(self) -> Iterator[Write]:
        for site in self.sites:
            if site.kind == "error":
                yield Write(site.name, site.stage, torch.eye(site.size).to(self.mean_error[0]))


class ReplacedStream(Replacement):
    """A dense model whose residual stream is replaced after every block: SAEs.

    The blocks run unedited in between, so that the attention stage 2l has no sites; stage 2l + 1 has
    `blocks.{l}.resid_post.feature` and `.error`.
    """

    source = target = "resid_post"

    @staticmethod
    def _all_sites(dense: Transformer, features: Sequence[int]) -> Iterator[Site]:
        """Features and error of each layer's boundary."""
        for layer, count in enumerate(features):
            yield Site.at(f"blocks.{layer}.resid_post.feature", count, 2 * layer + 1)
            yield Site.at(f"blocks.{layer}.resid_post.error", dense.config.d_model, 2 * layer + 1)

    def advance(self, state: State, stage: int, edit: Edit, ablated_edges: EdgeAblation | None = None) -> State:
        """The state after one more sublayer; after an MLP the stream is replaced."""
        layer, is_mlp = divmod(stage, 2)
        residual, edges = state["residual"], self.dense.edge_hooks(state, ablated_edges)
        if not is_mlp:
            after = residual + self.dense.attention(layer, residual, unedited)
        else:
            after = self._replaced(self._sublayer(residual, layer), layer, edit, edges)
        return {**state, **edges.state(), "residual": after}

    def _sublayer(self, residual: Tensor, layer: int) -> Tensor:
        """The stream after an MLP of the dense model."""
        return residual + self.dense.mlp(layer, self.dense.mlp_input(layer, residual, unedited), unedited)

    def _replaced(self, true: Tensor, layer: int, edit: Edit, edges: EdgeHooks) -> Tensor:
        at = f"blocks.{layer}.resid_post"
        features = self.encoders[layer](true)
        if edges.ablation is not None:
            features = self._own_runs(features, layer, edges, edges.ablation)
        edited = self._edited(f"{at}.feature", features, edit)
        edges.wrote(f"{at}.feature", edited)
        reconstruction = self._decoded(layer, edited)
        error: Tensor = self.mean_error[layer]
        if self.errors_available:
            missed = true - (reconstruction if edited is features else self._decoded(layer, features))
            error = self._edited(f"{at}.error", missed, edit)
            edges.wrote(f"{at}.error", error)
        return reconstruction + error

    def _own_runs(self, features: Tensor, layer: int, edges: EdgeHooks, ablated_edges: EdgeAblation) -> Tensor:
        """Features of which some edges through the block are ablated, each by a run of its own."""
        target = f"blocks.{layer}.resid_post.feature"
        sources = self._boundary(layer - 1) or [EMBEDDING]
        masks = {source: mask for source in sources if (mask := ablated_edges.opaque(target, source)) is not None}
        if not masks:
            return features
        changed = torch.stack([mask.any(1) for mask in masks.values()]).any(0).nonzero().flatten()
        features = features.clone()
        for index in changed.tolist():
            held = {
                source: torch.where(masks[source][index] > 0, ablated_edges.mean(source), edges.written[source])
                if source in masks
                else edges.written[source]
                for source in sources
            }
            features[..., index] = self.encoders[layer](self.through_block(held, layer))[..., index]
        return features

    def through_block(self, held: Mapping[str, Float[Tensor, "batch position _"]], layer: int) -> Tensor:
        """The stream after a block of the dense model, from what the boundary before it holds, or the embeddings."""
        if EMBEDDING in held:
            residual = held[EMBEDDING]
        else:
            at = f"blocks.{layer - 1}.resid_post"
            error = held.get(f"{at}.error", self.mean_error[layer - 1])
            residual = self._decoded(layer - 1, held[f"{at}.feature"]) + error
        return self._sublayer(residual + self.dense.attention(layer, residual, unedited), layer)

    def _decoded(self, layer: int, features: Tensor) -> Tensor:
        decoded: Tensor = features @ self.decoders[layer][0].T + self.biases[layer]
        return decoded

    def _unit_connections(self) -> Iterator[Connection]:
        """Neighbouring boundaries are joined by the whole block between them, the last one to the logits."""
        weights = ("W_Q", "W_K", "W_V", "W_O", "W_in", "W_out")
        for layer in range(len(self.encoders)):
            block = OpaqueBlock(f"blocks.{layer}", _nonzeros(self.dense.blocks[layer], weights))
            for target in self._boundary(layer):
                for source in self._boundary(layer - 1) or [EMBEDDING]:
                    yield Connection(source, target, None, block)
        yield from self.dense.terminals([], self._last_writes())

    def _last_writes(self) -> Iterator[Write]:
        """What the last boundary writes for the logits to read."""
        for site in self.sites:
            if site.stage == 2 * len(self.encoders) - 1:
                decoder = self.decoders[-1][0]
                weight = decoder if site.kind == "feature" else torch.eye(site.size).to(decoder)
                yield Write(site.name, site.stage, weight)

    def _boundary(self, layer: int) -> list[str]:
        return [site.name for site in self.sites if site.layer == layer]


def load_stream(folder: Path, variant: str, needed: Mapping[str, CircuitModel]) -> Replacement:
    """The dense model with its stream replaced by the SAEs of a folder: what a `Method` names as its `load`."""
    dense = dense_of(needed)
    dictionary = load_dictionary(folder, hook_points(dense, ReplacedStream.target))
    return ReplacedStream.of(dictionary, dense, load_mean_errors(folder), variant)


def _add_hook_point(root: nn.Module, name: str) -> None:
    """Put a hook point at a dotted name, making the modules on the way."""
    *path, last = name.split(".")
    for part in path:
        if part not in root._modules:
            root.add_module(part, nn.Module())
        root = root.get_submodule(part)
    root.add_module(last, HookPoint())


def _nonzeros(module: nn.Module, names: Iterable[str]) -> int:
    """Number of nonzero entries of some parameters."""
    return sum(int(module.get_parameter(name).count_nonzero()) for name in names)
