"""`bench list`: what is installed, one line each, and the registries where it is found."""

import json
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from pkgutil import resolve_name
from textwrap import wrap
from typing import Any

import click

from benchmark.cli.completion import REGISTRIES
from benchmark.cli.errors import user_errors
from benchmark.plugins.registry import Registry
from benchmark.plugins.versions import DISTRIBUTION

Rows = list[dict[str, Any]]

INDENT = "    "


def _presets() -> Rows:
    from benchmark.running.config import load_preset, preset_names

    rows = []
    for name in preset_names():
        source = f"benchmark/running/presets/{name}.toml"
        rows.append({"name": name, "origin": DISTRIBUTION, "summary": load_preset(name).summary, "source": source})
    return rows


def _figures() -> Rows:
    from benchmark.report.figures import FIGURES

    source = "benchmark/report/figures"
    return [{"name": name, "origin": DISTRIBUTION, "summary": told, "source": source} for name, told in FIGURES.items()]


OTHERS: Mapping[str, Callable[[], Rows]] = {"presets": _presets, "figures": _figures}
"""What is not in a registry."""


@click.command("list")
@click.argument("what", type=click.Choice([*REGISTRIES, *OTHERS]))
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def list_(what: str, as_json: bool) -> None:
    """Methods, tasks, concepts, metrics, rankings, ablations, presets or figures: one line each, with their origin.

    On a terminal that is too narrow for that, one paragraph each.
    """
    with user_errors():
        rows = OTHERS[what]() if what in OTHERS else _records(what)
    if as_json:
        click.echo(json.dumps(rows, indent=1))
    elif not rows:
        click.echo(f"no {what} yet")
    else:
        lines, width = list(_lines(rows)), shutil.get_terminal_size().columns
        if sys.stdout.isatty() and max(map(len, lines)) > width:
            lines = list(paragraphs(rows, width))
        click.echo("\n".join(lines))


def _lines(rows: Rows) -> Iterator[str]:
    """One line per record, in columns."""
    table = [list(map(str, row.values())) for row in rows]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for line in table:
        yield "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()


def paragraphs(rows: Rows, width: int) -> Iterator[str]:
    """One paragraph per record: its name, then the rest indented and wrapped at a width; addresses stay whole."""
    for row in rows:
        yield row["name"]
        named = ("name", "origin", "summary", "source")
        facts = [f"{column} {value}" for column, value in row.items() if column not in named]
        if row["origin"] != DISTRIBUTION:
            facts.append(f"from {row['origin']}")
        for text in (row["summary"], row["source"], ", ".join(facts)):
            lines = wrap(text, width - len(INDENT), break_on_hyphens=False, break_long_words=False)
            yield from (INDENT + line for line in lines)


def registry_of(kind: str) -> Registry[Any]:
    """The registry of a kind of record; every record that had to be left out is named on standard error."""
    registry: Registry[Any] = resolve_name(REGISTRIES[kind])
    for line in registry.unavailable:
        click.echo(line, err=True)
    return registry


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
