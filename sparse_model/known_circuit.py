"""Trains small transformers whose circuit is known, by strict interchange-intervention training.

InterpBench, Gupta et al. 2024 (https://arxiv.org/abs/2407.14494), section 3, based on interchange-intervention
training, Geiger et al. 2022 (https://arxiv.org/abs/2112.00826). Every variable of a causal model has its own nodes:
value channels of the first block for each bit, neurons of block l for gate l. The loss of a prompt is the cross entropy
of the causal model's answer under one of three conditions, or under the last two together:

1. *Behaviour*: nothing is changed.
2. *Interchange*: the nodes of one variable are set to their values on another prompt, and the answer is that of the
   causal model with the variable set accordingly.
3. *Strictness*: a random share of the nodes that belong to no variable is changed, and the answer stays the same.

Deviations. Strictness sets the free nodes to another prompt's values, as in InterpBench, for only half of the prompts,
and for the other half to their means, the ablation values of this benchmark: otherwise no resampling changes an answer,
and yet the known circuit alone can lose a nat. And training has two phases: each variable starts with several nodes,
which is easier to learn; then only the node that moves the answer most is kept, so that the known circuit has no
redundant nodes.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from benchmark.ground_truth.causal_model import (
    BooleanChain,
    Gate,
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
"""The gates of the causal models, one block per gate."""

LEAST_ACCURACY = 0.97
"""Interchange-intervention accuracy and strict accuracy that a trained model needs."""

PAIRS = (128, 64, 64)
"""Prompt pairs for training, validation and test of a circuit."""

EXAMPLES = 32
"""Interchanges per variable and kind on which a model is checked."""

WINDOWS = 512
"""Number of prompts over which means are taken."""


@dataclass(frozen=True)
class Recipe:
    """How a model is trained."""

    batch: int = 256
    """Prompts per step."""
    learning_rate: float = 3e-3
    """Adam's learning rate after the warm-up."""
    warm_up: int = 30
    """Steps over which the learning rate rises, in each phase."""
    first_steps: int = 900
    """Maximum number of steps of the first phase."""
    first_loss: float = 0.03
    """Running loss at which the first phase ends, nats."""
    last_steps: int = 400
    """Steps of the second phase; over its second half the learning rate falls to zero."""
    values: int = 2
    """Value channels per bit in the first phase."""
    neurons: int = 4
    """Neurons per gate in the first phase."""
    width: int = 32
    """Channels of the stream, and neurons per block."""
    gain: float = 8.0
    """Factor on GPT-2's initial weights, which are meant for a wide model."""


@dataclass(frozen=True, eq=False)
class Aligned:
    """A transformer, and the nodes that represent each variable of a causal model."""

    chain: BooleanChain
    model: Transformer
    places: tuple[Circuit, ...]
    """The nodes of each variable, by its number."""

    @property
    def circuit(self) -> Circuit:
        """The nodes of all variables."""
        return joined(self.places)


def known_models(seed: int = 0) -> Iterator[TrainedModel | Skipped]:
    """The trained transformers whose circuit is known, or the reason why there is none: the entry point's target."""
    for gates in TASKS:
        try:
            yield native(trained(gates, seed), seed)
        except NotLearnedError as error:
            yield Skipped(BooleanChain(gates).name, str(error))


def native(aligned: Aligned, seed: int) -> TrainedModel:
    """A trained transformer for the audit; the true score of a circuit is its F1 against the known circuit's nodes."""
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
        NotLearnedError: If its accuracies are too low.
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
    """A transformer with random weights, one block per gate, and random nodes for every variable."""
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
    """Train; with `until`, at a constant learning rate and only until the running loss falls below that."""
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
    """The three losses, each on its share of random prompts.

    Strictness changes all free nodes on half of its prompts and a random share of them on the others, to the values of
    the previous prompt or to means over the batch, each with probability one half.
    """
    chain, model = aligned.chain, aligned.model
    examples = draw_interchanges(chain, batch, generator)
    source = record(model, examples.source)
    kind = torch.rand(batch, generator=generator)
    swapped, strict = kind < 0.6, kind > 0.4
    own = {name: nodes & swapped[:, None] for name, nodes in nodes_of(aligned.places, examples.variable).items()}
    share = 2 * torch.rand(batch, 1, generator=generator)
    free = {
        name: mask & strict[:, None] & (torch.rand(batch, len(mask), generator=generator) < share)
        for name, mask in aligned.circuit.complement().masks.items()
    }
    at_mean = torch.rand(batch, 1, 1, generator=generator) < 0.5
    changed = {
        name: torch.where(at_mean, values.detach().mean((0, 1)), values.roll(1, 0)) for name, values in source.items()
    }
    edit = then(taking_over(source, own), taking_over(changed, free))
    yes = torch.where(swapped, examples.yes, examples.unchanged)
    difference = answer_difference(model, chain, examples.base, edit)
    return F.softplus(torch.where(yes, -difference, difference)).mean()


@torch.no_grad()
def one_node_each(aligned: Aligned, generator: torch.Generator) -> Aligned:
    """Keep only the node of each variable whose interchange moves the answer's logit difference most."""
    chain, model = aligned.chain, aligned.model
    examples = balanced_interchanges(chain, EXAMPLES, generator)
    places = []
    for number, place in enumerate(aligned.places):
        own = examples.rows(examples.variable == number)
        source, before = record(model, own.source), answer_difference(model, chain, own.base)
        ((site, nodes),) = place.kept().items()
        singles = [_place(model, site, torch.tensor([node])) for node in nodes]
        effects = []
        for single in singles:
            edit = taking_over(source, {site: single.masks[site].expand(len(own.base), -1)})
            effects.append((answer_difference(model, chain, own.base, edit) - before).abs().mean())
        places.append(singles[int(torch.stack(effects).argmax())])
    return Aligned(chain, model, tuple(places))


@torch.no_grad()
def accuracies(aligned: Aligned, generator: torch.Generator) -> tuple[float, float]:
    """Interchange accuracy of a trained model with nothing ablated, and its strict accuracy.

    Strict accuracy is the share of right answers with every node outside the known circuit at another prompt's values.
    """
    examples = balanced_interchanges(aligned.chain, EXAMPLES, generator)
    interchange = interchange_accuracy(aligned.model, Circuit({}), {}, aligned.chain, aligned.places, examples)
    other = record(aligned.model, examples.source)
    edit = ablate(aligned.circuit, lambda site, values: other[site.name])
    yes = answer_difference(aligned.model, aligned.chain, examples.base, edit) > 0
    return interchange, float((yes == examples.unchanged).double().mean())


def check_accuracies(name: str, interchange: float, strict: float) -> None:
    """Raise `NotLearnedError` if one of them is too low."""
    if not (interchange >= LEAST_ACCURACY and strict >= LEAST_ACCURACY):
        found = f"interchange accuracy {interchange:.3f}, strict accuracy {strict:.3f}"
        raise NotLearnedError(f"{name}: {found}; both must be at least {LEAST_ACCURACY}")


def _place(model: Transformer, site: str, nodes: Tensor) -> Circuit:
    """Some nodes of one site."""
    place = Circuit.empty(node_sites(model, "unit"))
    place.masks[site][nodes] = True
    return place
