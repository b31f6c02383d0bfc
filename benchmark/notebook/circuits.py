"""Finds the circuit of a task in a model, given by as little as the names of both."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch

from benchmark.corpus import Corpus
from benchmark.discovery import finder
from benchmark.discovery.arguments import check_kind, checked_graph
from benchmark.discovery.cutting import FoundCircuit
from benchmark.discovery.search import Budget
from benchmark.evaluate import finder_generator
from benchmark.interventions.ablation import AblationValuesOn, Means
from benchmark.metrics import task_loss
from benchmark.model.checks import check_model
from benchmark.model.interface import CircuitModel
from benchmark.notebook.sources import Source, Windows, check_seed, circuit_config
from benchmark.running.finished import FinishedRun
from benchmark.running.posing import in_forms
from benchmark.scoring.case import DiscoveredCircuit, Setting
from benchmark.tasks import TASKS, Task
from benchmark.tasks.prompts import TaskPrompts


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class TaskCircuit(FoundCircuit):
    """A discovered circuit, with everything that its scores are computed from.

    Attributes:
        case: The model, the reference model, the prompts, the ablation values and the settings.
        custom: Whether it was found under ablation values of one's own, under which it cannot be scored.
    """

    case: DiscoveredCircuit
    custom: bool = False

    def __repr__(self) -> str:
        task = "" if self.case.task is None else f"{self.case.task.name}, "
        minimal = ", 1-minimal" if self.minimal else ""
        losses = ", ".join(f"{name} {loss:.3f}" for name, loss in self.losses.items())
        status, reason = self.case.status
        where = f"{task}{self.case.setting.graph} graph"
        return f"TaskCircuit({where}: {self.circuit.counted}{minimal}, {reason or status}; test losses: {losses})"

    @property
    def losses(self) -> dict[str, float]:
        """Task loss on test prompts of the `whole` model, the `circuit` and the `empty` circuit, nats."""
        batch = self.case.batch
        return {
            name: task_loss(self.case.logits[name], batch.answer, batch.other) for name in ("whole", "circuit", "empty")
        }

    @property
    def facts(self) -> dict[str, str]:
        """What one wants to know first, as text."""
        status, reason = self.case.status
        task = {} if self.case.task is None else {"task": self.case.task.name}
        losses = {f"test loss of the {name}": f"{loss:.3f}" for name, loss in self.losses.items()}
        tested = {"on test prompts": reason or status}
        return {**task, "graph": self.case.setting.graph, **super().facts, **losses, **tested}


def find_circuit(
    model: CircuitModel,
    task: str | Task | TaskPrompts,
    means: Means | None = None,
    *,
    run: FinishedRun | str | Path | None = None,
    corpus: Corpus | None = None,
    tokenizer: Any = None,
    beginning: int | None = None,
    windows: Windows | None = None,
    reference: CircuitModel | None = None,
    graph: str = "unit",
    target: float | None = None,
    ranking: str | None = None,
    ablation: str | None = None,
    budget: Budget | None = None,
    ablation_values: AblationValuesOn | None = None,
    seed: int = 0,
    generator: torch.Generator | None = None,
) -> TaskCircuit:
    """Find a circuit of few nodes that does a task; `score` scores it.

    Args:
        model: The model in which to find it.
        task: Name of a task, the task itself, or its prompts.
        means: Mean of each node, `[node]` by site, which ablated nodes take; by default over windows of the corpus.
        run: A finished run, or its folder, whose corpus and settings are used. With a model of the run and its seed
            this finds the circuit of the run.
        corpus: The corpus of the model, instead of that of a run.
        tokenizer: The tokenizer of the model (`tokenizers.Tokenizer`, or one of transformers that is fast), for a model
            without a corpus.
        beginning: Token id that the model of the tokenizer expects first, such as that of `<bos>`; none if left out.
        windows: Text of the kind that the model was trained on, for a model without a corpus: token ids
            `[window, position]`. Means and what flows along edges are averaged over it.
        reference: The model that the circuit explains, for a dictionary; by default the model itself.
        graph: `unit` or `channel`: which sites count as nodes.
        target: Task loss to reach, nats; by default that of the run, or 0.15.
        ranking: Name of the ranking that orders the nodes; by default that of the run, or `mask`.
        ablation: Name of the ablation; by default that of the run, or `mean`.
        budget: The budget of the search; by default that of the run, or of preset quick.
        ablation_values: Ablation values on given prompts, instead of an ablation by name.
        seed: Seed of the prompts and of the search.
        generator: Source of the randomness of the search, instead of the seed.

    Raises:
        ValueError: In one line, with the argument, its value and what is wanted.
    """
    check_kind("model", model, CircuitModel, "a CircuitModel (sites, start, advance, read_out, connections)")
    if reference is not None:
        check_kind("reference", reference, CircuitModel, "a CircuitModel")
    check_model(model, (chosen := checked_graph(graph),))
    check_seed(seed)
    own = {"ablation": ablation, "ablation_values": ablation_values}
    if None not in own.values():
        raise ValueError("ablation and ablation_values are both given; give one of the two")
    source = Source.of(run, corpus, tokenizer, windows, beginning)
    config = circuit_config(source.run, target, ranking, ablation, budget)
    asked = TASKS.named(task) if isinstance(task, str) else task
    named = in_forms(asked, config) if isinstance(asked, Task) else None
    prompts = source.prompts(named, config, seed) if named else task
    check_kind("task", prompts, TaskPrompts, "the name of a task, a Task, or TaskPrompts")
    assert isinstance(prompts, TaskPrompts)
    if not len(prompts.test):
        raise ValueError("task must have test prompts, got none")
    given, by_position = source.means(model, means)
    if config.ablation == "position_mean" and not by_position:
        raise ValueError("ablation position_mean needs means by position, which are measured only if means is left out")
    setting = Setting(
        model=model,
        reference=model if reference is None else reference,
        means=given,
        graph=chosen,
        prompts=prompts,
        windows=source.edge_windows(config),
        seed=seed,
        position_means=by_position,
        ablation=config.ablation,
    )
    found = finder.find_circuit(
        model,
        prompts,
        given,
        graph=graph,
        target=config.target_loss,
        ranking=config.ranking,
        budget=config.budget if budget is None else budget,
        ablation_values=ablation_values or setting.ablation_values,
        generator=generator or finder_generator(named.name if named else "", seed, config),
    )
    case = DiscoveredCircuit.of(setting, found, config, named, source.corpus)
    known = {field.name: getattr(found, field.name) for field in fields(FoundCircuit)}
    return TaskCircuit(**known, case=case, custom=ablation_values is not None)
