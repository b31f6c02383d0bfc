"""Models whose circuit is known because it was built into them: gates over bits, among gates that do not matter.

A prompt is one token that encodes an assignment of the input bits. Each value node reads one bit; neurons are soft AND
and OR gates over two earlier nodes, each negated at random. The answer is yes if any of three formulas holds, each a
chain of gates. No bit occurs twice, so every node of a formula decides some prompts, and a circuit without one formula
still answers some of the prompts that the others decide. All other gates (distractors) compute other functions of the
same nodes, write other logits, and slightly affect the answer.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from benchmark.discovery.cutting import FoundCircuit
from benchmark.discovery.finder import find_circuit
from benchmark.discovery.search import Budget
from benchmark.interventions.ablation import corpus_means
from benchmark.model.circuit import Circuit
from benchmark.model.edge_hooks import EdgeHooks
from benchmark.model.graph import EMBEDDING, LOGITS, node_sites
from benchmark.model.interface import (
    CircuitModel,
    Connection,
    EdgeAblation,
    Edit,
    Graph,
    Site,
    State,
    at_positions,
    forward,
)
from benchmark.tasks.prompts import PromptBatch, TaskPrompts

GAIN = 2.0
"""Steepness of the gates: steep enough to be gates, soft enough for their inputs to have gradients."""

ANSWERS = (4.0, 3.4, 2.8)
"""What each formula adds to the logit of yes if it holds and subtracts if not; the reverse for no."""

DISTRACTOR_WEIGHT = 0.05
"""What each distractor adds to the logit of yes or subtracts from it."""

NO, YES, VOCABULARY = 0, 1, 4
"""The two answers, and the number of outputs, of which the last two are written only by distractors."""

Node = tuple[int, int]
"""Index of the site, with the value site as 0, and index of the node."""


@dataclass(eq=False)
class GateModel:
    """A circuit model of gates that read nodes of earlier sites directly.

    Attributes:
        inputs: Number of input bits; there are 2 ** `inputs` tokens.
        sites: The value nodes, then one site of neurons per layer.
        weights: `[target, source]` by target and source site; the bits count as a source, the logits as a target.
        biases: `[target]` by site, for neurons and logits.
    """

    inputs: int
    sites: tuple[Site, ...]
    weights: dict[tuple[str, str], Float[Tensor, "_target _source"]]
    biases: dict[str, Float[Tensor, " _target"]]
    can_ablate_edges: bool = True

    def start(self, tokens: Int[Tensor, "batch position"]) -> State:
        """The bits of each token, -1 or 1."""
        return {EMBEDDING: bits_of(tokens, self.inputs)}

    def advance(self, state: State, stage: int, edit: Edit, ablated_edges: EdgeAblation | None = None) -> State:
        """The state after one site."""
        site = self.sites[stage]
        before = self._input(site.name, state, ablated_edges)
        return {**state, site.name: edit(site, torch.tanh(GAIN * before) if site.name in self.biases else before)}

    def read_out(
        self, state: State, positions: Int[Tensor, "batch query"] | None, ablated_edges: EdgeAblation | None = None
    ) -> Float[Tensor, "batch query vocab"]:
        """Logits of no, yes and the other outputs."""
        return self._input(LOGITS, {name: at_positions(each, positions) for name, each in state.items()}, ablated_edges)

    def _input(self, target: str, state: State, ablated_edges: EdgeAblation | None) -> Tensor:
        direct = {source: state[source] for end, source in self.weights if end == target}
        total = sum(values @ self.weights[target, source].T for source, values in direct.items())
        assert isinstance(total, Tensor)
        return EdgeHooks(ablated_edges).into(target, total + self.biases.get(target, 0.0), direct)

    def connections(self, graph: Graph) -> Iterator[Connection]:
        """The weights themselves, in either graph."""
        for (target, source), weight in self.weights.items():
            if target == LOGITS:
                along_answer = (weight[YES] - weight[NO])[None]
                yield Connection(source, target, along_answer, full=weight)
            elif source == EMBEDDING:
                yield Connection(source, target, weight.square().sum(1).sqrt()[:, None], full=weight)
            else:
                yield Connection(source, target, weight)


@dataclass(frozen=True, eq=False)
class PlantedModel:
    """A model, its task, and the circuit that solves it.

    Attributes:
        circuit: The known circuit, which needs all of its nodes.
        prompts: Pairs that differ in one bit and in the answer; every bit of the formulas decides equally many pairs.
        means: Mean of every node over `windows`.
        windows: All possible prompts, or a sample, `[window, position]`; for hand-set models every token once.
    """

    name: str
    model: CircuitModel
    circuit: Circuit
    prompts: TaskPrompts
    means: dict[str, Float[Tensor, " _"]]
    windows: Int[Tensor, "window position"]

    @property
    def sites(self) -> tuple[Site, ...]:
        """The sites whose nodes a circuit keeps or ablates."""
        return node_sites(self.model, "unit")

    @property
    def reference(self) -> CircuitModel:
        """The reference model, with which circuits are compared."""
        return self.model

    def search(
        self, budget: Budget, generator: torch.Generator, *, target: float, ranking: str = "mask"
    ) -> FoundCircuit:
        """What the finder finds in the unit graph; the arguments are those of `find_circuit`."""
        return find_circuit(
            self.model,
            self.prompts,
            self.means,
            graph="unit",
            target=target,
            ranking=ranking,
            budget=budget,
            generator=generator,
        )


def known_models(seed: int = 0, depths: Iterable[int] = (1, 2, 3, 4)) -> list[PlantedModel]:
    """One model per depth, drawn from a seed."""
    return [known_model(depth, torch.Generator().manual_seed(1_000 * seed + depth)) for depth in depths]


def known_model(depth: int, generator: torch.Generator, *, copies: int = 3, width: int = 24) -> PlantedModel:
    """Draw a model with `depth` layers of gates, at least 1; `copies` value nodes read each bit."""
    depths = (depth, (depth + 1) // 2, 1)
    draft = _Draft(depth, sum(depths) + len(depths) + 1, copies, width, generator)
    roots = [draft.formula(each) for each in depths]
    for gate in draft.distractors():
        draft.wire(gate, draft.two_sources(gate[0]), bias=draft.sign())
    draft.write_logits(roots)
    circuit = Circuit.empty(draft.sites)
    for site, node in draft.kept:
        circuit.masks[draft.sites[site].name][node] = True
    model = GateModel(draft.inputs, tuple(draft.sites), draft.weights, draft.biases)
    windows = torch.arange(2**draft.inputs)[:, None]
    yes = (model_difference(model, windows) > 0).flatten()
    return PlantedModel(
        name=f"gates {depth} deep",
        model=model,
        circuit=circuit,
        prompts=TaskPrompts(*(_draw_pairs(yes, draft.bits, pairs, generator) for pairs in (128, 64, 64))),
        means=corpus_means(model, windows),
        windows=windows,
    )


def bits_of(tokens: Int[Tensor, "batch position"], inputs: int) -> Float[Tensor, "batch position bit"]:
    """The bits of each token as -1 or 1, lowest bit first."""
    return ((tokens[..., None] >> torch.arange(inputs)) & 1).float() * 2 - 1


def model_difference(model: GateModel, tokens: Int[Tensor, "batch position"]) -> Float[Tensor, "batch position"]:
    """Logit of yes minus logit of no, with nothing ablated."""
    logits = forward(model, tokens)
    return logits[..., YES] - logits[..., NO]


def _draw_pairs(yes: Bool[Tensor, " token"], bits: list[int], pairs: int, generator: torch.Generator) -> PromptBatch:
    """Pairs of tokens that differ in one bit, the first answered yes and the second no."""
    tokens = []
    every = torch.arange(len(yes))
    for pair in range(pairs):
        flip = 1 << bits[pair % len(bits)]
        deciding = (yes & ~yes[every ^ flip]).nonzero().flatten()
        first = int(deciding[torch.randint(len(deciding), (1,), generator=generator)])
        tokens += [first, first ^ flip]
    answer = torch.tensor([YES, NO] * pairs)
    return PromptBatch(torch.tensor(tokens)[:, None], torch.zeros(2 * pairs, dtype=torch.int64), answer, 1 - answer)


@dataclass(eq=False)
class _Draft:
    """A model while it is being drawn."""

    depth: int
    inputs: int
    copies: int
    width: int
    generator: torch.Generator
    kept: set[Node] = field(default_factory=set)
    bits: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        values = self.copies * self.inputs
        hooks = ["blocks.0.v", *(f"blocks.{layer}.neuron" for layer in range(self.depth))]
        self.sites = [Site.at(hook, self.width if at else values, at) for at, hook in enumerate(hooks)]
        self.weights = {
            (target.name, source.name): torch.zeros(target.size, source.size)
            for target in self.sites
            for source in self.sites[: target.stage]
        }
        self.biases = {site.name: torch.zeros(site.size) for site in self.sites[1:]}
        self.reads = torch.randperm(values, generator=self.generator) % self.inputs  # the bit of each value node
        signs = self._signs(values)
        read = torch.zeros(values, self.inputs).scatter(1, self.reads[:, None], signs[:, None])
        self.weights["blocks.0.v", EMBEDDING] = read
        self._unused = torch.randperm(self.inputs, generator=self.generator).tolist()

    def formula(self, depth: int) -> Node:
        """Draw a part of the circuit: a chain of gates, each over the previous one and a value; returns its last gate.

        The last gate is an AND, and ANDs and ORs alternate, so that deep formulas hold about as often as shallow ones.
        """
        gate = self._value()
        for layer in range(1, depth + 1):
            sources = [gate, self._value()]
            gate = self._keep(layer, [node for node in range(self.width) if (layer, node) not in self.kept])
            self.wire(gate, sources, bias=1.0 if (depth - layer) % 2 else -1.0)
        return gate

    def distractors(self) -> list[Node]:
        """The gates outside the circuit."""
        gates = [(site.stage, node) for site in self.sites[1:] for node in range(site.size)]
        return [gate for gate in gates if gate not in self.kept]

    def two_sources(self, layer: int) -> list[Node]:
        """Two nodes for a gate in a layer to read, at least one of them in the previous site."""
        sources = {(layer - 1, self._below(self.sites[layer - 1].size))}
        while len(sources) < 2:
            site = self._below(layer)
            sources.add((site, self._below(self.sites[site].size)))
        return sorted(sources)

    def wire(self, gate: Node, sources: list[Node], bias: float) -> None:
        """Make a gate an AND (bias -1) or an OR (bias 1) of its sources, each negated at random."""
        name = self.sites[gate[0]].name
        for site, node in sources:
            self.weights[name, self.sites[site].name][gate[1], node] = self.sign()
        self.biases[name][gate[1]] = bias

    def write_logits(self, roots: list[Node]) -> None:
        """Roots write the answer: no unless one of them holds. Distractors write the other logits, and slightly yes."""
        for site in self.sites[1:]:
            weight = torch.zeros(VOCABULARY, site.size)
            others = [node for at, node in self.distractors() if at == site.stage]
            weight[YES, others] = DISTRACTOR_WEIGHT * self._signs(len(others))
            weight[YES + 1 :, others] = torch.randn(VOCABULARY - YES - 1, len(others), generator=self.generator)
            for (at, node), answer in zip(roots, ANSWERS, strict=True):
                if at == site.stage:
                    weight[NO, node], weight[YES, node] = -answer, answer
            self.weights[LOGITS, site.name] = weight
        balance = sum(ANSWERS) - min(ANSWERS)
        self.biases[LOGITS] = torch.tensor([-balance, balance, *[0.0] * (VOCABULARY - YES - 1)])

    def sign(self) -> float:
        """-1 or 1."""
        return float(self._signs(1))

    def _value(self) -> Node:
        """A value node that reads a bit not yet used by any formula."""
        bit = self._unused.pop()
        self.bits.append(bit)
        return self._keep(0, (self.reads == bit).nonzero().flatten().tolist())

    def _keep(self, site: int, nodes: list[int]) -> Node:
        """One of some nodes of a site, added to the circuit."""
        node = (site, nodes[self._below(len(nodes))])
        self.kept.add(node)
        return node

    def _below(self, limit: int) -> int:
        return int(torch.randint(limit, (1,), generator=self.generator))

    def _signs(self, count: int) -> Tensor:
        return torch.randint(0, 2, (count,), generator=self.generator) * 2.0 - 1
