"""The leaderboard as text: a table for people, JSON for programs."""

import io
import json
from pathlib import Path

import click

WIDTH = 80
"""Columns of the table."""


def leaderboard_of(out: Path, as_json: bool) -> str:
    """The leaderboard that follows from the records of a folder, whatever its `leaderboard.csv` says.

    Raises:
        ValueError: There are no records, or they cannot be read.
    """
    from rich.console import Console

    from benchmark.cli.compare import records_of
    from benchmark.leaderboard.ranking import LEADERBOARD, leaderboard, table
    from benchmark.leaderboard.text_table import leaderboard_table
    from benchmark.running.experiment import RUN

    records, rules = records_of(out)
    standings = leaderboard(records, rules)
    file = out / LEADERBOARD
    known = (out / RUN).is_file()  # what an older version of the code wrote may follow in other ways
    if known and file.is_file() and file.read_text(encoding="utf-8-sig", errors="replace") != table(standings):
        click.echo(f"{file} does not follow from the records beside it; this leaderboard does", err=True)
    rows = [standing.row for standing in standings]
    if as_json:
        return json.dumps(rows, indent=1)
    text = io.StringIO()
    Console(file=text, width=WIDTH, color_system=None).print(leaderboard_table(rows, WIDTH))
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines())
