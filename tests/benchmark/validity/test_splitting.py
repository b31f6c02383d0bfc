"""Feature splitting on planted dictionaries: features that are halved, kept, or of something else."""

import numpy as np
import pytest
import torch
from tiny_dense import random_dense

from benchmark.validity.sample import Sample
from benchmark.validity.splitting import FEWEST_HELD, Watched, firing, splitting_measurements

POSITIONS, WINDOWS = 50, 80
SITE = "blocks.0.feature"


def random_firing(random, features):
    """Each position fires some of the features, a fortieth on average."""
    return random.random((POSITIONS * WINDOWS, features)) < 1 / 40


def halves(random, fires):
    """Each feature is two: by a coin at each position, one or the other fires."""
    heads = random.random(fires.shape) < 0.5
    return np.concatenate([fires & heads, fires & ~heads], axis=1)


def kept(random, fires):
    """Each feature is there, and as many others."""
    return np.concatenate([fires, random_firing(random, fires.shape[1])], axis=1)


def sample(label):
    tokens = torch.zeros(WINDOWS, POSITIONS, dtype=torch.int64)
    labels = {"odd": label.reshape(WINDOWS, POSITIONS).astype(np.int8)}
    return Sample(tokens, tokens, labels, np.zeros((WINDOWS, POSITIONS), dtype=np.int64))


def measured(random, wider):
    """Of six features against a dictionary that is made from them; the concept is the first feature."""
    narrow = [random_firing(random, 6) for _ in range(2)]
    wide = [wider(random, fires) for fires in narrow]
    samples = tuple(sample(fires[:, 0]) for fires in narrow)
    found = (Watched(*({SITE: fires} for fires in pair)) for pair in (narrow, wide))
    return list(found), samples


def values(own, other, samples):
    rows = splitting_measurements(own, other, samples, ["odd"], np.random.default_rng(0))
    return {row.metric: row.value for row in rows}


def test_halved_features_are_told_from_those_of_the_other_dictionary_and_from_chance():
    (narrow, wide), samples = measured(np.random.default_rng(0), halves)
    found = values(wide, narrow, samples)
    assert found["feature_splits"] == found["concept_splits"] == 2
    assert found["feature_splits_back"] == 1
    assert found["feature_splits_null"] < 1.3
    assert {**values(narrow, wide, samples), "concept_splits": 2} == found  # whichever of the two is asked


def test_a_wider_dictionary_that_keeps_its_features_splits_none():
    (narrow, wide), samples = measured(np.random.default_rng(0), kept)
    found = values(wide, narrow, samples)
    assert found["feature_splits"] == found["concept_splits"] == 1


def test_a_dictionary_alone_divides_concepts_only():
    (narrow, _), samples = measured(np.random.default_rng(0), kept)
    rows = {row.metric: row for row in splitting_measurements(narrow, None, samples, ["odd"], np.random.default_rng(0))}
    assert rows["concept_splits"].value == 1
    others = [row for name, row in rows.items() if name != "concept_splits"]
    assert {(row.status, row.reason) for row in others} == {("undefined", "compared with no other dictionary")}
    assert len(others) == 3


def test_what_is_rare_in_either_sample_is_not_counted():
    (narrow, _), samples = measured(np.random.default_rng(0), kept)
    rare = np.zeros(POSITIONS * WINDOWS)
    rare[: FEWEST_HELD - 1] = 1
    for pair in ((samples[0], sample(rare)), (sample(rare), samples[1])):
        first, *_ = splitting_measurements(narrow, None, pair, ["odd"], np.random.default_rng(0))
        assert (first.status, first.value) == ("undefined", None)
        assert first.reason == f"at some site nothing holds at {FEWEST_HELD} positions of each sample"


def test_turning_keeps_how_often_features_fire():
    fires = random_firing(np.random.default_rng(0), 5)
    turned = Watched({SITE: fires}, {SITE: fires}).turned(np.random.default_rng(1))
    for found in (turned.choice[SITE], turned.score[SITE]):
        assert (found.sum(axis=0) == fires.sum(axis=0)).all()
        assert (found != fires).any(axis=0).all()


def test_a_model_without_features_is_refused():
    with pytest.raises(ValueError, match="the model has no features"):
        firing(random_dense(), torch.zeros(1, 3, dtype=torch.int64))
