"""The registries as the command line sees them: where they are, and what had to be left out of them."""

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
    """The registry of a kind of record; every record that had to be left out is named on standard error."""
    registry: Registry[Any] = resolve_name(REGISTRIES[kind])
    for line in registry.unavailable:
        click.echo(line, err=True)
    return registry
