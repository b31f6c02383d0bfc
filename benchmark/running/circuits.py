"""Finds the circuits of a finished run: rows name them, the store has them."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.files import check_shapes, read_tensors
from benchmark.records.table import RECORDS, Record
from benchmark.running.models import Inputs, load_variant
from benchmark.running.store import Store

if TYPE_CHECKING:
    from torch import Tensor

    from benchmark.corpus import Corpus
    from benchmark.model.circuit import Circuit
    from benchmark.model.interface import CircuitModel


def circuit_rows(records: Iterable[Record], out: Path, method: str, task: str | None) -> list[Record]:
    """The row of each circuit of a method, for one task or for all: that of its number of edges.

    Args:
        records: The records of a run.
        out: The folder of the run, which an error names.
        method: Name of the method.
        task: Name of the task; `None` for all.

    Raises:
        ValueError: There is none.
    """
    rows = [row for row in records if row.method == method and row.metric == "edges" and task in (None, row.task)]
    if not rows:
        wanted = method if task is None else f"{method} and task {task}"
        raise ValueError(f"no circuit of {wanted} in {out / RECORDS}; `bench run --method {method}` finds them")
    return rows


@dataclass(frozen=True, eq=False)
class StoredCircuit:
    """A circuit that a run has found, with what it was found in.

    Attributes:
        row: The row that names it.
        model: The model, loaded.
        circuit: The nodes kept.
        inputs: The folders of the artifacts that its cell needed, by role.
        folder: The folder of its own artifact.
    """

    row: Record
    model: "CircuitModel"
    circuit: "Circuit"
    inputs: Mapping[str, Path]
    folder: Path

    @classmethod
    def read(
        cls, row: Record, store: Store, load: "Callable[[str, str, Inputs], CircuitModel]" = load_variant
    ) -> "StoredCircuit":
        """The circuit behind a row.

        Args:
            row: The row.
            store: Where its artifacts are.
            load: Loads the model of a method and variant, such as one that loads each only once.

        Raises:
            ValueError: In one line, if its cell failed, the store lacks an artifact, or a file does not fit the model.
        """
        from benchmark.model.circuit import Circuit

        if row.status == "failed":
            raise ValueError(f"its cell failed: {row.reason}")
        key = store.key_of(row.config_hash)
        inputs = {role: store.artifact(needed) for role, needed in store.manifest(key).needs.items()}
        model = load(row.method, row.variant, inputs)
        path = store.artifact(key) / "circuit.safetensors"
        circuit = Circuit.load(path)
        wanted = {site.name: (site.size,) for site in model.sites if site.name in circuit.masks}
        check_shapes(path, {name: mask.shape for name, mask in circuit.masks.items()}, wanted)
        return cls(row, model, circuit, inputs, path.parent)

    def means(self) -> "dict[str, Tensor]":
        """The mean of every node over the corpus, by site."""
        return read_tensors(
            self.inputs["profile"] / "means.safetensors", {site.name: (site.size,) for site in self.model.sites}
        )

    def corpus(self) -> "Corpus":
        """The corpus of the run."""
        from benchmark.corpus import Corpus

        return Corpus.load(self.inputs["corpus"])


def named(row: Record) -> str:
    """A circuit or another cell of a method in messages: `sae (errors_ablated, unit, for_while), seed 0`."""
    names = ", ".join(filter(None, (row.variant, row.graph, row.task, row.concept)))
    return f"{row.method} ({names}), seed {row.seed}"
