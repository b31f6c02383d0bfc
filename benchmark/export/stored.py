"""Finds what is exported: a circuit, or the trained artifact, of a finished run."""

from collections.abc import Callable, Sequence
from pathlib import Path

from benchmark.export.graph import CircuitGraph, circuit_graph
from benchmark.export.writing import filled_folder
from benchmark.methods import METHODS, TrainedArtifact
from benchmark.plugins.registry import resolve
from benchmark.records.table import VALUED, Record
from benchmark.running.circuits import StoredCircuit, circuit_rows, named
from benchmark.running.experiment import records_in
from benchmark.running.finished import FinishedRun, open_run
from benchmark.running.store import Store

CHOSEN_BY = ("variant", "graph", "seed")
"""The options that tell the circuits of a method for a task apart."""


def stored_graph(
    folder: str | Path,
    method: str,
    task: str,
    *,
    store: str | Path = "store",
    variant: str | None = None,
    graph: str | None = None,
    seed: int | None = None,
    examples: bool = False,
) -> CircuitGraph:
    """The circuit of a method for a task in a finished run, with its scores.

    Args:
        folder: The folder of the run's tables, such as `results`.
        method: Name of the method.
        task: Name of the task.
        store: The folder of the run's artifacts.
        variant: How the method's artifact is read; may be left out if the run has one circuit only, as may the others.
        graph: `channel` or `unit`.
        seed: Training seed.
        examples: Whether to look at what nodes do on the corpus, which takes a few seconds.

    Raises:
        ValueError: In one line, if there is no such circuit, there are several, or it was not found, with the reason.
    """
    records = records_in(Path(folder))
    row = _chosen(circuit_rows(records, Path(folder), method, task), {"variant": variant, "graph": graph, "seed": seed})
    if row.status not in VALUED:
        raise ValueError(f"the circuit of {named(row)}, was not found: {row.status}: {row.reason}")
    stored = StoredCircuit.read(row, Store(Path(store)))
    return described(stored, [each for each in records if _same_circuit(each, row)], examples)


def described(stored: StoredCircuit, records: Sequence[Record], examples: bool) -> CircuitGraph:
    """A circuit of the store as plain data."""
    from benchmark.export.activations import node_activations
    from benchmark.interventions.edge_ablation import VERIFIED_EDGES, load_edges

    row, model, circuit = stored.row, stored.model, stored.circuit
    path = stored.folder / VERIFIED_EDGES
    seen = {}
    if examples:
        seen = node_activations(model, circuit, row.graph, stored.means(), stored.corpus())  # type: ignore[arg-type]
    return circuit_graph(
        model,
        circuit,
        graph=row.graph,
        method=row.method,
        task=row.task,
        variant=row.variant,
        seed=row.seed,
        verified=load_edges(path) if path.exists() else None,
        records=records,
        activations=seen,
    )


def _chosen(rows: Sequence[Record], wanted: dict[str, str | int | None]) -> Record:
    """The one row that has the wanted values; `ValueError` with the choices if there is none, or several."""
    method, task = rows[0].method, rows[0].task
    for name in CHOSEN_BY:
        choices = list(dict.fromkeys(getattr(row, name) for row in rows))
        value = wanted[name]
        told = ", ".join(map(str, choices))
        if value is None and len(choices) > 1:
            raise ValueError(f"{method} has several circuits for {task}; choose a --{name} from {told}")
        if value is not None and value not in choices:
            raise ValueError(f"{method} has no circuit for {task} with {name} {value}; choose from {told}")
        rows = [row for row in rows if value is None or getattr(row, name) == value]
    if len(rows) > 1:
        rankings = ", ".join(row.ranking for row in rows)
        raise ValueError(f"{method} has several circuits for {task} that differ in their ranking: {rankings}")
    return rows[0]


def _same_circuit(row: Record, other: Record) -> bool:
    """Whether two rows are about the same circuit."""
    names = ("preset", "method", "variant", "graph", "task", "seed", "ranking", "target_loss")
    return all(getattr(row, name) == getattr(other, name) for name in names)


def write_artifact(
    folder: str | Path,
    method: str,
    form: str,
    out: str | Path,
    *,
    store: str | Path = "store",
    seed: int | None = None,
    force: bool = False,
) -> list[Path]:
    """Export the trained artifact of a method in a finished run.

    Args:
        folder: The folder of the run's tables, such as `results`.
        method: Name of the method.
        form: A format that the method declares.
        out: The folder that is written.
        store: The folder of the run's artifacts.
        seed: Its training seed; may be left out if the run has one seed only.
        force: Whether to write into a folder that is not empty.

    Returns:
        The files written.

    Raises:
        ValueError: In one line, if the method does not have the format, the run has no such artifact, the format cannot
            hold it, or there is already something at `out`.
    """
    exports = METHODS.named(method).exports
    if form not in exports:
        if not exports:
            raise ValueError(f"{method} trains nothing that can be exported; give a TASK to export a circuit")
        raise ValueError(f"unknown format {form!r} for what {method} trains; choose from {', '.join(exports)}")
    trained = trained_artifact(open_run(folder, store), method, seed)
    export: Callable[[TrainedArtifact, Path], None] = resolve(exports[form])
    return filled_folder(Path(out), lambda made: export(trained, made), force=force)


def trained_artifact(run: FinishedRun, method: str, seed: int | None = None) -> TrainedArtifact:
    """What a method has trained in a finished run.

    Args:
        run: The run.
        method: Name of the method.
        seed: Its training seed; may be left out if the run has one seed only.

    Raises:
        ValueError: In one line, if there is no such artifact, or one for several seeds and none is chosen.
    """
    records, seeds = [row for row in run.records if row.method == method], run.seeds(method)
    if seed is None and len(seeds) > 1:
        raise ValueError(f"{method} was trained with several seeds; choose a --seed from {', '.join(map(str, seeds))}")
    chosen = seeds[0] if seed is None else seed
    inputs = run.inputs(method, chosen)
    manifest = run.store.manifest(inputs[method].name)
    return TrainedArtifact(
        method=method,
        seed=chosen,
        folder=inputs[method],
        inputs=inputs,
        settings=manifest.params["config"],
        code_version=manifest.code_version,
        libraries=manifest.library_versions,
        records=[row for row in records if row.seed == chosen],
    )
