"""A causal model of Boolean gates, prompts that query it, and the interchange-intervention accuracy of a circuit.

*Interchange intervention* (Geiger et al. 2022, arXiv 2112.00826): while running a base prompt, set the nodes of one
variable to their values on a source prompt, and compare the answer with the causal model's when that variable is set to
its value for the source. Interchange-intervention accuracy is the share of interventions on which the two agree.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from benchmark.interventions.ablation import Means, keep_only
from benchmark.model.circuit import Circuit
from benchmark.model.interface import CircuitModel, Edit, Site, forward, record, unedited
from benchmark.tasks.prompts import PromptBatch, TaskPrompts

Gate = Literal["and", "or", "xor"]

GATES = {"and": torch.logical_and, "or": torch.logical_or, "xor": torch.logical_xor}

CANDIDATES_PER_EXAMPLE = 64
"""Base and source prompts drawn per example that is kept, so that every kind of example occurs."""


@dataclass(frozen=True)
class BooleanChain:
    """A causal model: ((bit 0, bit 1), bit 2), ..., each bracket a gate; the output of the last gate is the answer.

    Its variables are the bits that it reads followed by its gates, numbered in this order.

    Attributes:
        gates: The first gate combines bits 0 and 1, each later one the previous gate and the next bit.
        bits: Number of bits in a prompt; those that no gate reads do not affect the answer.
    """

    gates: tuple[Gate, ...]
    bits: int = 5

    def __post_init__(self) -> None:
        assert len(self.gates) < self.bits, self

    @property
    def name(self) -> str:
        """The gates in order."""
        return " ".join(self.gates)

    @property
    def inputs(self) -> int:
        """Number of bits that it reads."""
        return len(self.gates) + 1

    @property
    def variables(self) -> int:
        """Number of variables: the bits that it reads, and its gates."""
        return self.inputs + len(self.gates)

    @property
    def query(self) -> int:
        """The token that ends every prompt."""
        return 2 * self.bits

    @property
    def no(self) -> int:
        """The token of the answer no; the next token, which is the last, is yes."""
        return self.query + 1

    @property
    def vocabulary(self) -> int:
        """Number of tokens: two per bit, the query and the two answers."""
        return self.no + 2

    def values(
        self,
        bits: Bool[Tensor, "prompt bit"],
        variable: Int[Tensor, " prompt"] | None = None,
        set_to: Bool[Tensor, " prompt"] | None = None,
    ) -> Bool[Tensor, "prompt variable"]:
        """The value of every variable, the answer last; if given, each prompt's `variable` is `set_to` a value."""

        def after(number: int, value: Tensor) -> Tensor:
            return value if variable is None or set_to is None else torch.where(variable == number, set_to, value)

        found = [after(bit, bits[:, bit]) for bit in range(self.inputs)]
        value = found[0]
        for layer, gate in enumerate(self.gates):
            value = after(self.inputs + layer, GATES[gate](value, found[layer + 1]))
            found.append(value)
        return torch.stack(found, dim=1)

    def tokens(self, bits: Bool[Tensor, "prompt bit"], generator: torch.Generator) -> Int[Tensor, "prompt bit+1"]:
        """Prompts: one token per bit, which says its value, in random order, then the query."""
        return self.in_order(bits, torch.rand(bits.shape, generator=generator).argsort(dim=1))

    def in_order(
        self, bits: Bool[Tensor, "prompt bit"], order: Int[Tensor, "prompt bit"]
    ) -> Int[Tensor, "prompt bit+1"]:
        """Prompts with their bits in a given order."""
        named = (2 * torch.arange(self.bits) + bits.long()).gather(1, order)
        return torch.cat([named, torch.full((len(bits), 1), self.query)], dim=1)

    def draw(self, prompts: int, generator: torch.Generator) -> Bool[Tensor, "prompt bit"]:
        """Random bits."""
        return torch.rand(prompts, self.bits, generator=generator) < 0.5

    def prompts(self, count: int, generator: torch.Generator) -> Int[Tensor, "prompt position"]:
        """Random prompts: the corpus of models that compute this causal model."""
        return self.tokens(self.draw(count, generator), generator)


def task_prompts(chain: BooleanChain, sizes: Sequence[int], generator: torch.Generator) -> TaskPrompts:
    """Train, validation and test prompts, `sizes` pairs each."""
    return TaskPrompts(*(prompt_pairs(chain, pairs, generator) for pairs in sizes))


def prompt_pairs(chain: BooleanChain, pairs: int, generator: torch.Generator) -> PromptBatch:
    """Pairs that differ in one bit and in the answer, the first yes; every bit decides about equally many pairs."""
    flipped = torch.arange(pairs) % chain.inputs
    bits = torch.zeros(pairs, chain.bits, dtype=torch.bool)
    missing = torch.ones(pairs, dtype=torch.bool)
    while missing.any():
        bits[missing] = chain.draw(int(missing.sum()), generator)
        missing = ~chain.values(bits)[:, -1] | chain.values(_flip(bits, flipped))[:, -1]
    order = torch.rand(bits.shape, generator=generator).argsort(dim=1)
    both = [chain.in_order(each, order) for each in (bits, _flip(bits, flipped))]
    tokens = torch.stack(both, dim=1).flatten(0, 1)
    answer = chain.no + torch.tensor([1, 0] * pairs)
    last = torch.full((2 * pairs,), chain.bits)
    return PromptBatch(tokens, last, answer, 2 * chain.no + 1 - answer)


def _flip(bits: Bool[Tensor, "prompt bit"], which: Int[Tensor, " prompt"]) -> Bool[Tensor, "prompt bit"]:
    return bits ^ torch.nn.functional.one_hot(which, bits.shape[1]).bool()


@dataclass(frozen=True, eq=False)
class Interchanges:
    """Interchange interventions: tokens of base and source prompts, and the variable taken from the source.

    Attributes:
        yes: The causal model's answer under the intervention.
        unchanged: Its answer to the base prompt without intervention.
    """

    base: Int[Tensor, "example position"]
    source: Int[Tensor, "example position"]
    variable: Int[Tensor, " example"]
    yes: Bool[Tensor, " example"]
    unchanged: Bool[Tensor, " example"]

    def rows(self, chosen: Bool[Tensor, " example"]) -> "Interchanges":
        """Some of the examples."""
        return Interchanges(*(getattr(self, part.name)[chosen] for part in fields(self)))


def draw_interchanges(chain: BooleanChain, examples: int, generator: torch.Generator) -> Interchanges:
    """Interchanges of random variables in random prompts."""
    base, source = chain.draw(examples, generator), chain.draw(examples, generator)
    variable = torch.randint(chain.variables, (examples,), generator=generator)
    return _interchanges(chain, base, source, variable, generator)


def balanced_interchanges(chain: BooleanChain, per_kind: int, generator: torch.Generator) -> Interchanges:
    """As many of every variable, answer before and answer after, so a model whose answer never changes scores 0.5."""
    drawn = CANDIDATES_PER_EXAMPLE * per_kind
    chosen = []
    for number in range(chain.variables):
        base, source = chain.draw(drawn, generator), chain.draw(drawn, generator)
        variable = torch.full((drawn,), number)
        taken = chain.values(source)[:, number]
        kind = 2 * chain.values(base)[:, -1].long() + chain.values(base, variable, taken)[:, -1].long()
        rows = torch.cat([(kind == each).nonzero().flatten()[:per_kind] for each in range(4)])
        assert len(rows) == 4 * per_kind, f"{chain}: variable {number} cannot be balanced"
        chosen.append((base[rows], source[rows], variable[rows]))
    base, source, variable = (torch.cat(parts) for parts in zip(*chosen, strict=True))
    return _interchanges(chain, base, source, variable, generator)


def _interchanges(
    chain: BooleanChain,
    base: Bool[Tensor, "example bit"],
    source: Bool[Tensor, "example bit"],
    variable: Int[Tensor, " example"],
    generator: torch.Generator,
) -> Interchanges:
    taken = chain.values(source).gather(1, variable[:, None])[:, 0]
    yes, unchanged = chain.values(base, variable, taken)[:, -1], chain.values(base)[:, -1]
    return Interchanges(chain.tokens(base, generator), chain.tokens(source, generator), variable, yes, unchanged)


def interchange_accuracy(
    model: CircuitModel,
    circuit: Circuit,
    means: Means,
    chain: BooleanChain,
    places: Sequence[Circuit],
    examples: Interchanges,
) -> float:
    """Share of interventions under which a circuit gives the causal model's answer, 0 to 1, higher is better.

    Both runs are mean-ablated outside the circuit, and the circuit's own nodes of the variable are interchanged;
    `places` has the nodes of each variable by its number. On balanced examples, a circuit whose answer never changes
    scores 0.5.
    """
    keep = keep_only(circuit, means)
    with torch.no_grad():
        taken = record(model, examples.source, keep)
        edit = then(keep, taking_over(taken, nodes_of(places, examples.variable)))
        said = answer_difference(model, chain, examples.base, edit) > 0
    return float((said == examples.yes).double().mean())


def answer_difference(
    model: CircuitModel, chain: BooleanChain, tokens: Int[Tensor, "prompt position"], edit: Edit = unedited
) -> Float[Tensor, " prompt"]:
    """Logit of yes minus that of no at the end of each prompt."""
    last = torch.full((len(tokens), 1), chain.bits)
    logits = forward(model, tokens, edit, last)[:, 0]
    return logits[:, chain.no + 1] - logits[:, chain.no]


def joined(places: Sequence[Circuit]) -> Circuit:
    """The union of several circuits, which have masks for the same sites."""
    return Circuit({name: torch.stack([place.masks[name] for place in places]).any(0) for name in places[0].masks})


def nodes_of(places: Sequence[Circuit], variable: Int[Tensor, " example"]) -> dict[str, Bool[Tensor, "example _"]]:
    """The nodes of each example's variable, by site name."""
    names = {name for place in places for name in place.masks}
    return {name: torch.stack([place.masks[name] for place in places])[variable] for name in names}


def taking_over(values: Mapping[str, Tensor], nodes: Mapping[str, Bool[Tensor, "example _"]]) -> Edit:
    """The edit that sets some nodes of each prompt, at all positions, to their values in another run."""

    def edit(site: Site, own: Tensor) -> Tensor:
        return torch.where(nodes[site.name][:, None], values[site.name], own) if site.name in nodes else own

    return edit


def then(first: Edit, second: Edit) -> Edit:
    """One edit followed by another."""
    return lambda site, values: second(site, first(site, values))
