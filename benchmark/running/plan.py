"""The cells that make up a run, the most urgent first."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from math import inf

from benchmark.concepts import CONCEPTS
from benchmark.corpus import source_version, tokenizer_version
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
        cells: Every cell once, the most urgent first, each after the cells that it needs.
        added: Why methods that were not asked for are trained all the same, by name.
    """

    cells: tuple[Cell, ...]
    added: Mapping[str, str]


def plan(run: RunConfig) -> Plan:
    """The cells of a run, and the methods that had to be added to it.

    Added methods are only trained; circuits, feature validity and the numbers behind claims are those of the methods
    that were asked for.
    """
    planner = Planner(run)
    read = [
        (method, variant, seed)
        for seed in run.seeds
        for method in map(METHODS.named, run.methods)
        for variant in method.variants
    ]
    wanted = [
        planner.circuit(method, variant, graph, task, seed)
        for method, variant, seed in read
        for graph in variant.graphs
        for task in run.tasks
    ]
    wanted += [planner.validity(method.name, variant.name, seed) for method, variant, seed in read]
    wanted += [planner.claims(method, variant.name, seed) for method, variant, seed in read]
    added: dict[str, str] = {}
    for name in run.methods:
        for needed in with_needed(name):
            if needed not in run.methods:
                added.setdefault(needed, f"{name} is fitted on it or explains its model")
    return Plan(tuple(by_urgency(wanted, run.estimated_seconds)), added)


class Planner:
    """Makes the cells of a run. A model or profile that several cells need is one object.

    The source of records that are not ours is part of the keys of the cells that they influence: for a circuit its task
    and ranking, and every ablation and metric; for feature validity every concept.

    Args:
        run: The settings of the run.
    """

    def __init__(self, run: RunConfig) -> None:
        self._run = run
        self.train = cache(self._train)
        self.profile = cache(self._profile)
        self.prompts = cache(self._prompts)
        versions = {source: source_version(source, run.corpus) for source in run.corpus.sources}
        versions |= tokenizer_version(run.corpus)
        self._concepts = CONCEPTS.outside()
        self._task = cache(TASKS.outside)
        self._finding = RANKINGS.outside(run.circuit.ranking) | ABLATIONS.outside()
        self.corpus = Cell("corpus", run.corpus.model_dump(mode="json"), outside=versions)

    def circuit(self, method: Method, variant: Variant, graph: str, task: str, seed: int) -> Cell:
        """The circuit of a variant for a task in a graph, with its scores."""
        search = self.search(method, variant, graph, task, seed)
        labelled = self._concepts if graph == "unit" and TASKS[task].concepts else {}
        outside = {**labelled, **search.outside, **METRICS.outside()}
        return Cell("circuit", search.params, search.needs, outside)

    def search(self, method: Method, variant: Variant, graph: str, task: str, seed: int) -> Cell:
        """The search for the circuit of a variant for a task in a graph, without scores."""
        names = {"method": method.name, "variant": variant.name, "graph": graph, "task": task, "seed": seed}
        params = {**names, "circuit": {**self._run.circuit.model_dump(mode="json"), **self._forms(task)}}
        needs = {"profile": self.profile(method.name, variant.name, seed), "prompts": self.prompts(task, seed)}
        return Cell("search", params, {**self._models(method, seed), **needs}, self._task(task) | self._finding)

    def validity(self, method: str, variant: str, seed: int) -> Cell:
        """The feature validity of a variant."""
        params = {"method": method, "variant": variant, "seed": seed, **self._run.validity.model_dump(mode="json")}
        return Cell("validity", params, self._models(METHODS.named(method), seed), self._concepts)

    def claims(self, method: Method, variant: str, seed: int) -> Cell:
        """The numbers behind the published claims, for a variant.

        Token losses are compared with those of the reference model: the one of the same seed, or for the reference
        itself the one of the next seed; with none where the run has no such model.
        """
        params = {"method": method.name, "variant": variant, "seed": seed, **self._run.claims.model_dump(mode="json")}
        needs = {**self._models(method, seed), "profile": self.profile(method.name, variant, seed)}
        reference, seeds = self._run.claims.reference, self._run.seeds
        other = seeds[(seeds.index(seed) + 1) % len(seeds)] if method.name == reference else seed
        if reference in self._run.method_configs and (reference, other) != (method.name, seed):
            needs["reference"] = self.train(reference, other)
        return Cell("claims", params, needs)

    def splitting(self, method: Method, variant: str, seed: int, other: "Planner | None" = None) -> Cell:
        """How concepts, and features of the same dictionary with other settings, split into features of a variant.

        Args:
            method: A dictionary method.
            variant: How its artifact is read.
            seed: Training seed of both dictionaries.
            other: The planner of the other settings; the corpus and all that the method needs must be the same.
        """
        config = self._run.validity.model_dump(mode="json", include={"choice_tokens", "score_tokens", "concepts"})
        params = {"method": method.name, "variant": variant, "seed": seed, **config}
        compared = {} if other is None else {"other": other.train(method.name, seed)}
        return Cell("splitting", params, {**self._models(method, seed), **compared}, self._concepts)

    def _profile(self, method: str, variant: str, seed: int) -> Cell:
        names = {"method": method, "variant": variant, "seed": seed}
        params = {**names, **self._run.profile.model_dump(mode="json")}
        return Cell("profile", params, self._models(METHODS.named(method), seed))

    def _prompts(self, task: str, seed: int) -> Cell:
        """The check, before anything is trained, that a task's prompts fit the corpus's tokenizer and context."""
        pairs = self._run.circuit.model_dump(include={"train_pairs", "validation_pairs", "test_pairs", "held_out"})
        params = {"task": task, "seed": seed, **pairs, **self._forms(task)}
        return Cell("prompts", params, {"corpus": self.corpus}, self._task(task))

    def _forms(self, task: str) -> dict[str, dict[str, list[str]]]:
        """The part of the setting `circuit.forms` that concerns a task."""
        return {"forms": {name: list(forms) for name, forms in self._run.circuit.forms.items() if name == task}}

    def _train(self, name: str, seed: int) -> Cell:
        method, settings = METHODS.named(name), self._run.method_configs[name]
        params = {"method": name, "version": method.version, "seed": seed, "config": settings.model_dump(mode="json")}
        needed = {need: self.train(need, seed) for need in method.needs}
        outside = METHODS.outside(name) | method.outside_files(settings)
        return Cell("train", params, {"corpus": self.corpus, **needed}, outside)

    def _models(self, method: Method, seed: int) -> dict[str, Cell]:
        """The corpus, and the trained artifacts of a method and of all that it depends on."""
        return {"corpus": self.corpus, **{name: self.train(name, seed) for name in with_needed(method.name)}}


def by_urgency(wanted: Iterable[Cell], seconds: Callable[[Cell], float]) -> list[Cell]:
    """All cells that are wanted or needed, each once, sorted by the longest chain of work that waits for them.

    Args:
        wanted: Cells in the order that decides ties.
        seconds: How long a cell is expected to take.
    """
    cells: dict[str, Cell] = {}  # each after the cells that it needs

    def visit(cell: Cell) -> None:
        if cell.key not in cells:
            for needed in cell.needs.values():
                visit(needed)
            cells[cell.key] = cell

    for cell in wanted:
        visit(cell)
    own = {key: max(seconds(cell), 1e-6) for key, cell in cells.items()}
    chain = dict(own)
    for cell in reversed(cells.values()):  # all cells that need it have been handled, so its own chain is complete
        for needed in cell.needs.values():
            chain[needed.key] = max(chain[needed.key], own[needed.key] + chain[cell.key])
    return sorted(cells.values(), key=lambda cell: -chain[cell.key])


def expected_seconds(missing: Sequence[Cell], seconds: Callable[[Cell], float], workers: int) -> float:
    """How long cells take on a number of workers, each of which always takes the first cell whose needs are done."""
    ended = {cell.key: inf for cell in missing}
    free = [0.0] * workers
    waiting = list(missing)
    while waiting:
        ready = {
            cell.key: max((ended.get(need.key, 0.0) for need in cell.needs.values()), default=0.0) for cell in waiting
        }
        now = min(free)
        cell = min(waiting, key=lambda cell: max(now, ready[cell.key]))
        waiting.remove(cell)
        ended[cell.key] = max(now, ready[cell.key]) + seconds(cell)
        free[free.index(now)] = ended[cell.key]
    return max(free)
