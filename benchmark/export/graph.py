"""A circuit as plain data: its nodes, the edges between them, and what was measured of it. Imports no torch."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from benchmark.records.table import Record

if TYPE_CHECKING:
    from benchmark.interventions.edge_ablation import EdgesBySite
    from benchmark.model.circuit import Circuit
    from benchmark.model.interface import CircuitModel, Connection

TERMINAL = "terminal"
"""The kind of the two ends of the unit graph: all token embeddings, and all logits."""

ENDS = ("embed", "logits")
"""Their sites; `benchmark.model.graph.TERMINALS`, which imports torch."""


@dataclass(frozen=True)
class SiteOfGraph:
    """A site whose scalars are nodes of the graph, kept or not.

    Attributes:
        name: The hook name, such as `blocks.0.neuron`.
        kind: What its nodes are, as in `benchmark.model.interface.Kind`.
        layer: The block it belongs to, from 0.
        size: Number of its nodes.
        stage: The stage that computes it, from 0.
    """

    name: str
    kind: str
    layer: int
    size: int
    stage: int

    @property
    def hook(self) -> str:
        """The last part of its name: `neuron`."""
        return self.name.rpartition(".")[2]


@dataclass(frozen=True)
class CircuitNode:
    """A kept node, or an end of the unit graph. A node is one scalar at every position.

    Attributes:
        site: The site that it is a part of.
        index: Its number in the site, from 0.
        layer: The block of the site; -1 for the embeddings, the number of blocks for the logits.
        kind: What it is, as in `benchmark.model.interface.Kind`; `terminal` for an end of the unit graph.
    """

    site: str
    index: int
    layer: int
    kind: str

    @property
    def name(self) -> str:
        """`blocks.0.neuron[5]`; the ends of the unit graph are `embed` and `logits`."""
        return self.site if self.kind == TERMINAL else f"{self.site}[{self.index}]"


@dataclass(frozen=True)
class CircuitEdge:
    """An edge between kept nodes or to an end of the unit graph.

    Attributes:
        source: Name of the node that it leaves.
        target: Name of the node that it enters.
        weight: The weight, or in the unit graph the virtual weight through the residual stream; for an end the root
            mean square over the vocabulary. `None` where an opaque block joins the nodes.
        verified: Whether the circuit needs it when every other edge carries its mean; `None` if that is not known.
    """

    source: str
    target: str
    weight: float | None
    verified: bool | None = None


@dataclass(frozen=True)
class Example:
    """Tokens of the corpus at which a node is far from its mean.

    Attributes:
        tokens: The tokens as text.
        values: The node's value at each of them.
        at: The token at which it is furthest from its mean, from 0.
    """

    tokens: tuple[str, ...]
    values: tuple[float, ...]
    at: int


@dataclass(frozen=True)
class Activations:
    """What a node does on the corpus.

    Attributes:
        mean: Its mean, which is its ablation value.
        low: Its smallest value.
        high: Its largest value.
        frequency: Share of the tokens at which it is not zero.
        histogram: How many tokens have a value in each of equal bins from `low` to `high`.
        quantiles: Its 1st, 2nd, … 99th percentile.
        examples: Where it is furthest from its mean, the furthest first.
        raised: Tokens whose logits it raises most through the stream alone, the most first; empty if not known.
        lowered: Tokens whose logits it lowers most.
    """

    mean: float
    low: float
    high: float
    frequency: float
    histogram: tuple[int, ...]
    quantiles: tuple[float, ...]
    examples: tuple[Example, ...]
    raised: tuple[str, ...] = ()
    lowered: tuple[str, ...] = ()


@dataclass(frozen=True)
class CircuitGraph:
    """A circuit of one model for one task, and what is known of it.

    Attributes:
        method: Name of the method.
        variant: How its artifact is read.
        graph: `channel` or `unit`.
        task: Name of the task.
        seed: Training seed; `None` if it has none.
        sites: The sites whose scalars are the nodes of the graph, in forward order.
        nodes: The kept nodes, in forward order.
        terminals: The ends of the unit graph that edges lead to or from; they are not counted as nodes.
        edges: The edges between them, in the order of the nodes.
        connections: Which sites are joined directly, each as source and target, kept nodes or not.
        records: What a run has measured of it.
        heads: Attention heads per layer; `None` if the model does not say.
        d_model: Width of the residual stream, in the unit graph; `None` if the model does not say.
        activations: What nodes do on the corpus, by name; may be empty.
    """

    __pydantic_config__: ClassVar[Any] = {"extra": "forbid"}

    method: str
    variant: str
    graph: str
    task: str
    seed: int | None
    sites: tuple[SiteOfGraph, ...]
    nodes: tuple[CircuitNode, ...]
    terminals: tuple[CircuitNode, ...]
    edges: tuple[CircuitEdge, ...]
    connections: tuple[tuple[str, str], ...] = ()
    records: tuple[Record, ...] = ()
    heads: int | None = None
    d_model: int | None = None
    activations: Mapping[str, Activations] = field(default_factory=dict)

    @cached_property
    def by_name(self) -> dict[str, CircuitNode]:
        """Every node and end by its name, in forward order."""
        ends = {end.site: end for end in self.terminals}
        ordered = [*filter(None, [ends.get(ENDS[0])]), *self.nodes, *filter(None, [ends.get(ENDS[1])])]
        return {node.name: node for node in ordered}

    @property
    def title(self) -> str:
        """`weight_sparse, native, unit graph, task for_while, seed 0`."""
        seed = () if self.seed is None else (f"seed {self.seed}",)
        return ", ".join((self.method, self.variant, f"{self.graph} graph", f"task {self.task}", *seed))

    @property
    def slug(self) -> str:
        """Its name as that of a file: `weight_sparse-native-unit-for_while-0`."""
        seed = () if self.seed is None else (str(self.seed),)
        return "-".join((self.method, self.variant, self.graph, self.task, *seed))

    @property
    def described(self) -> dict[str, str | int]:
        """What it is a circuit of, without what is not known."""
        names = ("method", "variant", "graph", "task", "seed")
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}

    @property
    def scores(self) -> dict[str, float | str]:
        """What was measured of it by metric, or the status and the reason why there is no value.

        A metric that was measured under several ablations, or of several concepts, has these in its name.
        """
        several = [row.metric for row in self.records]
        found: dict[str, float | str] = {}
        for row in self.records:
            apart = filter(None, (row.concept, row.ablation)) if several.count(row.metric) > 1 else ()
            value = f"{row.status}: {row.reason}" if row.value is None else row.value
            found[" ".join((row.metric, *apart))] = value
        return found


def circuit_graph(
    model: "CircuitModel",
    circuit: "Circuit",
    *,
    graph: str,
    method: str,
    task: str,
    variant: str = "native",
    seed: int | None = None,
    verified: "EdgesBySite | None" = None,
    records: Sequence[Record] = (),
    activations: Mapping[str, Activations] = {},
) -> CircuitGraph:
    """Describe a circuit as plain data.

    Args:
        model: The model of the circuit.
        circuit: The kept nodes.
        graph: `channel` or `unit`.
        method: Name of the method, as it is to be shown.
        task: Name of the task, as it is to be shown.
        variant: How the method's artifact was read.
        seed: Training seed.
        verified: The verified edges, if they are known.
        records: What a run has measured of the circuit.
        activations: What nodes do on the corpus, by name.

    Raises:
        ValueError: An end of a connection is not a site of the circuit, or two connections join the same sites.
    """
    from benchmark.model.graph import node_sites
    from benchmark.model.interface import attention_heads

    sites = node_sites(model, graph)  # type: ignore[arg-type]
    described = tuple(SiteOfGraph(each.name, each.kind, each.layer, each.size, each.stage) for each in sites)
    place = {site.name: site for site in described}
    nodes = [
        CircuitNode(name, index, place[name].layer, place[name].kind)
        for name in place
        for index in circuit.kept().get(name, ())
    ]
    ends = {
        ENDS[0]: CircuitNode(ENDS[0], 0, -1, TERMINAL),
        ENDS[1]: CircuitNode(ENDS[1], 0, max(site.layer for site in described) + 1, TERMINAL),
    }
    connections = list(model.connections(graph))  # type: ignore[arg-type]
    edges = list(_edges(connections, circuit, verified))
    order = {name: number for number, name in enumerate([ENDS[0], *(node.name for node in nodes), ENDS[1]])}
    edges.sort(key=lambda edge: (order[edge.source], order[edge.target]))
    joined = {name for edge in edges for name in (edge.source, edge.target)}
    widths = [each.full.shape[1] for each in connections if each.source == ENDS[0] and each.full is not None]
    return CircuitGraph(
        method=method,
        variant=variant,
        graph=graph,
        task=task,
        seed=seed,
        sites=described,
        nodes=tuple(nodes),
        terminals=tuple(end for name, end in ends.items() if name in joined),
        edges=tuple(edges),
        connections=tuple((each.source, each.target) for each in connections),
        records=tuple(records),
        heads=attention_heads(model),
        d_model=widths[0] if widths else None,
        activations=dict(activations),
    )


def _edges(
    connections: Sequence["Connection"], circuit: "Circuit", verified: "EdgesBySite | None"
) -> Iterator[CircuitEdge]:
    """The edges between kept nodes, those that `benchmark.metrics.edge_count` counts."""
    from benchmark.metrics.size import joined

    seen = set()
    for connection, weight, targets, sources in joined(circuit, connections):
        pair = connection.source, connection.target
        if pair in seen:
            raise ValueError(f"two connections join {pair[0]} and {pair[1]}; a graph has one edge between two nodes")
        seen.add(pair)
        needed = None if verified is None else {tuple(edge) for edge in _listed(verified, pair)}
        for target in targets.nonzero()[0].tolist():
            for source in sources.nonzero()[0].tolist():
                value = None if weight is None else float(weight[target, source])
                if value != 0:
                    known = None if needed is None else (source, target) in needed
                    yield CircuitEdge(node_name(pair[0], source), node_name(pair[1], target), value, known)


def _listed(verified: "EdgesBySite", pair: tuple[str, str]) -> list[list[int]]:
    """The verified edges between two sites, each as the indices of source and target."""
    found: list[list[int]] = verified[pair].tolist() if pair in verified else []
    return found


def node_name(site: str, index: int) -> str:
    """`blocks.0.neuron[5]`; the ends of the unit graph are `embed` and `logits`."""
    return site if site in ENDS else f"{site}[{index}]"
