"""Whether a circuit does its task in a form that its search has never seen: every form is held out once."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import pandas as pd

from benchmark.methods import METHODS
from benchmark.running.cells import Cell
from benchmark.running.config import RunConfig
from benchmark.running.plan import Planner
from benchmark.running.schedule import Outcome
from benchmark.running.store import Store
from benchmark.studies.tables import measured
from benchmark.tasks import posed

LEAVE_ONE_OUT = "leave_one_out.csv"
"""The name of the table."""

KEY = ("method", "task", "seed", "form")
"""The columns that say which search a row is about."""


@dataclass(frozen=True, eq=False)
class HeldOut:
    """A search without the prompts of one form.

    Attributes:
        method: The method; its first variant is searched, in the unit graph.
        task: The task.
        seed: The training seed.
        form: The form that is held out.
        cell: What computes it.
    """

    method: str
    task: str
    seed: int
    form: str
    cell: Cell


def searches(run: RunConfig) -> list[HeldOut]:
    """One search for each method, task, seed and form of train or validation prompts that is not the only one there.

    Raises:
        ValueError: No form can be held out, or the settings hold one out already.
    """
    if run.circuit.held_out:
        raise ValueError(f"circuit.held_out is {run.circuit.held_out!r}; here every form is held out in turn")
    found = []
    for name, form in _forms(run):
        planner = Planner(replace(run, circuit=run.circuit.model_copy(update={"held_out": form})))
        for method in map(METHODS.named, run.methods):
            for seed in run.seeds:
                cell = planner.search(method, method.variants[0], "unit", name, seed)
                found.append(HeldOut(method.name, name, seed, form, cell))
    if not found:
        raise ValueError(f"no form can be held out of {', '.join(run.tasks)}: a task needs two in a split")
    return found


def _forms(run: RunConfig) -> Iterator[tuple[str, str]]:
    """Tasks, and the forms that can be held out of each; controls are left out."""
    for name in run.tasks:
        task = posed(run.task(name), run.circuit.forms)
        if not task.control:
            for split in ("train", "validation"):
                forms = task.forms_of(split)
                yield from ((name, form.name) for form in forms if len(forms) > 1)


def rows_of(found: Sequence[HeldOut], outcomes: Sequence[Outcome], store: Store) -> pd.DataFrame:
    """One row per search: its size, its status, and the losses of circuit and whole model in the held-out form."""
    ended = {outcome.cell.key: outcome.status for outcome in outcomes}
    columns = (*KEY, "status", "edges", "nodes", "circuit_loss", "whole_loss")
    rows = []
    for each in found:
        row = {"method": each.method, "task": each.task, "seed": each.seed, "form": each.form}
        if ended.get(each.cell.key) == "failed":
            rows.append({**row, "status": "failed"})
            continue
        found_there = measured(each.cell, store)
        values = {name: found_there[name].value for name in columns[5:]}
        rows.append({**row, "status": found_there["faithfulness"].status, **values})
    return pd.DataFrame(rows, columns=columns)


@dataclass(frozen=True)
class Generalisation:
    """How the circuits of one method do in forms that were held out.

    Attributes:
        method: The method.
        searches: Number of searches.
        solved: Those in which the whole model does the task in the held-out form.
        reached: Of these, those that reached the target on their own prompts.
        generalised: Of these, those whose circuit does the task in the held-out form.
        loss: Median loss there of the circuits that reached the target, nats.
        whole_loss: Median loss there of their whole models, nats.
    """

    method: str
    searches: int
    solved: int
    reached: int
    generalised: int
    loss: float
    whole_loss: float


def by_method(rows: pd.DataFrame, target: float) -> list[Generalisation]:
    """How the circuits of each method do in forms that were held out."""
    found = []
    for method, group in rows.groupby("method", sort=False):
        solved = group[group["whole_loss"] <= target]
        reached = solved.dropna(subset="edges")
        found.append(
            Generalisation(
                method=str(method),
                searches=len(group),
                solved=len(solved),
                reached=len(reached),
                generalised=int((reached["status"] == "ok").sum()),
                loss=float(reached["circuit_loss"].astype(float).median()),
                whole_loss=float(reached["whole_loss"].astype(float).median()),
            )
        )
    return found
