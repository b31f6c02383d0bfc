"""A feature whose meaning is known because it was planted in a corpus: what its top examples hide.

It is at 1 where a conjunction of two concepts holds ("dogs on jetskis"), at a half where an unrelated concept holds,
and at a fifth where another does. Its top examples all show the first part of the conjunction, so that a person would
name it after that part, wrongly.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from benchmark.concepts import CONCEPTS
from benchmark.concepts.labels import window_labels
from benchmark.corpus import Corpus
from benchmark.report.page.feature import ShownFeature, band_of
from benchmark.report.page.node_examples import CorpusText
from benchmark.seeds import seed_of
from benchmark.validity.examples import Examples, band_purities
from benchmark.validity.scoring import LOW

CONJUNCTION = "in_string_and_in_call"
"""Where it is high; a person would name it after the first part."""

MIDDLE, LOW_MEANING = "in_def_signature", "line_starts_with_return"
"""Where it is at middle values, and where it is low."""

LEVELS = {CONJUNCTION: 1.0, MIDDLE: 0.5, LOW_MEANING: 0.2}
"""Its value where each concept holds; the first that holds counts."""

SEARCHED_TOKENS = 32_768
"""Validation tokens in which it is planted."""


@dataclass(frozen=True)
class Planted:
    """The planted feature on some text.

    Attributes:
        values: Its values.
        named: Where the concept that a person would name it after holds.
    """

    values: Float[np.ndarray, "window position"]
    named: Bool[np.ndarray, "window position"]


def planted_feature(corpus: Corpus) -> ShownFeature | None:
    """The planted feature with examples from a corpus; `None` if the corpus has no text for one of its bands."""
    text = CorpusText(corpus, SEARCHED_TOKENS)
    planted = plant(text)
    generator = np.random.default_rng(seed_of("planted feature"))
    shuffled = planted.values + generator.random(planted.values.shape) * 1e-6 * (planted.values > 0)
    found = Examples(text.tokens.numpy(), text.decode, generator).of(shuffled, planted.named)
    if not all(found.values()):
        return None
    name = CONCEPTS[CONJUNCTION].parts[0]
    active = planted.values > LOW
    purity = band_purities(planted.values.reshape(-1), planted.named.reshape(-1).astype(np.int8))
    return ShownFeature(
        title="a planted feature",
        name=name,
        facts=(
            ("what it is", f"{CONJUNCTION}; at half of its height {MIDDLE}, at a fifth {LOW_MEANING}"),
            ("the name holds where it is active", f"{planted.named[active].mean():.0%}"),
            ("it is active where the name holds", f"{active[planted.named].mean():.0%}"),
        ),
        bands=tuple(band_of(band, lines, purity[band]) for band, lines in found.items()),
    )


def plant(text: CorpusText) -> Planted:
    """The feature's values on some text."""
    name = CONCEPTS[CONJUNCTION].parts[0]
    concepts = [CONCEPTS[each] for each in (*LEVELS, name)]
    corpus = text.corpus
    labels = window_labels(concepts, corpus.tokenizer, text.tokens.numpy(), corpus.end_of_text)
    values = np.zeros(text.tokens.shape, dtype=np.float32)
    for concept, level in reversed(LEVELS.items()):
        values[labels[concept] != 0] = level
    return Planted(values, labels[name] != 0)
