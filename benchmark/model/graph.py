"""The two graphs of a model: which sites count as nodes, and virtual weights contracted from reads and writes.

The unit graph has two terminals that are not nodes and are never ablated: all token embeddings as one source, all
logits as one target (the token and logit nodes of attribution graphs, Ameisen et al. 2025,
https://transformer-circuits.pub/2025/attribution-graphs/methods.html). Without them a circuit of units that read
nothing but embeddings would have no edges at all.
"""

from collections.abc import Iterable, Iterator, Mapping
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
    """A site whose nodes are linear in the residual stream, up to norms and top-k; a gated neuron has two reads.

    Attributes:
        stage: The site reads the stream as it is before this stage.
        weight: `[node, d_model]`, the gain of the norm folded in.
        branch: Which of its reads it is, for a site that has several.
    """

    site: str
    stage: int
    weight: Float[Tensor, "node d_model"]
    branch: str = ""

    @property
    def name(self) -> str:
        """The name under which its input is passed to an edge ablation."""
        return branch_name(self.site, self.branch)


@dataclass(frozen=True, eq=False)
class Write:
    """A site whose nodes are added to the residual stream; a site that writes at several stages has one per stage.

    Attributes:
        stage: The stage at which it is added.
        weight: `[d_model, node]`.
        branch: Which of its values is written, for a site with several: a value node that heads share has one for each.
    """

    site: str
    stage: int
    weight: Float[Tensor, "d_model node"]
    branch: str = ""

    @property
    def name(self) -> str:
        """The name under which what it adds is passed to an edge ablation."""
        return branch_name(self.site, self.branch)


def branch_name(site: str, branch: str) -> str:
    """The name of one of several reads or writes of a site; of a site with one, its own."""
    return f"{site}:{branch}" if branch else site


def node_sites(model: CircuitModel, graph: Graph) -> tuple[Site, ...]:
    """The sites whose scalars are the nodes of a graph."""
    if graph == "channel":
        return model.sites
    return tuple(site for site in model.sites if site.kind not in RESIDUAL_CHANNELS)


def virtual_connections(reads: Iterable[Read], writes: Iterable[Write]) -> Iterator[Connection]:
    """The connections of the unit graph: one for each pair of sites whose source writes before its target reads.

    The weight is the virtual weight of Elhage et al. 2021 (https://transformer-circuits.pub/2021/framework), with the
    norm's gain but without its data-dependent scale: `read . (sum of the source's writes before the read)`. Where nodes
    have several reads or writes it is the root of the sum of squares over them, so it is zero where nothing can flow.
    """
    wanted, written = list(reads), list(writes)
    for target in dict.fromkeys(read.site for read in wanted):
        for source in dict.fromkeys(write.site for write in written):
            parts = {
                (name, read.name): read.weight @ torch.stack(earlier).sum(0)
                for read in wanted
                if read.site == target
                for name, earlier in _by_name(written, source, read.stage).items()
            }
            if parts:
                yield connection_of(source, target, parts)


def _by_name(
    writes: Iterable[Write], source: str, stage: int | None = None
) -> dict[str, list[Float[Tensor, "d_model node"]]]:
    """The weights of a site's writes by their names, of those before a stage if one is given."""
    found: dict[str, list[Tensor]] = {}
    for write in writes:
        if write.site == source and (stage is None or write.stage < stage):
            found.setdefault(write.name, []).append(write.weight)
    return found


def connection_of(source: str, target: str, parts: Mapping[tuple[str, str], Float[Tensor, "_ _"]]) -> Connection:
    """A connection by one or several maps, given by the names under which their values are passed."""
    if list(parts) == [(source, target)]:
        return Connection(source, target, parts[source, target])
    return Connection(source, target, _root_sum_of_squares(parts.values()), parts=parts)


def _root_sum_of_squares(weights: Iterable[Float[Tensor, "*each"]]) -> Float[Tensor, "*each"]:
    """Of one array, its absolute values."""
    return torch.stack([weight.square() for weight in weights]).sum(0).sqrt()


def opaque_connections(target: str, stage: int, writes: Iterable[Write], block: OpaqueBlock) -> Iterator[Connection]:
    """Connections into a site that an opaque block computes from the stream as it is before `stage`."""
    for source in dict.fromkeys(write.site for write in writes if write.stage < stage):
        yield Connection(source, target, None, block)


def terminal_connections(
    reads: Iterable[Read],
    writes: Iterable[Write],
    embedding: Float[Tensor, "vocab d_model"],
    unembedding: Float[Tensor, "vocab_out d_model"],
) -> Iterator[Connection]:
    """The connections from the token embeddings to units, and from units to the logits.

    A weight is the root mean square over the vocabulary of the virtual weight from a token, or to a token's logit, so
    it is zero exactly where no token matters. The gain of the final norm is folded into the unembedding.
    """
    wanted, written = list(reads), list(writes)
    for target in dict.fromkeys(read.site for read in wanted):
        parts = {(EMBEDDING, read.name): read.weight for read in wanted if read.site == target}
        sizes = [(weight @ embedding.T).square().mean(1).sqrt()[:, None] for weight in parts.values()]
        yield _terminal_connection(EMBEDDING, target, sizes, parts)
    for source in dict.fromkeys(write.site for write in written):
        named = _by_name(written, source)
        parts = {(name, LOGITS): unembedding @ torch.stack(weights).sum(0) for name, weights in named.items()}
        sizes = [weight.square().mean(0).sqrt()[None] for weight in parts.values()]
        yield _terminal_connection(source, LOGITS, sizes, parts)


def _terminal_connection(
    source: str, target: str, sizes: list[Float[Tensor, "target source"]], parts: Mapping[tuple[str, str], Tensor]
) -> Connection:
    """A connection from the embeddings or to the logits, given the size of each of its maps."""
    if list(parts) == [(source, target)]:
        return Connection(source, target, sizes[0], full=parts[source, target])
    return Connection(source, target, _root_sum_of_squares(sizes), parts=parts)
