"""What the sections of the page read: the tables of one preset of a run, and its artifacts if they are there."""

import csv
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.files import CorruptFileError, read_text, readable
from benchmark.leaderboard.ranking import Board, LeaderboardRow
from benchmark.records.curves import CURVES, CurveRow, read_curves
from benchmark.records.table import COSTS, Cost, read_costs
from benchmark.running.experiment import Experiment, read_experiment
from benchmark.running.finished import FinishedRun, board_of
from benchmark.running.store import Store

if TYPE_CHECKING:
    from benchmark.records.table import Record
    from benchmark.report.figures.data import Figure
    from benchmark.report.figures.tables import Tables
    from benchmark.studies.compare import Contrasts
    from benchmark.studies.frontier import SweepRow
    from benchmark.studies.verdicts import Claim, Finding


@dataclass(frozen=True, eq=False)
class PageRun:
    """One preset of a run; tables other than the records are read when a section asks for them.

    Attributes:
        folder: The folder of the tables.
        board: The records of the preset, with the rules by which they are ranked.
        experiment: Its settings; `None` for tables without a `run.json`.
        store: Where its artifacts are; `None` without a store.
    """

    folder: Path
    board: Board
    experiment: Experiment | None
    store: Store | None

    @property
    def preset(self) -> str:
        """Name of the preset."""
        return self.board.preset

    @property
    def records(self) -> "list[Record]":
        """All records of the preset, of every ranking, ablation and target loss."""
        return list(self.board.records)

    @cached_property
    def leaderboard(self) -> list[LeaderboardRow]:
        """The rows of the leaderboard, the unit graph first, in the order of rank."""
        return self.board.standings()

    @cached_property
    def curves(self) -> list[CurveRow]:
        """What was measured as a function of something else; none without the file.

        Raises:
            CorruptFileError: The file cannot be read.
        """
        return [row for row in read_curves(self.folder / CURVES) if row.preset == self.preset]

    @cached_property
    def costs(self) -> list[Cost]:
        """Seconds and memory of each cell; none without the file.

        Raises:
            CorruptFileError: The file cannot be read.
        """
        return [row for row in read_costs(self.folder / COSTS) if row.preset == self.preset]

    @cached_property
    def sweep(self) -> "list[SweepRow]":
        """The operating points of `bench sweep`; none without the file.

        Raises:
            CorruptFileError: The file cannot be read.
        """
        return self.tables.sweep

    @cached_property
    def tables(self) -> "Tables":
        """The tables as figures read them."""
        from benchmark.report.figures.tables import Tables

        return Tables(self.folder, self.board)

    def figure(self, name: str) -> "Figure":
        """One of the standard figures.

        Raises:
            CorruptFileError: A table that it is drawn from cannot be read.
        """
        from benchmark.report.figures import figure

        return figure(name, self.tables)

    @cached_property
    def verdicts(self) -> "list[tuple[Claim, list[Finding]]]":
        """The published claims, each with a finding per criterion.

        Raises:
            CorruptFileError: The table of the sweep cannot be read.
        """
        from benchmark.studies.verdicts import findings

        return findings(self.board, self.sweep)

    @cached_property
    def comparisons(self) -> "list[Contrasts]":
        """The comparisons that are declared in advance, of the methods that were run and are ranked."""
        import numpy as np

        from benchmark.seeds import seed_of
        from benchmark.studies.compare import declared_contrasts

        return declared_contrasts(self.board, lambda: np.random.default_rng(seed_of("compare", self.preset)))

    def rows_of(self, name: str, columns: Collection[str]) -> list[dict[str, str]]:
        """The rows of a table that another command writes, as text; none without the file.

        Args:
            name: Name of the file.
            columns: The columns that it must have.

        Raises:
            CorruptFileError: The file is not such a table.
        """
        path = self.folder / name
        if not path.exists():
            return []
        reader = csv.DictReader(StringIO(read_text(path, kind="table", encoding="utf-8-sig"), newline=""), strict=True)
        with readable(path, "table"):
            rows = list(reader)
        if missing := [column for column in columns if column not in (reader.fieldnames or ())]:
            raise CorruptFileError(path, f"lacks the columns {', '.join(missing)}")
        return [{name: row[name] or "" for name in columns} for row in rows]

    @cached_property
    def finished(self) -> FinishedRun | None:
        """The run with its trained models; `None` if its settings are not known or there is no store."""
        if self.experiment is None or self.store is None:
            return None
        return FinishedRun(self.folder, self.experiment, self.records, self.store)


def page_run(folder: Path, store: Path | None, preset: str | None = None) -> PageRun:
    """Open the tables of a run, and its store if that folder exists.

    Args:
        folder: The folder of the tables.
        store: The folder of the artifacts.
        preset: The preset; it need not be named if the folder has only one.

    Raises:
        ValueError: In one line, if the folder has no records of the preset, or they cannot be read.
    """
    found = Store(store) if store is not None and store.is_dir() else None
    return PageRun(folder, board_of(folder, preset), read_experiment(folder), found)
