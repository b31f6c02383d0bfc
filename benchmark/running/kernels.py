"""Which of several ways to compute the same is the fastest on this machine: measured once, then kept in the store.

The ways agree within rounding, but not in every bit, and a training run of many steps amplifies that as it would a
rounding error anywhere else. A folder of tables therefore records the ways that its rows were computed in, and a later
run into it computes in the same ways.
"""

import platform
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import entry_points, version
from math import inf
from pathlib import Path
from time import perf_counter, process_time

from filelock import FileLock
from pydantic import BaseModel, TypeAdapter, ValidationError

from benchmark.disk import replace_file
from benchmark.running.reports import Chosen, Settled

GROUP = "sparse_circuit_bench.kernels"
"""The entry-point group of the choices."""

KERNELS = "kernels.json"
"""The file of a store that keeps what was measured."""

CLOCK = perf_counter if sys.platform == "win32" else process_time
"""The time that this process computes, seconds, which other processes hardly change; Windows counts it too coarsely."""

SECONDS = 0.04
"""How long ways are timed, after a first run of each."""

SECONDS_TO_MEASURE = 60.0
"""How long a run waits for another that measures on the same store."""

LEAST_ROUNDS = 3
"""In how many rounds they are timed at least, however long that takes."""

MARGIN = 0.05
"""The share of its time that a way has to save to be taken instead of the first one."""


@dataclass(frozen=True)
class KernelChoice:
    """A computation that can be done in several ways, whose results agree within rounding.

    Attributes:
        name: What is computed.
        options: The ways that this build of the libraries has.
        measure: Returns the option to take on this machine.
        use: Makes this process compute in the way of an option.
    """

    name: str
    options: Sequence[str]
    measure: Callable[[], str]
    use: Callable[[str], None]


class Machine(BaseModel, frozen=True, extra="forbid"):
    """What may change which way is the fastest; it does not identify the machine."""

    processor: str
    instructions: str
    platform: str
    torch: str

    @classmethod
    def here(cls) -> "Machine":
        """This machine."""
        import torch

        return cls(
            processor=_processor(),
            instructions=torch.backends.cpu.get_cpu_capability(),
            platform=f"{platform.system()} {platform.machine()}",
            torch=version("torch"),
        )


class Measured(BaseModel, frozen=True, extra="forbid"):
    """What was measured on a machine."""

    machine: Machine
    chosen: Chosen


_FILE = TypeAdapter(tuple[Measured, ...])


def installed() -> list[KernelChoice]:
    """The choices that the installed packages have."""
    return [entry.load() for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.value)]


def settle(recorded: Chosen, store: Path) -> Settled:
    """Settle every choice and use it: as recorded, else as measured earlier on this machine, else by measuring.

    Args:
        recorded: The options with which the run's folder of tables was computed.
        store: The folder of the store, which keeps what is measured.
    """
    choices = {choice.name: choice for choice in installed()}
    chosen = _available(recorded, choices)
    remarks = [
        f"the tables were computed with {name}={recorded[name]}, which this build of torch does not have: choosing anew"
        for name in sorted(choices.keys() & recorded.keys() - chosen.keys())
    ]
    if chosen.keys() != choices.keys():
        file, here = store / KERNELS, Machine.here()
        with FileLock(store / f".{KERNELS}.lock", timeout=SECONDS_TO_MEASURE):  # runs that begin together agree
            known = read_measured(file)
            chosen = {**_available(known.get(here, {}), choices), **chosen}
            measured = {name: choice.measure() for name, choice in choices.items() if name not in chosen}
            if measured:
                chosen |= measured
                _write_measured(file, {**known, here: {**known.get(here, {}), **measured}})
    use(chosen)
    return Settled(chosen, tuple(remarks))


def use(chosen: Chosen) -> None:
    """Make this process compute in the chosen ways; nothing is imported if there are none."""
    if chosen:
        for choice in installed():
            if choice.name in chosen:
                choice.use(chosen[choice.name])


def read_measured(file: Path) -> dict[Machine, Chosen]:
    """What was measured, by machine; nothing if the file is missing or is not such a file."""
    try:
        return {each.machine: each.chosen for each in _FILE.validate_json(file.read_bytes())}
    except (OSError, ValidationError):
        return {}


def _write_measured(file: Path, measured: Mapping[Machine, Chosen]) -> None:
    rows = tuple(Measured(machine=machine, chosen=chosen) for machine, chosen in measured.items())
    replace_file(file, _FILE.dump_json(rows, indent=1).decode() + "\n")


def fastest(ways: Mapping[str, Callable[[], object]], clock: Callable[[], float] = CLOCK) -> str:
    """The name of the fastest of several ways to compute the same; the first one, unless another is clearly faster.

    The ways are timed in turns, and the lowest time of each counts: what else the machine does only adds to a time.

    Args:
        ways: The ways by name.
        clock: A clock, seconds.
    """
    names = list(ways)
    first = names[0]
    if len(names) == 1:
        return first
    for run in ways.values():
        run()
    lowest = dict.fromkeys(names, inf)
    began, rounds = clock(), 0
    while rounds < LEAST_ROUNDS or clock() - began < SECONDS:
        for name in names if rounds % 2 == 0 else reversed(names):
            started = clock()
            ways[name]()
            lowest[name] = min(lowest[name], clock() - started)
        rounds += 1
    best = min(names, key=lambda name: lowest[name])
    return best if lowest[best] < (1 - MARGIN) * lowest[first] else first


def _available(options: Chosen, choices: Mapping[str, KernelChoice]) -> dict[str, str]:
    """Those options that exist in this build."""
    return {name: option for name, option in options.items() if name in choices and option in choices[name].options}


def _processor() -> str:
    """The name of the processor, as far as the system tells."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
