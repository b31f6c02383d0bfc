"""What a machine has, next to what a run needs: one line for each thing of which there is too little."""

from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path

import psutil

from benchmark.planning.text import size


def memory_bytes() -> int:
    """Memory of this machine."""
    return int(psutil.virtual_memory().total)


def free_bytes(folder: Path) -> int:
    """Free bytes of the disk that a folder is on, which need not exist yet."""
    there = next(each for each in [folder.absolute(), *folder.absolute().parents] if each.exists())
    return int(psutil.disk_usage(str(there)).free)


def shortages(memory: Sequence[int], disk: int, workers: int, store: Path) -> Iterator[str]:
    """One line if the machine has less memory than that, and one if the disk of the store has less room.

    Args:
        memory: Bytes that each cell needs.
        disk: Bytes that will be written.
        workers: Number of workers, each of which may have one of the largest cells.
        store: The folder of the store.
    """
    there, largest = memory_bytes(), sorted(memory, reverse=True)[:workers]
    if sum(largest) > there:
        fitting = sum(total <= there for total in accumulate(largest))
        advice = f"--workers {fitting} fits" if fitting else "choose a smaller preset or a larger machine"
        yield f"needs up to {size(sum(largest))} of memory, but this machine has {size(there)}: {advice}"
    if (free := free_bytes(store)) < disk:
        yield f"needs {size(disk)} of disk, but store {str(store)!r} has {size(free)} left: choose another --store"
