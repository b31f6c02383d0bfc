"""Feature splitting: among how many features of a dictionary a concept, or a feature of a narrower one, is divided.

Wider dictionaries are said to split features into more specific ones (Bricken et al. 2023,
https://transformer-circuits.pub/2023/monosemantic-features). Two controls show what is not splitting. The first counts
in the opposite direction: if the two dictionaries were merely different, features of the wider one would also be
divided among those of the narrower one. The second rotates the wider dictionary's features to other text: even by
chance, a union of rare features covers a frequent one slightly better than each of them alone.
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

FEWEST_HELD = 20
"""Minimum number of positions in each sample at which a label has to hold to be counted."""

Firing = Mapping[str, Bool[np.ndarray, "position _feature"]]
"""Where the features of each site are nonzero."""


@dataclass(frozen=True, eq=False)
class Watched:
    """Where the features of a dictionary fire on two samples: one to choose features on, one to count them on."""

    choice: Firing
    score: Firing

    @classmethod
    def of(cls, model: CircuitModel, choice: Sample, score: Sample) -> "Watched":
        """Run a model on both samples; `ValueError` if it has no features."""
        return cls(firing(model, choice.tokens), firing(model, score.tokens))

    @property
    def size(self) -> int:
        """Number of features."""
        return sum(each.shape[1] for each in self.choice.values())

    def turned(self, generator: np.random.Generator) -> "Watched":
        """The same rates and runs on other text: each feature is rotated by a quarter to three quarters of all."""
        return Watched(
            *(
                {name: np.stack([turned(each, generator) for each in fires.T], axis=1) for name, fires in found.items()}
                for found in (self.choice, self.score)
            )
        )


@torch.no_grad()
def firing(model: CircuitModel, tokens: Int[Tensor, "window position"], batch: int = 16) -> Firing:
    """Where the features of a model fire, with all windows concatenated.

    Raises:
        ValueError: The model has no features.
    """
    names = [site.name for site in model.sites if site.kind == "feature"]
    if not names:
        raise ValueError("the model has no features")
    parts = []
    for rows in tokens.split(batch):
        values = record(model, rows)
        parts.append({name: (values[name] != 0).flatten(0, 1).cpu() for name in names})
    return {name: torch.cat([part[name] for part in parts]).numpy() for name in names}


def splitting_measurements(
    own: Watched,
    other: Watched | None,
    samples: tuple[Sample, Sample],
    concepts: Iterable[str],
    generator: np.random.Generator,
) -> Iterator[Measurement]:
    """Splitting of concepts among a dictionary's features, and of a narrower dictionary's features among a wider one's.

    `other` has the same sites and counts as the narrower one at equal width; `None` if there is nothing to compare
    with. Features are chosen on the first sample and counted on the second.
    """
    names = list(concepts)
    everywhere = Watched(*({"all": np.concatenate(list(each.values()), axis=1)} for each in (own.choice, own.score)))
    yield _measured("concept_splits", everywhere, Watched(*({"all": holding(each, names).T} for each in samples)))
    if other is None:
        for name in ("feature_splits", "feature_splits_back", "feature_splits_null"):
            yield Measurement(name, status="undefined", reason="compared with no other dictionary")
        return
    narrow, wide = (own, other) if own.size < other.size else (other, own)
    yield _measured("feature_splits", wide, narrow)
    yield _measured("feature_splits_back", narrow, wide)
    yield _measured("feature_splits_null", wide.turned(generator), narrow)


def _measured(name: str, features: Watched, labels: Watched) -> Measurement:
    """Among how many features one label is divided, of the labels that hold often enough; mean over sites."""
    counts = []
    for site, known in labels.choice.items():
        often = np.logical_and(known.sum(axis=0) >= FEWEST_HELD, labels.score[site].sum(axis=0) >= FEWEST_HELD)
        counts.append(
            metrics.split_count(
                features.choice[site], known[:, often], features.score[site], labels.score[site][:, often]
            )
        )
    why = f"at some site nothing holds at {FEWEST_HELD} positions of each sample"
    return Measurement.or_why(name, fmean(counts), why)
