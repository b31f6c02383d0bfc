"""The registries as the command line sees them: what can be listed, and what had to be left out."""

from collections.abc import Mapping
from pkgutil import resolve_name
from typing import Any

import click

from benchmark.plugins.registry import Registry

REGISTRIES: Mapping[str, str] = {
    "methods": "benchmark.methods:METHODS",
    "tasks": "benchmark.tasks:TASKS",
    "concepts": "benchmark.concepts:CONCEPTS",
    "metrics": "benchmark.metrics.registry:METRICS",
    "rankings": "benchmark.discovery.rankings:RANKINGS",
    "ablations": "benchmark.interventions.ablations:ABLATIONS",
}
"""Where the registry of each kind of record is."""


def registry_of(kind: str) -> Registry[Any]:
    """The registry of a kind of record, after a line on standard error for each that had to be left out."""
    registry: Registry[Any] = resolve_name(REGISTRIES[kind])
    for line in registry.unavailable:
        click.echo(line, err=True)
    return registry


def say_what_is_left_out() -> None:
    """A line on standard error for each record of any kind that could not be loaded."""
    for kind in REGISTRIES:
        registry_of(kind)
