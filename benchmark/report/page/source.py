"""What the sections of the page read: the tables of one preset of a run, and its artifacts if they are there."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.leaderboard.ranking import Board, LeaderboardRow
from benchmark.records.curves import CURVES, CurveRow, read_curves
from benchmark.records.table import COSTS, Cost, read_costs
from benchmark.running.experiment import Experiment, read_experiment
from benchmark.running.finished import FinishedRun, board_of
from benchmark.running.store import Store

if TYPE_CHECKING:
    from benchmark.records.table import Record


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
