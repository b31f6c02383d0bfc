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
from benchmark.cli.folders import FOLDER, claim
from benchmark.cli.text import WIDTH

if TYPE_CHECKING:
    from benchmark.ground_truth.audit import AuditedMetric


@click.command()
@click.option("--draws", default=40, show_default=True, type=click.IntRange(5, 10**6), help="Wrong circuits per model.")
@click.option("--searches", default=5, show_default=True, type=click.IntRange(3, 10**4), help="Finder seeds per model.")
@click.option("--out", default="results", show_default=True, type=FOLDER, help="Folder of audit.csv.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def audit(draws: int, searches: int, out: Path, as_json: bool) -> None:
    """Audit the metrics that could rank circuits, on models whose circuit is known.

    On hand-set models: does a metric rank the known circuit above one with a third of its nodes swapped, and that above
    a random one of equal size? How far does it move when the search has another seed? On small models trained for this
    purpose, and on transcoders fitted on them: does it rank circuits as the ground truth does? A metric that fails is
    printed and its row says so. Writes audit.csv; takes some minutes, most of them to train.
    """
    import torch

    from benchmark.ground_truth.audit import audit as judge
    from benchmark.ground_truth.audit import write_audit
    from benchmark.ground_truth.planted_models import known_models
    from benchmark.ground_truth.trained_models import TrainedModel, trained_models
    from benchmark.records.table import locked
    from benchmark.statistics.intervals import none_for_nan

    with user_errors():
        claim(out)
    torch.set_num_threads(1)
    trained = []
    for one in trained_models():
        if isinstance(one, TrainedModel):
            trained.append(one)
        else:
            click.echo(f"left out: {one.reason}", err=True)
    if not trained:
        click.echo("no trained model: metrics are not compared with the ground truth of trained models", err=True)
    verdicts = judge(known_models(), trained=trained, draws=draws, searches=searches)
    with user_errors(), locked(out):
        write_audit(out, verdicts)
    rows = none_for_nan([asdict(verdict) for verdict in verdicts])
    click.echo(json.dumps(rows, indent=1) if as_json else "\n".join(_text(verdicts)))


def _text(verdicts: "Sequence[AuditedMetric]") -> Iterator[str]:
    """The lines, each at most 80 columns wide."""
    yield (
        f"{'metric':<19}{'oracle':>7}{'degraded':>9}{'random':>7}{'order':>6}{'found':>6}{'noise':>6}{'truth':>6}{'low':>6}"
        "  status"
    )
    for one in verdicts:
        values = f"{_short(one.oracle):>7}{_short(one.degraded):>9}{_short(one.random):>7}"
        ordered = "" if one.ordered_models is None else f"{one.ordered_models}/{one.models}"
        noise = "" if math.isnan(one.reseed_noise) else f"{one.reseed_noise:.0%}"
        found = f"{_short(one.found):>6}{noise:>6}{_short(one.truth_correlation):>6}{_short(one.truth_low):>6}"
        status = {"passed": "passed", "failed": "FAILED", "not_applicable": "-"}[one.status]
        yield f"{one.metric:<19}{values}{ordered:>6}{found}  {status}"
    yield ""
    first, most = verdicts[0], max(verdicts, key=lambda one: one.trained_models)
    yield from wrap(
        f"{first.models} hand-set models; degraded and random: means over {first.draws} draws per model; order: models "
        "on which oracle, degraded, random are in order; found and noise: mean and relative standard deviation over "
        f"{first.searches} searches per model",
        WIDTH,
    )
    if most.trained_models:
        yield from wrap(
            f"{most.trained_models} trained models; truth and low: rank correlation with the truth about their "
            "circuits, positive if better values go with truer ones, and its lower 95 % limit; for sizes, over "
            "circuits at the target in models whose nodes are known",
            WIDTH,
        )
    for one in verdicts:
        if one.status != "passed":
            told = f"FAILED {one.metric}" if one.status == "failed" else one.metric
            yield from wrap(f"{told}: {one.reason}", WIDTH, subsequent_indent="  ")


def _short(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.4g}" if abs(value) >= 100 else f"{value:.2f}"
