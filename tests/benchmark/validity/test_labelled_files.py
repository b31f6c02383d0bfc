"""Concepts from a file: what it may say, the windows that are cut from its texts, and what a run makes of it."""

import json
from dataclasses import replace
from functools import partial
from itertools import compress

import numpy as np
import pytest
from click.testing import CliRunner
from json_lines import flaw_of, write_lines

from benchmark.cli import main
from benchmark.concepts.labelled import read_concepts, read_labelled, write_labelled
from benchmark.concepts.labels import window_labels
from benchmark.corpus import Corpus, CorpusConfig, build
from benchmark.files import CorruptFileError
from benchmark.records.table import read_records
from benchmark.running.config import configure
from benchmark.running.experiment import Experiment
from benchmark.running.plan import plan
from benchmark.validity.labelled_sample import halves, read_samples, write_windows

CONTEXT = 64


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    config = CorpusConfig(sources={"idioms": 1.0}, tokens=20_000, vocabulary=400, context=CONTEXT)
    build(config, folder, lambda done, total, note="": None)
    return Corpus.load(folder)


def line(number, **more):
    text = f"def f{number}(page):\n    shout(line, {number})\n    return é{number}\n"
    start = text.index("shout(") + len("shout(")
    return {"text": text, "spans": [[start, text.index(")\n    return")]], **more}


written = partial(write_lines, name="shouted.jsonl")
refused = partial(flaw_of, read_concepts)


def test_a_file_is_one_concept_with_its_name_unless_a_line_describes_it(tmp_path):
    found = read_concepts(written(tmp_path, *map(line, range(3))))
    assert (found.name, found.summaries, len(found.texts)) == ("shouted", {"shouted": "labelled in a file"}, 3)
    found = read_concepts(written(tmp_path, {"concept": "loud", "summary": "in a call of shout"}, line(0)))
    assert [(each.name, each.summary) for each in found.concepts] == [("loud", "in a call of shout")]
    text = found.texts[0]
    assert "".join(compress(text.text, text.labels("loud"))) == "line, 0"


def test_spans_by_concept_label_several_concepts_in_the_same_texts(tmp_path):
    lines = [line(number, spans={"loud": [[0, 3], [2, 5]], "quiet": []}) for number in range(2)]
    found = read_concepts(written(tmp_path, *lines))
    assert list(found.summaries) == ["loud", "quiet"]
    assert found.texts[1].labels("loud")[:6] == [1, 1, 1, 1, 1, 0]
    assert not any(found.texts[1].labels("quiet"))


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([], "has no texts"),
        (["{"], "line 1 is not JSON"),
        ([{"text": "abc"}], "line 1 does not fit: spans is missing"),
        ([{"text": "abc", "spans": [[0, 4]]}], "line 1: the span [0, 4] is not in its 3 characters"),
        ([{"text": "abc", "spans": [[2, 2]]}], "line 1: the span [2, 2] is not in its 3 characters"),
        ([{"text": "abc", "spans": [[-1, 2]]}], "line 1 does not fit: spans"),
        ([{"text": "abc", "spans": [[0, 1.5]]}], "line 1 does not fit: spans"),
        ([{"text": "abc", "spans": [[0, 1]], "label": 1}], "line 1 does not fit: label is not a known key"),
        ([line(0), line(0)], "line 2 has the text of line 1 again"),
        ([line(0), line(1, spans={"shouted": []})], "line 2 does not label shouted as the first text does"),
        ([line(0, spans={"a": []}), line(1, spans={"b": []})], "line 2 does not label a as the first text does"),
        ([{"concept": "in_string"}, line(0)], "there is already a concept 'in_string'"),
        ([{"concept": "../a"}, line(0)], "'../a' is no name"),
        (
            [{"concept": "a"}, {"concept": "b"}, line(0)],
            "2 concepts are described (a, b), so spans are given by concept",
        ),
        ([{"concept": "a"}, {"concept": "a"}, line(0)], "line 2 describes 'a' again"),
        (["[" * 100_000], "line 1 is nested more than 50 levels deep"),
    ],
)
def test_what_is_wrong_is_said_with_the_line(tmp_path, lines, said):
    assert said in refused(written(tmp_path, *lines))


def test_windows_have_the_labels_that_a_program_with_the_same_rule_gives(tmp_path, corpus):
    found = read_concepts(written(tmp_path, *map(line, range(200))))
    write_windows(found, corpus, tmp_path)
    choice, score = read_samples(tmp_path, ["shouted"], corpus, (10 * CONTEXT, 10**6))
    assert choice.tokens.shape == (10, CONTEXT)
    assert score.tokens.shape[0] > 20

    def inside(text):
        """Whether a text ends inside the call."""
        labels, within = [], False
        for place, character in enumerate(text, 1):
            within = within and character != ")"
            labels.append(int(within))
            within = within or text[:place].endswith("shout(")
        return labels

    program = [replace(found.concepts[0], labels=inside)]
    for sample in (choice, score):
        expected = window_labels(program, corpus.tokenizer, sample.tokens.numpy(), corpus.end_of_text)["shouted"]
        assert 0.05 < expected.mean() < 0.6
        assert np.array_equal(sample.labels["shouted"], expected)
        assert (sample.targets[:, :-1] == sample.tokens[:, 1:]).all()


def test_the_halves_share_no_text_and_do_not_depend_on_the_order_of_lines(tmp_path):
    found = read_concepts(written(tmp_path, *map(line, range(50))))
    first, second = halves(found)
    texts = [{each.text for each in half} for half in (first, second)]
    assert not texts[0] & texts[1]
    assert len(texts[0] | texts[1]) == 50
    assert abs(len(first) - len(second)) <= 2
    turned = read_concepts(written(tmp_path, *map(line, reversed(range(50)))))
    assert [{each.text for each in half} for half in halves(turned)] == texts


def test_a_text_longer_than_a_window_goes_on_in_the_next_ones(tmp_path, corpus):
    text = "x = page\n" * 200
    lines = [{"text": text + f"y = {number}\n", "spans": [[9 * 100, 9 * 150]]} for number in range(2)]
    write_windows(read_concepts(written(tmp_path, *lines)), corpus, tmp_path)
    choice, _ = read_samples(tmp_path, ["shouted"], corpus, (10**6, 10**6))
    assert choice.labels["shouted"].mean() == pytest.approx(0.25, abs=0.05)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (
            [line(number) for number in range(4)],
            r"the texts of shouted give \d windows of 65 tokens .* add texts \(about 1,040",
        ),
        ([line(number, spans=[]) for number in range(200)], "concept 'shouted' is 'no' everywhere"),
    ],
)
def test_texts_that_cannot_be_scored_are_refused_with_what_would_suffice(tmp_path, corpus, lines, said):
    found = read_concepts(written(tmp_path, *lines))
    with pytest.raises(ValueError, match=said):
        write_windows(found, corpus, tmp_path)


def test_windows_of_another_corpus_or_other_concepts_are_refused(tmp_path, corpus):
    write_windows(read_concepts(written(tmp_path, *map(line, range(200)))), corpus, tmp_path)
    with pytest.raises(CorruptFileError, match="does not have the windows of these concepts and this corpus"):
        read_samples(tmp_path, ["whispered"], corpus, (100, 100))


def test_what_the_store_keeps_is_what_was_read(tmp_path):
    found = read_concepts(written(tmp_path, line(0), line(1)))
    assert write_labelled(found.params, tmp_path) == found == read_labelled(tmp_path)


# In a run


def configured(path=None):
    changes = [] if path is None else [f'validity.files=["{path}"]']
    return configure("smoke", ["dense"], ["for_while"], changes=changes)


def test_the_texts_are_a_cell_that_validity_needs_and_no_other_key_changes(tmp_path):
    path = written(tmp_path, *map(line, range(3)))
    plain, made = ({cell.label: cell for cell in plan(run).cells} for run in (configured(), configured(path)))
    assert made.keys() - plain.keys() == {"labelled shouted"}
    changed = {label for label, cell in plain.items() if made[label].key != cell.key}
    assert changed == {"validity dense native seed 0"}
    validity = made["validity dense native seed 0"]
    assert validity.needs["labelled shouted"] is made["labelled shouted"]
    assert not any(str(tmp_path) in json.dumps(cell.params) for cell in made.values())


def test_a_folder_with_scores_of_other_labels_is_another_experiment(tmp_path):
    path = written(tmp_path, *map(line, range(3)))
    without, first = (Experiment.of(run, "records.csv", {}) for run in (configured(), configured(path)))
    second = Experiment.of(configured(written(tmp_path, *map(line, range(4)))), "records.csv", {})
    assert str(tmp_path) not in first.model_dump_json()
    assert not list(first.differences(first))
    for one, other in ((without, first), (first, second)):
        (said,) = one.differences(other)
        assert said.startswith("the labelled concepts (validity.files) are ")


def test_two_files_of_one_name_or_with_one_concept_are_refused(tmp_path):
    first = written(tmp_path, *map(line, range(3)))
    second = written(tmp_path, {"concept": "shouted"}, line(5), name="other.jsonl")
    with pytest.raises(ValueError, match=r"other.jsonl and .*shouted.jsonl are both a concept shouted; rename one"):
        configure("smoke", ["dense"], ["for_while"], changes=[f'validity.files=["{first}", "{second}"]'])


@pytest.mark.slow
def test_a_run_scores_the_labels_of_a_file_and_shows_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    written(tmp_path, {"concept": "shouted", "summary": "in a call of shout"}, *map(line, range(300)))
    changes = ('validity.files=["shouted.jsonl"]', 'validity.concepts=["in_string"]', "dense.tokens=10_000")
    options = [word for change in changes for word in ("--set", change)]
    run = ["run", "--preset", "smoke", "--method", "dense", "--tasks", "for_while", "--workers", "1", *options]
    done = CliRunner().invoke(main, run)
    assert done.exit_code == 0, done.output
    rows = [row for row in read_records(tmp_path / "results/records.csv") if row.concept and not row.task]
    measured = {row.metric for row in rows if row.concept == "shouted"}
    assert {"label_replacement_score", "average_precision", "highest_average_precision"} <= measured
    assert len({row.config_hash for row in rows}) == 1
    precision = next(row for row in rows if (row.concept, row.metric) == ("shouted", "highest_average_precision"))
    assert precision.value > 0.1
    shown = CliRunner().invoke(main, ["show", "dense", "--concept", "shouted"])
    assert shown.exit_code == 0, shown.output
    assert "shouted in dense native, seed 0" in shown.stdout
    unknown = CliRunner().invoke(main, ["show", "dense", "--concept", "shoutet"])
    assert "unknown concept 'shoutet'" in unknown.stderr
