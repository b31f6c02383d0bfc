"""The tables of a results folder that figures are drawn from, each read when a figure asks for it. Imports no torch."""

import shlex
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.leaderboard.ranking import Board
from benchmark.records.curves import CURVES, CurveRow, read_curves
from benchmark.running.finished import board_of

if TYPE_CHECKING:
    import pandas as pd

    from benchmark.studies.frontier import SweepRow


@dataclass(frozen=True, eq=False)
class Tables:
    """The tables of one preset in a folder.

    Attributes:
        folder: The folder.
        board: The records of the preset.
    """

    folder: Path
    board: Board

    @classmethod
    def read(cls, folder: str | Path, preset: str | None = None) -> "Tables":
        """The tables of a folder.

        Args:
            folder: The folder of a run's tables.
            preset: The preset, which may be left out if there is only one.

        Raises:
            ValueError: In one line, if there are no records, or several presets and none is chosen.
        """
        return cls(Path(folder), board_of(Path(folder), preset))

    @cached_property
    def curves(self) -> "list[CurveRow]":
        """The rows of `curves.csv`; none without one. Curves of circuits have the ranking that counts."""
        rows = read_curves(self.folder / CURVES)
        return [
            row for row in rows if row.preset == self.board.preset and row.ranking in ("", self.board.rules.ranking)
        ]

    @cached_property
    def sweep(self) -> "list[SweepRow]":
        """The rows of `sweep.csv`; none without one."""
        from benchmark.studies.frontier import read_sweep

        return [row for row in read_sweep(self.folder) if row.preset == self.board.preset]

    @cached_property
    def regret(self) -> "pd.DataFrame | None":
        """The rows of `regret.csv`; `None` without one."""
        from benchmark.studies.regret_table import read_regret

        return read_regret(self.folder)

    def command(self, words: str) -> str:
        """A command that adds something to the folder, in backticks: `bench sweep all --out results`."""
        return f"`bench {words} --out {shlex.quote(str(self.folder))}`"
