"""Feature splitting: among how many features of a dictionary a concept, or a feature of a smaller one, is divided.

Wider dictionaries are said to break features into smaller ones (Bricken et al. 2023,
https://transformer-circuits.pub/2023/monosemantic-features). Two numbers say what is no splitting. One is counted the
other way round: were the two dictionaries just different, a feature of the wider would be divided among those of the
narrower as well. The other is counted with the wider one's features turned to other text: even by chance the union of
rare features covers what is frequent a little better than each of them.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from statistics import fmean

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from benchmark import metrics
from benchmark.model.interface import CircuitModel, record
from benchmark.records.table import Measurement
from benchmark.validity.choice import holding
from benchmark.validity.sample import Sample, turned

FEWEST = 20
"""Positions of each sample at which something has to hold to be counted."""

Firing = Mapping[str, Bool[np.ndarray, "position _feature"]]
"""By site, where its features are not zero."""


@dataclass(frozen=True, eq=False)
class Watched:
    """Where features of a dictionary fire on two samples: what they are chosen on, and what they are counted on."""

    choice: Firing
    score: Firing

    @classmethod
    def of(cls, model: CircuitModel, choice: Sample, score: Sample) -> "Watched":
        """Watch a model; `ValueError` if it has no features."""
        return cls(firing(model, choice.tokens), firing(model, score.tokens))

    @property
    def size(self) -> int:
        """Number of its features."""
        return sum(each.shape[1] for each in self.choice.values())

    def turned(self, generator: np.random.Generator) -> "Watched":
        """The same rates and runs at other text: each feature is turned by a quarter of all positions or more."""

        def shuffled(found: Firing) -> Firing:
            return {
                name: np.stack([turned(each, generator) for each in fires.T], axis=1) for name, fires in found.items()
            }

        return Watched(shuffled(self.choice), shuffled(self.score))


@torch.no_grad()
def firing(model: CircuitModel, tokens: Int[Tensor, "window position"], batch: int = 16) -> Firing:
    """Where the features of a model fire, all windows one after the other.

    Raises:
        ValueError: The model has none.
    """
    names = [site.name for site in model.sites if site.kind == "feature"]
    if not names:
        raise ValueError("the model has no features")
    parts = []
    for rows in tokens.split(batch):
        values = record(model, rows)
        parts.append({name: (values[name] != 0).flatten(0, 1) for name in names})
    return {name: torch.cat([part[name] for part in parts]).numpy() for name in names}


def splitting_measurements(
    own: Watched,
    other: Watched | None,
    samples: tuple[Sample, Sample],
    concepts: Iterable[str],
    generator: np.random.Generator,
) -> Iterator[Measurement]:
    """Concepts among all features of a dictionary, and features of the narrower of two among those of the wider.

    `other` has the same sites and, at equal width, counts as the narrower; `None` if there is nothing to compare with.
    Features are chosen on the first of the samples and counted on the second.
    """
    choice, score = (np.concatenate(list(each.values()), axis=1) for each in (own.choice, own.score))
    labels = [holding(sample, list(concepts)).T for sample in samples]
    yield _measured("concept_splits", [_split_count((choice, score), (labels[0], labels[1]))])
    if other is None:
        for name in ("feature_splits", "feature_splits_back", "feature_splits_null"):
            yield Measurement(name, status="undefined", reason="compared with no other dictionary")
        return
    narrow, wide = (own, other) if own.size < other.size else (other, own)
    yield _measured("feature_splits", _among(narrow, wide))
    yield _measured("feature_splits_back", _among(wide, narrow))
    yield _measured("feature_splits_null", _among(narrow, wide.turned(generator)))


def _among(these: Watched, those: Watched) -> list[float]:
    """Site by site, among how many of those features one of these is divided."""
    return [
        _split_count((those.choice[site], those.score[site]), (these.choice[site], these.score[site]))
        for site in these.choice
    ]


def _split_count(
    features: tuple[Bool[np.ndarray, "_ feature"], Bool[np.ndarray, "_ feature"]],
    labels: tuple[Bool[np.ndarray, "_ label"], Bool[np.ndarray, "_ label"]],
) -> float:
    """Of the labels that hold often enough."""
    often = np.logical_and(*(each.sum(axis=0) >= FEWEST for each in labels))
    return metrics.split_count(features[0], labels[0][:, often], features[1], labels[1][:, often])


def _measured(name: str, values: list[float]) -> Measurement:
    why = f"at some site nothing holds at {FEWEST} positions of each sample"
    return Measurement.or_why(name, fmean(values), why)
