"""What the kept nodes of a circuit do on the corpus: their distribution, and where they are far from their mean."""

from collections.abc import Iterator, Mapping

import torch
from jaxtyping import Float, Int
from torch import Tensor

from benchmark.corpus import Corpus
from benchmark.corpus.sampling import spread_windows
from benchmark.export.graph import Activations, Example
from benchmark.model.circuit import Circuit
from benchmark.model.graph import LOGITS
from benchmark.model.interface import CircuitModel, Graph, record

SEARCHED_TOKENS = 8_192
"""Validation tokens on which nodes are looked at."""

EXAMPLES, AROUND = 8, 12
"""Number of examples of a node, and of tokens before and after the one at which it is far from its mean."""

BINS = 40
"""Bins of a histogram."""

LOGIT_TOKENS = 10
"""How many tokens are named whose logits a node raises or lowers most."""

DIGITS = 5
"""Significant digits of values, which are the same on every machine."""


@torch.no_grad()
def node_activations(
    model: CircuitModel, circuit: Circuit, graph: Graph, means: Mapping[str, Tensor], corpus: Corpus
) -> dict[str, Activations]:
    """What each kept node does, by its name.

    Args:
        model: The model of the circuit.
        circuit: The kept nodes.
        graph: The circuit's graph; in the unit graph it is known which logits a node raises.
        means: The mean of every node over the corpus, by site.
        corpus: The corpus, of which evenly spaced validation windows are searched.
    """
    tokens, _ = spread_windows(corpus, "validation", SEARCHED_TOKENS)
    values, effects = record(model, tokens), _logit_effects(model, graph)
    found = {}
    for site, kept in circuit.kept().items():
        for node in kept:
            effect = effects[site][:, node] if site in effects else None
            mean = float(means[site][node])
            seen = values[site][..., node].detach().cpu().float()
            found[f"{site}[{node}]"] = _activations(seen, mean, tokens, corpus, effect)
    return found


def _activations(
    values: Float[Tensor, "window position"],
    mean: float,
    tokens: Int[Tensor, "window position"],
    corpus: Corpus,
    effect: Float[Tensor, " token"] | None,
) -> Activations:
    flat = values.flatten()
    low, high = float(flat.min()), float(flat.max())
    histogram = torch.histc(flat, BINS, low, high) if low < high else torch.tensor([float(len(flat))])
    quantiles = torch.quantile(flat, torch.arange(1, 100) / 100)
    return Activations(
        mean=_rounded(mean),
        low=_rounded(low),
        high=_rounded(high),
        frequency=_rounded(float((flat != 0).float().mean())),
        histogram=tuple(map(int, histogram.tolist())),
        quantiles=tuple(map(_rounded, quantiles.tolist())),
        examples=tuple(_examples(values, mean, tokens, corpus)),
        raised=_strongest(effect, corpus),
        lowered=_strongest(None if effect is None else -effect, corpus),
    )


def _examples(
    values: Float[Tensor, "window position"], mean: float, tokens: Int[Tensor, "window position"], corpus: Corpus
) -> Iterator[Example]:
    """Where a node is furthest from its mean, once per window of the corpus, the furthest first."""
    away, places = (values - mean).abs().max(1)
    for window in away.argsort(descending=True, stable=True)[:EXAMPLES].tolist():
        at = int(places[window])
        first, last = max(0, at - AROUND), at + AROUND + 1
        texts = tuple(corpus.decode([token]) for token in tokens[window, first:last].tolist())
        yield Example(texts, tuple(map(_rounded, values[window, first:last].tolist())), at - first)


def _logit_effects(model: CircuitModel, graph: Graph) -> dict[str, Float[Tensor, "token node"]]:
    """How much each node of a site raises each logit through the stream alone, by site; none in the channel graph."""
    into = [each for each in model.connections(graph) if each.target == LOGITS and each.full is not None]
    return {each.source: each.full.detach().cpu() for each in into if each.full is not None}


def _strongest(effect: Float[Tensor, " token"] | None, corpus: Corpus) -> tuple[str, ...]:
    """The tokens of the largest positive effects, the largest first."""
    if effect is None:
        return ()
    order = effect.argsort(descending=True, stable=True)[:LOGIT_TOKENS]
    return tuple(corpus.decode([token]) for token in order.tolist() if effect[token] > 0)


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")
