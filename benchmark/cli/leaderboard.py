"""The leaderboard as text: a table for people, JSON for programs."""

import json
from pathlib import Path

import click

from benchmark.cli.text import WIDTH, table_lines


def leaderboard_of(out: Path, as_json: bool) -> str:
    """The leaderboard computed from the records of a folder, whatever its `leaderboard.csv` says.

    Raises:
        ValueError: There are no records, or they cannot be read.
    """
    from benchmark.cli.compare import records_of
    from benchmark.leaderboard.ranking import LEADERBOARD, leaderboard, table
    from benchmark.leaderboard.text_table import leaderboard_table
    from benchmark.running.experiment import RUN

    records, rules = records_of(out)
    standings = leaderboard(records, rules)
    file = out / LEADERBOARD
    known = (out / RUN).is_file()  # an older version of the code may have computed it in another way
    if known and file.is_file() and file.read_text(encoding="utf-8-sig", errors="replace") != table(standings):
        click.echo(f"{file} does not follow from the records beside it; this leaderboard does", err=True)
    rows = [standing.row for standing in standings]
    return json.dumps(rows, indent=1) if as_json else "\n".join(table_lines(leaderboard_table(rows, WIDTH)))
