"""The section on feature validity: controls as bars, illusions in the order of what they tell, the planted feature."""

import pytest
from numpy.testing import assert_array_equal

from benchmark.concepts import CONCEPTS
from benchmark.concepts.labels import window_labels
from benchmark.corpus import Corpus, CorpusConfig, build
from benchmark.records.table import Record
from benchmark.report.concept_text import CONTROLS
from benchmark.report.page.concept_controls import concept_controls
from benchmark.report.page.feature import MarkedLine
from benchmark.report.page.node_examples import CorpusText
from benchmark.report.page.planted_feature import CONJUNCTION, MIDDLE, plant, planted_feature
from benchmark.report.page.templating import rendered
from benchmark.report.page.validity import _illusions

ROW = Record(preset="smoke", method="m", variant="native", seed=0, metric="nodes_with_a_name", value=1.0)
HOSTILE = "<img src=x onerror=alert(1)>"


def score(value, low=None, high=None, loss=0.001):
    return {"value": value, "low": low, "high": high, "loss": loss}


def concept(controls, **changed):
    chosen = {"controls": controls, "harm": 0.004, "harm_low": 0.003, "harm_high": 0.005, "windows": 1454}
    content = {
        "concept": "in_string",
        "rate": 0.125,
        "observed": {"p_concept_given_active": 0.5, "p_active_given_concept": 0.25, "top_k_precision": 1.0},
        "node": "blocks.0.neuron[3]",
        "sign": -1,
        "average_precision": 0.75,
        "token_precision": 0.5,
        "choices": {"by_precision": chosen},
        "reason": "",
    }
    return content | changed


def test_bars_are_in_proportion_and_intervals_beyond_the_border_are_cut_and_say_so():
    controls = {"true": score(1.0, 1.0, 1.0), "mean": score(0.0, 0.0, 0.0), "label": score(0.5, -3.0, 0.75)}
    found = concept_controls(4, ROW, concept(controls), CONTROLS)
    true, mean, label = found.controls
    assert [each.text for each in found.controls] == [CONTROLS[name] for name in ("true", "mean", "label")]
    assert (true.bar.dot, mean.bar.dot) == (found.one, found.zero)
    assert label.bar.dot == pytest.approx((found.zero + found.one) / 2, abs=0.1)
    assert label.bar.high == pytest.approx(found.zero + 0.75 * (found.one - found.zero), abs=0.1)
    assert (label.bar.low, label.bar.cut_low, label.bar.cut_high) == (0.0, True, False)
    assert (label.score, label.interval) == ("0.5", "[\N{MINUS SIGN}3, 0.75]")


def test_a_score_that_is_undefined_has_no_bar_and_the_reason_is_told():
    found = concept_controls(0, ROW, concept({"label": score(None)}, reason="too noisy"), CONTROLS)
    assert found.controls[0].bar is None
    assert found.controls[0].score == "\N{EN DASH}"
    facts = dict(found.facts)
    assert facts["no score, since"] == "too noisy"
    assert facts["best detector"] == "blocks.0.neuron[3] (low where the concept holds)"
    assert facts["harm of ablating it"] == "0.004 [0.003, 0.005] nats per token, over 1,454 windows"


def test_a_concept_that_was_not_measured_says_why():
    found = concept_controls(0, ROW, concept({}, observed=None, choices={}, reason="holds nowhere"), CONTROLS)
    assert found.controls == ()
    assert dict(found.facts)["not measured"] == "holds nowhere"


def named(node, verdict="illusion", better="", middle=0.5, lines=("a⟦b⟧c",)):
    return {
        "node": node,
        "concept": "in_string",
        "verdict": verdict,
        "label": score(0.1, 0.0, 0.2),
        "quantised": score(0.9, 0.8, 1.0),
        "better": better,
        "better_score": 0.8 if better else None,
        "purity": {"high": 1.0, "middle": middle, "low": None, "zero": 0.1},
        "middle": [{"concept": "in_comment", "share": 0.5, "elsewhere": 0.25, "gain": 0.3}],
        "examples": {"high": list(lines), "middle": [], "low": [], "zero": []},
    }


def test_illusions_with_a_better_meaning_come_first_and_others_are_left_out():
    nodes = [named("a", middle=0.9), named("b", middle=0.1), named("c", "meant"), named("d", better="A and B")]
    found = _illusions([(ROW, {"named": nodes})], frozenset())
    assert [each.title for each in found] == ["m (native), d", "m (native), b", "m (native), a"]
    assert dict(found[0].facts)["better explained by"] == "A and B (0.8)"
    assert [band.told for band in found[1].bands] == ["the name holds at 100%", "the name holds at 10%", "", ""]
    assert _illusions([(ROW, {"named": nodes})], frozenset({"m"})) == []


def test_a_marked_line_is_split_at_its_marks_and_one_without_marks_is_kept():
    assert MarkedLine.of("x = ⟦y⟧ + 1") == MarkedLine("x = ", "y", " + 1")
    assert MarkedLine.of("x = y") == MarkedLine("x = y", "", "")


def test_text_of_strangers_is_escaped():
    features = _illusions([(ROW, {"named": [named(HOSTILE, lines=[f"{HOSTILE}⟦{HOSTILE}⟧"])]})], frozenset())
    concepts = [concept_controls(0, ROW, concept({"label": score(0.5)}, concept=HOSTILE), CONTROLS)]
    html = rendered("validity.html", chart="", concepts=concepts, names="", illusions=features, planted=None)
    assert "<img" not in html
    assert html.count("&lt;img src=x onerror=alert(1)&gt;") >= 4


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    build(CorpusConfig(sources={"idioms": 1.0}, tokens=60_000, vocabulary=400, context=64), folder, lambda *done: None)
    return Corpus.load(folder)


def test_the_planted_feature_is_high_exactly_at_the_conjunction(corpus):
    text = CorpusText(corpus, 4_096)
    planted = plant(text)
    labels = window_labels(
        [CONCEPTS[name] for name in (CONJUNCTION, MIDDLE)], corpus.tokenizer, text.tokens.numpy(), corpus.end_of_text
    )
    assert_array_equal(planted.values == 1, labels[CONJUNCTION] != 0)
    assert_array_equal(planted.values == 0.5, (labels[MIDDLE] != 0) & (labels[CONJUNCTION] == 0))
    assert planted.named[planted.values == 1].all()


def test_the_planted_feature_is_named_after_a_part_and_is_silent_at_most_of_it(corpus):
    feature = planted_feature(corpus)
    assert feature.name == "in_string"
    assert feature.bands[0].told == "the name holds at 100%"
    assert dict(feature.facts)["what it is"].startswith(CONJUNCTION)
    assert float(dict(feature.facts)["it is active where the name holds"].rstrip("%")) < 90
    assert all(line.token for band in feature.bands for line in band.lines)
    assert feature == planted_feature(corpus)
