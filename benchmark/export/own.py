"""A circuit as JSON with everything that is known of it, written and read back."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from benchmark.export.graph import CircuitGraph
from benchmark.files import read_as


def json_files(graph: CircuitGraph) -> Mapping[str, bytes]:
    """The fields of a `CircuitGraph`, by name."""
    text = json.dumps(asdict(graph), indent=1, ensure_ascii=False, allow_nan=False)
    return {"circuit.json": f"{text}\n".encode()}


def read_graph(path: str | Path) -> CircuitGraph:
    """The circuit in a file that was exported as JSON; `CorruptFileError` if it is another file."""
    return read_as(Path(path), CircuitGraph)
