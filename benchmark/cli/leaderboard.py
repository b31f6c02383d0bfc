"""The leaderboard as text: a table for people, JSON for programs."""

import io
import json
from pathlib import Path

WIDTH = 80
"""Columns of the table."""


def leaderboard_text(out: Path, as_json: bool) -> str:
    """The leaderboard of a folder.

    Raises:
        ValueError: There is none.
    """
    from rich.console import Console

    from benchmark.leaderboard import LEADERBOARD, read_leaderboard
    from benchmark.leaderboard_table import leaderboard_table

    file = out / LEADERBOARD
    if not file.is_file():
        raise ValueError(f"there is no leaderboard in folder {str(out)!r}; `bench run --out {out}` writes one")
    rows = read_leaderboard(file)
    if as_json:
        return json.dumps(rows, indent=1)
    text = io.StringIO()
    Console(file=text, width=WIDTH, color_system=None).print(leaderboard_table(rows, WIDTH))
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines())
