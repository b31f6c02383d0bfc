"""`bench audit`: which metrics can tell a right circuit from a wrong one, on models whose circuit is known."""

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING

import click

from benchmark.cli.errors import user_errors
from benchmark.cli.folders import claim

if TYPE_CHECKING:
    from benchmark.audit import Verdict

WIDTH = 80
"""Columns of the text."""


@click.command()
@click.option("--draws", default=40, show_default=True, type=click.IntRange(5), help="Wrong circuits a model.")
@click.option("--searches", default=5, show_default=True, type=click.IntRange(3), help="Finder seeds a model.")
@click.option(
    "--out", default="results", show_default=True, type=click.Path(path_type=Path), help="Folder of audit.csv."
)
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def audit(draws: int, searches: int, out: Path, as_json: bool) -> None:
    """Audit the metrics that could rank circuits, on hand-set models whose circuit is known.

    Does a metric put the known circuit before one with a third of its nodes swapped, and that before a random one of
    equal size? How far does it move when the search has another seed? A metric that fails is printed and its row says
    so. Writes audit.csv; takes seconds.
    """
    import torch

    from benchmark.audit import audit as judge
    from benchmark.audit import write_audit
    from benchmark.known import known_models

    with user_errors():
        claim(out)
    torch.set_num_threads(1)
    verdicts = judge(known_models(), draws=draws, searches=searches)
    write_audit(out, verdicts)
    click.echo(_as_json(verdicts) if as_json else "\n".join(_text(verdicts)))


def _as_json(verdicts: "Sequence[Verdict]") -> str:
    rows = [asdict(verdict) for verdict in verdicts]
    finite = [
        {name: None if isinstance(value, float) and not math.isfinite(value) else value for name, value in row.items()}
        for row in rows
    ]
    return json.dumps(finite, indent=1)


def _text(verdicts: "Sequence[Verdict]") -> Iterator[str]:
    """The lines, each at most as wide as a terminal."""
    yield f"{'metric':<20}{'oracle':>7}{'degraded':>9}{'random':>7}{'in order':>9}{'found':>7}{'noise':>6}  status"
    for one in verdicts:
        values = f"{_short(one.oracle):>7}{_short(one.degraded):>9}{_short(one.random):>7}"
        ordered = "" if one.ordered_models is None else f"{one.ordered_models}/{one.models}"
        noise = "" if math.isnan(one.reseed_noise) else f"{one.reseed_noise:.0%}"
        yield f"{one.metric:<20}{values}{ordered:>9}{_short(one.found):>7}{noise:>6}  {_status(one)}"
    yield ""
    first = verdicts[0]
    yield from wrap(
        f"{first.models} known models; degraded and random: means of {first.draws} draws a model; in order: models on "
        f"which oracle, degraded, random are; found and noise: mean and relative standard deviation over "
        f"{first.searches} searches a model",
        WIDTH,
    )
    for one in verdicts:
        if one.status != "passed":
            told = f"FAILED {one.metric}" if one.status == "failed" else one.metric
            yield from wrap(f"{told}: {one.reason}", WIDTH, subsequent_indent="  ")


def _status(one: "Verdict") -> str:
    return {"passed": "passed", "failed": "FAILED", "not_applicable": "-"}[one.status]


def _short(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.4g}" if abs(value) >= 100 else f"{value:.2f}"
