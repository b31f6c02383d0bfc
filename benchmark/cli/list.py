"""`bench list`: what there is, one line each."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click

from benchmark.cli.errors import user_errors

Rows = list[dict[str, Any]]


def _methods() -> Rows:
    from benchmark.methods import METHODS

    return [{"name": method.name, "summary": method.summary, "source": method.source} for method in METHODS.values()]


def _tasks() -> Rows:
    from benchmark.tasks import TASKS

    return [{"name": task.name, "summary": task.summary, "source": task.source} for task in TASKS.values()]


def _concepts() -> Rows:
    from benchmark.concepts import CONCEPTS

    return [
        {"name": concept.name, "summary": concept.summary, "source": concept.source} for concept in CONCEPTS.values()
    ]


def _metrics() -> Rows:
    from benchmark.metrics import METRICS

    return [
        {
            "name": metric.name,
            "unit": metric.unit,
            "range": f"{metric.low:g} to {metric.high:g}",
            "direction": metric.direction,
            "version": metric.version,
            "summary": metric.summary,
            "source": metric.source,
        }
        for metric in METRICS.values()
    ]


def _presets() -> Rows:
    from benchmark.running.config import load_preset, preset_names

    presets = [load_preset(name) for name in preset_names()]
    return [
        {"name": preset.name, "summary": preset.summary, "source": f"benchmark/running/presets/{preset.name}.toml"}
        for preset in presets
    ]


LISTS: Mapping[str, Callable[[], Rows]] = {
    "methods": _methods,
    "tasks": _tasks,
    "concepts": _concepts,
    "metrics": _metrics,
    "presets": _presets,
}
"""What can be listed."""


@click.command("list")
@click.argument("what", type=click.Choice(list(LISTS)))
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def list_(what: str, as_json: bool) -> None:
    """Methods, tasks, concepts, metrics or presets, one line each."""
    with user_errors():
        rows = LISTS[what]()
    if as_json:
        click.echo(json.dumps(rows, indent=1))
    elif not rows:
        click.echo(f"no {what} yet")
    else:
        click.echo(columns_of([list(map(str, row.values())) for row in rows]))


def columns_of(rows: Sequence[Sequence[str]]) -> str:
    """Rows as lines with aligned columns; a line is as long as it has to be."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)
