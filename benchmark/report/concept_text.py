"""One concept in one model as text: controls, bands, error types, and examples from each band."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmark.concepts import CONCEPTS
from benchmark.records.table import RECORDS, VALIDITY, Record
from benchmark.report.circuit_text import readable
from benchmark.running.experiment import records_in
from benchmark.running.store import Store

Row = dict[str, Any]
"""A concept's part of `validity.json`."""

STANDS_FOR = {
    "true": "the node as it is",
    "mean": "its mean everywhere",
    "label": "its mean given the label",
    "shifted": "labels turned within the document",
    "sibling": "its mean given a sibling's label",
    "quantised": "its own value at as many levels",
    "false_alarms": "the node, false alarms corrected",
    "misses": "the node, misses corrected",
    "middle": "the node, its middle band corrected",
}
"""What stands in the node's place, by control."""


def describe_concept(out: Path, store: Path, method: str, concept: str, as_json: bool) -> str:
    """What is known of a concept in every variant and seed of a method.

    Raises:
        ValueError: No such concept; the run in `out` did not score it; or the store has none of the artifacts.
    """
    CONCEPTS.named(concept)
    rows = [
        row
        for row in records_in(out)
        if (row.method, row.concept, row.metric) == (method, concept, "label_replacement_score") and not row.task
    ]
    if not rows:
        raise ValueError(
            f"no score of concept {concept} for {method} in {out / RECORDS}; `bench run --method {method}` finds it"
        )
    place = Store(store)
    found, missing = readable(rows, lambda row: (row, *_read(row, place, concept)))
    if as_json:
        shown = [{"variant": row.variant, "seed": row.seed, **content} for row, content, _ in found]
        return json.dumps([*shown, *({"not_shown": why} for why in missing)], indent=1)
    told = filter(None, [place.other_code(place.keys_of(row.config_hash for row in rows))])
    return "\n\n".join([*("\n".join(_lines(*each)) for each in found), *missing, *told])


def _read(row: Record, store: Store, concept: str) -> tuple[Row, list[Row]]:
    """A concept's part of the artifact that a record comes from, and the nodes that are named by it."""
    folder = store.artifact(store.key_of(row.config_hash))
    content = json.loads((folder / VALIDITY).read_text(encoding="utf-8"))
    chosen = next(each for each in content["concepts"] if each["concept"] == concept)
    return chosen, [node for node in content["named"] if node["concept"] == concept]


def _lines(row: Record, content: Row, named: list[Row]) -> Iterator[str]:
    yield f"{content['concept']} in {row.method} {row.variant}, seed {row.seed}: {_verdict(row)}"
    yield f"  holds at {content['rate']:.1%} of tokens; {CONCEPTS.named(content['concept']).summary}"
    if content["observed"] is None:
        return
    low = ", low where the concept holds" if content["sign"] < 0 else ""
    yield f"  node {content['node']}{low}, chosen among those that matter"
    yield from _observed(content)
    yield from _controls(content["controls"])
    yield from _kinds(content["kinds"])
    for node in named:
        better = f"; better: {node['better']} {_number(node['better_score'])}" if node["better"] else ""
        yield f"  named by it: {node['node']}, {node['verdict']}, score {_number(node['label']['value'])}{better}"
    yield from _examples(content)


def _verdict(row: Record) -> str:
    if row.value is None:
        return f"{row.status}, {row.reason}"
    limits = "" if row.low is None else f" ({row.low:.2f} to {row.high:.2f})"
    return f"label replacement score {row.value:.2f}{limits}"


def _observed(content: Row) -> Iterator[str]:
    seen = content["observed"]
    yield (
        f"  average precision {_number(content['average_precision'])}; from the token alone "
        f"{_number(content['token_precision'])}"
    )
    yield f"  best of all nodes {_number(content['highest_precision'])}, {content['highest_node']}"
    yield (
        f"  P(concept | active) {_number(seen['p_concept_given_active'])}, P(active | concept) "
        f"{_number(seen['p_active_given_concept'])}"
    )
    yield (
        f"  at its best threshold {_number(seen['threshold'])}: {_number(seen['p_concept_at_threshold'])}, "
        f"{_number(seen['p_active_at_threshold'])}"
    )
    yield f"  top positions that hold it {_number(seen['top_k_precision'])}"


def _controls(controls: Row) -> Iterator[str]:
    yield "  in the node's place                       score   95 % interval   loss (nats)"
    for name, text in STANDS_FOR.items():
        if name in controls:
            score = controls[name]
            limits = "" if score["low"] is None else f"{score['low']:.2f} to {score['high']:.2f}"
            yield f"    {text:<39} {_number(score['value']):>6}   {limits:>13}   {score['loss']:+.5f}"


def _kinds(kinds: Row) -> Iterator[str]:
    yield "  best of each kind  average precision   node that matters               score"
    for kind, best in kinds.items():
        score = "" if best["label"] is None else _number(best["label"]["value"])
        yield f"    {kind:<16} {_number(best['average_precision']):>17}   {best['matters']:<32} {score:>4}"


def _examples(content: Row) -> Iterator[str]:
    seen = content["observed"]
    for band, lines in content["examples"].items():
        held = f"holds at {_number(seen['purity'][band])} of it"
        where = " (where the concept holds)" if band == "zero" else ""
        yield f"  {band} band, {seen['band_share'][band]:.1%} of tokens, {held}{where}:"
        yield from (f"    {line}" for line in lines)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
