"""How time and memory grow with a size: exponents fitted to measurements, beside those that counting operations gives.

An exponent is the slope of the least-squares line through the logarithms: 1 is proportional growth, 2 quadratic. The
parts of a computation grow differently, so the exponent that counting predicts is fitted to the counts at the same
sizes and need not be a whole number.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points

import numpy as np

from benchmark.running.kernels import CLOCK
from benchmark.studies.live_memory import peak_bytes
from benchmark.studies.speed import repeats_of, seconds_of

GROUP = "sparse_circuit_bench.growth"
"""The entry-point group of functions that take no arguments and return workloads."""

TOLERANCE = 0.15
"""How far a measured exponent may exceed the counted one."""

TASK_COUNTS = (1, 2, 5, 10, 20)
"""The numbers of tasks at which plans are compared."""


@dataclass(frozen=True)
class Workload:
    """A small piece of work at several sizes.

    Attributes:
        name: What is computed.
        axis: What its size is: `width`, `layers`, ….
        sizes: The sizes.
        prepare: Builds everything at a size; what it returns is timed, and can be repeated.
        operations: Arithmetic operations at a size, counted from the formulas.
        numbers: The most numbers that have to exist at one time at a size, counted likewise.
    """

    name: str
    axis: str
    sizes: tuple[int, ...]
    prepare: Callable[[int], Callable[[], object]]
    operations: Callable[[int], int]
    numbers: Callable[[int], int]


@dataclass(frozen=True)
class Growth:
    """How a cost of one workload grows with its size.

    Attributes:
        name: What is computed.
        axis: What its size is.
        quantity: `time`, `memory`, or `planned`: the time that a run is expected to take.
        unit: The unit of the values.
        sizes: The sizes.
        values: The cost at each size.
        exponent: Fitted to the values.
        counted: Fitted to what is counted at the same sizes.
    """

    name: str
    axis: str
    quantity: str
    unit: str
    sizes: tuple[int, ...]
    values: tuple[float, ...]
    exponent: float
    counted: float

    @property
    def excess(self) -> float:
        """The fitted exponent minus the counted one; above `TOLERANCE`, something grows that should not."""
        return self.exponent - self.counted

    @classmethod
    def of(
        cls,
        work: tuple[str, str],
        quantity: tuple[str, str],
        sizes: Sequence[int],
        values: Sequence[int | float],
        counts: Sequence[int | float],
    ) -> "Growth":
        """The growth of values at some sizes beside that of counts at the same sizes.

        Args:
            work: Name and axis.
            quantity: Name and unit.
            sizes: The sizes.
            values: The cost at each size.
            counts: What is counted at each size, in any unit.
        """
        fitted = exponent(sizes, values), exponent(sizes, counts)
        return cls(*work, *quantity, tuple(sizes), tuple(values), *fitted)


def exponent(sizes: Sequence[int | float], values: Sequence[int | float]) -> float:
    """The slope of the least-squares line through the logarithms of values against those of sizes."""
    assert len(sizes) == len(values) > 1, (sizes, values)
    slope, _ = np.polyfit(np.log(sizes), np.log(values), 1)
    return float(slope)


def workloads() -> list[Workload]:
    """The workloads that the installed packages provide."""
    entries = sorted(entry_points(group=GROUP), key=lambda entry: entry.value)
    return [workload for entry in entries for workload in entry.load()()]


def measure(workload: Workload, rounds: int, clock: Callable[[], float] = CLOCK) -> Iterator[Growth]:
    """The growth of time and of peak memory.

    In every round all sizes are timed once, and the shortest time of each size counts: what else the machine does only
    makes times longer. Memory is that of all tensors, those of the preparation included.

    Args:
        workload: What is measured.
        rounds: Number of rounds.
        clock: A clock, seconds.
    """
    prepared = {size: workload.prepare(size) for size in workload.sizes}
    repeats = {size: repeats_of(run, clock) for size, run in prepared.items()}
    taken = [[seconds_of(prepared[size], repeats[size], clock) for size in workload.sizes] for _ in range(rounds)]
    del prepared
    milliseconds = [1e3 * min(times) for times in zip(*taken, strict=True)]
    mebibytes = [_peak(workload, size) / 2**20 for size in workload.sizes]
    work, sizes = (workload.name, workload.axis), workload.sizes
    yield Growth.of(work, ("time", "ms"), sizes, milliseconds, [workload.operations(size) for size in sizes])
    yield Growth.of(work, ("memory", "MiB"), sizes, mebibytes, [workload.numbers(size) for size in sizes])


def _peak(workload: Workload, size: int) -> int:
    """Peak bytes of the preparation and of running twice: an optimizer only has its moments after a first step."""

    def run() -> None:
        prepared = workload.prepare(size)
        prepared()
        prepared()

    return peak_bytes(run)


def planned(preset: str = "quick", counts: Sequence[int] = TASK_COUNTS) -> Growth:
    """The growth, with the number of tasks, of the time that all cells of a run are expected to take.

    By counting it is at most proportional: no cell of one task depends on another task.
    """
    from benchmark.running.config import configure
    from benchmark.running.plan import plan
    from benchmark.tasks import TASKS

    minutes = []
    for count in counts:
        run = configure(preset, tasks=list(TASKS)[:count])
        minutes.append(sum(map(run.estimated_seconds, plan(run).cells)) / 60)
    work = f"cells of a run of preset {preset}, by its plan", "tasks"
    return Growth.of(work, ("planned", "min"), counts, minutes, counts)
