"""What the shell completes: names of methods, tasks, concepts, presets, figures and more, alone or in lists."""

from collections.abc import Callable
from pkgutil import resolve_name

import click
from click.shell_completion import CompletionItem

REGISTRIES = {
    "methods": "benchmark.methods:METHODS",
    "tasks": "benchmark.tasks:TASKS",
    "concepts": "benchmark.concepts:CONCEPTS",
    "metrics": "benchmark.metrics.registry:METRICS",
    "rankings": "benchmark.discovery.rankings:RANKINGS",
    "ablations": "benchmark.interventions.ablations:ABLATIONS",
}
"""Where the registry of each kind of record is."""

Completion = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def known_names(kind: str) -> dict[str, str]:
    """The names of a kind of record, of the presets or of the figures, each with what it is in a phrase."""
    if kind == "presets":
        from benchmark.running.config import load_preset, preset_names

        return {name: load_preset(name).summary for name in preset_names()}
    if kind == "figures":
        from benchmark.report.figures import FIGURES

        return dict(FIGURES)
    return {name: record.summary for name, record in resolve_name(REGISTRIES[kind]).items()}


def completed(kind: str, beginning: str) -> list[CompletionItem]:
    """The names of a kind that start with what was typed."""
    return [CompletionItem(name, help=told) for name, told in known_names(kind).items() if name.startswith(beginning)]


def completes(kind: str, *also: str) -> Completion:
    """Completes the last name of `NAME,NAME`, each name once.

    Args:
        kind: The kind of record that is named.
        also: What may be given instead of a list, such as `all`.
    """

    def complete(context: click.Context, parameter: click.Parameter, typed: str) -> list[CompletionItem]:
        before, comma, last = typed.rpartition(",")
        given = before.split(",")
        names = [item for item in completed(kind, last) if item.value not in given]
        whole = [CompletionItem(word) for word in also if not comma and word.startswith(last)]
        return [*whole, *(CompletionItem(before + comma + item.value, help=item.help) for item in names)]

    return complete
