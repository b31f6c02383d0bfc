"""`bench list`: what there is, one line each."""

import json
from collections.abc import Sequence
from typing import Any

import click

from benchmark.cli.errors import user_errors
from benchmark.cli.registries import REGISTRIES, registry_of
from benchmark.plugins.versions import DISTRIBUTION

Rows = list[dict[str, Any]]


def _records(kind: str) -> Rows:
    registry = registry_of(kind)
    rows = []
    for name, record in registry.items():
        row = {"name": name, "origin": registry.origin(name), "summary": record.summary, "source": record.source}
        if kind == "metrics":
            row["range"] = f"{record.low:g} to {record.high:g}"
            row |= {column: getattr(record, column) for column in ("unit", "direction", "version")}
        rows.append(row)
    return rows


def _presets() -> Rows:
    from benchmark.running.config import load_preset, preset_names

    presets = [load_preset(name) for name in preset_names()]
    return [
        {
            "name": preset.name,
            "origin": DISTRIBUTION,
            "summary": preset.summary,
            "source": f"benchmark/running/presets/{preset.name}.toml",
        }
        for preset in presets
    ]


@click.command("list")
@click.argument("what", type=click.Choice([*REGISTRIES, "presets"]))
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def list_(what: str, as_json: bool) -> None:
    """Methods, tasks, concepts, metrics, rankings, ablations or presets: one line each, with where they come from."""
    with user_errors():
        rows = _presets() if what == "presets" else _records(what)
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
