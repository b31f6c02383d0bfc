"""`bench plan`: what a run would take, cell by cell, before anything is computed."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import click

from benchmark.cli.cells import check_installation, method_option, settings_options
from benchmark.cli.errors import user_errors
from benchmark.cli.text import WIDTH
from benchmark.report.words import counted

if TYPE_CHECKING:
    from benchmark.planning.asked import Row
    from benchmark.running.cells import Cell
    from benchmark.running.config import RunConfig

UNKNOWN = "n/s"
"""What stands for a number that is not stated."""

LABEL = 26
"""Columns of the labels."""


@click.command()
@method_option
@settings_options()
@click.option(
    "--device",
    type=click.Choice(["cpu", "cuda", "mps"]),
    default="cpu",
    show_default=True,
    help="Where models would be trained and run; it need not be there.",
)
@click.option("--json", "as_json", is_flag=True, help="As JSON, in bytes and hours.")
def plan(
    preset: str,
    methods: Sequence[str],
    tasks: Sequence[str],
    seeds: Sequence[int],
    changes: Sequence[str],
    device: str,
    as_json: bool,
) -> None:
    """Say what each kind of cell takes: parameters, memory, files, operations, tokens, hours.

    Formulas give everything but the hours, which are those that the preset states for one core. Nothing is computed or
    written.
    """
    from benchmark.planning.asked import rows
    from benchmark.planning.needs import Planned
    from benchmark.running.config import configure, load_preset
    from benchmark.running.plan import plan as cells_of
    from benchmark.running.posing import not_posed

    with user_errors():
        check_installation()
        settings = configure(preset, methods, tasks, seeds, changes)
        made = cells_of(settings)
        found = rows(Planned(settings), made.cells, device, settings.estimated_seconds)
        broken = not_posed(settings)
    if as_json:
        told = [{"label": row.label, "cells": row.cells, **row.needs.stated, **asdict(row.asked)} for row in found]
        click.echo(json.dumps({"preset": preset, "device": device, "rows": told, "not_posed": broken}, indent=1))
        return
    summary = f"preset {preset}: {load_preset(preset).summary}"
    lines = [*wrap(summary, WIDTH), "", *_sizes(found), "", *_resources(found), "", *_remarks(found, device)]
    lines += [line for reason in broken.values() for line in ("", *wrap(f"Cannot be posed: {reason}", WIDTH))]
    click.echo("\n".join(lines))


def needs_of_run(
    settings: "RunConfig", missing: "Sequence[Cell]", store: Path, workers: int, device: str, here: bool = True
) -> tuple[list[str], list[str]]:
    """What the missing cells of a run need, and what of it the machine does not have, in a line each.

    Args:
        settings: The settings of the run.
        missing: The cells that are computed.
        store: The folder of the store.
        workers: Number of workers.
        device: The kind of device that models are on.
        here: Whether the cells are computed on this machine, and take its memory.
    """
    from benchmark.planning.asked import asked, disk_of
    from benchmark.planning.machine import shortages
    from benchmark.planning.needs import Planned
    from benchmark.planning.text import size

    if not missing:
        return [], []
    planned, together = Planned(settings), min(workers, len(missing))
    stated = [asked(planned, cell, device, lambda cell: 0.0).memory_bytes for cell in missing]
    memory, disk = [each for each in stated if each is not None], disk_of(planned, missing, together)
    unstated = len(stated) - len(memory)
    without = f"; this leaves out {counted(unstated, 'cell')} whose methods do not say what they need" * bool(unstated)
    largest, bound = size(sum(sorted(memory, reverse=True)[:together])), "at least" if unstated else "up to"
    told = f"needs {bound} {largest} of memory with {counted(together, 'worker')} and {size(disk)} of disk{without}"
    return [told], list(shortages(memory if here else [], disk, together, store))


def _sizes(found: "Sequence[Row]") -> Iterator[str]:
    """The table of what cells hold and do."""
    from benchmark.planning.text import count, power, size

    heads = ("params", "activ.", "optim.", "dict.", "store")
    yield f"{'':{LABEL}}" + "".join(f"{head:>8}" for head in heads) + f"{'FLOPs':>7}{'tokens':>7}"
    for row in found:
        needs = row.needs
        sizes = (needs.activation_bytes, needs.optimizer_bytes, needs.dictionary_bytes, needs.store_bytes)
        columns = [_shown(needs.parameters, count), *(_shown(each, size) for each in sizes)]
        rest = f"{_shown(needs.flops, power):>7}{_shown(needs.tokens, count):>7}"
        yield _label(row) + "".join(f"{each:>8}" for each in columns) + rest


def _resources(found: "Sequence[Row]") -> Iterator[str]:
    """The table of what a cell would ask of a scheduler."""
    from benchmark.planning.text import size

    yield f"{'':{LABEL}}{'cells':>7}{'cores':>7}{'GPUs':>6}{'memory':>10}{'disk':>10}{'hours':>10}"
    for row in found:
        asked = row.asked
        sizes = f"{_shown(asked.memory_bytes, size):>10}{_shown(asked.disk_bytes, size):>10}"
        yield f"{_label(row)}{row.cells:>7}{asked.cores:>7}{asked.gpus:>6}{sizes}{_hours(asked.hours):>10}"


def _label(row: "Row") -> str:
    """The label of a row, in a line of its own if its columns do not hold it."""
    return f"{row.label:{LABEL}}" if len(row.label) <= LABEL else f"{row.label}\n{'':{LABEL}}"


def _remarks(found: "Sequence[Row]", device: str) -> Iterator[str]:
    """What the numbers mean."""
    from benchmark.planning.text import size

    remarks = [
        "Parameters, activations, moments of the optimizer, dictionary and memory are those of the largest cell of a "
        "row; files, operations, tokens and hours those of all its cells, each of which asks for that many cores and "
        "GPUs. Disk is files and, while it trains, a checkpoint. Hours are those that the preset states, on one core.",
        f"{UNKNOWN}: not stated, and left out of the total. What a search runs depends on what it finds, and the "
        "activations of circuits are an estimate.",
    ]
    trained = [row.asked.gpu_bytes or 0 for row in found if row.label.startswith("train ")]
    if device != "cpu" and trained:
        remarks.append(
            f"Training holds up to {size(max(trained))} in the memory of the device. That is stated, not measured: "
            "activations are counted as a CPU saves them."
        )
    for remark in remarks:
        yield from wrap(remark, WIDTH)


def _shown(value: int | None, text: Any) -> str:
    return UNKNOWN if value is None else "-" if value == 0 else str(text(value))


def _hours(hours: float) -> str:
    """Hours with as many digits as are known."""
    return f"{hours:.0f}" if hours >= 10 else f"{hours:.2g}" if hours >= 0.01 else "<0.01"
