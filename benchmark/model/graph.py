"""The two graphs of a model: which sites count as nodes, and virtual weights contracted from reads and writes.

The unit graph has two terminals that are not nodes and are never ablated: all token embeddings as one source, all
logits as one target (the token and logit nodes of attribution graphs, Ameisen et al. 2025,
https://transformer-circuits.pub/2025/attribution-graphs/methods.html). Without them a circuit of units that read
nothing but embeddings would have no edges at all.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from benchmark.model.interface import CircuitModel, Connection, Graph, Kind, OpaqueBlock, Site
from benchmark.model.terminals import EMBEDDING as EMBEDDING
from benchmark.model.terminals import LOGITS as LOGITS
from benchmark.model.terminals import TERMINALS as TERMINALS

RESIDUAL_CHANNELS: tuple[Kind, ...] = ("residual_read", "residual_write")
"""Kinds that are nodes in the channel graph only."""


@dataclass(frozen=True, eq=False)
class Read:
    """A site whose nodes are linear in the residual stream, up to norms and top-k.

    Attributes:
        stage: The site reads the stream as it is before this stage.
        weight: `[node, d_model]`, the gain of the norm folded in.
    """

    site: str
    stage: int
    weight: Float[Tensor, "node d_model"]


@dataclass(frozen=True, eq=False)
class Write:
    """A site whose nodes are added to the residual stream; a site that writes at several stages has one per stage.

    Attributes:
        stage: The stage at which it is added.
        weight: `[d_model, node]`.
    """

    site: str
    stage: int
    weight: Float[Tensor, "d_model node"]


def node_sites(model: CircuitModel, graph: Graph) -> tuple[Site, ...]:
    """The sites whose scalars are the nodes of a graph."""
    if graph == "channel":
        return model.sites
    return tuple(site for site in model.sites if site.kind not in RESIDUAL_CHANNELS)


def virtual_connections(reads: Iterable[Read], writes: Iterable[Write]) -> Iterator[Connection]:
    """The connections of the unit graph: one for each pair of sites whose source writes before its target reads.

    The weight is the virtual weight of Elhage et al. 2021 (https://transformer-circuits.pub/2021/framework), with the
    norm's gain but without its data-dependent scale: `read . (sum of the source's writes before the read)`.
    """
    written = list(writes)
    for read in reads:
        for source in dict.fromkeys(write.site for write in written):
            earlier = [write.weight for write in written if write.site == source and write.stage < read.stage]
            if earlier:
                yield Connection(source, read.site, read.weight @ torch.stack(earlier).sum(0))


def opaque_connections(target: str, stage: int, writes: Iterable[Write], block: OpaqueBlock) -> Iterator[Connection]:
    """Connections into a site that an opaque block computes from the stream as it is before `stage`."""
    for source in dict.fromkeys(write.site for write in writes if write.stage < stage):
        yield Connection(source, target, None, block)


def terminal_connections(
    reads: Iterable[Read],
    writes: Iterable[Write],
    embedding: Float[Tensor, "vocab d_model"],
    unembedding: Float[Tensor, "vocab d_model"],
) -> Iterator[Connection]:
    """The connections from the token embeddings to units, and from units to the logits.

    A weight is the root mean square over the vocabulary of the virtual weight from a token, or to a token's logit, so
    it is zero exactly where no token matters. The gain of the final norm is folded into the unembedding.
    """
    written = list(writes)
    for read in reads:
        weight = (read.weight @ embedding.T).square().mean(1).sqrt()[:, None]
        yield Connection(EMBEDDING, read.site, weight, full=read.weight)
    for source in dict.fromkeys(write.site for write in written):
        whole = torch.stack([write.weight for write in written if write.site == source]).sum(0)
        logits = unembedding @ whole
        yield Connection(source, LOGITS, logits.square().mean(0).sqrt()[None], full=logits)
