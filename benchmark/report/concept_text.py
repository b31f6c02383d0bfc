"""One concept in one model as text: controls, bands, error types, and examples from each band."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmark.concepts import CONCEPTS
from benchmark.files import printable, read_json, readable
from benchmark.records.table import RECORDS, VALIDITY, Record
from benchmark.report.circuit_text import described
from benchmark.running.experiment import records_in
from benchmark.running.store import Store

Row = dict[str, Any]
"""A concept's part of `validity.json`."""

CONTROLS = {
    "true": "the node as it is",
    "mean": "its mean everywhere",
    "label": "its mean given the label",
    "shifted": "labels shifted to other text",
    "token": "labels from the current token alone",
    "sibling": "its mean given a sibling's label",
    "quantised": "its own value at as many levels",
    "false_alarms": "the node, false alarms corrected",
    "misses": "the node, misses corrected",
    "middle": "the node, its middle band corrected",
}
"""What replaces the node's value, by control."""


CHOICES = {
    "by_precision": "best detector that matters",
    "by_score": "best for labels",
    "by_channel": "best residual channel",
    "jointly_1": "best detector",
    "jointly_2": "two best at once",
    "jointly_4": "four best at once",
    "jointly_8": "eight best at once",
    "direction": "difference of means",
    "leace": "LEACE direction",
    "probe": "logistic probe",
    "random": "random direction",
}
"""What is replaced, by how it is chosen."""


def describe_concept(out: Path, store: Path, method: str, concept: str, as_json: bool) -> str:
    """What is known about a concept in every variant and seed of a method.

    Raises:
        ValueError: No such concept; the run in `out` did not score it; or the store has none of the artifacts.
    """
    wanted = (method, concept, "label_replacement_score")
    rows = [row for row in records_in(out) if (row.method, row.concept, row.metric) == wanted and not row.task]
    if not rows:
        CONCEPTS.named(concept)
        raise ValueError(
            f"no score of concept {concept} for {method} in {out / RECORDS}; `bench run --method {method}` computes it"
        )
    return described(rows, Store(store), _read, _json if as_json else None, _text)


def _read(row: Record, store: Store) -> tuple[Record, Row, list[Row]]:
    """A record, the part of its artifact on the record's concept, and the nodes named after that concept."""
    folder = store.artifact(store.key_of(row.config_hash))
    content = read_json(folder / VALIDITY)
    with readable(folder / VALIDITY, "assessment"):
        chosen = next(each for each in content["concepts"] if each["concept"] == row.concept)
        named = [node for node in content["named"] if node["concept"] == row.concept]
        list(_lines(row, chosen, named))
    return row, chosen, named


def _text(content: tuple[Record, Row, list[Row]]) -> Iterator[str]:
    """The lines without control characters, which examples may have."""
    return map(printable, _lines(*content))


def _json(content: tuple[Record, Row, list[Row]]) -> Row:
    row, chosen, _ = content
    return {"variant": row.variant, "seed": row.seed, **chosen}


def _lines(row: Record, content: Row, named: list[Row]) -> Iterator[str]:
    limits = "" if row.low is None else f" ({row.low:.2f} to {row.high:.2f})"
    score = f"{row.status}, {row.reason}" if row.value is None else f"label replacement score {row.value:.2f}{limits}"
    yield f"{content['concept']} in {row.method} {row.variant}, seed {row.seed}: {score}"
    yield f"  holds at {content['rate']:.1%} of tokens; {_summary(content['concept'])}"
    if content["observed"] is None:
        return
    low = ", low where the concept holds" if content["sign"] < 0 else ""
    unused = "which does not matter" if content["unused"] else "the best detector that matters"
    yield f"  node {content['node']}{low}, {unused}"
    yield from _observed(content, content["observed"])
    yield from _controls(content["choices"].get("by_precision"))
    yield from _choices(content["choices"])
    yield "  best of each kind  average precision   node"
    for kind, (node, precision) in content["kinds"].items():
        yield f"    {kind:<16} {shown_number(precision):>17}   {node}"
    for node in named:
        better = f"; better: {node['better']} {shown_number(node['better_score'])}" if node["better"] else ""
        yield f"  named by it: {node['node']}, {node['verdict']}, score {shown_number(node['label']['value'])}{better}"
    for band, examples in content["examples"].items():
        rate = f"holds at {shown_number(content['observed']['purity'][band])} of it"
        where = " (where the concept holds)" if band == "zero" else ""
        yield f"  {band} band, {content['observed']['band_share'][band]:.1%} of tokens, {rate}{where}:"
        yield from (f"    {example}" for example in examples)


def _summary(concept: str) -> str:
    return CONCEPTS[concept].summary if concept in CONCEPTS else "labelled in a file"


def _controls(chosen: Row | None) -> Iterator[str]:
    """What was put in the place of the node that ranks."""
    if chosen is None:
        return
    yield "  in place of the node                      score   95 % interval   loss (nats)"
    for name, text in CONTROLS.items():
        if name in chosen["controls"]:
            control = chosen["controls"][name]
            figures = f"{shown_number(control['value']):>6}   {shown_limits(control):>13}"
            yield f"    {text:<39} {figures}   {control['loss']:+.5f}"
    if not chosen["reason"]:
        near = chosen["near"]
        figures = f"{shown_number(near['value']):>6}   {shown_limits(near):>13}"
        yield f"    {'labels, on tokens near the concept':<39} {figures}"


def _choices(choices: Mapping[str, Row]) -> Iterator[str]:
    """Labels in the place of everything that was chosen."""
    yield "  labels in place of           score   95 % interval   harm (nats)  windows (effective)"
    for how, text in CHOICES.items():
        if how in choices:
            chosen = choices[how]
            label, effective = chosen["controls"]["label"], f"({chosen['effective']:.0f})"
            figures = f"{shown_number(label['value']):>6}   {shown_limits(label):>13}   {chosen['harm']:+.5f}"
            yield f"    {text:<26} {figures}  {chosen['windows']:>9} {effective}"


def shown_limits(score: Row) -> str:
    """The interval of a score; empty if it is undefined."""
    return "" if score["low"] is None else f"{score['low']:.2f} to {score['high']:.2f}"


def _observed(content: Row, seen: Row) -> Iterator[str]:
    yield (
        f"  average precision {shown_number(content['average_precision'])}; from the token alone "
        f"{shown_number(content['token_precision'])}"
    )
    yield f"  best of all nodes {shown_number(content['highest_precision'])}, {content['highest_node']}"
    yield (
        f"  P(concept | active) {shown_number(seen['p_concept_given_active'])}, P(active | concept) "
        f"{shown_number(seen['p_active_given_concept'])}"
    )
    yield (
        f"  at its best threshold {shown_number(seen['threshold'])}: {shown_number(seen['p_concept_at_threshold'])}, "
        f"{shown_number(seen['p_active_at_threshold'])}"
    )
    yield f"  top positions where it holds {shown_number(seen['top_k_precision'])}"


def shown_number(value: float | None) -> str:
    """A number with two decimals, or a dash."""
    return "-" if value is None else f"{value:.2f}"
