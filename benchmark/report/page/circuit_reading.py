"""What the page shows of a stored circuit: its picture, what each node is worth, and its answers to a few prompts."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from benchmark.corpus import Corpus
from benchmark.corpus.sampling import spread_windows
from benchmark.discovery.edge_attribution import attributions, source_means
from benchmark.discovery.settings import CircuitConfig
from benchmark.export.graph import node_name
from benchmark.export.stored import described
from benchmark.files import CorruptFileError, read_json, readable
from benchmark.interventions.edge_ablation import kept_ends
from benchmark.interventions.replacement import Node
from benchmark.model.graph import node_sites
from benchmark.model.interface import CircuitModel, can_ablate_edges, unedited
from benchmark.records.table import VALIDITY, Record
from benchmark.report.meanings import Assessment, meanings, read_assessment
from benchmark.report.page.node_cards import NodeCard, detected_on_prompts
from benchmark.report.page.node_examples import CorpusText, node_examples
from benchmark.report.page.picture import Ends, Picture, busiest, edge_sizes, picture
from benchmark.running.circuit_inputs import Params, position_means_of, prompts_of_split, scored_task
from benchmark.running.circuits import StoredCircuit
from benchmark.running.models import Inputs, load_variant
from benchmark.running.store import Store
from benchmark.scoring.case import CircuitUnderTest
from benchmark.scoring.redundant_nodes import rises_without
from benchmark.seeds import seed_of
from benchmark.tasks.answers import answer_logits
from benchmark.tasks.prompts import PromptBatch

PAIRS = 8
"""Pairs of test prompts on which nodes are ablated and flows are measured."""

SHOWN_PAIRS = 2
"""Pairs of test prompts that are shown."""

MOST_EDGES = 200_000
"""Most edges that are drawn, all circuits together; each has at most an equal share of them."""

MOST_ABLATED = 256
"""Most nodes of a circuit that are ablated alone: those along whose edges most flows."""


@dataclass(frozen=True)
class ShownPrompt:
    """A prompt of a task as text, with the token that answers it and the token that answers the other of its pair."""

    text: str
    answer: str
    other: str


@dataclass(frozen=True)
class Answer:
    """Logits of the answer and of the alternative, in the whole model and in the circuit."""

    whole: tuple[float, float]
    circuit: tuple[float, float]


@dataclass(frozen=True)
class ReadCircuit:
    """What is shown of one circuit.

    Attributes:
        picture: Its drawing.
        effects: How much the task loss rises when a node is ablated alone, nats, by name; not of every node.
        prompts: A few test prompts.
        answers: The answers to them.
        pairs: Number of pairs of prompts behind the effects and flows.
        without_prompts: Why there are no prompts, effects and flows; empty if there are.
    """

    picture: Picture
    effects: Mapping[str, float]
    prompts: tuple[ShownPrompt, ...]
    answers: tuple[Answer, ...]
    pairs: int
    without_prompts: str = ""


Model = tuple[str, str, int | None]
"""A model of a run: method, variant and seed."""


@dataclass(frozen=True)
class Gathered:
    """What could be read of the circuits of a run.

    Attributes:
        circuits: By the identity of the row that names them.
        cards: What is known of the drawn nodes of each model, by name.
        unread: The other rows, each with the reason in one line.
    """

    circuits: Mapping[int, ReadCircuit]
    cards: Mapping[Model, Mapping[str, NodeCard]]
    unread: Sequence[tuple[Record, str]]


def gather(rows: Sequence[Record], records: Sequence[Record], store: Store) -> Gathered:
    """Read circuits from a store; those that cannot be read are named with the reason, and the others are shown.

    Args:
        rows: The rows that name them.
        records: Everything that the run has measured.
        store: The store.
    """
    circuits, cards = dict[int, ReadCircuit](), dict[Model, Mapping[str, NodeCard]]()
    unread: list[tuple[Record, str]] = []
    reader = CircuitReader(store, MOST_EDGES // max(1, len(rows)))
    by_model: dict[Model, list[Record]] = {}
    for row in rows:
        by_model.setdefault((row.method, row.variant, row.seed), []).append(row)
    for model, of_model in by_model.items():
        stored: StoredCircuit | None = None
        kept, detects = dict[str, set[int]](), dict[str, str]()
        for row in of_model:
            try:
                circuits[id(row)], stored = reader.read(row)
            except (ValueError, OSError) as error:
                unread.append((row, " ".join(str(error).split())))
                continue
            for site, index in _drawn(circuits[id(row)].picture, stored):
                kept.setdefault(site, set()).add(index)
            detects = {**_detected(stored), **detects}
        if stored is not None:
            nodes = {site: sorted(indices) for site, indices in kept.items()}
            found = node_examples(stored.model, nodes, reader.text(stored))
            known = meanings(found, _assessment(stored.row, records, store))
            cards[model] = {name: NodeCard(known[name], detects.get(name, ""), each) for name, each in found.items()}
    return Gathered(circuits, cards, unread)


def _drawn(picture: Picture, stored: StoredCircuit) -> list[tuple[str, int]]:
    """The drawn nodes as sites and indices."""
    names = {node.name for node in picture.nodes}
    kept = [(site, index) for site, indices in stored.circuit.kept().items() for index in indices]
    return [each for each in kept if node_name(*each) in names]


def _assessment(row: Record, records: Sequence[Record], store: Store) -> Assessment | None:
    """What is known of the concepts in a circuit's model; a damaged file is named by Feature validity."""
    with suppress(CorruptFileError):
        return read_assessment(row, records, store)
    return None


def _detected(stored: StoredCircuit) -> dict[str, str]:
    """What a circuit's labelled nodes detect on its prompts; nothing if it was not labelled."""
    path = stored.folder / VALIDITY
    if not path.exists():
        return {}
    with readable(path, "assessment"):
        return detected_on_prompts(read_json(path), stored.row.task)


class CircuitReader:
    """Reads circuits of a store; circuits of the same model one after the other load it once.

    Args:
        store: The store.
        most_edges: Most edges that are drawn of a circuit.
    """

    def __init__(self, store: Store, most_edges: int) -> None:
        self._store = store
        self._most_edges = most_edges
        self._model: tuple[object, CircuitModel] | None = None
        self._source_means: tuple[object, dict[str, Tensor]] | None = None
        self._batches: dict[object, PromptBatch] = {}
        self._texts: dict[Path, CorpusText] = {}

    def read(self, row: Record) -> tuple[ReadCircuit, StoredCircuit]:
        """The circuit behind a row; without what its prompts show if these cannot be drawn.

        Raises:
            ValueError: In one line, as for `StoredCircuit.read`.
        """
        stored = StoredCircuit.read(row, self._store, self._loaded)
        graph = described(stored, (), examples=False)
        params = self._store.manifest(stored.folder.name).params
        config = CircuitConfig(**params["circuit"])
        try:
            batch = self._batch(stored, params, config)
        except ValueError as error:
            why = " ".join(str(error).split())
            return ReadCircuit(picture(graph, None, self._most_edges), {}, (), (), 0, why), stored
        case = _case(stored, config, batch, params["seed"])
        flows = self._flows(case, stored, config)
        answers, corpus = _answers(case), self.text(stored).corpus
        found = ReadCircuit(
            picture=picture(graph, flows, self._most_edges),
            effects=_effects(case, busiest(graph, edge_sizes(graph, flows), MOST_ABLATED)),
            prompts=tuple(_shown(batch, row, corpus) for row in range(len(answers))),
            answers=answers,
            pairs=len(batch) // 2,
        )
        return found, stored

    def text(self, stored: StoredCircuit) -> CorpusText:
        """The corpus that a circuit's model was trained on."""
        folder = stored.inputs["corpus"]
        if folder not in self._texts:
            self._texts[folder] = CorpusText(stored.corpus())
        return self._texts[folder]

    def _loaded(self, method: str, variant: str, inputs: Inputs) -> CircuitModel:
        known = (method, variant, inputs[method])
        if self._model is None or self._model[0] != known:
            self._model = (known, load_variant(method, variant, inputs))
        return self._model[1]

    def _batch(self, stored: StoredCircuit, params: Params, config: CircuitConfig) -> PromptBatch:
        """The first test prompts of a circuit's task, padded to the longest of them."""
        corpus, task = self.text(stored).corpus, scored_task(params, stored.inputs, config)
        known = (corpus.folder, task.name, params["seed"], config.forms, config.held_out, config.test_pairs)
        if str(known) not in self._batches:
            drawn = prompts_of_split(task, "test", corpus, config, params["seed"]).rows(slice(2 * PAIRS))
            longest = int(drawn.last.max()) + 1
            self._batches[str(known)] = replace(drawn, tokens=drawn.tokens[:, :longest])
        return self._batches[str(known)]

    def _flows(self, case: CircuitUnderTest, stored: StoredCircuit, config: CircuitConfig) -> dict[Ends, float] | None:
        """What flows along each edge that has a weight; `None` if the model does not show it."""
        if not can_ablate_edges(case.model):
            return None
        weighted = [each for each in case.model.connections(stored.row.graph) if each.weight is not None]  # type: ignore[arg-type]
        joined = [each for each in (kept_ends(one, case.circuit) for one in weighted) if each is not None]
        means = {**case.means, **self._means_of_sources(stored, config.edge_tokens)}
        found = {}
        for each, sizes in zip(joined, attributions(case.model, joined, means, case.batch, case.edit), strict=True):
            source, target = each.pair
            for row, to in zip(sizes.tolist(), each.targets.tolist(), strict=True):
                for size, begin in zip(row, each.sources.tolist(), strict=True):
                    found[node_name(source, begin), node_name(target, to)] = size
        return found

    def _means_of_sources(self, stored: StoredCircuit, tokens: int) -> dict[str, Tensor]:
        """The means of what sources write in a circuit's model, over about so many training tokens."""
        method, corpus = stored.row.method, self.text(stored).corpus
        known = (method, stored.row.variant, stored.inputs[method], corpus.folder, tokens)
        if self._source_means is None or self._source_means[0] != known:
            self._source_means = (known, source_means(stored.model, spread_windows(corpus, "train", tokens)[0]))
        return self._source_means[1]


def _case(stored: StoredCircuit, config: CircuitConfig, batch: PromptBatch, seed: int) -> CircuitUnderTest:
    """A circuit on a few test prompts, ablated as when it was scored."""
    row = stored.row
    return CircuitUnderTest(
        model=stored.model,
        sites=node_sites(stored.model, row.graph),  # type: ignore[arg-type]
        circuit=stored.circuit,
        means=stored.means(),
        batch=batch,
        reference_logits=torch.zeros(0, 0),
        generator=torch.Generator().manual_seed(seed_of("ablations", seed)),
        position_means=position_means_of(stored.model, stored.inputs["profile"]) or None,
        ablation=config.ablation,
    )


def _effects(case: CircuitUnderTest, names: Sequence[str]) -> dict[str, float]:
    """How much the loss rises when each node is ablated alone, nats, by name."""
    every = {node_name(site, index): Node(site, index) for site, kept in case.circuit.kept().items() for index in kept}
    return dict(zip(names, rises_without(case, [every[name] for name in names], case.batch).tolist(), strict=True))


@torch.no_grad()
def _answers(case: CircuitUnderTest) -> tuple[Answer, ...]:
    """The answers to the prompts that are shown."""
    batch = case.batch
    both = [answer_logits(case.model, batch, edit).float().cpu() for edit in (unedited, case.edit(batch))]
    tokens = torch.stack([batch.answer, batch.other], dim=1)
    whole, circuit = (logits.gather(1, tokens)[: 2 * SHOWN_PAIRS].tolist() for logits in both)
    return tuple(Answer((a, b), (c, d)) for (a, b), (c, d) in zip(whole, circuit, strict=True))


def _shown(batch: PromptBatch, row: int, corpus: Corpus) -> ShownPrompt:
    """A prompt as text."""
    last = int(batch.last[row])
    text, answer, other = (
        corpus.decode(ids)
        for ids in (batch.tokens[row, : last + 1].tolist(), [int(batch.answer[row])], [int(batch.other[row])])
    )
    return ShownPrompt(text, answer, other)
