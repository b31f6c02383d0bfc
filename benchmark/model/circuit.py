"""A circuit: the nodes of one model that are kept for one task, while every other node is ablated."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Bool, Int, Shaped
from safetensors.torch import save_file
from torch import Tensor

from benchmark.files import CorruptFileError, read_tensors
from benchmark.html_table import html_table
from benchmark.model.interface import CircuitModel, Site

SHOWN_NODES = 16
"""Most nodes of a site that are listed where a circuit is shown."""

SHOWN_SITES = 4
"""Most sites that are named where a circuit is shown in one line."""


def by_site(sites: Iterable[Site], row: Shaped[Tensor, "*_ node"]) -> dict[str, Tensor]:
    """Rows over all nodes of the sites, split into one part per site."""
    sizes = {site.name: site.size for site in sites}
    return dict(zip(sizes, row.split(list(sizes.values()), dim=-1), strict=True))


@dataclass(frozen=True, eq=False, repr=False)
class Circuit:
    """Which nodes are kept.

    Attributes:
        masks: By site name, `[node]`, true where the node is kept. A site without a mask is not part of the graph and
            is computed as usual.

    Raises:
        ValueError: A mask is not a row of booleans.
    """

    masks: Mapping[str, Bool[Tensor, " _"]]

    def __post_init__(self) -> None:
        if not isinstance(self.masks, Mapping):
            raise ValueError(f"masks must be a mapping from site names to tensors, got {self.masks!r:.60}")
        for name, mask in self.masks.items():
            if not isinstance(mask, Tensor) or mask.dtype != torch.bool or mask.dim() != 1:
                raise ValueError(f"the mask of {name} must be a tensor of booleans of shape [node], got {_shown(mask)}")

    def __repr__(self) -> str:
        kept = self.kept()
        sites = [f"{name} {len(nodes)}" for name, nodes in kept.items()]
        more = [f"{len(sites) - SHOWN_SITES} more sites"] if len(sites) > SHOWN_SITES else []
        where = f": {', '.join([*sites[:SHOWN_SITES], *more])}" if sites else ""
        return f"Circuit({self.counted}{where})"

    def _repr_html_(self) -> str:
        """The kept nodes of each site as a table, for notebooks."""
        rows = [(name, len(nodes), len(self.masks[name]), _listed(nodes)) for name, nodes in self.kept().items()]
        return html_table(("site", "kept", "of", "nodes"), rows, self.counted)

    @property
    def counted(self) -> str:
        """How many nodes it keeps, in words: `12 of 384 nodes`."""
        kept = sum(int(mask.sum()) for mask in self.masks.values())
        return f"{kept:,} of {sum(map(len, self.masks.values())):,} nodes"

    @classmethod
    def whole(cls, sites: Iterable[Site]) -> "Circuit":
        """Every node of the sites kept."""
        return cls({site.name: torch.ones(site.size, dtype=torch.bool) for site in sites})

    @classmethod
    def empty(cls, sites: Iterable[Site]) -> "Circuit":
        """Every node of the sites ablated."""
        return cls({site.name: torch.zeros(site.size, dtype=torch.bool) for site in sites})

    @classmethod
    def first(cls, sites: Iterable[Site], order: Int[Tensor, " node"], nodes: int) -> "Circuit":
        """The first `nodes` nodes of an order over all nodes of the sites, concatenated in one row.

        Raises:
            ValueError: There are not that many nodes.
        """
        sites = list(sites)
        size = sum(site.size for site in sites)
        if not 0 <= nodes <= len(order) <= size:
            raise ValueError(
                f"nodes must be from 0 to {min(len(order), size)}, got {nodes} of an order of {len(order)}"
            )
        kept = torch.zeros(size, dtype=torch.bool)
        kept[order[:nodes]] = True
        return cls(by_site(sites, kept))

    def row(self, sites: Iterable[Site]) -> Bool[Tensor, " node"]:
        """Which nodes are kept, all sites laid out in one row.

        Raises:
            ValueError: The circuit has no mask of one of the sites.
        """
        sites = list(sites)
        for site in sites:
            if site.name not in self.masks:
                raise ValueError(f"the circuit has no site {site.name!r}; it has {', '.join(self.masks) or 'no site'}")
        return torch.cat([self.masks[site.name] for site in sites])

    def complement(self) -> "Circuit":
        """The nodes that this circuit ablates."""
        return Circuit({name: ~mask for name, mask in self.masks.items()})

    def kept(self) -> dict[str, list[int]]:
        """Indices of the kept nodes, for the sites that keep any."""
        return {name: mask.nonzero().flatten().tolist() for name, mask in self.masks.items() if mask.any()}

    def save(self, path: Path) -> None:
        """Write the masks as safetensors."""
        save_file({name: mask.to(torch.uint8) for name, mask in self.masks.items()}, path)

    @classmethod
    def load(cls, path: Path) -> "Circuit":
        """Read masks written by `save`; `CorruptFileError` if the file has other tensors."""
        masks = read_tensors(path)
        for name, mask in masks.items():
            if mask.dtype != torch.uint8 or mask.dim() != 1 or (mask > 1).any():
                raise CorruptFileError(path, f"has no mask of nodes as {name[:200]}")
        return cls({name: mask.to(torch.bool) for name, mask in masks.items()})


def circuits_of(model: CircuitModel) -> Mapping[str, Circuit]:
    """The circuits that come with a model, by task: found by somebody else, over all of its sites."""
    known: Mapping[str, Circuit] = getattr(model, "circuits", {})
    return known


def _listed(nodes: Sequence[int]) -> str:
    """The numbers of some nodes, the rest of them counted."""
    more = f" and {len(nodes) - SHOWN_NODES:,} more" if len(nodes) > SHOWN_NODES else ""
    return ", ".join(map(str, nodes[:SHOWN_NODES])) + more


def _shown(mask: object) -> str:
    return f"{mask.dtype} of shape {list(mask.shape)}" if isinstance(mask, Tensor) else f"{mask!r:.60}"
