"""`bench speed`: how fast our hot paths are, against naive ways to compute the same."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import groupby
from typing import TYPE_CHECKING

import click

from benchmark.cli.errors import user_errors
from benchmark.cli.text import three_digits

if TYPE_CHECKING:
    from benchmark.studies.speed import Speed

DIFFERENT = "*"
"""Marks ways that compute something else."""


@click.command()
@click.option(
    "--rounds", default=7, show_default=True, type=click.IntRange(3, 1000), help="Timings per implementation."
)
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def speed(rounds: int, as_json: bool) -> None:
    """Time our hot paths against naive ways to compute the same.

    All ways are timed in turns, in one process on one thread, after it has been checked that their results are the
    same, except where a row says that they are not. What counts are the ratios: the time of the other way divided by
    ours, with the lowest and highest of all rounds, and the peak memory of its tensors divided by that of ours.
    """
    import torch

    from benchmark.running.experiment import Origin
    from benchmark.studies.speed import compare, comparisons, fastest_kernels, one_thread

    with user_errors(), one_thread():
        kernels = fastest_kernels()
        rows = [row for comparison in comparisons() for row in compare(comparison, rounds)]
    where = {**Origin.here().model_dump(), "instructions": torch.backends.cpu.get_cpu_capability(), "threads": 1}
    if as_json:
        click.echo(
            json.dumps({"origin": {**where, "kernels": kernels}, "rows": [asdict(row) for row in rows]}, indent=1)
        )
    else:
        click.echo("\n".join(_text(rows)))
        click.echo(f"{where['processor']} {where['instructions']}, one thread, torch {torch.__version__}")
        click.echo(", ".join([str(where["platform"]), *(f"{name} by {way}" for name, way in kernels.items())]))


def _text(rows: "Sequence[Speed]") -> Iterator[str]:
    """The lines, each at most 80 columns wide."""
    yield f"{'ms':>42}{'other ms':>10}{'speed-up':>20}{'memory':>8}"
    before = ""
    for (name, shapes), group in groupby(rows, lambda row: (row.name, row.shapes)):
        if name != before:
            yield name
        yield f"  {shapes}"
        before = name
        for row in group:
            against = row.against if row.same_results else f"{row.against} {DIFFERENT}"
            ratios = f"{row.speed_up:.2f} [{row.low:.2f}, {row.high:.2f}]"
            memory = f"{row.other_mebibytes / row.mebibytes:.2f}" if row.mebibytes else ""
            times = f"{three_digits(row.milliseconds):>8}{three_digits(row.other_milliseconds):>10}"
            yield f"    {against:<30}{times}{ratios:>20}{memory:>8}"
            if row.tokens_per_second and row.other_tokens_per_second:
                per_second = f"{row.tokens_per_second:>8.0f}{row.other_tokens_per_second:>10.0f}"
                yield f"{'tokens per second':>34}{per_second}"
    yield "speed-up, memory: time and peak memory of the other way, as multiples of ours,"
    yield "so that below 1 the other way is faster or smaller"
    if not all(row.same_results for row in rows):
        yield f"{DIFFERENT} computes something else of the same shape, so results are not compared"
