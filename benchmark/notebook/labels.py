"""Assesses concepts in a model from Python: which nodes represent them, and whether labels can take their place."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmark.concepts import CONCEPTS
from benchmark.corpus import Corpus
from benchmark.discovery.arguments import check_kind
from benchmark.model.interface import CircuitModel
from benchmark.notebook.sources import Source, check_seed, preset_settings
from benchmark.running.finished import FinishedRun
from benchmark.seeds import seed_of
from benchmark.validity.assess import Assessment, assess
from benchmark.validity.sample import draw_sample
from benchmark.validity.settings import ValidityConfig


def label_replacement(
    model: CircuitModel,
    concepts: str | Sequence[str],
    *,
    run: FinishedRun | str | Path | None = None,
    corpus: Corpus | None = None,
    settings: ValidityConfig | None = None,
    seed: int = 0,
) -> Assessment:
    """Assess which nodes of a model represent some concepts, and whether labels can take their place.

    Args:
        model: The model.
        concepts: The name of a concept, or several.
        run: A finished run, or its folder, whose corpus and settings are used.
        corpus: The corpus of the model, instead of that of a run.
        settings: How concepts are assessed; by default as in the run, or as in preset quick.
        seed: Seed of what is drawn.

    Returns:
        The assessment; a notebook shows it as a table, and `assessment_table` gives all of its measurements.

    Raises:
        ValueError: In one line, with the argument, its value and what is wanted.
    """
    check_kind("model", model, CircuitModel, "a CircuitModel (sites, start, advance, read_out, connections)")
    if not isinstance(concepts, str | Sequence):
        raise ValueError(f"concepts must be the name of a concept or several, got {concepts!r:.60}")
    names = (concepts,) if isinstance(concepts, str) else tuple(concepts)
    if not names:
        raise ValueError("concepts must name at least one concept, got none")
    for name in names:
        CONCEPTS.named(name)
    check_seed(seed)
    if settings is not None:
        check_kind("settings", settings, ValidityConfig, "a ValidityConfig")
    source = Source.of(run, corpus)
    if source.corpus is None:
        raise ValueError("labels need text: give run or corpus")
    config = settings or (source.run.validity if source.run else preset_settings("validity", ValidityConfig))
    known = list(CONCEPTS.values())
    choice = draw_sample(source.corpus, "validation", config.choice_tokens, known)
    tested = draw_sample(source.corpus, "test", config.score_tokens, known)
    drawing = np.random.default_rng(seed_of("validity", seed))
    return assess(model, choice, tested, known, names, config, source.corpus.decode, drawing)
