import dataclasses
from functools import cache

import numpy as np
import planted_meanings
import pytest
import torch
from next_token import next_token_eval
from planted_meanings import LENGTH, WINDOWS, WORDS_SITE

from benchmark.concepts import CONCEPTS
from benchmark.interventions.ablation import corpus_means, keep_only
from benchmark.interventions.replacement import CachedRun, Node
from benchmark.model.circuit import Circuit
from benchmark.model.interface import CircuitModel, unedited
from benchmark.validity.choice import token_precision
from benchmark.validity.sample import Sample
from benchmark.validity.scoring import Judge, level_means

NODE = f"{WORDS_SITE}[0]"


@cache
def assessed(name):
    """The assessment of a planted world, made once."""
    return getattr(planted_meanings, name)().assessed()


def row(found, concept):
    return next(each for each in found.concepts if each.concept == concept)


@pytest.fixture
def parts_are_known(monkeypatch):
    """Nodes are named by the simpler of two concepts: "A" rather than "A and B"."""
    for concept in planted_meanings.conjunction().concepts:
        monkeypatch.setitem(CONCEPTS._loaded.records, concept.name, concept)


def test_planted_models_are_circuit_models():
    assert isinstance(planted_meanings.exact().model, CircuitModel)


# What a node may be


def test_exact_detector_scores_one_and_its_name_is_valid():
    found = assessed("exact")
    exact = row(found, "A")
    assert (exact.node, exact.sign, exact.reason) == (NODE, 1, "")
    assert exact.average_precision == exact.highest_precision == 1
    assert exact.controls["label"].value == pytest.approx(1, abs=1e-6)
    assert exact.controls["quantised"].value == pytest.approx(1, abs=1e-6)
    assert exact.controls["shifted"].high < 0.02
    assert exact.observed.p_concept_given_active == exact.observed.p_active_given_concept == 1
    assert (exact.observed.purity["high"], exact.observed.purity["zero"]) == (1, 0)
    assert [(node.node, node.concept, node.verdict) for node in found.named] == [(NODE, "A", "meant")]


def test_labels_of_an_unrelated_concept_score_nothing():
    other = row(assessed("exact"), "B")
    assert abs(other.controls["label"].value) < 0.03
    assert other.corrected_low < 0.02


def test_detector_of_a_common_concept_is_active_where_the_concept_holds():
    """Its median is its highest value."""
    common = row(assessed("usual"), "A")
    assert common.controls["label"].value == pytest.approx(1, abs=1e-6)
    assert common.observed.p_active_given_concept == common.observed.p_concept_given_active == 1
    assert common.observed.purity["high"] == 1
    assert common.controls["misses"].value == pytest.approx(1, abs=1e-6)


def test_opposite_of_a_detector_is_read_with_the_opposite_sign():
    world = planted_meanings.exact()
    opposite = row(dataclasses.replace(world, labels={"not A": [1, 1, 0, 0]}).assessed(), "not A")
    assert (opposite.sign, opposite.average_precision) == (-1, 1)
    assert opposite.controls["label"].value == pytest.approx(1, abs=1e-6)
    assert opposite.observed.p_active_given_concept == opposite.observed.p_concept_given_active == 1


@pytest.mark.usefixtures("parts_are_known")
def test_detector_of_a_and_b_that_is_called_a_is_an_illusion():
    """Dogs on jetskis: all top examples show dogs."""
    found = planted_meanings.conjunction().assessed()
    claimed, explained = row(found, "A"), row(found, "A and B")
    assert claimed.observed.top_k_precision == 1
    assert claimed.observed.p_concept_given_active == 1
    assert claimed.observed.p_active_given_concept == pytest.approx(0.35, abs=0.04)
    assert claimed.controls["label"].high < 0.5
    assert claimed.controls["quantised"].value == pytest.approx(1, abs=1e-6)
    assert claimed.controls["misses"].value < 0.9
    assert explained.controls["label"].value == pytest.approx(1, abs=1e-6)
    (named,) = found.named
    assert (named.concept, named.top_k_precision, named.verdict) == ("A", 1, "illusion")
    assert named.better == "A and B"
    assert named.better_score == pytest.approx(1, abs=1e-6)


def test_second_meaning_in_the_middle_band_is_seen_by_purity_and_by_labels_but_not_by_top_examples():
    claimed = row(assessed("second_meaning"), "A")
    assert claimed.observed.top_k_precision == claimed.observed.purity["high"] == 1
    assert claimed.observed.p_active_given_concept == claimed.average_precision == 1
    assert claimed.observed.purity["middle"] == 0
    assert claimed.observed.band_share["middle"] == pytest.approx(0.25, abs=0.03)
    assert claimed.controls["middle"].high < 0.8
    assert claimed.controls["false_alarms"].high < 0.8
    assert claimed.controls["label"].high < 0.8
    assert claimed.controls["misses"].value == pytest.approx(1, abs=1e-6)


def test_second_meaning_of_a_named_node_is_what_its_middle_activations_are():
    (named,) = assessed("second_meaning").named
    assert (named.concept, named.purity["high"], named.purity["middle"]) == ("A", 1, 0)
    (meaning,) = named.middle
    assert (meaning.concept, meaning.share, meaning.gain) == ("C", 1, 1)
    assert meaning.elsewhere == pytest.approx(0.25 / 0.8, abs=0.03)
    assert len(named.examples["middle"]) == 5
    (graded,) = assessed("graded").named
    assert graded.middle == []


def test_graded_detector_is_no_illusion_and_ordinal_labels_rescue_it():
    found = assessed("graded")
    binary, ordinal = row(found, "A"), row(found, "level of A")
    assert binary.average_precision == 1
    assert binary.controls["label"].high < 0.5
    assert binary.controls["quantised"].value < 0.5
    assert ordinal.controls["label"].value == pytest.approx(1, abs=1e-6)
    assert ordinal.controls["quantised"].value == pytest.approx(1, abs=1e-6)
    (named,) = found.named
    assert (named.concept, named.verdict, named.better) == ("A", "graded", "level of A")


def test_named_by_ordinal_labels_a_graded_detector_is_valid():
    world = planted_meanings.graded()
    alone = dataclasses.replace(world, labels={"level of A": world.labels["level of A"]})
    assert [(node.concept, node.verdict) for node in alone.assessed().named] == [("level of A", "meant")]


def test_concept_whose_only_detector_nobody_reads_is_unused():
    found = assessed("unread")
    idle = row(found, "A")
    assert idle.average_precision == idle.observed.top_k_precision == 1
    assert idle.unused
    assert idle.reason == "no node that detects it does more harm than 0.0005 nats"
    assert idle.controls is None
    assert np.isnan(idle.corrected_low)
    assert idle.kinds["neuron"] == (NODE, 1)
    assert (found.have_names, found.named) == (1, [])
    assert found.pooled == {}


def test_idle_node_is_told_of_but_not_chosen():
    found = row(assessed("one_unread"), "B")
    assert (found.highest_node, found.highest_precision) == (f"{WORDS_SITE}[1]", 1)
    assert found.node == NODE
    assert found.average_precision < 0.5
    assert found.controls["label"].value < 0.05


def test_node_with_a_backup_does_no_harm_in_the_whole_model_and_has_its_meaning_in_the_circuit():
    world = planted_meanings.backed_up()
    assert row(assessed("backed_up"), "A").reason
    choice, score = world.sample(0), world.sample(1)
    means = corpus_means(world.model, choice.tokens)
    alone = keep_only(Circuit({WORDS_SITE: torch.tensor([True, False])}), means)
    assert not np.isfinite(label_score(world, choice, score, unedited).value)
    inside = label_score(world, choice, score, alone)
    assert inside.value == pytest.approx(1, abs=1e-6)
    assert inside.low > 0.99


def label_score(world, choice, score, base):
    """Score of the labels of A in the place of node 0, whatever is ablated besides."""
    node = Node(WORDS_SITE, 0)
    known = CachedRun(world.model, next_token_eval(choice.tokens, choice.targets), base).node(node)
    run = CachedRun(world.model, next_token_eval(score.tokens, score.targets), base)
    labels = level_means(known, choice.labels["A"], 2)[score.labels["A"]]
    changes = [{node: values.astype(np.float32)} for values in (labels, np.full_like(labels, known.mean()))]
    label, mean = (losses - run.true for losses in run.losses(changes))
    return Judge(len(score.tokens), np.random.default_rng(0)).score(label, mean)


def test_labels_beat_a_detector_whose_false_alarms_do_harm_and_the_score_is_not_clipped():
    better = row(assessed("false_alarms"), "A")
    assert better.observed.p_active_given_concept == 1
    assert better.observed.p_concept_given_active == pytest.approx(0.75, abs=0.04)
    assert better.controls["label"].low > 1.2
    assert better.controls["false_alarms"].low > 1.2
    assert better.controls["misses"].value == pytest.approx(1, abs=1e-6)
    assert better.corrected_low > 1.2


# Identities

WORLDS = ("exact", "usual", "conjunction", "second_meaning", "graded", "one_unread", "false_alarms", "detectors")


@pytest.mark.parametrize("name", WORLDS)
def test_true_activations_score_one_and_the_mean_scores_zero_in_every_draw(name):
    found = assessed(name)
    controls = [each.controls for each in found.concepts if not each.reason]
    assert controls
    for scores in controls:
        assert (scores["true"].value, scores["true"].low, scores["true"].high, scores["true"].loss) == (1, 1, 1, 0)
        assert (scores["mean"].value, scores["mean"].low, scores["mean"].high) == (0, 0, 0)
        assert scores["mean"].loss > 0


def test_pooled_score_is_the_labels_losses_over_the_harm_of_all_concepts_together():
    found = assessed("conjunction")
    chosen = [each.choices["by_precision"] for each in found.concepts]
    lost = sum(each.controls["label"].loss for each in chosen)
    expected = 1 - lost / sum(each.harm for each in chosen)
    pooled = found.pooled["by_precision"]["label"]
    assert pooled.value == pytest.approx(expected)
    assert pooled.concepts == 3
    assert pooled.low < expected < pooled.high


def test_sibling_is_replaced_by_its_own_levels(monkeypatch):
    world = planted_meanings.conjunction()
    siblings = [dataclasses.replace(each, sibling="A and B") for each in world.concepts]
    monkeypatch.setattr(planted_meanings.World, "concepts", siblings)
    found = world.assessed()
    assert row(found, "A").controls["sibling"].value == pytest.approx(1, abs=1e-6)


# Nobody looks at the score split before it is scored


def chosen(found):
    """Everything that is decided on the choice split."""
    rows = [
        [each.concept, each.node, each.sign, each.highest_node, each.observed.threshold]
        + [(kind, node) for kind, (node, _) in each.kinds.items()]
        + [(how, choice.nodes) for how, choice in each.choices.items()]
        for each in found.concepts
    ]
    return rows, [(node.node, node.concept, node.top_k_precision) for node in found.named]


def garbage(sample: Sample) -> Sample:
    """Random tokens, and the labels of other places."""
    random = np.random.default_rng(9)
    return dataclasses.replace(
        sample,
        tokens=torch.from_numpy(random.integers(int(sample.tokens.max()) + 1, size=sample.tokens.shape)),
        targets=torch.from_numpy(random.integers(4, size=sample.tokens.shape)),
        labels={
            name: random.permutation(labels.ravel()).reshape(labels.shape) for name, labels in sample.labels.items()
        },
    )


def relabelled(sample: Sample) -> Sample:
    return dataclasses.replace(garbage(sample), tokens=sample.tokens, targets=sample.targets)


@pytest.mark.parametrize("change", [garbage, relabelled])
@pytest.mark.parametrize("name", ["detectors", "conjunction", "second_meaning", "graded"])
def test_nodes_and_names_are_chosen_without_sight_of_the_score_split(name, change):
    world = getattr(planted_meanings, name)()
    plain, blind = assessed(name), world.assessed(score=change(world.sample(1)))
    assert chosen(plain) == chosen(blind)
    assert plain.concepts[0].controls != blind.concepts[0].controls
    assert plain.named


def test_choice_follows_the_choice_split():
    world = planted_meanings.detectors()
    assert chosen(assessed("detectors")) != chosen(world.assessed(choice=garbage(world.sample(0))))


def test_the_same_seed_gives_the_same_assessment():
    again = planted_meanings.detectors().assessed()
    np.testing.assert_equal(dataclasses.asdict(again), dataclasses.asdict(assessed("detectors")))


# Nulls


def test_concepts_of_a_model_whose_activations_lie_elsewhere_score_nothing():
    found = assessed("meaningless")
    assert not [each.reason for each in found.concepts if each.reason]
    for each in found.concepts:
        assert each.corrected_low < 0.05
        assert abs(each.controls["label"].value) < 0.1
    assert found.named == []
    assert abs(found.pooled["by_precision"]["label"].value) < 0.05


def test_correction_for_the_search_never_raises_the_lower_limit():
    for each in assessed("detectors").concepts:
        assert each.corrected_low <= each.controls["label"].low


# What cannot be measured


def test_refused_concept_is_a_row_with_its_rate_in_the_reason():
    world = planted_meanings.exact()
    found = dataclasses.replace(world, labels={**world.labels, "never": [0] * 4, "always": [1] * 4}).assessed()
    never, always = row(found, "never"), row(found, "always")
    positions = WINDOWS * LENGTH
    assert never.reason == f"concept 'never' is '0' everywhere: rate 0 over {positions} positions"
    assert always.reason == f"concept 'always' is '1' everywhere: rate 1 over {positions} positions"
    assert (never.rate, always.rate) == (0, 1)
    assert never.observed is never.controls is None
    assert row(found, "A").controls["label"].value == pytest.approx(1, abs=1e-6)


def test_concept_that_the_score_split_alone_lacks_is_refused():
    world = planted_meanings.exact()
    score = world.sample(1)
    empty = dataclasses.replace(score, labels={**score.labels, "B": np.zeros_like(score.labels["B"])})
    assert "rate 0 over" in row(world.assessed(score=empty), "B").reason


def test_where_every_concept_is_refused_all_rows_say_so():
    found = dataclasses.replace(planted_meanings.exact(), labels={"never": [0] * 4}).assessed()
    assert ["rate 0 over" in each.reason for each in found.concepts] == [True]
    assert found.named == []
    assert found.pooled == {}


def test_concept_that_begins_to_hold_late_in_a_sample_is_measured():
    """Bases are compared on the first tokens alone, where such a concept has no average precision."""
    world = planted_meanings.exact()
    samples = [world.sample(seed, windows=180) for seed in (0, 1)]
    late = [np.where(np.arange(180)[:, None] < 175, 0, sample.labels["A"]).astype(np.int8) for sample in samples]
    choice, score = (
        dataclasses.replace(sample, labels={"A": sample.labels["A"], "B": labels})
        for sample, labels in zip(samples, late, strict=True)
    )
    found = world.assessed(choice, score)
    assert found.bases["neuron"].native == pytest.approx(1, abs=0.01)


# The current token


def test_token_alone_predicts_a_concept_that_it_decides_and_no_other():
    world = planted_meanings.exact()
    choice, score = (
        dataclasses.replace(
            sample,
            labels={"is word 3": (sample.tokens.numpy() == 3).astype(np.int8), "after word 3": sample.labels["A"]},
        )
        for sample in (world.sample(0), world.sample(1))
    )
    assert token_precision(choice, score, "is word 3") == pytest.approx(1)
    assert token_precision(choice, score, "after word 3") == pytest.approx(score.flat("after word 3").mean(), abs=0.03)


def test_token_that_the_choice_split_lacks_predicts_the_rate():
    choice, score = (
        Sample(tokens, tokens, {"A": np.array([[1, 0, 0, 0]], dtype=np.int8)})
        for tokens in (torch.tensor([[1, 2, 2, 2]]), torch.tensor([[1, 2, 7, 2]]))
    )
    assert token_precision(choice, score, "A") == 1  # 1 at word 1, 1/4 at the unknown word 7, 0 at word 2


def test_concept_that_the_token_decides_is_shown_but_not_pooled():
    world = planted_meanings.exact()
    choice, score = (
        dataclasses.replace(
            sample,
            labels={"A": sample.labels["A"], "B": (sample.tokens.numpy() == 3).astype(np.int8)},
        )
        for sample in (world.sample(0), world.sample(1))
    )
    found = world.assessed(choice, score)
    assert row(found, "B").token_precision == pytest.approx(1)
    assert row(found, "B").controls["label"].value < 0.1
    assert found.pooled["by_precision"]["label"].concepts == 1
    assert found.pooled["by_precision"]["label"].value == pytest.approx(1, abs=1e-6)


def test_a_concept_that_holds_at_most_positions_names_no_node():
    world = planted_meanings.usual()
    found = world.assessed()
    assert row(found, "A").average_precision == 1
    assert (found.have_names, found.named) == (0, [])
    rare = dataclasses.replace(world, share=[0.7, 0.3]).assessed()
    assert (rare.have_names, [node.concept for node in rare.named]) == (1, ["A"])
