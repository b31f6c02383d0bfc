"""`bench growth`: how time and memory grow with width, layers, context, features and tasks."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import groupby
from typing import TYPE_CHECKING

import click

from benchmark.cli.errors import user_errors
from benchmark.cli.text import three_digits

if TYPE_CHECKING:
    from benchmark.studies.growth import Growth


@click.command()
@click.option("--rounds", default=5, show_default=True, type=click.IntRange(1, 1000), help="Timings per size.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def growth(rounds: int, as_json: bool) -> None:
    """Measure how time and memory grow with width, layers, context, features and tasks.

    Small fixed work is measured at several sizes, on one thread. The exponents of the growth stand beside those that
    counting operations and numbers at the same sizes gives. It takes a few minutes.
    """
    from benchmark.running.experiment import Origin
    from benchmark.studies.growth import measure, planned, workloads
    from benchmark.studies.speed import fastest_kernels, one_thread

    with user_errors(), one_thread():
        fastest_kernels()
        rows = [row for workload in workloads() for row in measure(workload, rounds)]
        rows.append(planned())
    if as_json:
        told = [{**asdict(row), "excess": row.excess} for row in rows]
        click.echo(json.dumps({"origin": Origin.here().model_dump(), "rows": told}, indent=1))
    else:
        click.echo("\n".join(_text(rows)))


def _text(rows: "Sequence[Growth]") -> Iterator[str]:
    """The lines, each at most 80 columns wide."""
    from benchmark.studies.growth import TOLERANCE

    yield f"{'exponent':>63}{'counted':>9}{'excess':>8}"
    for (name, axis, sizes), group in groupby(rows, lambda row: (row.name, row.axis, row.sizes)):
        yield name
        yield f"  {axis:<9}" + "".join(f"{size:>8}" for size in sizes)
        for row in group:
            costs = "".join(f"{three_digits(value):>8}" for value in row.values) + f" {row.unit}"
            yield f"  {row.quantity:<9}{costs:<44}{row.exponent:>8.2f}{row.counted:>9.2f}{row.excess:>+8.2f}"
    faster = [f"{row.quantity} of {row.name} against {row.axis}" for row in rows if row.excess > TOLERANCE]
    yield f"exponents above the counted ones by more than {TOLERANCE}: {len(faster) or 'none'}"
    yield from (f"  {each}" for each in faster)
