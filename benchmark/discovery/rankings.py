"""The rankings: ways to order the nodes of a model by their importance for a task. Imports no torch."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from benchmark.plugins.registry import Registry, resolve


@dataclass(frozen=True)
class Ranking:
    """A way to order nodes; the circuit is the shortest prefix of an order that does the task."""

    name: str
    """Its name on the command line and in the records."""
    summary: str
    """One sentence."""
    source: str
    """The paper it comes from."""
    orders: str | Callable[..., Any]
    """`module:function` or a callable, `(search, budget, generator) -> orders`. `search` is a
    `benchmark.discovery.search.Search`; each order is `[node]`, the indices of all nodes over its sites, most important
    first. Of several orders the one with the smallest circuit is used."""
    edges: str | Callable[..., Any] | None = None
    """`module:function` or a callable, `(trials) -> order`. `trials` is a `benchmark.discovery.edge_trials.EdgeTrials`;
    the order is `[edge]`, the edges of a circuit, most important first. `None` orders them by what flows along them."""

    as_given: bool = False
    """Whether `orders` gives a circuit that is known already, as one `(order, nodes)` with its nodes first and their
    number. It is taken as it is: neither cut nor shrunk."""

    with_model: bool = False
    """Whether that circuit comes with the model, so that a method has to state the tasks that it has circuits for."""

    @property
    def edge_order(self) -> Callable[..., Any] | None:
        """The function that orders the edges of a circuit, if the ranking has its own."""
        return None if self.edges is None else resolve(self.edges)

    @property
    def function(self) -> Callable[..., Any]:
        """The function itself."""
        return resolve(self.orders)


OURS = (
    Ranking(
        name="mask",
        summary="A mask over the nodes, learned by gradient descent.",
        source="Gao et al. 2025 (arXiv 2511.13653), appendix A.5",
        orders="benchmark.discovery.learned_mask:learned_orders",
    ),
    Ranking(
        name="attribution",
        summary="First-order effect of ablating each node (attribution patching).",
        source="Nanda 2023, https://www.neelnanda.io/mechanistic-interpretability/attribution-patching",
        orders="benchmark.discovery.attribution:attribution_orders",
    ),
    Ranking(
        name="integrated_gradients",
        summary="Effect of ablating each node, and each edge, integrated from all ablated to all kept.",
        source="Hanna et al. 2024, Have Faith in Faithfulness, arXiv 2403.17806 (EAP-IG), on nodes as well",
        orders="benchmark.discovery.attribution:integrated_orders",
        edges="benchmark.discovery.attribution:integrated_edge_order",
    ),
    Ranking(
        name="removal",
        summary="A local search by random removals from the whole model, without gradients; slow.",
        source="this benchmark",
        orders="benchmark.discovery.random_removal:removal_orders",
    ),
    Ranking(
        name="released",
        summary="No search: the circuit of the task that comes with the model, as it is.",
        source="for circuits such as those released with Gao et al. 2025 (arXiv 2511.13653)",
        orders="benchmark.discovery.released_circuit:released_order",
        as_given=True,
        with_model=True,
    ),
    Ranking(
        name="random",
        summary="At random: the null baseline that every other ranking has to beat.",
        source="this benchmark",
        orders="benchmark.discovery.random_order:random_orders",
    ),
)

RANKINGS: Registry[Ranking] = Registry("ranking", Ranking, OURS, functions=("orders", "edges"))
"""Every ranking by name."""
