"""`bench run`: train the methods, discover and score their circuits, write the leaderboard."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from benchmark.cli.cells import (
    Engine,
    cell_options,
    check_installation,
    claim_folders,
    compute,
    method_option,
    what_is_left,
)
from benchmark.cli.errors import user_errors
from benchmark.cli.plan import needs_of_run
from benchmark.cli.report import page_line
from benchmark.running.store import Store

if TYPE_CHECKING:
    from benchmark.running.config import RunConfig
    from benchmark.running.plan import Plan


@click.command()
@method_option
@cell_options("the tables")
@click.option("--fresh", is_flag=True, help="Compute every cell of this run again.")
@click.option("--no-page", is_flag=True, help="Do not write the page, report.html, beside the tables.")
@click.option("--dry-run", is_flag=True, help="Say what would be computed and what is done; write nothing.")
def run(
    methods: Sequence[str],
    preset: str,
    tasks: Sequence[str],
    seeds: Sequence[int],
    changes: Sequence[str],
    out: Path,
    store: Path,
    engine: Engine,
    fresh: bool,
    no_page: bool,
    dry_run: bool,
) -> None:
    """Train the methods, discover and score their circuits, and write the leaderboard and the page.

    A run that was stopped loses nothing that it finished: the same command resumes.
    """
    from benchmark.cli.show import leaderboard_of
    from benchmark.running.config import configure
    from benchmark.running.estimates import Estimates
    from benchmark.running.plan import plan
    from benchmark.running.posing import not_posed
    from benchmark.running.tables import check_tables, write_tables
    from benchmark.tasks.listed import forms_text

    place = Store(store)
    with user_errors():
        check_installation()
        settings = configure(preset, methods, tasks, seeds, changes)
        made = plan(settings)
        check_tables(out, settings)
        cells, seconds = made.cells, settings.estimated_seconds
        states = {cell.key: "missing" if fresh else place.state(cell.key) for cell in cells}
        broken = not_posed(settings)
    notes = [f"also needs {name}: {reason}" for name, reason in made.added.items()]
    notes += [
        f"task {name} of {settings.task_files[name]}: {forms_text(settings.task(name))}" for name in settings.listed
    ]
    notes += [f"cannot be posed: {reason}" for reason in broken.values()]
    missing = [cell for cell in cells if states[cell.key] != "done"]
    here = engine.executor == "local"
    needed, lacking = needs_of_run(settings, missing, store, engine.workers, engine.device, here)
    if dry_run:
        lines = [f"{states[cell.key]:<8} {cell.label}" for cell in cells]
        expected = Estimates.of(seconds, cells, place)
        left = what_is_left(cells, missing, place, expected, engine.workers)
        click.echo("\n".join([*notes, *lines, *needed, *lacking, *left]))
        return
    claim_folders(place, out)
    for note in [*notes, *lacking]:
        click.echo(note, err=True)
    outcomes = compute(cells, place, out, engine, seconds, fresh=fresh)
    with user_errors():
        write_tables(settings, outcomes, place, out, engine.workers)
    if line := _unexpected_corpus(settings, made, place):
        click.echo(line, err=True)
    click.echo(leaderboard_of(out, as_json=False))
    click.echo(f"tables in {out}, artifacts in {place.root}", err=True)
    if not no_page:
        click.echo(page_line(out, place.root, settings.preset), err=True)
    failed = [outcome for outcome in outcomes if outcome.status == "failed"]
    if failed:
        logs = [place.log(outcome.cell.key) for outcome in failed]
        told = "; ".join([f"see the reasons in {out / 'records.csv'}", *(str(log) for log in logs if log.exists())])
        click.echo(f"{len(failed)} of {len(cells)} cells failed, {told}", err=True)
        raise click.exceptions.Exit(1)


def _unexpected_corpus(settings: "RunConfig", made: "Plan", store: Store) -> str:
    """One line if the corpus is not the one that the preset expects, otherwise empty."""
    from benchmark.corpus import Corpus

    built = [cell for cell in made.cells if cell.kind == "corpus" and store.state(cell.key) == "done"]
    if not settings.corpus_digest or not built:
        return ""
    digest = Corpus.digest(store.artifact(built[0].key))
    if digest == settings.corpus_digest:
        return ""
    return (
        f"the digest of this corpus is {digest[:12]}, preset {settings.preset} expects {settings.corpus_digest[:12]}: "
        "scores are not those of the same models; install with `-c constraints.txt` to get the same corpus"
    )
