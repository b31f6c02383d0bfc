"""The dense model with its residual stream replaced after every block by SAEs, and error sites for what they miss."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from baselines.activations import hook_points
from baselines.base import ReplaceableModel
from baselines.dictionary import Encoder
from baselines.files import load_dictionary, load_mean_errors
from baselines.replacement import Replacement, dense_of, nonzeros
from benchmark.model.edge_hooks import EdgeHooks
from benchmark.model.graph import EMBEDDING, Write
from benchmark.model.interface import (
    POSITIONS,
    CircuitModel,
    Connection,
    EdgeAblation,
    Edit,
    OpaqueBlock,
    Site,
    State,
    unedited,
)


class ReplacedStream(Replacement):
    """A dense model whose residual stream is replaced after every block: SAEs.

    The blocks in between run unedited, so the attention stage 2l has no sites; stage 2l + 1 has
    `blocks.{l}.resid_post.feature` and `.error`.
    """

    source = target = "resid_post"
    restores = True

    @staticmethod
    def _all_sites(dense: ReplaceableModel, encoders: Sequence[Encoder]) -> Iterator[Site]:
        """Features and error after each block."""
        for layer, encoder in enumerate(encoders):
            yield Site.at(f"blocks.{layer}.resid_post.feature", len(encoder.bias), 2 * layer + 1)
            yield Site.at(f"blocks.{layer}.resid_post.error", dense.config.d_model, 2 * layer + 1)

    def advance(self, state: State, stage: int, edit: Edit, ablated_edges: EdgeAblation | None = None) -> State:
        """The state after one more sublayer; after an MLP the stream is replaced."""
        layer, is_mlp = divmod(stage, 2)
        residual, edges = state["residual"], self.dense.edge_hooks(state, ablated_edges, stage)
        if not is_mlp:
            after = residual + self.dense.attention(layer, residual, unedited)
            return {**state, **edges.state(), "residual": after}
        at, true = f"blocks.{layer}.resid_post", self._after_mlp(residual, layer, state.get(POSITIONS))
        features = self.encoders[layer](true)
        if edges.ablation is not None:
            features = self._own_runs(features, layer, edges, edges.ablation)
        edited = self._edited(f"{at}.feature", features, edit)
        edges.wrote(f"{at}.feature", edited)
        reconstruction = self._reconstruction(layer, edited, true)
        error: Tensor = self.mean_error[layer]
        if self.errors_available:
            missed = true - (reconstruction if edited is features else self._reconstruction(layer, features, true))
            error = self._edited(f"{at}.error", missed, edit)
            edges.wrote(f"{at}.error", error)
        return {**state, **edges.state(), "residual": reconstruction + error}

    def _after_mlp(self, residual: Tensor, layer: int, positions: Tensor | None = None) -> Tensor:
        """The stream after an MLP of the dense model."""
        return residual + self.dense.mlp(layer, self.dense.mlp_input(layer, residual, unedited, positions), unedited)

    def _own_runs(self, features: Tensor, layer: int, edges: EdgeHooks, ablated_edges: EdgeAblation) -> Tensor:
        """Features with some of their edges through the block ablated, each recomputed in a run of its own."""
        target = f"blocks.{layer}.resid_post.feature"
        sources = self._boundary(layer - 1) or [EMBEDDING]
        masks = {source: mask for source in sources if (mask := ablated_edges.opaque(target, source)) is not None}
        if not masks:
            return features
        changed = torch.stack([mask.any(1) for mask in masks.values()]).any(0).nonzero().flatten()
        features = features.clone()
        for index in changed.tolist():
            values = {source: edges.written[source] for source in sources}
            for source, mask in masks.items():
                ablated, mean = mask[index].to(features.device) > 0, ablated_edges.mean(source).to(features)
                values[source] = torch.where(ablated, mean, values[source])
            if EMBEDDING in values:
                residual = values[EMBEDDING]
            else:
                at = f"blocks.{layer - 1}.resid_post"
                error = values.get(f"{at}.error", self.mean_error[layer - 1])
                residual = self._decoded(layer - 1, values[f"{at}.feature"]) + error
            after = self._after_mlp(residual + self.dense.attention(layer, residual, unedited), layer)
            features[..., index] = self.encoders[layer](after)[..., index]
        return features

    def _reconstruction(self, layer: int, features: Tensor, rows: Tensor) -> Tensor:
        return self._restored(layer, self._decoded(layer, features), rows)

    def _decoded(self, layer: int, features: Tensor) -> Tensor:
        decoded: Tensor = features @ self.decoders[layer][0].T + self.biases[layer]
        return decoded

    def _unit_connections(self) -> Iterator[Connection]:
        """Adjacent boundaries are connected through the whole block between them, the last one to the logits."""
        for layer in range(len(self.encoders)):
            weights = [*self.dense.matrices(layer, "attention"), *self.dense.matrices(layer, "mlp")]
            block = OpaqueBlock(f"blocks.{layer}", nonzeros(weights))
            for target in self._boundary(layer):
                for source in self._boundary(layer - 1) or [EMBEDDING]:
                    yield Connection(source, target, None, block)
        decoder = self.decoders[-1][0]
        last = [site for site in self.sites if site.layer == len(self.encoders) - 1]
        weights_of = {"feature": decoder, "error": torch.eye(len(decoder)).to(decoder)}
        yield from self.dense.terminals([], [Write(site.name, site.stage, weights_of[site.kind]) for site in last])

    def _boundary(self, layer: int) -> list[str]:
        return [site.name for site in self.sites if site.layer == layer]


def load_stream(folder: Path, variant: str, needed: Mapping[str, CircuitModel]) -> Replacement:
    """The dense model with its stream replaced by the SAEs in a folder: the `load` of a `Method`."""
    dense = dense_of(needed)
    dictionary = load_dictionary(folder, hook_points(dense, ReplacedStream.target))
    return ReplacedStream.of(dictionary, dense, load_mean_errors(folder), variant)
