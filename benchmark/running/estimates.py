"""How long cells will take: what a preset states, corrected by how long cells like them have taken here."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator

from benchmark.running.cells import Cell
from benchmark.running.store import Store

PRIORS = (0.3, 3.0, 3.0, 3.0)
"""How many cells of a group count as much as what is known of the next larger one. Before all groups come the stated
seconds, which count for little: machines differ by more than the cells on one of them."""


class Estimates:
    """Expected seconds of cells on one core, which improve with every cell that ends.

    A cell's pace is how many times the stated seconds cells like it have taken. Cells are alike as far as they share
    kind, method, variant and graph; where few of the most similar ones have ended, less similar ones count as well.

    Args:
        stated: How long cells take on the machine that the preset was measured on, seconds.
    """

    def __init__(self, stated: Callable[[Cell], float]) -> None:
        self._stated = stated
        self._taken: defaultdict[tuple[object, ...], float] = defaultdict(float)
        self._expected: defaultdict[tuple[object, ...], float] = defaultdict(float)

    @classmethod
    def of(cls, stated: Callable[[Cell], float], cells: Iterable[Cell], store: Store) -> "Estimates":
        """Estimates that have learned from those of the given cells that the store holds."""
        made = cls(stated)
        for cell in cells:
            if store.state(cell.key) == "done":
                made.learn(cell, store.manifest(cell.key).seconds)
        return made

    def learn(self, cell: Cell, seconds: float, share: float = 1.0) -> None:
        """Take into account how long a cell took, or a share of it, from 0 to 1."""
        for group in _groups(cell):
            self._taken[group] += seconds
            self._expected[group] += share * self._stated(cell)

    def copy(self) -> "Estimates":
        """Estimates that know the same, and learn on their own."""
        made = Estimates(self._stated)
        made._taken, made._expected = self._taken.copy(), self._expected.copy()
        return made

    def __call__(self, cell: Cell) -> float:
        """Expected seconds of a cell."""
        stated, pace = self._stated(cell), 1.0
        for group, cells in zip(_groups(cell), PRIORS, strict=True):
            prior = cells * stated
            weight = self._expected[group] + prior
            pace = (self._taken[group] + prior * pace) / weight if weight else pace
        return stated * pace


def _groups(cell: Cell) -> Iterator[tuple[object, ...]]:
    """The groups of cells that a cell belongs to, the largest first."""
    alike = (cell.kind, *(cell.params.get(name) for name in ("method", "variant", "graph")))
    return (alike[:size] for size in (0, 1, 2, len(alike)))
