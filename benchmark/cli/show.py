"""`bench show`: the leaderboard as a table, or one circuit, one concept or the names of a method's nodes as text."""

import json
from pathlib import Path
from typing import Any

import click

from benchmark.cli.errors import CONCEPT, METHOD, TASK, user_errors
from benchmark.cli.folders import FOLDER, run_option
from benchmark.cli.text import WIDTH, in_colour, table_lines
from benchmark.files import CorruptFileError, read_text


class EdgeCount(click.IntRange):
    """A number of edges, or `all`."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number; the largest for `all`."""
        return self.max if value == "all" else super().convert(value, param, ctx)


EDGES = EdgeCount(0, 1_000_000)


@click.command()
@click.argument("method", required=False, type=METHOD)
@click.argument("task", required=False, type=TASK)
@run_option
@click.option("--store", default="store", show_default=True, type=FOLDER, help="Folder of artifacts.")
@click.option(
    "--concept", type=CONCEPT, help="How METHOD's nodes represent a concept, and how well its labels replace them."
)
@click.option("--names", is_flag=True, help="What the names of METHOD's nodes are worth; illusions in full.")
@click.option("--edges", type=EDGES, metavar="N|all", help="Edges of a circuit that are drawn.  [default: 40]")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def show(
    method: str | None,
    task: str | None,
    out: Path,
    store: Path,
    concept: str | None,
    names: bool,
    edges: int | None,
    as_json: bool,
) -> None:
    """The leaderboard; with METHOD and TASK one circuit as a tree: what its nodes mean, read from and write to.

    With METHOD and --concept the table of one concept: controls, bands, error types, and examples from each band.
    With METHOD and --names the nodes that are named by their top-activating examples, and whether the names mislead.
    """
    with user_errors():
        if concept is not None and (method is None or task is not None):
            raise ValueError(
                f"--concept {concept} goes with a METHOD and no TASK, such as `bench show dense --concept …`"
            )
        if names and (method is None or task is not None or concept is not None):
            raise ValueError("--names goes with a METHOD alone, such as `bench show dense --names`")
        if edges is not None and task is None:
            raise ValueError("--edges goes with a METHOD and a TASK, such as `bench show dense for_while --edges all`")
        if method is None:
            click.echo(leaderboard_of(out, as_json))
            return
        from benchmark.methods import METHODS

        METHODS.named(method)
        if task is not None:
            from benchmark.running.experiment import check_task

            check_task(task, out)
        if names:
            from benchmark.report.names_text import describe_names

            click.echo(describe_names(out, store, method, as_json))
        elif concept is None:
            from benchmark.report.circuit_text import SHOWN_EDGES, describe_circuit

            drawn = None if edges == EDGES.max else SHOWN_EDGES if edges is None else edges
            click.echo(describe_circuit(out, store, method, task, as_json, drawn, in_colour()))
        else:
            from benchmark.report.concept_text import describe_concept

            click.echo(describe_concept(out, store, method, concept, as_json))


def _text_or_none(file: Path) -> str | None:
    """The text of a table; `None` if it cannot be read."""
    try:
        return read_text(file, encoding="utf-8-sig")
    except CorruptFileError:
        return None


def leaderboard_of(out: Path, as_json: bool) -> str:
    """The leaderboard computed from the records of a folder, whatever its `leaderboard.csv` says.

    Raises:
        ValueError: There are no records, or they cannot be read.
    """
    from benchmark.leaderboard.ranking import LEADERBOARD, leaderboard, table
    from benchmark.leaderboard.text_table import leaderboard_table
    from benchmark.running.experiment import RUN
    from benchmark.running.finished import ranked_records

    records, rules = ranked_records(out)
    standings = leaderboard(records, rules)
    file = out / LEADERBOARD
    known = (out / RUN).is_file()  # an older version of the code may have computed it in another way
    if known and file.exists() and _text_or_none(file) != table(standings):
        click.echo(f"{file} does not follow from the records beside it; this leaderboard does", err=True)
    rows = [standing.row for standing in standings]
    return json.dumps(rows, indent=1) if as_json else "\n".join(table_lines(leaderboard_table(rows, WIDTH)))
