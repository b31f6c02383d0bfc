"""Adaptive choices do not bias the label check: 200 whole procedures (choice, pilot, estimate) on planted worlds."""

from functools import cache

import numpy as np
import planted_meanings
import pytest
from planted_meanings import WORDS_SITE

from benchmark.interventions.replacement import Node
from benchmark.validity.assess import assess
from benchmark.validity.scene import Scene
from benchmark.validity.scoring import Fit, Scale, given_labels
from benchmark.validity.settings import ValidityConfig

PROCEDURES = 200
SETTINGS = ValidityConfig(pilot_windows=24, most_windows=48, judged_nodes=1, explained_nodes=1)


@cache
def truth(name, node):
    """Score of the labels of A in place of a node, over the whole language."""
    world = getattr(planted_meanings, name)()
    wide = world.sample(7, 4000)
    scene = Scene(world.model, wide, np.random.default_rng(0))
    scene.read([node])
    values = scene.values[node]
    fit = Fit(node, Scale.of(values, 1), float(values.mean()))
    label = given_labels(values, wide.labels["A"], wide.labels["A"])
    measured = scene.measure([fit], {"label": {node: label}}, np.inf, "A")
    return scene.judge.ratio(measured.changes["label"], measured.harm).value


def procedure(name, seed):
    """By how the node was chosen: the score of the labels of A, and the node."""
    world = getattr(planted_meanings, name)()
    samples = world.sample(1000 + 2 * seed), world.sample(1001 + 2 * seed)
    generator = np.random.default_rng(seed)
    found = assess(world.model, *samples, world.concepts, ["A"], SETTINGS, lambda ids: "", generator)
    choices = found.concepts[0].choices
    return {how: (choices[how].controls["label"], choices[how].nodes[0]) for how in ("by_precision", "by_score")}


@pytest.mark.slow
@pytest.mark.parametrize(("name", "winners"), [("conjunction", 1), ("tied", 3)])
def test_whole_procedures_are_unbiased_and_their_intervals_cover(name, winners):
    found = [procedure(name, seed) for seed in range(PROCEDURES)]
    nodes = {str(Node(WORDS_SITE, index)): Node(WORDS_SITE, index) for index in range(4)}
    assert len({each["by_precision"][1] for each in found}) == winners
    assert any(each["by_precision"][1] != each["by_score"][1] for each in found) == (winners > 1)
    for how in ("by_precision", "by_score"):
        scores = [(score, truth(name, nodes[node])) for score, node in (each[how] for each in found)]
        errors = np.array([score.value - true for score, true in scores])
        assert np.isfinite(errors).all()
        assert abs(errors.mean()) < 2 * errors.std(ddof=1) / np.sqrt(len(errors)), how
        covered = np.mean([score.low <= true <= score.high for score, true in scores])
        assert 0.92 <= covered <= 0.98, how
