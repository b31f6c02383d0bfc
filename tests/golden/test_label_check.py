"""The label check on planted worlds: candidates by detection, several nodes at once, directions, drawn windows."""

from dataclasses import replace
from functools import cache

import numpy as np
import planted_meanings
import pytest
import torch
from planted_meanings import WORDS_SITE

from benchmark.interventions.window_run import Node
from benchmark.validity.choice import Choice
from benchmark.validity.drawing import draw, effective_size, probabilities
from benchmark.validity.explained import draw_nodes, explained_harm
from benchmark.validity.picking import Picker
from benchmark.validity.scene import Scene
from benchmark.validity.scoring import Fit, Scale
from benchmark.validity.settings import ValidityConfig

RARE = Node(WORDS_SITE, 40)
"""The detector of the rare concept."""

POOL = 400
"""Windows of the rare world, so that its concept occurs some sixty times."""


@cache
def assessed(name):
    return getattr(planted_meanings, name)().assessed()


@cache
def rare_samples():
    world = planted_meanings.rare()
    return world.sample(0, POOL), world.sample(1, POOL)


def only(found):
    (row,) = found.concepts
    return row


# Which nodes are chosen


def test_a_rare_exact_detector_among_forty_strong_nodes_is_chosen_and_its_labels_replace_it():
    row = only(planted_meanings.rare().assessed(*rare_samples()))
    assert (row.node, row.average_precision, row.reason) == (str(RARE), 1, "")
    assert row.controls["label"].value == pytest.approx(1, abs=1e-5)
    assert row.choices["by_score"].nodes == (str(RARE),)


def test_a_concept_in_four_nodes_is_replaced_by_labels_of_all_four_at_once_and_of_none_alone():
    row = only(assessed("four_nodes"))
    alone, pair, four = (row.choices[f"jointly_{size}"].controls["label"] for size in (1, 2, 4))
    assert alone.high < 0.5
    assert alone.value < pair.value < four.value
    assert four.value == pytest.approx(1, abs=1e-5)
    assert row.choices["by_precision"].controls["label"].high < 0.5


def test_a_concept_used_along_a_direction_that_no_node_has_is_found_in_the_stream_alone():
    row = only(assessed("used_along_a_direction"))
    assert row.unused
    assert row.choices["leace"].controls["label"].value == pytest.approx(1, abs=0.01)
    assert row.choices["direction"].controls["label"].value == pytest.approx(1, abs=0.1)


def test_a_concept_that_is_represented_but_not_used_has_no_score_anywhere():
    row = only(assessed("represented"))
    assert row.unused
    assert row.choices["leace"].reason
    assert np.isnan(row.choices["leace"].controls["label"].value)


def test_shifted_labels_score_nothing_however_the_nodes_are_chosen():
    for name in ("exact", "conjunction", "four_nodes", "detectors"):
        for how, pooled in assessed(name).pooled.items():
            assert abs(pooled["shifted"].value) < 0.05, (name, how)


# Explained harm


def test_labels_explain_all_the_harm_of_a_node_that_is_the_concept_and_none_of_one_that_is_no_concept():
    explained, nothing = (assessed(name).explained for name in ("exact", "meaningless"))
    assert (explained.reason, nothing.reason) == ("", "")
    assert explained.beyond.value == pytest.approx(1, abs=0.05)
    assert explained.shares["label"].value == pytest.approx(1, abs=1e-5)
    assert max(abs(explained.shares[kind].value) for kind in ("token", "shifted")) < 0.05
    assert abs(nothing.beyond.value) < 0.05
    assert nothing.beyond.low < nothing.beyond.high


def test_explained_harm_weights_each_node_by_its_harm():
    found = assessed("half_named").explained
    by_node = {each.node: each for each in found.nodes}
    named, unnamed = by_node[f"{WORDS_SITE}[0]"], by_node[f"{WORDS_SITE}[1]"]
    assert named.probability == unnamed.probability == 1
    assert named.lost["label"] == pytest.approx(0, abs=1e-6)
    whole = named.harm + unnamed.harm
    assert found.shares["label"].value == pytest.approx((whole - unnamed.lost["label"]) / whole)
    assert 0.2 < named.harm / whole < 0.8
    assert found.beyond.value == pytest.approx(named.harm / whole, abs=0.03)
    assert found.beyond.low <= found.beyond.value <= found.beyond.high


def test_explained_harm_of_drawn_nodes_is_unbiased_and_its_intervals_cover():
    """Twelve of forty-one nodes are drawn, of which every other one is a concept; against all of them."""
    rare = planted_meanings.rare()
    labels = {f"node {node}": [int(values[node]) for values in rare.nodes] for node in range(0, 40, 2)}
    world = replace(rare, labels=labels)
    choice, score = world.sample(0, 200), world.sample(1, 200)
    generator = np.random.default_rng(0)
    known = Choice(world.model, choice, list(labels), [])
    picker = Picker(world.model, known, ValidityConfig(explained_windows=40), generator, len(score.tokens))
    scene = Scene(world.model, score, generator)
    scene.read([Node(WORDS_SITE, index) for index in range(41)])

    def explained(count):
        return explained_harm(known, picker, scene, draw_nodes(known, count, generator), generator)

    def totals(found):
        return [
            sum((each.harm - each.lost["label"]) / each.probability for each in found.nodes),
            sum(each.harm / each.probability for each in found.nodes),
        ]

    everything, drawn = explained(41), [explained(12) for _ in range(40)]
    truth = everything.shares["label"].value
    assert 0.2 < truth < 0.8
    estimates = np.array([totals(each) for each in drawn])
    error = estimates.std(axis=0, ddof=1) / np.sqrt(len(estimates))
    assert (np.abs(estimates.mean(axis=0) - totals(everything)) < 3 * error).all()
    covered = [each.shares["label"].low <= truth <= each.shares["label"].high for each in drawn]
    assert np.mean(covered) > 0.9


def test_labels_of_an_ordinal_concept_explain_nothing_that_the_current_token_decides():
    """The node is the current word, by number, and so is the concept."""
    world = replace(
        planted_meanings.graded(), labels={"word": [0, 1, 2, 3, 4, 5]}, order=torch.arange(1, 49).clamp(max=47)
    )
    choice, score = (shifted_by_one(world.sample(seed)) for seed in (0, 1))
    found = world.assessed(choice, score).explained
    assert found.shares["label"].value == pytest.approx(1, abs=0.05)
    assert found.shares["token"].value == pytest.approx(1, abs=0.05)
    assert abs(found.beyond.value) < 0.05


def shifted_by_one(sample):
    """Labels of the current word instead of the one before."""
    labels = {name: np.pad(each[:, 1:], ((0, 0), (0, 1)), mode="edge") for name, each in sample.labels.items()}
    return replace(sample, labels=labels)


# Windows are drawn


def rare_scene(node=RARE):
    """A node of the rare world on the score split, by default the rare detector, with what replaces it."""
    scene = Scene(planted_meanings.rare().model, rare_samples()[1], np.random.default_rng(0))
    scene.read([node])
    values = scene.values[node]
    fit = Fit(node, Scale.of(values, 1), float(values.mean()))
    return scene, [fit], {"label": {node: (0.5 * values + 0.2).astype(np.float32)}}


def totals(measured):
    return np.array([measured.changes["mean"].mean(), measured.changes["label"].mean()])


def test_what_is_measured_in_drawn_windows_is_unbiased():
    scene, fits, changes = rare_scene()
    everything = totals(scene.measure(fits, changes, POOL, "A"))
    drawn = np.stack([totals(scene.measure(fits, changes, 40, "A")) for _ in range(200)])
    error = drawn.std(axis=0, ddof=1) / np.sqrt(len(drawn))
    assert (np.abs(drawn.mean(axis=0) - everything) < 3 * error).all()
    assert (error > 0).all()


def test_windows_of_a_rare_concept_tell_three_times_as_much_as_as_many_plain_ones():
    scene, fits, _ = rare_scene()
    changes = {"label": {RARE: scene.values[RARE]}}
    exact = scene.measure(fits, changes, POOL, "A").harm
    generator = np.random.default_rng(1)
    energy = ((scene.values[RARE] - fits[0].mean) ** 2).sum(1)
    spreads = []
    for chosen in (energy, np.zeros_like(energy)):
        draws = [draw(chosen, 60, generator) for _ in range(500)]
        spreads.append(np.std([each.weighted(exact[each.windows]).mean() for each in draws]))
    assert spreads[0] < spreads[1] / 3


def test_the_first_order_effect_of_all_windows_makes_the_estimate_vary_less_and_leaves_it_unbiased():
    found = {}
    for name in ("with", "without"):
        scene, fits, changes = rare_scene(Node(WORDS_SITE, 0))
        everything = totals(scene.measure(fits, changes, POOL, "A"))
        if name == "without":
            scene.gradients = {part: np.zeros_like(each) for part, each in scene.gradients.items()}
        drawn = np.stack([totals(scene.measure(fits, changes, 40, "A")) for _ in range(100)])
        assert (np.abs(drawn.mean(axis=0) - everything) < 3 * drawn.std(axis=0, ddof=1) / 10).all()
        found[name] = drawn.std(axis=0)
    assert (found["with"] < 0.6 * found["without"]).all()


def test_controls_run_on_as_many_windows_as_are_asked_for_if_more_are_expected_than_there_are():
    scene, fits, changes = rare_scene()
    measured = scene.measure(fits, {**changes, "own": {RARE: scene.values[RARE]}}, 10 * POOL, "A", others=POOL / 4)
    assert measured.windows == POOL
    assert POOL / 8 < measured.control_windows < POOL / 2


def test_a_detector_that_matters_is_found_behind_better_ones_that_do_not():
    """Six exact detectors that hardly matter, and one that misses a word and does."""
    words, idle = 10, 6
    table = [[float(word >= 5)] * idle + [float(word >= 5 and word != 9)] for word in range(words)]
    world = planted_meanings.World(
        share=[0.1] * words,
        nodes=table,
        read=lambda nodes: planted_meanings.switch(idle)(nodes) + 0.02 * nodes[..., :idle].mean(-1, keepdim=True),
        labels={"A": [int(word >= 5) for word in range(words)]},
    )
    row = only(world.assessed())
    assert row.highest_precision == 1
    assert row.node == f"{WORDS_SITE}[{idle}]"
    assert not row.unused
    assert row.controls["label"].value > 0.5


def test_controls_on_a_part_of_the_windows_are_unbiased_and_exact_for_the_nodes_own_values():
    scene, fits, changes = rare_scene()
    own = {RARE: scene.values[RARE]}
    near_mean = {RARE: np.full_like(scene.values[RARE], 0.01)}
    everything = scene.measure(fits, {**changes, "near": near_mean}, POOL, "A").changes["near"].mean()
    found = []
    for _ in range(100):
        measured = scene.measure(fits, {**changes, "own": own, "near": near_mean}, 60, "A", others=20)
        assert (measured.changes["own"] == 0).all()
        found.append(measured.changes["near"].mean())
    assert abs(np.mean(found) - everything) < 3 * np.std(found) / 10


@pytest.mark.parametrize("expected", [1, 7, 40, 99, 100, 200])
def test_probabilities_add_up_to_the_expected_number_and_leave_no_window_out(expected):
    energy = np.random.default_rng(0).random(100) ** 20
    found = probabilities(energy, expected)
    assert found.sum() == pytest.approx(min(expected, 100))
    assert (found > 0).all()
    assert (found <= 1).all()


def test_effective_size_is_the_number_of_windows_that_contribute_equally():
    assert effective_size(np.array([0.0, 2.0, -2.0, 2.0])) == pytest.approx(3)
    assert effective_size(np.zeros(4)) == 0


def test_intervals_cover_the_score_that_a_world_has():
    """A part of the windows is drawn, the score is that of the whole language."""
    world = planted_meanings.conjunction()
    wide = world.sample(7, 4000)
    truth = scored(world, wide, seed=0, expected=4000).value
    found = [scored(world, world.sample(100 + seed, 96), seed, expected=32) for seed in range(60)]
    covered = np.mean([each.low <= truth <= each.high for each in found])
    assert covered > 0.85
    errors = np.array([each.value for each in found]) - truth
    assert abs(errors.mean()) < 3 * errors.std(ddof=1) / np.sqrt(len(errors))


def scored(world, sample, seed, expected):
    """Score of the labels of A in the place of the node that is "A and B"."""
    node = Node(WORDS_SITE, 0)
    scene = Scene(world.model, sample, np.random.default_rng(seed))
    scene.read([node])
    fit = Fit(node, Scale.of(scene.values[node], 1), 0.105)
    labels = replace(sample).labels["A"] * np.float32(0.35)
    measured = scene.measure([fit], {"label": {node: labels.astype(np.float32)}}, expected, "A")
    return scene.judge.ratio(measured.changes["label"], measured.harm)
