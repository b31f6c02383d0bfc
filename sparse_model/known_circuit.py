"""Trains small transformers whose circuit is known, by strict interchange-intervention training.

InterpBench, Gupta et al. 2024 (https://arxiv.org/abs/2407.14494), section 3, after interchange-intervention training,
Geiger et al. 2022 (https://arxiv.org/abs/2112.00826). Every variable of a causal model has nodes of its own: each bit
value channels of the first block, gate l neurons of block l. A prompt's loss is the cross entropy of the causal model's
answer, under one of three conditions, or under the last two together:

1. *Behaviour*: nothing is changed.
2. *Interchange*: one variable's nodes are at their values for another prompt, and the answer is the causal model's when
   that variable is set so.
3. *Strictness*: a random share of the nodes that belong to no variable is held elsewhere, and the answer is as before.

Deviations. Strictness holds half of the prompts' free nodes at another prompt's values, as there, and half at their
means, which is what an ablated node has in this benchmark: without it no resampling changes an answer, and yet the
known circuit alone can lose a nat. And training has two parts: a variable begins with several nodes, which is easier to
learn; then all but the one that moves the answer most are set free, so that no node of the known circuit is idle.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from benchmark.ground_truth.causal_model import (
    BooleanChain,
    Gate,
    Interchanges,
    answer_difference,
    balanced_interchanges,
    draw_interchanges,
    interchange_accuracy,
    joined,
    nodes_of,
    taking_over,
    task_prompts,
    then,
)
from benchmark.ground_truth.trained_models import NotLearnedError, Skipped, TrainedModel
from benchmark.interventions.ablation import ablate, corpus_means
from benchmark.metrics.recovery import node_recovery
from benchmark.model.circuit import Circuit
from benchmark.model.graph import node_sites
from benchmark.model.interface import record
from sparse_model.config import TransformerConfig
from sparse_model.transformer import Transformer

TASKS: tuple[tuple[Gate, ...], ...] = (
    ("xor", "and"),
    ("and", "xor"),
    ("xor", "and", "or"),
    ("or", "xor", "and"),
    ("or", "and"),
)
"""The gates of the causal models, a block each."""

LEAST_ACCURACY = 0.97
"""Interchange-intervention accuracy and strict accuracy that a trained model must have."""

PAIRS = (128, 64, 64)
"""Prompt pairs for training, validation and test of a circuit."""

EXAMPLES = 32
"""Interchanges of each variable and kind on which a model is checked."""

WINDOWS = 512
"""Prompts over which means are taken."""


@dataclass(frozen=True)
class Recipe:
    """How a model is trained.

    Attributes:
        batch: Prompts a step.
        learning_rate: Of Adam, after `warm_up`.
        warm_up: Steps over which it rises, in each part.
        first_steps: Most steps of the first part.
        first_loss: Running loss at which that ends, nats.
        last_steps: Steps of the second part; over its second half the learning rate falls to zero.
        values: Value channels of a bit in the first part.
        neurons: Neurons of a gate in the first part.
        width: Channels of the stream, and neurons of a block.
        gain: By which weights are larger at the start than GPT-2's, which are meant for a wide model.
    """

    batch: int = 256
    learning_rate: float = 3e-3
    warm_up: int = 30
    first_steps: int = 900
    first_loss: float = 0.03
    last_steps: int = 400
    values: int = 2
    neurons: int = 4
    width: int = 32
    gain: float = 8.0


@dataclass(frozen=True, eq=False)
class Aligned:
    """A transformer, and which of its nodes stand for which variable of a causal model.

    Attributes:
        chain: The causal model.
        model: The transformer.
        places: By number of the variable, its nodes.
    """

    chain: BooleanChain
    model: Transformer
    places: tuple[Circuit, ...]

    @property
    def circuit(self) -> Circuit:
        """The nodes of all variables."""
        return joined(self.places)


def known_models(seed: int = 0) -> Iterator[TrainedModel | Skipped]:
    """The trained transformers whose circuit is known, or why there is none: what the entry point names."""
    for gates in TASKS:
        try:
            yield native(trained(gates, seed), seed)
        except NotLearnedError as error:
            yield Skipped(BooleanChain(gates).name, str(error))


def native(aligned: Aligned, seed: int) -> TrainedModel:
    """A trained transformer for the audit; a circuit's truth is the F1 of its nodes against the known circuit's."""
    chain, generator = aligned.chain, torch.Generator().manual_seed(seed)
    windows = chain.prompts(WINDOWS, generator)
    return TrainedModel(
        name=f"{chain.name}, transformer",
        model=aligned.model,
        circuit=aligned.circuit,
        prompts=task_prompts(chain, PAIRS, generator),
        means=corpus_means(aligned.model, windows),
        windows=windows,
        origin=chain.name,
        dense=aligned.model,
        truth=lambda circuit: node_recovery(circuit, aligned.circuit).f1,
        exact=True,
    )


@cache
def trained(gates: tuple[Gate, ...], seed: int, recipe: Recipe = Recipe()) -> Aligned:
    """Train a transformer to compute a chain of gates in known nodes; the same arguments give the same model.

    Raises:
        NotLearnedError: If it did not learn to.
    """
    generator = torch.Generator().manual_seed(seed)
    aligned = untrained(BooleanChain(gates), recipe, generator)
    fit(aligned, recipe.first_steps, recipe, generator, until=recipe.first_loss)
    aligned = one_node_each(aligned, generator)
    fit(aligned, recipe.last_steps, recipe, generator)
    aligned.model.eval().requires_grad_(False)
    check_accuracies(aligned.chain.name, *accuracies(aligned, generator))
    return aligned


def untrained(chain: BooleanChain, recipe: Recipe, generator: torch.Generator) -> Aligned:
    """A transformer with random weights, a block a gate, and random nodes for every variable."""
    config = TransformerConfig(
        layers=len(chain.gates),
        d_model=recipe.width,
        d_head=8,
        d_mlp=recipe.width,
        activation_density=1.0,
        bigram=False,
        vocabulary=chain.vocabulary,
        context=chain.bits + 1,
    )
    model = Transformer(config).initialise(generator)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.rpartition(".")[2].startswith("W_"):
                parameter.mul_(recipe.gain)
    values = torch.randperm(recipe.width, generator=generator).split(recipe.values)
    bits = [_place(model, "blocks.0.v", values[bit]) for bit in range(chain.inputs)]
    gates = [
        _place(model, f"blocks.{layer}.neuron", torch.randperm(recipe.width, generator=generator)[: recipe.neurons])
        for layer in range(len(chain.gates))
    ]
    return Aligned(chain, model, (*bits, *gates))


def fit(aligned: Aligned, steps: int, recipe: Recipe, generator: torch.Generator, until: float | None = None) -> None:
    """Train; with `until`, at a constant rate and only until the running loss is as low as that."""
    optimizer = torch.optim.Adam(aligned.model.parameters(), lr=recipe.learning_rate, betas=(0.9, 0.98))
    running = 1.0
    for step in range(steps):
        falling = 1.0 if until is not None else min(1.0, 2 * (steps - step) / steps)
        optimizer.param_groups[0]["lr"] = recipe.learning_rate * min((step + 1) / recipe.warm_up, falling)
        optimizer.zero_grad()
        loss = interchange_loss(aligned, recipe.batch, generator)
        loss.backward()
        optimizer.step()
        running += 0.05 * (loss.item() - running)
        if until is not None and running < until:
            return


def interchange_loss(aligned: Aligned, batch: int, generator: torch.Generator) -> Float[Tensor, ""]:
    """The three losses, each on its share of random prompts."""
    chain, model = aligned.chain, aligned.model
    examples = draw_interchanges(chain, batch, generator)
    source = record(model, examples.source)
    kind = torch.rand(batch, generator=generator)
    swapped, strict = kind < 0.6, kind > 0.4
    own = {name: nodes & swapped[:, None] for name, nodes in nodes_of(aligned.places, examples.variable).items()}
    free = _some(aligned.circuit.complement(), strict, generator)
    edit = then(taking_over(source, own), taking_over(_elsewhere(source, generator), free))
    yes = torch.where(swapped, examples.yes, examples.unchanged)
    difference = answer_difference(model, chain, examples.base, edit)
    return F.softplus(torch.where(yes, -difference, difference)).mean()


def one_node_each(aligned: Aligned, generator: torch.Generator) -> Aligned:
    """The same with the strongest node of each variable alone; all others are free."""
    examples = balanced_interchanges(aligned.chain, EXAMPLES, generator)
    places = []
    for number, place in enumerate(aligned.places):
        own = examples.rows(examples.variable == number)
        ((site, nodes),) = place.kept().items()
        effects = torch.tensor([_effect(aligned, own, site, node) for node in nodes])
        places.append(_place(aligned.model, site, torch.tensor(nodes)[effects.argmax()][None]))
    return Aligned(aligned.chain, aligned.model, tuple(places))


def accuracies(aligned: Aligned, generator: torch.Generator) -> tuple[float, float]:
    """Interchange accuracy of a trained model with nothing ablated, and its strict accuracy."""
    examples = balanced_interchanges(aligned.chain, EXAMPLES, generator)
    interchange = interchange_accuracy(aligned.model, Circuit({}), {}, aligned.chain, aligned.places, examples)
    return interchange, strict_accuracy(aligned, examples)


def check_accuracies(name: str, interchange: float, strict: float) -> None:
    """`NotLearnedError` if one is too low."""
    if not (interchange >= LEAST_ACCURACY and strict >= LEAST_ACCURACY):
        told = f"interchange accuracy {interchange:.3f}, strict accuracy {strict:.3f}"
        raise NotLearnedError(f"{name}: {told}; at least {LEAST_ACCURACY} is asked of both")


@torch.no_grad()
def strict_accuracy(aligned: Aligned, examples: Interchanges) -> float:
    """Share of prompts answered right with every node outside the known circuit at another prompt's values."""
    elsewhere = record(aligned.model, examples.source)
    edit = ablate(aligned.circuit, lambda site, values: elsewhere[site.name])
    said = answer_difference(aligned.model, aligned.chain, examples.base, edit) > 0
    return float((said == examples.unchanged).double().mean())


@torch.no_grad()
def _effect(aligned: Aligned, examples: Interchanges, site: str, node: int) -> float:
    """How far the answer's logit difference moves when one node takes over its value for the source."""
    nodes = _place(aligned.model, site, torch.tensor([node])).masks[site].expand(len(examples.base), -1)
    moved = taking_over(record(aligned.model, examples.source), {site: nodes})
    after = answer_difference(aligned.model, aligned.chain, examples.base, moved)
    return float((after - answer_difference(aligned.model, aligned.chain, examples.base)).abs().mean())


def _elsewhere(values: dict[str, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
    """What strictness holds free nodes at: values of the prompt before, or means over the batch, each for half."""
    at_mean = torch.rand(len(next(iter(values.values()))), 1, 1, generator=generator) < 0.5
    return {name: torch.where(at_mean, each.detach().mean((0, 1)), each.roll(1, 0)) for name, each in values.items()}


def _some(
    circuit: Circuit, prompts: Bool[Tensor, " prompt"], generator: torch.Generator
) -> dict[str, Bool[Tensor, "prompt _"]]:
    """Some nodes of a circuit for each of some prompts: all of them for half, a random share for the others."""
    share = 2 * torch.rand(len(prompts), 1, generator=generator)
    return {
        name: mask & prompts[:, None] & (torch.rand(len(prompts), len(mask), generator=generator) < share)
        for name, mask in circuit.masks.items()
    }


def _place(model: Transformer, site: str, nodes: Tensor) -> Circuit:
    """Some nodes of one site."""
    place = Circuit.empty(node_sites(model, "unit"))
    place.masks[site][nodes] = True
    return place
