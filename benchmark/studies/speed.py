"""How fast the hot paths are: each against other ways to compute the same, interleaved in one process, as ratios."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import entry_points
from statistics import median

import torch
from torch import Tensor

from benchmark.running import kernels
from benchmark.running.reports import Chosen
from benchmark.studies.live_memory import peak_bytes

GROUP = "sparse_circuit_bench.speed"
"""The entry-point group of functions that take no arguments and return comparisons."""

LEAST_SECONDS = 0.02
"""A contestant is repeated until a timing takes about this long."""

Contestant = Callable[[], Sequence[Tensor]]
"""Computes something and returns its results; a training step goes on from where the last one ended."""


@dataclass(frozen=True)
class Comparison:
    """One of our hot paths, and other ways to compute the same.

    Attributes:
        name: What is computed.
        shapes: The shapes that it is computed on.
        ours: Our way.
        others: Other ways, by name.
        same_results: Whether all ways give the same results the first time they are run, which is checked before
            anything is timed. `False` if the other ways compute something else of the same shape.
        tolerance: How far results may differ, relative and absolute.
        tokens: Number of tokens that one run processes; 0 if it is not something that is done to tokens.
    """

    name: str
    shapes: str
    ours: Contestant
    others: Mapping[str, Contestant]
    same_results: bool = True
    tolerance: float = 1e-4
    tokens: int = 0


@dataclass(frozen=True)
class Speed:
    """How much faster one of our hot paths is than another way to compute the same.

    Attributes:
        name: What is computed.
        shapes: The shapes that it is computed on.
        against: The other way.
        same_results: Whether both give the same results, as was checked; otherwise the other computes something else.
        milliseconds: Median time of ours.
        other_milliseconds: Median time of the other.
        speed_up: Median over the rounds of the other's time divided by ours.
        low: The lowest ratio of any round.
        high: The highest.
        rounds: Number of rounds.
        mebibytes: The most that tensors made by ours take at one time.
        other_mebibytes: The same for the other.
        tokens_per_second: Tokens that ours processes per second; `None` for what is not done to tokens.
        other_tokens_per_second: The same for the other.
    """

    name: str
    shapes: str
    against: str
    same_results: bool
    milliseconds: float
    other_milliseconds: float
    speed_up: float
    low: float
    high: float
    rounds: int
    mebibytes: float
    other_mebibytes: float
    tokens_per_second: float | None = None
    other_tokens_per_second: float | None = None


def comparisons() -> list[Comparison]:
    """The comparisons that the installed packages provide."""
    entries = sorted(entry_points(group=GROUP), key=lambda entry: entry.value)
    return [comparison for entry in entries for comparison in entry.load()()]


def compare(comparison: Comparison, rounds: int, clock: Callable[[], float] = kernels.CLOCK) -> Iterator[Speed]:
    """Time our way and the others in turns, so that what else the machine does affects all of them alike.

    What counts is the time that the process computes, which on one thread is the time that passes on an idle machine.

    Args:
        comparison: What is timed.
        rounds: Number of rounds in which every way is timed once.
        clock: A clock, seconds.

    Raises:
        ValueError: Another way does not give the same results.
    """
    contestants = {"ours": comparison.ours, **comparison.others}
    if comparison.same_results:
        check(comparison)
    repeats = {name: repeats_of(run, clock) for name, run in contestants.items()}
    taken: dict[str, list[float]] = {name: [] for name in contestants}
    for number in range(rounds):
        names = list(contestants)
        for name in names if number % 2 == 0 else reversed(names):
            taken[name].append(seconds_of(contestants[name], repeats[name], clock))
    mebibytes = {name: peak_bytes(run) / 2**20 for name, run in contestants.items()}
    for other in comparison.others:
        ratios = [theirs / ours for ours, theirs in zip(taken["ours"], taken[other], strict=True)]
        yield Speed(
            name=comparison.name,
            shapes=comparison.shapes,
            against=other,
            same_results=comparison.same_results,
            milliseconds=1e3 * median(taken["ours"]),
            other_milliseconds=1e3 * median(taken[other]),
            speed_up=median(ratios),
            low=min(ratios),
            high=max(ratios),
            rounds=rounds,
            mebibytes=mebibytes["ours"],
            other_mebibytes=mebibytes[other],
            tokens_per_second=_per_second(comparison, taken["ours"]),
            other_tokens_per_second=_per_second(comparison, taken[other]),
        )


def _per_second(comparison: Comparison, taken: Sequence[float]) -> float | None:
    """Tokens per second at the median time."""
    return comparison.tokens / median(taken) if comparison.tokens else None


def check(comparison: Comparison) -> None:
    """`ValueError` if another way gives other results."""
    ours = comparison.ours()
    for name, run in comparison.others.items():
        try:
            torch.testing.assert_close(list(run()), list(ours), rtol=comparison.tolerance, atol=comparison.tolerance)
        except AssertionError as error:
            why = " ".join(str(error).split())
            raise ValueError(f"{comparison.name}: {name} gives other results than ours: {why}") from error


def repeats_of(run: Callable[[], object], clock: Callable[[], float]) -> int:
    """How often something is run for one timing, found by running it twice."""
    run()
    return max(1, math.ceil(LEAST_SECONDS / max(seconds_of(run, 1, clock), 1e-9)))


def seconds_of(run: Callable[[], object], repeats: int, clock: Callable[[], float]) -> float:
    """Seconds that one run takes."""
    began = clock()
    for _ in range(repeats):
        run()
    return (clock() - began) / repeats


def fastest_kernels() -> Chosen:
    """Measure the ways to compute that are the fastest here and use them, as a run on this machine does."""
    chosen = {choice.name: choice.measure() for choice in kernels.installed()}
    kernels.use(chosen)
    return chosen


@contextmanager
def one_thread() -> Iterator[None]:
    """One torch thread inside, and as many as before afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def drawn(*shape: int, seed: int = 0) -> Tensor:
    """Random numbers to compute with."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


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
