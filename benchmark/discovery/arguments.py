"""Checks the arguments of a search for a circuit: each error names the argument, its value, and what is wanted."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from benchmark.discovery.search import Budget
from benchmark.model.graph import node_sites
from benchmark.model.interface import GRAPHS, CircuitModel, Graph, Site
from benchmark.tasks.prompts import TaskPrompts


def checked_graph(graph: object) -> Graph:
    """The graph; `ValueError` with the choices if it is none."""
    if graph not in GRAPHS:
        raise ValueError(f"graph must be {' or '.join(GRAPHS)}, got {graph!r:.60}")
    return graph


def check_kind(name: str, value: object, kind: type, wanted: str) -> None:
    """`ValueError` unless an argument is an instance of a class."""
    if not isinstance(value, kind):
        raise ValueError(f"{name} must be {wanted}, got {type(value).__name__} {value!r:.60}")


def check_target(target: object) -> None:
    """`ValueError` unless it is a loss that can be reached."""
    if not isinstance(target, int | float) or not math.isfinite(target) or target <= 0:
        raise ValueError(f"target must be a loss in nats, finite and above 0, got {target!r:.60}")


def check_means(means: object, sites: tuple[Site, ...], name: str = "means") -> None:
    """`ValueError` unless there is one finite number for every node of the sites."""
    if not isinstance(means, Mapping):
        raise ValueError(f"{name} must be a mapping from site names to tensors [node], got {means!r:.60}")
    for site in sites:
        if site.name not in means:
            raise ValueError(f"{name} must have every site of the graph, and {site.name!r} is missing")
        row = means[site.name]
        shown = f"shape {list(row.shape)}" if isinstance(row, Tensor) else f"{row!r:.60}"
        if not isinstance(row, Tensor) or row.shape != (site.size,):
            raise ValueError(f"{name} of {site.name} must be a tensor of shape [{site.size}], got {shown}")
        if not row.isfinite().all():
            raise ValueError(f"{name} of {site.name} must be finite, got {row[~row.isfinite()][0].item()}")


def check_search(
    model: object, task: object, means: object, graph: object, target: object, budget: object, generator: object
) -> None:
    """`ValueError` in one line for the first argument with which a search could not be made.

    Args:
        model: A circuit model.
        task: The prompts of a task, some for each of training and validation.
        means: One number per node of the graph.
        graph: The name of a graph.
        target: A loss in nats.
        budget: The budget of the search.
        generator: The source of all randomness.
    """
    check_kind("model", model, CircuitModel, "a CircuitModel (sites, start, advance, read_out, connections)")
    check_kind("task", task, TaskPrompts, "TaskPrompts")
    assert isinstance(model, CircuitModel)
    assert isinstance(task, TaskPrompts)
    for split in ("train", "validation"):
        if not len(getattr(task, split)):
            raise ValueError(f"task must have {split} prompts, got none")
    check_means(means, node_sites(model, checked_graph(graph)))
    check_target(target)
    check_kind("budget", budget, Budget, "a Budget")
    check_kind("generator", generator, torch.Generator, "a torch.Generator")
