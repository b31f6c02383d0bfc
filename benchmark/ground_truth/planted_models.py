"""Models whose circuit is known because it was built into them: gates over bits, among gates that do not matter.

A prompt is one token, which stands for an assignment of the input bits. Value nodes each read one bit, neurons are soft
AND and OR gates over two earlier nodes, each perhaps negated. The answer is yes if any of three formulas holds, each a
chain of gates; no bit occurs twice, so that every node of a formula decides some prompts, and a circuit that lacks one
formula still answers some of the prompts that the others decide. All other gates compute other functions of the same
nodes, move other logits, and touch the answer a little.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

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
"""How steep gates are: steep enough to be gates, soft enough that what they read has gradients."""

ANSWERS = (4.0, 3.4, 2.8)
"""What each formula adds to the logit of yes where it holds, and takes from it where not; the reverse for no."""

DISTRACTOR_WEIGHT = 0.05
"""What other gates add to the answer or take from it."""

NO, YES, VOCABULARY = 0, 1, 4
"""The two answers, and how many outputs there are: the last two are moved by gates that do not matter."""

Node = tuple[int, int]
"""Site, counted from the value site, and node."""


@dataclass(eq=False)
class GateModel:
    """A circuit model of gates; each reads nodes of earlier sites directly.

    Attributes:
        inputs: Number of input bits; there are 2 ** `inputs` tokens.
        sites: Value nodes, then a site of neurons a layer.
        weights: By target and source site, `[target, source]`; the bits count as a source, the logits as a target.
        biases: By site of neurons, and for the logits, `[target]`.
        can_ablate_edges: Always.
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
        """One site."""
        site = self.sites[stage]
        direct = {source: state[source] for target, source in self.weights if target == site.name}
        before = sum(values @ self.weights[site.name, source].T for source, values in direct.items())
        assert isinstance(before, Tensor)
        if site.name in self.biases:
            before = EdgeHooks(ablated_edges).into(site.name, before + self.biases[site.name], direct)
            return {**state, site.name: edit(site, torch.tanh(GAIN * before))}
        return {**state, site.name: edit(site, EdgeHooks(ablated_edges).into(site.name, before, direct))}

    def read_out(
        self, state: State, positions: Int[Tensor, "batch query"] | None, ablated_edges: EdgeAblation | None = None
    ) -> Float[Tensor, "batch query vocab"]:
        """Logits of no, yes and the other outputs."""
        direct = {source: at_positions(state[source], positions) for target, source in self.weights if target == LOGITS}
        logits = sum(values @ self.weights[LOGITS, source].T for source, values in direct.items())
        assert isinstance(logits, Tensor)
        return EdgeHooks(ablated_edges).into(LOGITS, logits + self.biases[LOGITS], direct)

    def connections(self, graph: Graph) -> Iterator[Connection]:
        """The weights as they are, in either graph."""
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
    """A model, its task, and the circuit that does it.

    Attributes:
        name: What people call it.
        model: The model.
        circuit: The known circuit, of which no node can be spared.
        prompts: Pairs that differ in one bit and so in the answer; each bit of the formulas decides as many of them.
        means: Of every node over `windows`.
        windows: The prompts that there are, `[window, position]`; of hand-set models every token once.
    """

    name: str
    model: CircuitModel
    circuit: Circuit
    prompts: TaskPrompts
    means: dict[str, Float[Tensor, " _"]]
    windows: Int[Tensor, "window position"]

    @property
    def sites(self) -> tuple[Site, ...]:
        """The sites whose nodes a circuit keeps or not."""
        return node_sites(self.model, "unit")

    @property
    def reference(self) -> CircuitModel:
        """The reference model, with which circuits are compared."""
        return self.model


def known_models(seed: int = 0, depths: Iterable[int] = (1, 2, 3, 4)) -> list[PlantedModel]:
    """One model for each depth, drawn from a seed."""
    return [known_model(depth, torch.Generator().manual_seed(1_000 * seed + depth)) for depth in depths]


def known_model(depth: int, generator: torch.Generator, *, copies: int = 3, width: int = 24) -> PlantedModel:
    """Draw a model of so many layers of gates, from 1; `copies` value nodes read the same bit."""
    depths = (depth, (depth + 1) // 2, 1)
    draft = _Draft(depth, sum(depths) + len(depths) + 1, copies, width, generator)
    roots = [draft.formula(each) for each in depths]
    for gate in draft.distractors():
        draft.wire(gate, draft.some_sources(gate[0], 2), bias=draft.sign())
    draft.write_logits(roots)
    model, windows = draft.model(), torch.arange(2**draft.inputs)[:, None]
    yes = (model_difference(model, windows) > 0).flatten()
    return PlantedModel(
        name=f"gates {depth} deep",
        model=model,
        circuit=draft.circuit(),
        prompts=TaskPrompts(*(_draw_pairs(yes, draft.bits, pairs, generator) for pairs in (128, 64, 64))),
        means=corpus_means(model, windows),
        windows=windows,
    )


def bits_of(tokens: Int[Tensor, "batch position"], inputs: int) -> Float[Tensor, "batch position bit"]:
    """The bits of a token, the lowest first, -1 or 1."""
    return ((tokens[..., None] >> torch.arange(inputs)) & 1).float() * 2 - 1


def model_difference(model: GateModel, tokens: Int[Tensor, "batch position"]) -> Float[Tensor, "batch position"]:
    """Logit of yes minus that of no, nothing ablated."""
    logits = forward(model, tokens)
    return logits[..., YES] - logits[..., NO]


def _draw_pairs(yes: Bool[Tensor, " token"], bits: list[int], pairs: int, generator: torch.Generator) -> PromptBatch:
    """Pairs of tokens of which the first is answered yes, the second, one bit away, no."""
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
        self.reads = self._order(values) % self.inputs  # the bit of each value node
        signs = self._signs(values)
        read = torch.zeros(values, self.inputs).scatter(1, self.reads[:, None], signs[:, None])
        self.weights["blocks.0.v", EMBEDDING] = read
        self._unused = self._order(self.inputs).tolist()

    def formula(self, depth: int) -> Node:
        """Draw a part of the circuit: a chain of gates, each over the one before and a value; its last gate, an AND.

        ANDs and ORs take turns, so that a deep formula holds about as often as a shallow one.
        """
        gate = self._value()
        for layer in range(1, depth + 1):
            sources = [gate, self._value()]
            gate = self._keep(layer, [node for node in range(self.width) if (layer, node) not in self.kept])
            self.wire(gate, sources, bias=1.0 if (depth - layer) % 2 else -1.0)
        return gate

    def distractors(self) -> list[Node]:
        """The gates that do not matter."""
        gates = [(site.stage, node) for site in self.sites[1:] for node in range(site.size)]
        return [gate for gate in gates if gate not in self.kept]

    def some_sources(self, layer: int, count: int) -> list[Node]:
        """Nodes that a gate of a layer may read, the first of them in the site just before."""
        near = (layer - 1, self._below(self.sites[layer - 1].size))
        sources = {near}
        while len(sources) < count:
            site = self._below(layer)
            sources.add((site, self._below(self.sites[site].size)))
        return sorted(sources)

    def wire(self, gate: Node, sources: list[Node], bias: float) -> None:
        """Make a gate an AND (bias -1) or an OR (bias 1) of its sources, each perhaps negated."""
        name = self.sites[gate[0]].name
        for site, node in sources:
            self.weights[name, self.sites[site].name][gate[1], node] = self.sign()
        self.biases[name][gate[1]] = bias

    def write_logits(self, roots: list[Node]) -> None:
        """The roots answer, together no unless one holds; the others move other outputs, and the answer a little."""
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

    def model(self) -> GateModel:
        """The finished model."""
        return GateModel(self.inputs, tuple(self.sites), self.weights, self.biases)

    def circuit(self) -> Circuit:
        """The nodes of the formula."""
        masks = {site.name: torch.zeros(site.size, dtype=torch.bool) for site in self.sites}
        for site, node in self.kept:
            masks[self.sites[site].name][node] = True
        return Circuit(masks)

    def sign(self) -> float:
        """-1 or 1."""
        return float(self._signs(1))

    def _value(self) -> Node:
        """A value node that reads a bit which no formula has yet."""
        bit = self._unused.pop()
        self.bits.append(bit)
        return self._keep(0, (self.reads == bit).nonzero().flatten().tolist())

    def _keep(self, site: int, nodes: list[int]) -> Node:
        """One of some nodes of a site, from now on part of the circuit."""
        node = (site, nodes[self._below(len(nodes))])
        self.kept.add(node)
        return node

    def _below(self, limit: int) -> int:
        return int(torch.randint(limit, (1,), generator=self.generator))

    def _signs(self, count: int) -> Tensor:
        return torch.randint(0, 2, (count,), generator=self.generator) * 2.0 - 1

    def _order(self, count: int) -> Tensor:
        return torch.randperm(count, generator=self.generator)
