"""Which cells a run is made of, the most urgent first."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from math import inf

from benchmark.concepts import CONCEPTS
from benchmark.corpus import source_version
from benchmark.discovery.rankings import RANKINGS
from benchmark.interventions.ablations import ABLATIONS
from benchmark.methods import METHODS, Method, Variant
from benchmark.metrics.registry import METRICS
from benchmark.running.cells import Cell
from benchmark.running.config import RunConfig, with_needed
from benchmark.tasks import TASKS


@dataclass(frozen=True)
class Plan:
    """The cells of a run.

    Attributes:
        cells: Every cell once, the most urgent first; none before a cell that it needs.
        added: Methods that were not asked for, by name, and why they are trained all the same.
    """

    cells: tuple[Cell, ...]
    added: Mapping[str, str]


def plan(run: RunConfig) -> Plan:
    """The cells of a run, and the methods that had to be added to it.

    Methods that are added are trained; only those that were asked for are searched for circuits, and what their nodes
    mean and what is said of them measured.
    """
    planner = Planner(run)
    wanted = [
        planner.circuit(method, variant, graph, task, seed)
        for seed in run.seeds
        for method in map(METHODS.named, run.methods)
        for variant in method.variants
        for graph in variant.graphs
        for task in run.tasks
    ]
    wanted += [
        planner.validity(method.name, variant.name, seed)
        for seed in run.seeds
        for method in map(METHODS.named, run.methods)
        for variant in method.variants
    ]
    wanted += [
        planner.claims(method, variant.name, seed)
        for seed in run.seeds
        for method in map(METHODS.named, run.methods)
        for variant in method.variants
    ]
    return Plan(tuple(by_urgency(wanted, run.estimated_seconds)), added_methods(run.methods))


class Planner:
    """Makes the cells of a run. A model or profile that several cells need is one object.

    The source of records that are not ours is part of the keys of the cells that they influence: of a circuit its task
    and ranking, and every ablation and metric; of what nodes mean every concept.

    Args:
        run: The settings of the run.
    """

    def __init__(self, run: RunConfig) -> None:
        self._run = run
        self.train = cache(self._train)
        self.profile = cache(self._profile)
        self.prompts = cache(self._prompts)
        versions = {source: source_version(source, run.corpus) for source in run.corpus.sources}
        self._concepts = CONCEPTS.outside()
        self._task = cache(TASKS.outside)
        self._scoring = RANKINGS.outside(run.circuit.ranking) | ABLATIONS.outside() | METRICS.outside()
        self.corpus = Cell("corpus", run.corpus.model_dump(mode="json"), outside=versions)

    def circuit(self, method: Method, variant: Variant, graph: str, task: str, seed: int) -> Cell:
        """The circuit of a variant for a task in a graph."""
        names = {"method": method.name, "variant": variant.name, "graph": graph, "task": task, "seed": seed}
        params = {**names, "circuit": self._run.circuit.model_dump(mode="json")}
        needs = {"profile": self.profile(method.name, variant.name, seed), "prompts": self.prompts(task, seed)}
        labelled = self._concepts if graph == "unit" and TASKS[task].concepts else {}
        outside = labelled | self._task(task) | self._scoring
        return Cell("circuit", params, {**self._models(method, seed), **needs}, outside)

    def validity(self, method: str, variant: str, seed: int) -> Cell:
        """What the nodes of a variant mean."""
        params = {"method": method, "variant": variant, "seed": seed, **self._run.validity.model_dump(mode="json")}
        return Cell("validity", params, self._models(METHODS.named(method), seed), self._concepts)

    def claims(self, method: Method, variant: str, seed: int) -> Cell:
        """The numbers behind what is said of a variant."""
        params = {"method": method.name, "variant": variant, "seed": seed, **self._run.claims.model_dump(mode="json")}
        needs = {**self._models(method, seed), "profile": self.profile(method.name, variant, seed)}
        return Cell("claims", params, needs | self._reference(method.name, seed))

    def splitting(self, method: Method, variant: str, seed: int, other: "Planner | None" = None) -> Cell:
        """How the features of a variant divide concepts, and features of the same dictionary with another's settings.

        Args:
            method: A dictionary.
            variant: How it is read.
            seed: Training seed of both.
            other: Of the other settings; the corpus and all that the method needs have to be the same.
        """
        config = self._run.validity.model_dump(mode="json", include={"choice_tokens", "score_tokens", "concepts"})
        params = {"method": method.name, "variant": variant, "seed": seed, **config}
        compared = {} if other is None else {"other": other.train(method.name, seed)}
        return Cell("splitting", params, {**self._models(method, seed), **compared}, self._concepts)

    def _reference(self, method: str, seed: int) -> dict[str, Cell]:
        """The model whose token losses a method's are compared with: the reference of its seed, of the next for itself.

        None where the run has no reference, or no second seed of it.
        """
        reference, seeds = self._run.claims.reference, self._run.seeds
        if reference not in self._run.method_configs:
            return {}
        other = seeds[(seeds.index(seed) + 1) % len(seeds)] if method == reference else seed
        return {} if (reference, other) == (method, seed) else {"reference": self.train(reference, other)}

    def _profile(self, method: str, variant: str, seed: int) -> Cell:
        names = {"method": method, "variant": variant, "seed": seed}
        params = {**names, **self._run.profile.model_dump(mode="json")}
        return Cell("profile", params, self._models(METHODS.named(method), seed))

    def _prompts(self, task: str, seed: int) -> Cell:
        """Whether a task can be asked of this corpus's tokenizer and context, found out before anything is trained."""
        pairs = self._run.circuit.model_dump(include={"train_pairs", "validation_pairs", "test_pairs"})
        outside = self._task(task)
        return Cell("prompts", {"task": task, "seed": seed, **pairs}, {"corpus": self.corpus}, outside)

    def _train(self, name: str, seed: int) -> Cell:
        method = METHODS.named(name)
        config = self._run.method_configs[name].model_dump(mode="json")
        params = {"method": name, "version": method.version, "seed": seed, "config": config}
        needed = {need: self.train(need, seed) for need in method.needs}
        return Cell("train", params, {"corpus": self.corpus, **needed}, METHODS.outside(name))

    def _models(self, method: Method, seed: int) -> dict[str, Cell]:
        """The corpus, and the trained artifacts of a method and of all that it needs to be loaded and judged."""
        return {"corpus": self.corpus, **{name: self.train(name, seed) for name in with_needed(method.name)}}


def added_methods(names: Sequence[str]) -> dict[str, str]:
    """Methods that `names` leave out but need, and why."""
    added: dict[str, str] = {}
    for name in names:
        for needed in with_needed(name):
            if needed not in names:
                added.setdefault(needed, f"{name} is fitted on it or held to it")
    return added


def by_urgency(wanted: Iterable[Cell], seconds: Callable[[Cell], float]) -> list[Cell]:
    """All cells that are wanted or needed, each once: those first on which the longest chain of work still waits.

    Args:
        wanted: Cells in the order that decides ties.
        seconds: What a cell is expected to take.
    """
    cells = _all_cells(wanted)
    own = {key: max(seconds(cell), 1e-6) for key, cell in cells.items()}
    chain = dict(own)
    for cell in reversed(cells.values()):  # all that need it have had their turn, so its own chain is complete
        for needed in cell.needs.values():
            chain[needed.key] = max(chain[needed.key], own[needed.key] + chain[cell.key])
    return sorted(cells.values(), key=lambda cell: -chain[cell.key])


def expected_seconds(missing: Sequence[Cell], seconds: Callable[[Cell], float], workers: int) -> float:
    """What cells take on so many workers, when each takes up the first of them whose needs are there."""
    keys, ended = {cell.key for cell in missing}, dict[str, float]()
    free = [0.0] * workers
    waiting = list(missing)
    while waiting:
        ready = {cell.key: _ready_at(cell, keys, ended) for cell in waiting}
        now = min(free)
        cell = next(
            (cell for cell in waiting if ready[cell.key] <= now), min(waiting, key=lambda cell: ready[cell.key])
        )
        waiting.remove(cell)
        ended[cell.key] = max(now, ready[cell.key]) + seconds(cell)
        free[free.index(now)] = ended[cell.key]
    return max(free)


def _ready_at(cell: Cell, missing: set[str], ended: Mapping[str, float]) -> float:
    """When the cells that a cell needs have all been computed."""
    needed = [need.key for need in cell.needs.values() if need.key in missing]
    return max((ended.get(key, inf) for key in needed), default=0.0)


def _all_cells(wanted: Iterable[Cell]) -> dict[str, Cell]:
    """The wanted cells and all that they need, by key, none before a cell that it needs."""
    cells: dict[str, Cell] = {}

    def visit(cell: Cell) -> None:
        if cell.key not in cells:
            for needed in cell.needs.values():
                visit(needed)
            cells[cell.key] = cell

    for cell in wanted:
        visit(cell)
    return cells
