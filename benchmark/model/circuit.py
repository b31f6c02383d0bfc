"""A circuit: the nodes of one model that are kept for one task, while every other node is ablated."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Bool, Int, Shaped
from safetensors.torch import save_file
from torch import Tensor

from benchmark.files import CorruptFileError, read_tensors
from benchmark.model.interface import CircuitModel, Site


def by_site(sites: Iterable[Site], row: Shaped[Tensor, "*_ node"]) -> dict[str, Tensor]:
    """Rows over all nodes of the sites, split into one part per site."""
    sizes = {site.name: site.size for site in sites}
    return dict(zip(sizes, row.split(list(sizes.values()), dim=-1), strict=True))


@dataclass(frozen=True, eq=False)
class Circuit:
    """Which nodes are kept.

    Attributes:
        masks: By site name, `[node]`, true where the node is kept. A site without a mask is not part of the graph and
            is computed as usual.
    """

    masks: Mapping[str, Bool[Tensor, " _"]]

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
        """The first `nodes` nodes of an order over all nodes of the sites, concatenated in one row."""
        sites = list(sites)
        kept = torch.zeros(sum(site.size for site in sites), dtype=torch.bool)
        kept[order[:nodes]] = True
        return cls(by_site(sites, kept))

    def row(self, sites: Iterable[Site]) -> Bool[Tensor, " node"]:
        """Which nodes are kept, all sites laid out in one row."""
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
