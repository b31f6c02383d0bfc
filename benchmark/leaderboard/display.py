"""The leaderboard for notebooks: as a data frame with every column, and as a table in HTML with intervals."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmark.html_table import html_table
from benchmark.leaderboard.ranking import DIRECT, EntryKey, LeaderboardRow
from benchmark.leaderboard.text_table import CAPTION, SHOWN, shown_limits

if TYPE_CHECKING:
    import pandas as pd

TEXT = ("preset", *EntryKey._fields, "group", "status", "reason")
"""The columns that are not numbers."""


@dataclass(frozen=True, repr=False)
class Leaderboard:
    """The rows of a leaderboard in the order of rank, each preset's unit graph first.

    Attributes:
        rows: The rows.
    """

    rows: tuple[LeaderboardRow, ...]

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[LeaderboardRow]:
        return iter(self.rows)

    def __repr__(self) -> str:
        ranked = [row for row in self.rows if row.rank is not None and row.group == DIRECT]
        best = [f"{row.rank}. {row.place.method}" for row in ranked[:3]]
        return f"Leaderboard({len(self)} rows{': ' * bool(best)}{', '.join(best)}; to_frame() has every column)"

    def to_frame(self) -> "pd.DataFrame":
        """The columns of `leaderboard.csv`, as numbers; each metric has its interval in `_low` and `_high`."""
        import pandas as pd

        frame = pd.DataFrame([row.row for row in self.rows])
        numbers = [str(name) for name in frame if name not in TEXT]
        frame[numbers] = frame[numbers].apply(pd.to_numeric)
        return frame

    def _repr_html_(self) -> str:
        """The columns that `bench show` prints, with intervals over seeds."""
        header = ("preset", "graph", *SHOWN)
        rows = [(row.preset, row.place.graph, *_cells(row.row)) for row in self.rows]
        return html_table(header, rows, "; ".join(CAPTION.splitlines()))


def _cells(row: Mapping[str, str]) -> Iterator[str]:
    for heading, show in SHOWN.items():
        yield " ".join(filter(None, (show(row), shown_limits(row, heading))))
