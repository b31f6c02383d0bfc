"""The edges between a circuit's kept nodes, and the ablation of any of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Bool, Float, Int
from safetensors.torch import save_file
from torch import Tensor

from benchmark.files import CorruptFileError, read_tensors
from benchmark.interventions.ablation import Means
from benchmark.model.circuit import Circuit
from benchmark.model.graph import TERMINALS
from benchmark.model.interface import Connection, Sources

SitePair = tuple[str, str]
"""Source and target site of a connection."""

EdgesBySite = Mapping[SitePair, Int[Tensor, "_edge 2"]]
"""Edges by the sites that they join: the index of the source and that of the target of each."""

VERIFIED_EDGES = "verified_edges.safetensors"
"""The file in the folder of a circuit's cell with its verified edges, if it has any."""


@dataclass(frozen=True, eq=False)
class KeptConnection:
    """A connection, the kept nodes at its ends, and its shape `(all targets, all sources)`."""

    connection: Connection
    targets: Int[Tensor, " target"]
    sources: Int[Tensor, " source"]
    shape: tuple[int, int]

    @property
    def pair(self) -> SitePair:
        """Source and target site."""
        return self.connection.source, self.connection.target

    def spread(self, values: Float[Tensor, "target source"]) -> Float[Tensor, "_all_targets _all_sources"]:
        """Values of the edges between kept nodes, with zeros for all other edges."""
        whole = values.new_zeros(self.shape)
        whole[self.targets[:, None], self.sources] = values
        return whole


def kept_ends(connection: Connection, circuit: Circuit) -> KeptConnection | None:
    """A connection restricted to kept nodes; `None` if either end keeps none."""
    ends, sizes = [], []
    for name in (connection.target, connection.source):
        if name not in circuit.masks and name not in TERMINALS:
            return None
        mask = circuit.masks.get(name, torch.ones(1, dtype=torch.bool))
        ends.append(mask.nonzero().flatten())
        sizes.append(len(mask))
    return KeptConnection(connection, ends[0], ends[1], (sizes[0], sizes[1])) if all(map(len, ends)) else None


def edges_by_site(joined: Sequence[KeptConnection], kept: Bool[Tensor, " edge"]) -> EdgesBySite:
    """The chosen ones of all edges between kept nodes, which are laid out in one row."""
    found = {}
    parts = kept.split([len(each.targets) * len(each.sources) for each in joined])
    for each, part in zip(joined, parts, strict=True):
        target, source = part.view(len(each.targets), len(each.sources)).nonzero(as_tuple=True)
        if len(target):
            found[each.pair] = torch.stack([each.sources[source], each.targets[target]], dim=1)
    return found


def save_edges(edges: EdgesBySite, path: Path) -> None:
    """Write edges as safetensors, one tensor `[edge, 2]` per pair of sites."""
    save_file({f"{source}->{target}": indices.contiguous() for (source, target), indices in edges.items()}, path)


def load_edges(path: Path) -> EdgesBySite:
    """Read edges written by `save_edges`; `CorruptFileError` if the file has other tensors."""
    found = {}
    for name, indices in read_tensors(path).items():
        source, arrow, target = name.partition("->")
        if not arrow or indices.dtype != torch.int64 or indices.dim() != 2 or indices.shape[1] != 2:
            raise CorruptFileError(path, f"has no edges as {name[:200]}")
        found[source, target] = indices
    return found


@dataclass(frozen=True, eq=False)
class AblatedEdges:
    """An ablation of some edges of a circuit: a `benchmark.model.interface.EdgeAblation`.

    Attributes:
        matrices: For each map of a connection (`Connection.maps`), the entries of its ablated edges, zero for others.
        masks: For each opaque connection, 1 for its ablated edges, zero for others.
    """

    matrices: Mapping[SitePair, Float[Tensor, "_ _"]]
    masks: Mapping[SitePair, Float[Tensor, "_ _"]]
    means: Means

    @classmethod
    def keeping(
        cls, joined: Sequence[KeptConnection], order: Int[Tensor, " edge"], edges: int, means: Means
    ) -> "AblatedEdges":
        """Ablates all edges but the first `edges` of an order over all of them."""
        ablated = torch.ones(len(order))
        ablated[order[:edges]] = 0
        parts = ablated.split([len(each.targets) * len(each.sources) for each in joined])
        matrices, masks = dict[SitePair, Tensor](), dict[SitePair, Tensor]()
        for each, part in zip(joined, parts, strict=True):
            mine = part.view(len(each.targets), len(each.sources))
            if not mine.any():
                continue
            mask = each.spread(mine)
            if each.connection.weight is None:
                masks[each.pair] = mask
            matrices |= {pair: mask.to(weights) * weights for pair, weights in each.connection.maps.items()}
        return cls(matrices, masks, means)

    def __call__(self, target: str, direct: Sources, stream: Sources, scale: Tensor | None) -> Tensor | None:
        """What the ablated edges into a target would carry beyond their means."""
        total: Tensor | None = None
        for sources, factor in ((direct, None), (stream, scale)):
            for source, values in sources.items():
                matrix = self.matrices.get((source, target))
                if matrix is not None:
                    carried = (values - self.means[source].to(values)) @ matrix.T
                    carried = carried if factor is None else carried * factor
                    total = carried if total is None else total + carried
        return total

    def opaque(self, target: str, source: str) -> Tensor | None:
        """1 for each ablated edge through an opaque block."""
        return self.masks.get((source, target))

    def mean(self, source: str) -> Tensor:
        """The mean that the ablated edges of a source carry."""
        return self.means[source]
