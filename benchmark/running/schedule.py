"""Which cells of a run can be computed now, and how those that are no longer waiting ended."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from benchmark.running.cells import KINDS, Cell
from benchmark.running.reports import Chosen


@dataclass(frozen=True)
class Outcome:
    """How a cell of a run ended.

    Attributes:
        cell: The cell.
        status: `found` in the store, `computed` now, or `failed`.
        reason: Why it failed, in one line.
        kernels: The choices of kernels with which it was computed now, and the kind of `device` if it was not the CPU.
    """

    cell: Cell
    status: Literal["found", "computed", "failed"]
    reason: str = ""
    kernels: Chosen = field(default_factory=dict)


def kernels_of(outcomes: Iterable[Outcome]) -> Chosen:
    """The choices of kernels with which a run computed; empty if it found everything in the store."""
    return {name: option for outcome in outcomes for name, option in outcome.kernels.items()}


@dataclass
class Schedule:
    """Which cells may be computed now.

    Attributes:
        waiting: Cells not yet taken, by decreasing urgency, each after the cells that it needs.
        done: Keys of the cells whose artifacts exist.
        checks: The cells that all others wait for, except those that they need.
        outcomes: How the cells that are no longer waiting ended, by key; none for a cell that was found.
        stopped: Why the remaining cells were given up; empty if they were not.
    """

    waiting: list[Cell]
    done: set[str]
    checks: Sequence[Cell] = ()
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    stopped: str = ""

    def ready(self) -> Iterator[Cell]:
        """The waiting cells whose needs are done, the most urgent first."""
        open_checks = [cell for cell in self.checks if cell.key not in self.done and cell.key not in self.outcomes]
        first = {key for cell in open_checks for key in (cell.key, *(need.key for need in cell.needs.values()))}
        for cell in list(self.waiting):
            if (not first or cell.key in first) and all(needed.key in self.done for needed in cell.needs.values()):
                yield cell

    def take(self, cell: Cell) -> Cell:
        """Take a cell that is ready, to compute it."""
        self.waiting.remove(cell)
        return cell

    def give_back(self, cell: Cell, need: Cell | None = None) -> None:
        """Let a cell that was taken be computed later, after a cell that it needs and whose artifact was lost."""
        first = [cell]
        if need is not None and need.key in self.done:
            self.done.discard(need.key)
            self.outcomes.pop(need.key, None)
            first = [need, cell]
        self.waiting = [*first, *self.waiting]

    def blocker(self, cell: Cell) -> str:
        """Why a cell can never be computed; empty if none that it needs has failed."""
        for need in cell.needs.values():
            outcome = self.outcomes.get(need.key)
            if outcome is not None and outcome.status == "failed":
                return f"needs {need.label}, which failed: {outcome.reason}"
        return ""

    def find(self, cell: Cell) -> None:
        """Record that another run has computed a waiting cell."""
        self.waiting.remove(cell)
        self.done.add(cell.key)

    def finish(self, cell: Cell, kernels: Mapping[str, str] = {}) -> None:
        """Record that a cell that was taken has been computed, with these choices of kernels."""
        self.done.add(cell.key)
        self.outcomes[cell.key] = Outcome(cell, "computed", kernels=kernels)

    def _failed_check(self) -> str:
        """Why nothing else may start: all checks of some kind have failed, or one that is needed; empty if not so."""
        for name in dict.fromkeys(check.kind for check in self.checks):
            kind = KINDS[name]
            ended = [self.outcomes.get(check.key) for check in self.checks if check.kind == name]
            failed = [outcome for outcome in ended if outcome is not None and outcome.status == "failed"]
            if kind.all_needed and failed:
                return f"nothing is trained, as {failed[0].cell.label} failed its check: {failed[0].reason}"
            if len(failed) == len(ended):
                return f"nothing is trained, as every {kind.check} failed its check, the first: {failed[0].reason}"
        return ""

    def fail(self, cell: Cell, reason: str) -> list[Cell]:
        """Record that a cell that was taken has failed; return the cells that fail with it.

        These are the cells that need it, directly or not, and all waiting cells if the checks of a kind have failed.
        """
        self.outcomes[cell.key] = Outcome(cell, "failed", reason)
        lost = [cell]
        for gone in lost:  # grows while it is read
            for other in self.waiting:
                if other.key not in self.outcomes and gone.key in {need.key for need in other.needs.values()}:
                    lost.append(other)
                    self.outcomes[other.key] = Outcome(other, "failed", f"needs {cell.label}, which failed: {reason}")
        if why := self._failed_check():
            rest = [other for other in self.waiting if other.key not in self.outcomes]
            lost, self.stopped = [*lost, *rest], why
            self.outcomes |= {other.key: Outcome(other, "failed", why) for other in rest}
        self.waiting = [other for other in self.waiting if other.key not in self.outcomes]
        return lost[1:]
