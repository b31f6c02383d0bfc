"""A trained transformer as a folder that stands alone, with what is known of it."""

from pathlib import Path

import pytest
import torch
import toy_run
from click.testing import CliRunner
from tokenizers import Tokenizer

from benchmark.cli import main
from benchmark.corpus import Corpus, CorpusConfig
from benchmark.export.stored import trained_artifact
from benchmark.methods import TrainedArtifact
from benchmark.records.table import Record
from benchmark.running.finished import open_run
from sparse_model.pretrained import model_card
from sparse_model.transformer import load_transformer


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    toy_run.toy_run(folder, "weight_sparse")
    return folder


@pytest.fixture(scope="module")
def exported(finished, tmp_path_factory):
    out = tmp_path_factory.mktemp("out") / "model"
    places = ("--results", str(finished / "results"), "--store", str(finished / "store"))
    done = CliRunner().invoke(main, ["export", "weight_sparse", "--to", "pretrained", "--out", str(out), *places])
    assert done.exit_code == 0, done.output
    return out


def test_the_folder_gives_the_same_logits_and_tokens_as_the_run(finished, exported):
    assert sorted(path.name for path in exported.iterdir()) == [
        "README.md",
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    ]
    trained = trained_artifact(open_run(finished / "results", finished / "store"), "weight_sparse")
    corpus = Corpus.load(trained.inputs["corpus"])
    text = "for i in range(3):\n    print(i)"
    ids = Tokenizer.from_file(str(exported / "tokenizer.json")).encode(text).ids
    assert ids == corpus.tokenizer.encode(text).ids
    ours, theirs = (load_transformer(folder) for folder in (trained.inputs["weight_sparse"], exported))
    torch.testing.assert_close(theirs(torch.tensor([ids])), ours(torch.tensor([ids])), rtol=0, atol=0)


def test_the_model_card_says_what_it_was_trained_on_and_its_scores(exported):
    card = (exported / "README.md").read_text(encoding="utf-8")
    for line in (
        "# weight_sparse, seed 0",
        "| corpus | 100.0% idioms; 6,000 tokens, seed 0 |",
        "| context | 32 tokens |",
        "| training tokens | 512 |",
        "| preset | smoke |",
        "| d_model | 16 |",
        "| for_while | unit | faithfulness | 0.5 | 0.25 to 0.75 over prompts | mean |  |",
    ):
        assert f"\n{line}\n" in card, line
    assert "| validation_loss | " in card
    assert "| code version | 0.1.0+" in card


def trained(*records):
    return TrainedArtifact(
        "weight_sparse", 4, Path(), {}, {"tokens": 9_000, "d_model": 16}, "1.0+abc", {"torch": "2"}, records
    )


def test_scores_that_are_not_sure_are_said_to_be_so():
    same = {"method": "weight_sparse", "seed": 4}
    rows = (
        Record(metric="validation_loss", value=2.5, unit="nats", status="unmatched", reason="0.1 above", **same),
        Record(metric="edges", task="for_while", graph="unit", status="not_reached", reason="loss | 0.3", **same),
        Record(metric="faithfulness", task="for_while", graph="unit", value=0.5, **same),
    )
    card = model_card(trained(*rows), CorpusConfig())
    assert "| validation_loss | 2.5 |  | nats | `unmatched`: 0.1 above |" in card
    assert "| for_while | unit | edges |  |  |  | `not_reached`: loss \\| 0.3 |" in card
    assert "- `not_reached`: no circuit reaches the target loss." in card
    assert "`undefined`" not in card
    assert "Notes:" not in model_card(trained(rows[2]), CorpusConfig())


def test_every_status_is_explained():
    from benchmark.records.table import STATUSES
    from sparse_model import pretrained

    assert set(pretrained.STATUSES) == set(STATUSES) - {"ok"}


def test_the_example_in_the_card_runs(exported, monkeypatch):
    card = (exported / "README.md").read_text(encoding="utf-8")
    program = card.split("```python\n")[1].split("```")[0]
    monkeypatch.chdir(exported)
    found = {}
    exec(program, found)
    assert found["logits"].shape == (1, len(found["ids"]), found["model"].config.vocabulary)


def test_the_same_artifact_gives_the_same_bytes(finished, exported, tmp_path):
    places = ("--results", str(finished / "results"), "--store", str(finished / "store"))
    CliRunner().invoke(main, ["export", "weight_sparse", "--to", "pretrained", "--out", str(tmp_path / "b"), *places])
    for path in exported.iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()
