"""The corpus of a run is what the preset, the user and the models of its methods agree on."""

import json

import pytest
from toy_methods import ROOT, installed, toy_method
from toy_tokenizers import BEGINNING, END, byte_level, saved

from benchmark.running.config import configure
from benchmark.running.experiment import Experiment
from benchmark.running.plan import Planner, plan

NEEDED, DIGESTS = {}, {}


def needed(config):
    return NEEDED["mine"]


def needed_by_other(config):
    return NEEDED["other"]


def digests(config):
    return DIGESTS


MINE = toy_method("mine", corpus="test_corpus_of_run:needed", outside="test_corpus_of_run:digests")
OTHER = toy_method("other", corpus="test_corpus_of_run:needed_by_other")


@pytest.fixture(autouse=True)
def _methods(tmp_path):
    NEEDED.clear()
    DIGESTS.clear()
    NEEDED["mine"] = {"tokenizer": str(saved(byte_level(), tmp_path / "model")), "beginning": BEGINNING}
    NEEDED["other"] = {}
    with installed(ROOT, MINE, OTHER):
        yield


def test_a_run_has_the_tokenizer_that_a_method_needs():
    run = configure("smoke", ["mine"])
    assert (run.corpus.vocabulary, run.corpus.end_of_text, run.corpus.beginning) == (500, END, BEGINNING)
    assert run.corpus.context == 128
    assert run.corpus_digest == ""
    assert Planner(run).corpus.outside.keys() == {*run.corpus.sources, "tokenizer"}


def test_without_such_a_method_the_corpus_and_its_key_are_those_of_the_preset():
    run = configure("smoke", ["root"])
    assert run.corpus.tokenizer == "trained"
    assert run.corpus_digest
    assert Planner(run).corpus.outside.keys() == run.corpus.sources.keys()


@pytest.mark.parametrize(("most", "context"), [(64, 64), (500, 128)])
def test_the_context_is_no_longer_than_that_of_the_model(most, context):
    NEEDED["mine"]["context"] = most
    assert configure("smoke", ["mine"]).corpus.context == context


def test_what_the_user_sets_is_kept_if_the_model_can_do_it():
    NEEDED["mine"]["context"] = 64
    changes = ["corpus.context=32", f"corpus.beginning={BEGINNING}", "corpus.seed=3"]
    corpus = configure("smoke", ["mine"], changes=changes).corpus
    assert (corpus.context, corpus.beginning, corpus.seed) == (32, BEGINNING, 3)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("corpus.beginning=none", rf"^--set corpus\.beginning=none: the models of mine need '{BEGINNING}'$"),
        ("corpus.tokenizer=trained", r"^--set corpus\.tokenizer=trained: the models of mine need '.*model'$"),
        ("corpus.context=65", r"^--set corpus\.context=65: the models of mine have 64 positions$"),
        ("corpus.vocabulary=300", r"^--set corpus\.vocabulary=300: the vocabulary is that of tokenizer '.*'; leave it"),
    ],
)
def test_what_the_user_sets_is_refused_if_the_model_cannot_do_it(change, said):
    NEEDED["mine"]["context"] = 64
    with pytest.raises(ValueError, match=said):
        configure("smoke", ["mine"], changes=[change])


def test_methods_that_need_different_corpora_do_not_run_together():
    NEEDED["other"] = {"beginning": END}
    with pytest.raises(
        ValueError, match=rf"^mine needs corpus\.beginning = '{BEGINNING}' and other needs '{END}'; run"
    ):
        configure("smoke", ["mine", "other"])
    NEEDED["other"] = {"beginning": BEGINNING}
    assert configure("smoke", ["mine", "other"]).corpus.beginning == BEGINNING


def test_an_unknown_setting_and_something_else_than_settings_are_named_with_the_method():
    NEEDED["mine"] = {"tokeniser": "x"}
    with pytest.raises(
        ValueError, match=r"^method 'mine' needs corpus\.tokeniser, which is unknown; choose from sourc"
    ):
        configure("smoke", ["mine"])
    NEEDED["mine"] = 3
    with pytest.raises(
        ValueError, match=r"^method 'mine' .*: corpus test_corpus_of_run:needed returned int, not a map"
    ):
        configure("smoke", ["mine"])


def test_files_from_outside_are_part_of_the_key_of_the_training_and_of_the_experiment():
    def trained():
        run = configure("smoke", ["mine"])
        (cell,) = [cell for cell in plan(run).cells if cell.kind == "train"]
        return cell.key, Experiment.of(run, "records.csv", {}).settings["mine"].get("files")

    before = trained()
    DIGESTS["model"] = "1" * 16
    first = trained()
    DIGESTS["model"] = "2" * 16
    second = trained()
    assert before[1] is None
    assert len({before, first, second}) == len({each[0] for each in (before, first, second)}) == 3
    assert first[1] != second[1]


def test_the_experiment_names_the_tokenizer_without_its_folder(tmp_path):
    written = json.dumps(Experiment.of(configure("smoke", ["mine"]), "records.csv", {}).model_dump(mode="json"))
    assert str(tmp_path) not in written
    assert '"tokenizer": "model"' in written
