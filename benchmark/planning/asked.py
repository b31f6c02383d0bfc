"""What a run asks of the machine, of Ray or of Slurm for each cell, and for each group of cells."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from benchmark.planning.needs import Needs, Planned, maximum, total
from benchmark.resources import NUMBER
from benchmark.running.cells import KINDS, Cell

WORKER_BYTES = 2**30
"""Memory of a worker without tensors: the libraries, compiled functions, and what its allocator keeps. Measured on
preset quick, where it was between 0.7 and 1.4 GiB."""

INDEX_BYTES = 8
"""Bytes in memory of the index with which windows are cut, per training token, while that is done."""

NO_MODEL = ("corpus", "task", "prompts", "labelled")
"""The kinds of cell that load no model."""

ON_HOST = (*NO_MODEL, "validity", "splitting")
"""The kinds of cell that hold what they compute in the memory of the host, whatever device models are on."""

SUMMED = ("store_bytes", "flops", "tokens")
"""The needs of which those of all cells add up."""

Seconds = Callable[[Cell], float]
"""How long a cell is expected to take on one core."""


@dataclass(frozen=True)
class Asked:
    """The resources of one cell.

    Attributes:
        cores: Processor cores; a cell computes with one thread.
        gpus: Number of GPUs.
        gpu_bytes: Bytes of tensors on the GPU; `None` if not stated.
        memory_bytes: Memory of the process; `None` if not stated.
        disk_bytes: Bytes of its files, and of a checkpoint while it trains; `None` if not stated.
        hours: Expected time.
    """

    cores: int
    gpus: int
    gpu_bytes: int | None
    memory_bytes: int | None
    disk_bytes: int | None
    hours: float


@dataclass(frozen=True)
class Row:
    """The cells of a kind and a method, or all cells.

    Attributes:
        label: Kind and method, or `total`.
        cells: Number of cells.
        needs: Tokens, operations and files of all cells together; of everything else the largest.
        asked: The resources of the largest cell; hours of all cells, and files.
    """

    label: str
    cells: int
    needs: Needs
    asked: Asked


def rows(planned: Planned, cells: Iterable[Cell], device: str, seconds: Seconds) -> list[Row]:
    """A row for each kind of cell and method, kind by kind, and one for all of them.

    Args:
        planned: What cells take.
        cells: The cells, each once.
        device: The kind of device that models are on.
        seconds: How long each cell takes.
    """
    groups: dict[str, list[Cell]] = {}
    kinds = list(KINDS)
    for cell in sorted(cells, key=lambda cell: kinds.index(cell.kind)):
        groups.setdefault(f"{cell.kind} {cell.params.get('method', '')}".strip(), []).append(cell)
    found = [_row(label, group, planned, device, seconds) for label, group in groups.items()]
    return [*found, _total(found)]


def asked(planned: Planned, cell: Cell, device: str, seconds: Seconds) -> Asked:
    """The resources of a cell."""
    needs, gpus = planned.needs(cell), int(device != "cpu" and cell.kind not in NO_MODEL)
    tensors = needs.memory_bytes
    host = 0 if gpus and cell.kind not in ON_HOST else tensors
    return Asked(
        cores=1,
        gpus=gpus,
        gpu_bytes=None if cell.kind in ON_HOST else tensors if gpus else 0,
        memory_bytes=None if host is None else WORKER_BYTES + _with_corpus(cell, host, planned),
        disk_bytes=None if needs.store_bytes is None else needs.store_bytes + _checkpoint(cell, needs),
        hours=seconds(cell) / 3600,
    )


def disk_of(planned: Planned, cells: Sequence[Cell], workers: int) -> int:
    """The bytes of all files that are stated, and of the largest checkpoints that workers may have at one time."""
    needs = [(cell, planned.needs(cell)) for cell in cells]
    checkpoints = sorted((_checkpoint(*each) for each in needs), reverse=True)
    return sum(each.store_bytes or 0 for _, each in needs) + sum(checkpoints[:workers])


def _with_corpus(cell: Cell, tensors: int, planned: Planned) -> int:
    """Bytes of tensors, and of the training windows of cells that draw from them."""
    if cell.kind not in ("train", "profile", "circuit", "search"):
        return tensors
    tokens = planned.training_tokens
    return max(tensors + planned.token_bytes * tokens, (planned.token_bytes + INDEX_BYTES) * tokens)


def _checkpoint(cell: Cell, needs: Needs) -> int:
    """Bytes of the checkpoint of a training with an optimizer: parameters and moments."""
    if cell.kind != "train" or not needs.optimizer_bytes:
        return 0
    return NUMBER * (needs.parameters or 0) + needs.optimizer_bytes


def _row(label: str, cells: Sequence[Cell], planned: Planned, device: str, seconds: Seconds) -> Row:
    every = [planned.needs(cell) for cell in cells]
    resources = [asked(planned, cell, device, seconds) for cell in cells]
    return Row(label, len(cells), _joined(every), _joined_asked(resources))


def _total(found: Sequence[Row]) -> Row:
    """All rows together, as far as they are stated; of the disk, all files and the largest checkpoint."""
    stated = [row.needs.stated for row in found]
    whole = {name: [value for each in stated if (value := each[name]) is not None] for name in Needs().stated}
    needs = Needs(**{name: sum(each) if name in SUMMED else max(each, default=0) for name, each in whole.items()})
    known = [row.asked for row in found if row.asked.disk_bytes is not None]
    checkpoint = max(((row.asked.disk_bytes or 0) - (row.needs.store_bytes or 0) for row in found), default=0)
    asked = Asked(
        cores=max(row.asked.cores for row in found),
        gpus=max(row.asked.gpus for row in found),
        gpu_bytes=max((each.gpu_bytes or 0 for each in known), default=0),
        memory_bytes=max((each.memory_bytes or 0 for each in known), default=0),
        disk_bytes=(needs.store_bytes or 0) + checkpoint,
        hours=sum(row.asked.hours for row in found),
    )
    return Row("total", sum(row.cells for row in found), needs, asked)


def _joined(every: Sequence[Needs]) -> Needs:
    return Needs(
        parameters=maximum(each.parameters for each in every),
        activation_bytes=maximum(each.activation_bytes for each in every),
        optimizer_bytes=maximum(each.optimizer_bytes for each in every),
        dictionary_bytes=maximum(each.dictionary_bytes for each in every),
        memory_bytes=maximum(each.memory_bytes for each in every),
        store_bytes=total(each.store_bytes for each in every),
        flops=total(each.flops for each in every),
        tokens=total(each.tokens for each in every),
    )


def _joined_asked(every: Sequence[Asked]) -> Asked:
    return Asked(
        cores=max((each.cores for each in every), default=0),
        gpus=max((each.gpus for each in every), default=0),
        gpu_bytes=maximum(each.gpu_bytes for each in every),
        memory_bytes=maximum(each.memory_bytes for each in every),
        disk_bytes=total(each.disk_bytes for each in every),
        hours=sum(each.hours for each in every),
    )
