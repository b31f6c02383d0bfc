"""`bench variance`: how much of a score's variance comes from the training seed, the finder seed and the prompts."""

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING

import click

from benchmark.cli.cells import (
    Engine,
    cell_options,
    check_installation,
    claim_folders,
    compute,
    dry_run_table,
    exit_if_failed,
    methods_argument,
)
from benchmark.cli.errors import seeds as seed_list
from benchmark.cli.errors import user_errors
from benchmark.cli.text import WIDTH
from benchmark.report.words import LARGEST_EXPONENT, counted
from benchmark.running.store import Store

if TYPE_CHECKING:
    from benchmark.statistics.variance_components import Component
    from benchmark.studies.variance import VarianceRow


def _references() -> str:
    from benchmark.methods import with_role

    return ",".join(with_role("reference"))


@click.command()
@methods_argument(_references)
@cell_options("variance.csv", default_tasks="for_while,else_elif", default_seeds="0,1,2")
@click.option(
    "--finder-seeds",
    callback=seed_list,
    metavar="0,1,2",
    default="0,1,2",
    show_default=True,
    help="Seeds of the circuit search for each trained model; `bench run` uses 0.",
)
@click.option("--dry-run", is_flag=True, help="List what would be computed and what it costs; write nothing.")
def variance(
    methods: Sequence[str],
    preset: str,
    tasks: Sequence[str],
    seeds: Sequence[int],
    changes: Sequence[str],
    out: Path,
    store: Path,
    engine: Engine,
    finder_seeds: Sequence[int],
    dry_run: bool,
) -> None:
    """Split the variance of scores into training seed, finder seed and prompts.

    METHODs are the references if none are given. Writes variance.csv: the variance components, and the smallest
    difference between two methods that this many training seeds would detect. Cells are those of `bench run` and are
    shared with it; its records are left alone. Exit 1 if a cell failed.
    """
    from benchmark.running.config import configure
    from benchmark.running.experiment import adding_to, joined_experiment
    from benchmark.running.schedule import kernels_of
    from benchmark.studies.variance import VARIANCE, repeated, variance_rows, write_variance

    place = Store(store)
    with user_errors():
        check_installation()
        repeats = repeated(preset, methods, tasks, seeds, finder_seeds, changes)
        cells = repeats.cells()  # made here: the folder of a corpus may be missing
        base = configure(preset, methods, tasks, seeds, changes)
        joined_experiment(out, base, VARIANCE)
    seconds = repeats.run.estimated_seconds
    if dry_run:
        groups = {
            f"{method:<20}{finder:>11}": repeats.cells(method, finder)
            for method in repeats.run.methods
            for finder in repeats.runs
        }
        click.echo(dry_run_table(f"{'method':<20}{'finder seed':>11}", groups, cells, place, seconds, engine.workers))
        return
    claim_folders(place, out)
    outcomes = compute(cells, place, out, engine, seconds)
    rows = variance_rows(repeats, outcomes, place)
    with user_errors(), adding_to(out, base, VARIANCE, kernels_of(outcomes)):
        write_variance(out, rows)
    click.echo("\n".join(text(rows)))
    click.echo(f"table in {out / VARIANCE}, artifacts in {place.root}", err=True)
    exit_if_failed(outcomes)


# As text


def text(rows: "Sequence[VarianceRow]") -> Iterator[str]:
    """The lines, each at most 80 columns wide."""
    yield f"{'score':<24}{'mean':>9}{'training':>11}{'finder':>11}{'prompts':>11}{'detectable':>12}"
    for name, block in groupby(rows, _name):
        own = list(block)
        yield from wrap(name, WIDTH)
        yield from map(_line, own)
        for reason in dict.fromkeys(row.reason for row in own if row.reason):
            metrics = [row.metric for row in own if row.reason == reason]
            told = "all" if len(metrics) == len(own) else ", ".join(metrics)
            yield from wrap(f"{told}: {reason}", WIDTH, initial_indent="  ", subsequent_indent="    ")
    yield ""
    for caption in (*_captions(rows), *_unknown(rows), _limits(rows[0])):
        yield from wrap(caption, WIDTH, subsequent_indent="  ")


def _name(row: "VarianceRow") -> str:
    variant = "" if row.variant == "native" else f"/{row.variant}"
    return f"{row.method}{variant} {row.task}, {row.graph} graph"


def _line(row: "VarianceRow") -> str:
    mean = math.exp(row.mean) if row.scale else row.mean
    training = _part(row, row.training)
    if _is_bounded(row):
        training = f"<{_part(row, row.training_and_prompts)}"
    shown = f"{training:>11}{_part(row, row.finder):>11}{_part(row, row.prompts):>11}"
    return f"  {row.metric:<22}{_number(mean):>9}{shown}{_difference(row, row.detectable):>12}"


def _is_bounded(row: "VarianceRow") -> bool:
    """Whether the training seed's part is known only together with the prompts'."""
    return math.isnan(row.training.variance) and not math.isnan(row.training_and_prompts.variance)


def _part(row: "VarianceRow", part: "Component") -> str:
    """The standard deviation, with a star if the estimate was negative and is taken as 0."""
    return f"{_difference(row, math.sqrt(part.variance))}{'*' if part.variance == 0 and part.reason else ''}"


def _difference(row: "VarianceRow", difference: float) -> str:
    """A difference as people read it: between logs, a factor."""
    if not row.scale or math.isnan(difference):
        return _number(difference)
    return f"x{_number(math.exp(difference) if difference < LARGEST_EXPONENT else math.inf)}"


def _number(number: float) -> str:
    return "?" if math.isnan(number) else f"{number:.3g}"


def _captions(rows: "Sequence[VarianceRow]") -> Iterator[str]:
    first = rows[0]
    yield (
        f"{counted(first.seeds, 'training seed')}, {counted(first.finder_seeds, 'finder seed')} each, preset "
        f"{first.preset}; standard deviations between training seeds, finder seeds of one trained model, samples of "
        "prompts; for sizes: geometric means and factors"
    )
    yield (
        "detectable: smallest true difference (for sizes: ratio) between two methods that a paired t test at 5 % over "
        "this many training seeds detects in 80 % of repetitions, if both vary as this one does, independently"
    )
    if any(map(_is_bounded, rows)):
        yield "<: together with the prompts' part, which is not known"
    if any("*" in _line(row) for row in rows):
        yield "*: the estimate is below 0, as few seeds often make it, and taken as 0"


def _unknown(rows: "Sequence[VarianceRow]") -> Iterator[str]:
    """Why components are unknown although all scores are there, each reason once."""
    why: dict[str, Callable[[VarianceRow], str]] = {
        "training": lambda row: _why(row.training_and_prompts if _is_bounded(row) else row.training),
        "finder": lambda row: _why(row.finder),
        "prompts": lambda row: _why(row.prompts),
        "detectable": lambda row: row.detectable_reason,
    }
    scored = list(dict.fromkeys(row.metric for row in rows))
    whole = [row for row in rows if not row.reason]
    for column, reason_of in why.items():
        for reason in dict.fromkeys(filter(None, map(reason_of, whole))):
            metrics = list(dict.fromkeys(row.metric for row in whole if reason_of(row) == reason))
            of = "" if metrics == scored else f" of {', '.join(metrics)}"
            yield f"?: {column}{of}: {reason}"


def _why(part: "Component") -> str:
    return part.reason if math.isnan(part.variance) else ""


def _limits(row: "VarianceRow") -> str:
    """What this many seeds cannot tell."""
    from benchmark.studies.variance import deviation_limits

    if row.seeds < 2:
        return (
            "one training seed: neither what another would change nor what difference could be found is known; this is "
            "about these trained models, not about the methods"
        )
    low, high = deviation_limits(row.seeds)
    return (
        f"{row.seeds} training seeds: the true deviation between them lies between {low:.2g} and {high:.2g} times the "
        "one here (95 %, of normal scores); detectable differences are as uncertain"
    )
