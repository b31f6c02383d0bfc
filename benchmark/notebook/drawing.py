"""A circuit that was found in a notebook as a drawing, and as a graph of networkx."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.discovery.arguments import check_kind
from benchmark.disk import replace_file
from benchmark.export.drawing import to_svg
from benchmark.export.graph import CircuitGraph, circuit_graph
from benchmark.export.networks import to_networkx as as_networkx
from benchmark.notebook.circuits import TaskCircuit

if TYPE_CHECKING:
    import networkx as nx


@dataclass(frozen=True, repr=False)
class Drawing:
    """A drawing, which notebooks show.

    Attributes:
        svg: The drawing as SVG.
    """

    svg: str

    def __repr__(self) -> str:
        return f"Drawing({len(self.svg):,} characters of SVG)"

    def _repr_svg_(self) -> str:
        return self.svg

    def save(self, path: str | Path) -> None:
        """Write it as a file, which is replaced if it exists."""
        replace_file(Path(path), self.svg)


def graph_of(found: TaskCircuit) -> CircuitGraph:
    """A circuit as plain data, which `benchmark.export.write_graph` writes in the formats of other tools.

    Args:
        found: What `find_circuit` returned.
    """
    check_kind("found", found, TaskCircuit, "what benchmark.find_circuit returns")
    case = found.case
    return circuit_graph(
        case.model,
        found.circuit,
        graph=case.setting.graph,
        method=type(case.model).__name__,
        task="" if case.task is None else case.task.name,
        seed=case.setting.seed,
    )


def to_networkx(found: TaskCircuit) -> "nx.DiGraph":
    """A circuit as a directed graph; `benchmark.export.to_networkx` describes its attributes.

    Args:
        found: What `find_circuit` returned.
    """
    return as_networkx(graph_of(found))


def plot(found: TaskCircuit) -> Drawing:
    """A drawing of a circuit, layer above layer, with every kept node and edge.

    Args:
        found: What `find_circuit` returned.
    """
    return Drawing(to_svg(graph_of(found)))
