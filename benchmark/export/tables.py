"""A circuit as two tables, of its nodes and of its edges: CSV, Parquet, pandas."""

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from benchmark.export.graph import CircuitGraph

if TYPE_CHECKING:
    import pandas as pd

NODE_COLUMNS = ("node", "site", "index", "layer", "kind", "mean", "frequency")
"""The columns of the table of nodes. The ends of the unit graph are rows of the kind `terminal`."""

EDGE_COLUMNS = ("source", "target", "weight", "verified")
"""The columns of the table of edges."""

Row = dict[str, Any]


def node_rows(graph: CircuitGraph) -> list[Row]:
    """One row per node, in forward order; the mean and the frequency are empty where they are not known."""
    rows = []
    for name, node in graph.by_name.items():
        seen = graph.activations.get(name)
        known = {"mean": None, "frequency": None} if seen is None else {"mean": seen.mean, "frequency": seen.frequency}
        rows.append({"node": name, **asdict(node), **known})
    return rows


def edge_rows(graph: CircuitGraph) -> list[Row]:
    """One row per edge; the weight is empty where an opaque block joins the nodes."""
    return [asdict(edge) for edge in graph.edges]


def to_pandas(graph: CircuitGraph) -> "tuple[pd.DataFrame, pd.DataFrame]":
    """The tables of nodes and of edges; their `attrs` say what the circuit is of, and its scores.

    Returns:
        Nodes with the columns `NODE_COLUMNS`, and edges with the columns `EDGE_COLUMNS`. Whether an edge is verified
        has the type `boolean`, which has a value for "not known".
    """
    import pandas as pd

    nodes = pd.DataFrame(node_rows(graph), columns=list(NODE_COLUMNS))
    edges = pd.DataFrame(edge_rows(graph), columns=list(EDGE_COLUMNS))
    nodes = nodes.astype({"mean": "float64", "frequency": "float64", "index": "int64", "layer": "int64"})
    edges = edges.astype({"weight": "float64", "verified": "boolean"})
    for table in (nodes, edges):
        table.attrs.update({**graph.described, "scores": graph.scores})
    return nodes, edges


def csv_files(graph: CircuitGraph) -> Mapping[str, bytes]:
    """`nodes.csv`, `edges.csv`, and `scores.csv` with what was measured of the circuit."""
    scores = [{"metric": name, "value": value} for name, value in {**graph.described, **graph.scores}.items()]
    return {
        "nodes.csv": _csv(NODE_COLUMNS, node_rows(graph)),
        "edges.csv": _csv(EDGE_COLUMNS, edge_rows(graph)),
        "scores.csv": _csv(("metric", "value"), scores),
    }


def parquet_files(graph: CircuitGraph) -> Mapping[str, bytes]:
    """`nodes.parquet` and `edges.parquet`; scores are in the metadata that pandas reads as `attrs`.

    Raises:
        ValueError: pyarrow is not installed.
    """
    if find_spec("pyarrow") is None:
        raise ValueError("Parquet is written by pyarrow, which is not installed: pip install pyarrow, or choose csv")
    files = {}
    for name, table in zip(("nodes", "edges"), to_pandas(graph), strict=True):
        file = io.BytesIO()
        table.to_parquet(file, engine="pyarrow", index=False)
        files[f"{name}.parquet"] = file.getvalue()
    return files


def _csv(columns: Iterable[str], rows: Iterable[Row]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(columns), lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _printed(value) for name, value in row.items()} for row in rows)
    return text.getvalue().encode()


def _printed(value: Any) -> Any:
    """A value of a table as text: `true` and `false` as in `records.csv`."""
    return str(value).lower() if isinstance(value, bool) else value
