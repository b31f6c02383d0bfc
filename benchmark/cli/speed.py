"""`bench speed`: how fast our hot paths are, against naive ways to compute the same."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from benchmark.cli.errors import user_errors

if TYPE_CHECKING:
    from benchmark.studies.speed import Speed


@click.command()
@click.option(
    "--rounds", default=7, show_default=True, type=click.IntRange(3, 1000), help="Timings per implementation."
)
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def speed(rounds: int, as_json: bool) -> None:
    """Time our hot paths against naive ways to compute the same.

    All ways are timed in turns, in one process on one thread, after it has been checked that their results are the
    same. What counts are the ratios: how many times faster ours is, with the lowest and highest of all rounds.
    """
    import torch

    from benchmark.running.experiment import Origin
    from benchmark.studies.speed import compare, comparisons

    torch.set_num_threads(1)
    with user_errors():
        rows = [row for comparison in comparisons() for row in compare(comparison, rounds)]
    where = {**Origin.here().model_dump(), "instructions": torch.backends.cpu.get_cpu_capability(), "threads": 1}
    if as_json:
        click.echo(json.dumps({"origin": where, "rows": [asdict(row) for row in rows]}, indent=1))
    else:
        click.echo("\n".join(_text(rows)))
        said = f"{where['processor']} {where['instructions']}, one thread, torch {torch.__version__}"
        click.echo(f"{said}, {where['platform']}")


def _text(rows: "Sequence[Speed]") -> Iterator[str]:
    """The lines, each at most 80 columns wide."""
    yield f"{'ms':>46}{'other ms':>10}{'times faster':>23}"
    for row in rows:
        yield f"{row.name} ({row.shapes})"
        times = f"{row.times_faster:.2f} [{row.low:.2f}, {row.high:.2f}]"
        yield f"  against {row.against:<26}{row.milliseconds:>10.3g}{row.other_milliseconds:>10.3g}{times:>23}"
