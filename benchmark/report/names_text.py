"""The names of a model's nodes as text: what each is worth, and illusions in full, with examples from each band."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmark.files import printable, read_json, readable
from benchmark.records.table import RECORDS, VALIDITY, Record
from benchmark.report.circuit_text import described
from benchmark.report.concept_text import shown_limits, shown_number
from benchmark.running.experiment import records_in
from benchmark.running.store import Store

IN_FULL = 3
"""Number of illusions that are shown with examples."""

SHOWN = 3
"""Number of examples of each band."""

Row = dict[str, Any]
"""A named node's part of `validity.json`."""


def describe_names(out: Path, store: Path, method: str, as_json: bool) -> str:
    """The names of the nodes of every variant and seed of a method.

    Raises:
        ValueError: The run in `out` has no feature validity of the method, or the store has none of its artifacts.
    """
    rows = [row for row in records_in(out) if (row.method, row.metric) == (method, "nodes_with_a_name")]
    if not rows:
        raise ValueError(f"no named nodes of {method} in {out / RECORDS}; `bench run --method {method}` computes them")
    return described(rows, Store(store), _read, _json if as_json else None, _text)


def _read(row: Record, store: Store) -> tuple[Record, list[Row]]:
    folder = store.artifact(store.key_of(row.config_hash))
    content = read_json(folder / VALIDITY)
    with readable(folder / VALIDITY, "assessment"):
        list(_lines(row, content["named"]))
    return row, content["named"]


def _text(content: tuple[Record, list[Row]]) -> Iterator[str]:
    """The lines without control characters, which examples may have."""
    return map(printable, _lines(*content))


def _json(content: tuple[Record, list[Row]]) -> Row:
    row, named = content
    return {"variant": row.variant, "seed": row.seed, "nodes_with_a_name": row.value, "named": named}


def _lines(row: Record, named: list[Row]) -> Iterator[str]:
    counts = Counter(node["verdict"] for node in named)
    told = ", ".join(f"{count} {verdict}" for verdict, count in counts.most_common())
    count = f"nodes with a name {row.value or 0:.0f}, of which {len(named)} judged"
    yield f"{row.method} {row.variant}, seed {row.seed}: {count}"
    if not named:
        return
    yield f"  {told}"
    illusions = [node for node in named if node["verdict"] == "illusion"]
    yield f"  {'node':<33} {'verdict':<9} {'score':>6}  {'95 % interval':<14} name"
    for node in named:
        score = node["label"]
        figures = f"{shown_number(score['value']):>6}  {shown_limits(score):<14}"
        yield f"  {node['node']:<33} {node['verdict']:<9} {figures} {node['concept']}"
    for node in illusions[:IN_FULL]:
        yield from _in_full(node)


def _in_full(node: Row) -> Iterator[str]:
    """A name that misleads, with what the node does instead."""
    yield f"  {node['node']} is named {node['concept']}"
    score, purity = node["label"], node["purity"]
    yield f"    its labels score {shown_number(score['value'])} ({shown_limits(score)})"
    yield f"    the node's own value at as many levels scores {shown_number(node['quantised']['value'])}"
    if node["better"]:
        yield f"    better explained by {node['better']}, {shown_number(node['better_score'])}"
    shares = ", ".join(f"{band} {shown_number(share)}" for band, share in purity.items())
    yield f"    share of activations with the name: {shares}"
    if node["middle"]:
        yield "    at middle activations without the name"
    for other in node["middle"]:
        yield (
            f"      {other['concept']} at {shown_number(other['share'])}, "
            f"elsewhere without the name {shown_number(other['elsewhere'])}"
        )
    for band, lines in node["examples"].items():
        for line in lines[:SHOWN]:
            yield f"    {band:<7} {line}"
