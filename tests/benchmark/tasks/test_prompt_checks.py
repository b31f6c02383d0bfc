"""Whether a task can be asked at all is found out on the corpus alone, with the prompt or the answer that breaks it."""

import json

import pytest

from benchmark.corpus import CorpusConfig, build
from benchmark.evaluate import compute_prompts


def check(folder, task, **corpus):
    """What the check of a task writes, on a corpus of generated idioms with some settings."""
    folder.joinpath("corpus").mkdir()
    config = CorpusConfig(sources={"idioms": 1.0}, tokens=6_000, **corpus)
    build(config, folder / "corpus", lambda done, total, note="": None)
    params = {"task": task, "seed": 0, "train_pairs": 8, "validation_pairs": 4, "test_pairs": 4}
    compute_prompts(params, {"corpus": folder / "corpus"}, folder, lambda done, total, note="": None)
    return json.loads((folder / "prompts.json").read_text())


def test_the_prompts_of_every_split_are_drawn_and_counted(tmp_path):
    found = check(tmp_path, "for_while", vocabulary=1024, context=128)
    assert {split: facts["pairs"] for split, facts in found.items()} == {"train": 8, "validation": 4, "test": 4}
    assert all(1 < facts["longest"] <= 64 for facts in found.values())


def test_a_prompt_longer_than_the_context_is_named_with_its_length(tmp_path):
    with pytest.raises(
        ValueError, match=r"task 'for_while': the prompt '.*' has \d+ tokens, more than 4 \(64, or corpus"
    ):
        check(tmp_path, "for_while", vocabulary=1024, context=4)


def test_an_answer_that_the_tokenizer_breaks_is_named_with_its_tokens_and_what_would_do(tmp_path):
    with pytest.raises(
        ValueError, match=r"the answer '\.add' is \d tokens \('\.', .*\), not one, nor is .*corpus\.vocabulary"
    ):
        check(tmp_path, "set_or_string", vocabulary=257, context=64)
