"""How far the finder's circuits are from the smallest that any search has found: its regret, by algorithm and budget.

The searches form a ladder. All algorithms but one run at the preset's budget on all cases; a few run much longer on
some of them. The one that runs only long shares no proposal with the finder, so that a lazy long search does not
flatter a lazy short one.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from benchmark.methods import METHODS
from benchmark.model.circuit import Circuit
from benchmark.running.cells import Cell
from benchmark.running.config import RunConfig
from benchmark.running.plan import Planner, by_urgency
from benchmark.running.schedule import Outcome
from benchmark.running.store import Store
from benchmark.studies.best_known import BestKnown, ModelAndTask, as_text, model_and_task
from benchmark.studies.regret_table import ALGORITHMS, Case, on_front
from benchmark.studies.tables import measured


class Rung(NamedTuple):
    """Searches of the ladder."""

    algorithm: str
    factor: int
    """Multiple of the preset's budget."""
    share: float
    """Share of the cases on which they run."""
    least: int = 0
    """Number of cases on which they run at least."""
    repeated: bool = False
    """Whether they run with every finder seed, not with the first alone."""


LADDER = (
    *(Rung(algorithm, 1, 1.0, repeated=True) for algorithm in ALGORITHMS if algorithm != "removal"),
    Rung("exchanges", 2, 1.0),
    Rung("shrinking", 10, 1 / 3),
    Rung("exchanges", 10, 1 / 3),
    Rung("exchanges", 50, 0.0, 8),
    Rung("removal", 50, 0.0, 8),
)
"""The searches, the shortest first."""


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
    run: RunConfig, finder_seeds: Sequence[int], longest: int, algorithms: Collection[str] = ALGORITHMS
) -> list[Searched]:
    """The searches of the ladder up to a multiple of the budget.

    Args:
        run: The settings to start from; the first variant of each method is searched, in all its graphs. Control tasks
            are left out.
        finder_seeds: Seeds of the searches.
        longest: Largest multiple of the preset's budget.
        algorithms: Names of `ALGORITHMS`; rungs of others are left out.

    Raises:
        ValueError: In one line, with the value and the choices.
    """
    if unknown := set(algorithms) - set(ALGORITHMS):
        raise ValueError(f"no algorithm {sorted(unknown)[0]!r}; choose from {', '.join(ALGORITHMS)}")
    cases = [
        Case(method.name, method.variants[0].name, graph, task, seed)
        for method in map(METHODS.named, run.methods)
        for graph in method.variants[0].graphs
        for task in run.tasks
        if not run.task(task).control
        for seed in run.seeds
    ]
    drawn = Random(0).sample(cases, len(cases))
    found: list[Searched] = []
    for rung in LADDER:
        if rung.factor <= longest and rung.algorithm in algorithms:
            chosen = drawn[: max(rung.least, round(rung.share * len(drawn)))]
            distinct = list(dict.fromkeys(finder_seeds))
            for finder_seed in distinct if rung.repeated else distinct[:1]:
                found += _with(run, rung, finder_seed, [case for case in cases if case in chosen])
    if not cases:
        raise ValueError(f"no search: {', '.join(run.tasks)} has no task that is not a control")
    if not found:
        least = min(rung.factor for rung in LADDER if rung.algorithm in algorithms)
        raise ValueError(f"{', '.join(algorithms)} runs with {least} times the budget or more; raise --longest")
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


@dataclass(frozen=True, eq=False)
class Result:
    """What a search found.

    Attributes:
        of: The model and the task.
        circuit: The circuit.
        sizes: `nodes` and `edges`; none if it misses the target on the search's own prompts.
        status: Whether it does the task on test prompts.
        scores: Its loss, and its faithfulness under every ablation, by metric (`faithfulness:resample`).
    """

    of: ModelAndTask
    circuit: Circuit
    sizes: Mapping[str, int]
    status: str
    scores: Mapping[str, float]


SCORED = ("circuit_loss", "faithfulness", "necessity", "robust_faithfulness")
"""The metrics of a search that are compared."""


def results(found: Sequence[Searched], outcomes: Sequence[Outcome], store: Store) -> dict[str, Result]:
    """What the searches that did not fail have found, by the key of their cell."""
    ended = {outcome.cell.key: outcome.status for outcome in outcomes}
    return {each.cell.key: _result(each, store) for each in found if ended.get(each.cell.key) != "failed"}


def _result(each: Searched, store: Store) -> Result:
    rows = measured(each.cell, store)
    sizes = {name: rows[name].value for name in ("nodes", "edges")}
    scored = {name: row.value for name, row in rows.items() if name.partition(":")[0] in SCORED}
    return Result(
        of=model_and_task(each.cell, each.run, store),
        circuit=Circuit.load(store.artifact(each.cell.key) / "circuit.safetensors"),
        sizes={name: int(size) for name, size in sizes.items() if size is not None},
        status=rows["faithfulness"].status,
        scores={name: value for name, value in scored.items() if value is not None},
    )


def smallest(found: Sequence[Searched], ended: Mapping[str, Result]) -> list[BestKnown]:
    """The circuits that reached the target, as rows of the smallest known; none of them is compared yet."""
    return [
        BestKnown(result.of, result.sizes["edges"], result.sizes["nodes"], each.found_by, as_text(result.circuit))
        for each in found
        if (result := ended.get(each.cell.key)) is not None and result.sizes
    ]


def rows_of(found: Sequence[Searched], ended: Mapping[str, Result]) -> pd.DataFrame:
    """One row per search: the digest of its model, what was found, and how faithful that is."""
    rows = []
    for each in found:
        case = {**each.case._asdict(), "algorithm": each.rung.algorithm, "factor": each.rung.factor}
        found_there = _columns_of(ended.get(each.cell.key))
        rows.append({**case, "finder_seed": each.finder_seed, **found_there})
    return pd.DataFrame(rows)


def _columns_of(result: Result | None) -> dict[str, Any]:
    """What a search found, by column; `nan` where there is no value, and `failed` if there is no result."""
    empty = dict.fromkeys(("edges", "nodes", *SCORED), np.nan)
    if result is None:
        return {"model": "", "status": "failed", **empty}
    return {"model": result.of.model, "status": result.status, **empty, **result.sizes, **result.scores}


def regrets(rows: pd.DataFrame, best: Sequence[BestKnown], run: RunConfig) -> pd.DataFrame:
    """The rows, with the fewest edges known, by how much those found exceed them as a share, and whether on the front.

    The regret is `nan` where the search missed the target. A circuit without edges counts as one edge.

    Args:
        rows: The searches.
        best: The smallest circuits known, of any preset and target.
        run: The preset and target of the searches.
    """
    columns, experiment = (*Case._fields, "model"), (run.preset, run.circuit.target_loss)
    smallest = {
        tuple(getattr(row.of, name) for name in columns): row.edges
        for row in best
        if (row.of.preset, row.of.target) == experiment
    }
    of = pd.Series([smallest.get(row) for row in rows[list(columns)].itertuples(index=False, name=None)], rows.index)
    known = of.astype(float).where(rows["edges"].notna())
    regret = rows["edges"].clip(lower=1) / known.clip(lower=1) - 1
    return rows.assign(best_edges=known, regret=regret, on_front=on_front(rows))
