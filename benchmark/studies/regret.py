"""How far the finder's circuits are from the smallest that any search has found: its regret, by algorithm and budget.

The searches form a ladder. All algorithms run at the preset's budget on all cases; a few run much longer on some of
them. One of those shares no proposal with the finder, so that a lazy long search does not flatter a lazy short one.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from benchmark.methods import METHODS
from benchmark.model.circuit import Circuit
from benchmark.records.table import csv_text, read_measurements, replace_file
from benchmark.running.cells import Cell
from benchmark.running.config import RunConfig, configure
from benchmark.running.executor import Outcome
from benchmark.running.plan import Planner, by_urgency
from benchmark.running.store import Store
from benchmark.studies.best_known import BestKnown, as_text, model_and_task
from benchmark.tasks import TASKS

REGRET = "regret.csv"
"""The name of the table."""

ALGORITHMS: Mapping[str, Mapping[str, Any]] = {
    "mask": {"ranking": "mask", "shrink": False},
    "attribution": {"ranking": "attribution", "exchanges": 0},
    "random": {"ranking": "random", "exchanges": 0},
    "shrinking": {"ranking": "mask", "exchanges": 0},
    "exchanges": {"ranking": "mask"},
    "removal": {"ranking": "removal", "exchanges": 0},
}
"""The settings of each search: a learned mask that is only cut; what is left after shrinking a cut of the ranking by
attribution, of a random one, and of the mask; exchanges after that, which is the finder's own procedure; and random
removals from the whole model."""


class Rung(NamedTuple):
    """Searches of the ladder."""

    algorithm: str
    factor: int
    """Multiple of the preset's budget."""
    share: float
    """Share of the cases on which they run, with the first finder seed alone if it is below 1."""
    least: int = 0
    """Number of cases on which they run at least."""


LADDER = (
    *(Rung(algorithm, 1, 1.0) for algorithm in ALGORITHMS if algorithm != "removal"),
    Rung("shrinking", 10, 1 / 3),
    Rung("exchanges", 10, 1 / 3),
    Rung("exchanges", 50, 0.0, 8),
    Rung("removal", 50, 0.0, 8),
)
"""The searches, the shortest first."""


class Case(NamedTuple):
    """A model and a task."""

    method: str
    variant: str
    graph: str
    task: str
    seed: int


@dataclass(frozen=True, eq=False)
class Searched:
    """One search of the ladder.

    Attributes:
        case: The model and the task.
        rung: The algorithm and its budget.
        finder_seed: Its seed.
        run: Its settings.
        cell: What computes it.
    """

    case: Case
    rung: Rung
    finder_seed: int
    run: RunConfig
    cell: Cell

    @property
    def found_by(self) -> str:
        """The search in a few words."""
        return f"{self.rung.algorithm} x{self.rung.factor} finder seed {self.finder_seed}"


def searches(
    preset: str,
    methods: Sequence[str],
    tasks: Sequence[str],
    seeds: Sequence[int],
    finder_seeds: Sequence[int],
    longest: int,
    changes: Sequence[str] = (),
) -> list[Searched]:
    """The searches of the ladder up to a multiple of the budget.

    Args:
        preset: The settings to start from.
        methods: Methods whose first variant is searched, in all its graphs.
        tasks: Tasks; controls are left out.
        seeds: Training seeds.
        finder_seeds: Seeds of the searches.
        longest: Largest multiple of the preset's budget.
        changes: Other changes to the preset.

    Raises:
        ValueError: In one line, with the value and the choices.
    """
    run = configure(preset, methods, tasks, seeds, changes)
    cases = [
        Case(method.name, method.variants[0].name, graph, task, seed)
        for method in map(METHODS.named, run.methods)
        for graph in method.variants[0].graphs
        for task in run.tasks
        if not TASKS[task].control
        for seed in run.seeds
    ]
    drawn = Random(0).sample(cases, len(cases))
    found: list[Searched] = []
    for rung in LADDER:
        if rung.factor <= longest:
            chosen = drawn[: max(rung.least, round(rung.share * len(drawn)))]
            for finder_seed in finder_seeds if rung.share == 1 else finder_seeds[:1]:
                found += _with(run, rung, finder_seed, [case for case in cases if case in chosen])
    return found


def _with(run: RunConfig, rung: Rung, finder_seed: int, cases: Sequence[Case]) -> Iterator[Searched]:
    """The searches of one algorithm, budget and seed."""
    changes = {**ALGORITHMS[rung.algorithm], "finder_seed": finder_seed}
    circuit = run.circuit.model_copy(update={**changes, "budget_tokens": rung.factor * run.circuit.budget_tokens})
    changed = replace(run, circuit=circuit)
    planner = Planner(changed)
    for case in cases:
        method = METHODS.named(case.method)
        cell = planner.search(method, method.variants[0], case.graph, case.task, case.seed)
        yield Searched(case, rung, finder_seed, changed, cell)


def cells_of(found: Sequence[Searched]) -> list[Cell]:
    """All cells of some searches, the most urgent first."""
    return by_urgency([each.cell for each in found], seconds_of(found))


def seconds_of(found: Sequence[Searched]) -> Callable[[Cell], float]:
    """How long a cell is expected to take on one core: a search as long as its budget is."""
    factors = {each.cell.key: each.rung.factor for each in found}
    run = found[0].run
    return lambda cell: factors.get(cell.key, 1) * run.estimated_seconds(cell)


def circuits_found(found: Sequence[Searched], outcomes: Sequence[Outcome], store: Store) -> dict[str, BestKnown]:
    """The circuits of the searches that reached the target, by the key of their cell."""
    ended = {outcome.cell.key: outcome.status for outcome in outcomes}
    circuits = {}
    for each in found:
        if ended.get(each.cell.key) == "failed":
            continue
        folder = store.artifact(each.cell.key)
        rows = {row.metric: row for row in read_measurements(folder)}
        edges, nodes = rows["edges"].value, rows["nodes"].value
        if edges is not None and nodes is not None and rows["edges"].status == "ok":
            circuits[each.cell.key] = BestKnown(
                of=model_and_task(each.cell, each.run, store),
                edges=int(edges),
                nodes=int(nodes),
                found_by=each.found_by,
                circuit=as_text(Circuit.load(folder / "circuit.safetensors")),
            )
    return circuits


def regrets(found: Sequence[Searched], circuits: Mapping[str, BestKnown], best: Sequence[BestKnown]) -> pd.DataFrame:
    """One row a search: what it found and by how much that exceeds the smallest known, as a share.

    The regret is `nan` where the search missed the target. A circuit without edges counts as one edge.
    """
    smallest = {row.of: row for row in best}
    rows = []
    for each in found:
        circuit = circuits.get(each.cell.key)
        known = None if circuit is None else smallest[circuit.of]
        rows.append(
            {
                **each.case._asdict(),
                "algorithm": each.rung.algorithm,
                "factor": each.rung.factor,
                "finder_seed": each.finder_seed,
                "edges": np.nan if circuit is None else circuit.edges,
                "nodes": np.nan if circuit is None else circuit.nodes,
                "best_edges": np.nan if known is None else known.edges,
                "regret": np.nan
                if circuit is None or known is None
                else max(circuit.edges, 1) / max(known.edges, 1) - 1,
            }
        )
    return pd.DataFrame(rows)


@dataclass(frozen=True)
class Summary:
    """The regret of one algorithm at one multiple of the budget; shares, not percent.

    Attributes:
        algorithm: A name of `ALGORITHMS`.
        factor: Multiple of the preset's budget.
        searches: Number of searches.
        reached: How many of them reached the target.
        median: Median regret of these.
        p90: 90th percentile.
        by_method: Median by method.
        deviation: Standard deviation of log edges over finder seeds, its square averaged over cases; `nan` for one.
    """

    algorithm: str
    factor: int
    searches: int
    reached: int
    median: float
    p90: float
    by_method: Mapping[str, float]
    deviation: float


def summaries(rows: pd.DataFrame) -> list[Summary]:
    """Regret by algorithm and multiple of the budget, in the order of the ladder."""
    found = []
    for (factor, algorithm), group in rows.groupby(["factor", "algorithm"], sort=False):
        logs = np.log(group["edges"].clip(lower=1))
        variances = logs.groupby([group[name] for name in Case._fields]).var()
        medians = group.groupby("method", sort=False)["regret"].median()
        found.append(
            Summary(
                algorithm=str(algorithm),
                factor=int(str(factor)),
                searches=len(group),
                reached=int(group["regret"].count()),
                median=float(group["regret"].median()),
                p90=float(group["regret"].quantile(0.9)),
                by_method={str(method): float(regret) for method, regret in medians.items()},
                deviation=float(np.sqrt(variances.mean())),
            )
        )
    return found


def write_regrets(folder: Path, rows: pd.DataFrame) -> None:
    """Write `regret.csv`, replacing an earlier one."""
    values = rows.astype(object).where(rows.notna(), None)
    replace_file(folder / REGRET, csv_text(values.columns.to_list(), values.to_numpy().tolist()))
