"""How fast the hot paths are: each against other ways to compute the same, interleaved in one process, as ratios."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from statistics import median
from time import perf_counter

import torch
from torch import Tensor

GROUP = "sparse_circuit_bench.speed"
"""The entry-point group of functions that take no arguments and return comparisons."""

LEAST_SECONDS = 0.02
"""A contestant is repeated until a timing takes about this long."""

Contestant = Callable[[], Sequence[Tensor]]
"""Computes something once and returns its results."""


@dataclass(frozen=True)
class Comparison:
    """One of our hot paths, and other ways to compute the same.

    Attributes:
        name: What is computed.
        shapes: The shapes that it is computed on.
        ours: Our way.
        others: Other ways, by name; that they give the same results is checked before anything is timed.
    """

    name: str
    shapes: str
    ours: Contestant
    others: Mapping[str, Contestant]


@dataclass(frozen=True)
class Speed:
    """How much faster one of our hot paths is than another way to compute the same.

    Attributes:
        name: What is computed.
        shapes: The shapes that it is computed on.
        against: The other way.
        milliseconds: Median time of ours.
        other_milliseconds: Median time of the other.
        times_faster: Median over the rounds of the other's time divided by ours.
        low: The lowest ratio of any round.
        high: The highest.
        rounds: Number of rounds.
    """

    name: str
    shapes: str
    against: str
    milliseconds: float
    other_milliseconds: float
    times_faster: float
    low: float
    high: float
    rounds: int


def comparisons() -> list[Comparison]:
    """The comparisons that the installed packages provide."""
    entries = sorted(entry_points(group=GROUP), key=lambda entry: entry.value)
    return [comparison for entry in entries for comparison in entry.load()()]


def compare(comparison: Comparison, rounds: int, clock: Callable[[], float] = perf_counter) -> Iterator[Speed]:
    """Time our way and the others in turns, so that what else the machine does affects all of them alike.

    Args:
        comparison: What is timed.
        rounds: Number of rounds in which every way is timed once.
        clock: A clock, seconds.

    Raises:
        ValueError: Another way does not give the same results.
    """
    contestants = {"ours": comparison.ours, **comparison.others}
    _check(comparison)
    repeats = {name: _repeats(run, clock) for name, run in contestants.items()}
    taken: dict[str, list[float]] = {name: [] for name in contestants}
    for number in range(rounds):
        names = list(contestants)
        for name in names if number % 2 == 0 else reversed(names):
            taken[name].append(_seconds(contestants[name], repeats[name], clock))
    for other in comparison.others:
        ratios = [theirs / ours for ours, theirs in zip(taken["ours"], taken[other], strict=True)]
        yield Speed(
            name=comparison.name,
            shapes=comparison.shapes,
            against=other,
            milliseconds=1e3 * median(taken["ours"]),
            other_milliseconds=1e3 * median(taken[other]),
            times_faster=median(ratios),
            low=min(ratios),
            high=max(ratios),
            rounds=rounds,
        )


def _check(comparison: Comparison) -> None:
    """`ValueError` if another way gives other results."""
    ours = comparison.ours()
    for name, run in comparison.others.items():
        try:
            torch.testing.assert_close(list(run()), list(ours), rtol=1e-4, atol=1e-4)
        except AssertionError as error:
            why = " ".join(str(error).split())
            raise ValueError(f"{comparison.name}: {name} gives other results than ours: {why}") from error


def _repeats(run: Contestant, clock: Callable[[], float]) -> int:
    """How often something is run for one timing, found by running it twice."""
    run()
    return max(1, math.ceil(LEAST_SECONDS / max(_seconds(run, 1, clock), 1e-9)))


def _seconds(run: Contestant, repeats: int, clock: Callable[[], float]) -> float:
    """Seconds that one run takes."""
    began = clock()
    for _ in range(repeats):
        run()
    return (clock() - began) / repeats


def with_gradients(function: Callable[..., Tensor], inputs: Iterable[Tensor]) -> Contestant:
    """The output of a function, and the gradients of a weighted sum of its entries with respect to its inputs."""
    given = [each.detach().clone().requires_grad_() for each in inputs]
    with torch.no_grad():
        output = function(*given)
    weights = torch.randn(output.shape, generator=torch.Generator().manual_seed(0))

    def run() -> Sequence[Tensor]:
        output = function(*given)
        return [output.detach(), *torch.autograd.grad(output, given, weights)]

    return run
