"""`bench regret`: by how much circuits exceed the smallest that any search has found."""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING

import click

from benchmark.cli.cells import (
    Engine,
    cell_options,
    check_installation,
    claim_folders,
    compared_methods,
    compute,
    dry_run_table,
    exit_if_failed,
    methods_argument,
)
from benchmark.cli.errors import names, user_errors
from benchmark.cli.errors import seeds as seed_list
from benchmark.cli.text import WIDTH, table_lines
from benchmark.running.cells import Cell
from benchmark.running.store import Store

if TYPE_CHECKING:
    from benchmark.scoring.case import Setting
    from benchmark.studies.best_known import ModelAndTask
    from benchmark.studies.regret import Result, Searched
    from benchmark.studies.regret_table import Summary


def _algorithms() -> str:
    from benchmark.studies.regret_table import ALGORITHMS

    return ",".join(ALGORITHMS)


@click.command()
@methods_argument(compared_methods)
@cell_options("regret.csv, stability.csv and best_known.csv")
@click.option(
    "--finder-seeds", callback=seed_list, metavar="0,1,2", default="0,1,2", show_default=True, help="Search seeds."
)
@click.option(
    "--longest",
    type=click.IntRange(1, 1000),
    default=50,
    show_default=True,
    help="Largest multiple of the preset's budget.",
)
@click.option(
    "--algorithms",
    callback=names,
    metavar="NAME,...",
    default=_algorithms,
    help="mask, attribution, random, shrinking, exchanges (the finder) or removal; by default all.",
)
@click.option("--dry-run", is_flag=True, help="List what would be computed and what it costs; write nothing.")
def regret(
    methods: Sequence[str],
    preset: str,
    tasks: Sequence[str],
    seeds: Sequence[int],
    changes: Sequence[str],
    out: Path,
    store: Path,
    engine: Engine,
    finder_seeds: Sequence[int],
    longest: int,
    algorithms: Sequence[str],
    dry_run: bool,
) -> None:
    """Measure how far circuits are from the smallest that any search has found.

    Searches with several algorithms and budgets, up to 50 times the preset's. Regret is the number of edges over the
    smallest number known for the same trained model and task, minus one. Writes regret.csv, one row per search;
    stability.csv, what circuits of different finder seeds share; and lowers the sizes in best_known.csv. Searches of
    the same settings are added to these tables. With all budgets a working day on two cores; --longest 1 takes less
    than half of that. Exit 1 if a cell failed.
    """
    from benchmark.running.config import configure
    from benchmark.running.experiment import adding_to, joined_experiment
    from benchmark.running.schedule import kernels_of
    from benchmark.studies import regret as study
    from benchmark.studies.best_known import BEST_KNOWN, checked, lowered, read_best_known, write_best_known
    from benchmark.studies.regret_table import KEY, REGRET, summaries
    from benchmark.studies.stability import STABILITY, STABILITY_KEY, stability
    from benchmark.studies.tables import added, write_frame

    place = Store(store)
    with user_errors():
        check_installation()
        run = configure(preset, methods, tasks, seeds, changes)
        found = study.searches(run, finder_seeds, longest, algorithms)
        cells, seconds = study.cells_of(found), study.seconds_of(found)
        known = read_best_known(out / BEST_KNOWN)
        joined_experiment(out, run, REGRET)
    if dry_run:
        header = f"{'algorithm':<20}{'budget':>6}"
        click.echo(dry_run_table(header, _by_rung(found), cells, place, seconds, engine.workers))
        return
    claim_folders(place, out)
    outcomes = compute(cells, place, out, engine, seconds)
    ended = study.results(found, outcomes, place)
    settings = _settings(found, ended, place)
    with user_errors():
        best = checked(lowered(known, study.smallest(found, ended)), settings, run.circuit)
    spread = stability(found, ended, settings)
    with user_errors(), adding_to(out, run, REGRET, kernels_of(outcomes)):
        best = lowered(best, read_best_known(out / BEST_KNOWN))  # another run may have lowered it meanwhile
        rows = study.regrets(added(out / REGRET, study.rows_of(found, ended), KEY), best, run)
        write_frame(out / REGRET, rows)
        write_frame(out / STABILITY, added(out / STABILITY, spread, STABILITY_KEY))
        write_best_known(out / BEST_KNOWN, best)
    click.echo("\n".join(text(summaries(rows))))
    click.echo(f"tables in {out}, artifacts in {place.root}", err=True)
    exit_if_failed(outcomes)


def _settings(
    found: "Sequence[Searched]", ended: "Mapping[str, Result]", store: Store
) -> "dict[ModelAndTask, Callable[[], Setting]]":
    """What loads the model and the prompts of each case."""
    from benchmark.evaluate import setting_of

    return {
        result.of: partial(setting_of, each.cell, each.run.circuit, store)
        for each in found
        if (result := ended.get(each.cell.key)) is not None
    }


def _by_rung(found: "Sequence[Searched]") -> dict[str, list[Cell]]:
    """The cells of each algorithm and budget, by their label."""
    groups: dict[str, list[Cell]] = {}
    for each in found:
        groups.setdefault(f"{each.rung.algorithm:<20}{f'x{each.rung.factor}':>6}", []).append(each.cell)
    return groups


def text(found: "Sequence[Summary]") -> list[str]:
    """The summary, at most 80 columns wide."""
    from rich.box import SIMPLE
    from rich.table import Table

    def share(value: float) -> str:
        return "?" if math.isnan(value) else f"{100 * value:.0f} %"

    over_all = Table("budget", "algorithm", "reached", "held", "median", "90 %", "seeds", "robust", box=SIMPLE)
    for each in found:
        seeds = "?" if math.isnan(each.deviation) else f"{each.deviation:.2f}"
        reached, held = f"{each.reached} of {each.searches}", str(each.generalised)
        robust = "?" if math.isnan(each.faithfulness) else f"{each.faithfulness:.2f}"
        names = (f"x{each.factor}", each.algorithm)
        over_all.add_row(*names, reached, held, share(each.median), share(each.p90), seeds, robust)
    methods = list(dict.fromkeys(method for each in found for method in each.by_method))
    by_method = Table("budget", "algorithm", *methods, box=SIMPLE)
    for each in found:
        medians = [share(each.by_method.get(method, math.nan)) for method in methods]
        by_method.add_row(f"x{each.factor}", each.algorithm, *medians)
    told = (
        "Regret: edges over the fewest known for the same model and task, minus one; below by method, the median. "
        "held: how many of those that reached the target do so on test prompts. seeds: standard deviation of log edges "
        "over finder seeds. robust: median of the lowest faithfulness under any ablation."
    )
    return [*table_lines(over_all), *table_lines(by_method), *wrap(told, WIDTH)]
