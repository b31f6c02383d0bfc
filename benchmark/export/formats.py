"""The formats in which a circuit is exported."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmark.export.graph import CircuitGraph
from benchmark.export.writing import write_file, write_folder
from benchmark.plugins.registry import resolve

Files = Mapping[str, bytes]
"""The files of an export by their path inside its folder."""


@dataclass(frozen=True)
class GraphFormat:
    """A format for circuits.

    Attributes:
        name: Its name on the command line.
        summary: What it is for, in a few words.
        files: `module:function`, called as `(CircuitGraph) -> Files`; a single file is written as `--out` names it.
        suffix: The end of the name of a single file; empty for a folder of files.
        examples: Whether it shows what nodes do on the corpus, which takes a few seconds to find out.
    """

    name: str
    summary: str
    files: str
    suffix: str = ""
    examples: bool = False


GRAPH_FORMATS: Mapping[str, GraphFormat] = {
    each.name: each
    for each in (
        GraphFormat(
            "circuit-tracer",
            "a folder for circuit-tracer's front end",
            "benchmark.export.circuit_tracer:circuit_tracer_files",
            examples=True,
        ),
        GraphFormat("mib", "importances of heads and MLPs, as MIB has them", "benchmark.export.mib:mib_files", ".json"),
        GraphFormat("graphml", "for networkx, Gephi, yEd", "benchmark.export.networks:graphml_files", ".graphml"),
        GraphFormat("csv", "a folder of tables", "benchmark.export.tables:csv_files", examples=True),
        GraphFormat("parquet", "a folder of tables", "benchmark.export.tables:parquet_files", examples=True),
        GraphFormat("dot", "for Graphviz", "benchmark.export.drawing:dot_files", ".dot"),
        GraphFormat("svg", "a picture", "benchmark.export.drawing:svg_files", ".svg"),
        GraphFormat("json", "everything known of it", "benchmark.export.own:json_files", ".json", examples=True),
    )
}
"""Every format for circuits by name."""


def write_graph(graph: CircuitGraph, form: str, out: str | Path, *, force: bool = False) -> list[Path]:
    """Write a circuit.

    Args:
        graph: The circuit.
        form: Name of a format.
        out: The file, or for a format of several files the folder.
        force: Whether to replace what is there.

    Returns:
        The files written.

    Raises:
        ValueError: The format is unknown, it cannot hold this circuit, or there is already something at `out`.
    """
    chosen = graph_format(form)
    make: Callable[[CircuitGraph], Files] = resolve(chosen.files)
    files = make(graph)
    if chosen.suffix:
        (content,) = files.values()
        return [write_file(Path(out), content, force=force)]
    return write_folder(Path(out), files, force=force)


def graph_format(name: str) -> GraphFormat:
    """A format for circuits by name; `ValueError` with the choices."""
    if name not in GRAPH_FORMATS:
        raise ValueError(f"unknown format {name!r} for circuits; choose from {', '.join(GRAPH_FORMATS)}")
    return GRAPH_FORMATS[name]
