"""A built corpus: the same bytes every time, splits apart, text that comes back."""

import hashlib
import itertools
import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
from conftest import documents, silent, write_python_folder
from hypothesis import given
from hypothesis import strategies as st

from benchmark.corpus import END_OF_TEXT, SPLITS, Corpus, CorpusConfig, build
from benchmark.corpus.duplicates import jaccard, shingles
from benchmark.running.config import configure


def contents(folder):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


def facts_of(corpus):
    return json.loads((corpus.folder / "corpus.json").read_text())


def test_same_config_gives_the_same_bytes_and_another_seed_gives_others(small_config, small_corpus, tmp_path):
    build(small_config, tmp_path, silent)
    assert contents(tmp_path) == contents(small_corpus.folder)
    other = tmp_path / "other"
    other.mkdir()
    build(small_config.model_copy(update={"seed": 1}), other, silent)
    assert contents(other)["train.tokens.npy"] != contents(small_corpus.folder)["train.tokens.npy"]


def test_default_mix_gives_the_same_bytes_in_another_process(default_corpus, tmp_path):
    program = (
        "import sys, pathlib; from benchmark.corpus import CorpusConfig, build;"
        "build(CorpusConfig(tokens=60_000), pathlib.Path(sys.argv[1]), lambda done, total, note='': None);"
        "assert 'torch' not in sys.modules"
    )
    environment = os.environ | {"PYTHONHASHSEED": "17"}
    environment.pop("TOKENIZERS_PARALLELISM")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program, str(tmp_path)],
        check=True, env=environment, cwd=Path(__file__).parents[3], capture_output=True,
    )  # fmt: skip
    assert done.stderr == b""
    assert contents(tmp_path) == contents(default_corpus.folder)


@pytest.mark.parametrize("which", ["small_corpus", "default_corpus"])
def test_no_document_is_in_two_places(which, request):
    corpus = request.getfixturevalue(which)
    texts = [" ".join(corpus.decode(document).split()) for split in SPLITS for document in documents(corpus, split)]
    full = [text for text in texts if len(corpus.tokenizer.encode(text).ids) < corpus.config.context // 2]
    assert len(full) == len(set(full))


def test_held_out_documents_have_no_near_duplicate_in_an_earlier_split(default_corpus):
    held_out = [shingles(document) for document in documents(default_corpus, "test")[:30]]
    earlier = [shingles(document) for split in SPLITS[:2] for document in documents(default_corpus, split)]
    assert max(jaccard(one, other) for one in held_out for other in earlier) < 0.8


def test_planted_duplicates_and_near_duplicates_are_dropped_and_counted(tmp_path):
    folder = write_python_folder(tmp_path / "code", files=40)
    body = "".join(f"    call_{number}(x, {7 * number})\n" for number in range(15))
    for number in range(40):
        with (folder / f"module_{number}.py").open("a") as file:
            file.write(f"\n\ndef copied(x):\n    pass\n{body}\ndef nearly(x, y={number}):\n{body}\n")
    config = CorpusConfig(sources={f"path:{folder}": 1.0}, tokens=100_000, vocabulary=400, context=128)
    out = tmp_path / "out"
    out.mkdir()
    build(config, out, silent)
    splits = facts_of(Corpus.load(out))["sources"][f"path:{folder}"]["splits"]
    assert sum(part["duplicates_dropped"] for part in splits.values()) == 39
    assert splits["validation"]["near_duplicates_dropped"] >= 2
    assert splits["test"]["near_duplicates_dropped"] >= 2


def test_too_little_text_for_a_window_is_said_with_the_source(tmp_path):
    for name in ("a.txt", "b.txt", "c.txt"):
        (tmp_path / name).write_text(f"a few words of {name}")
    with pytest.raises(ValueError, match=rf"path:{tmp_path}: \d+ tokens for train, less than one window of 257; add"):
        build(CorpusConfig(sources={f"path:{tmp_path}": 1.0}), tmp_path, silent)


@given(st.text())
def test_every_text_comes_back_from_its_tokens(small_corpus, text):
    assert small_corpus.decode(small_corpus.tokenizer.encode(text).ids) == text


def test_the_end_of_text_inside_a_text_is_ordinary_characters(small_corpus):
    assert small_corpus.end_of_text == 0
    assert 0 not in small_corpus.tokenizer.encode(END_OF_TEXT).ids
    assert small_corpus.decode([0]) == END_OF_TEXT


def test_answers_of_the_tasks_are_single_tokens_on_the_default_mix(default_corpus):
    assert {text: len(default_corpus.tokenizer.encode(text).ids) for text in (".add", "=None", "):\n", " +=")} == {
        ".add": 1, "=None": 1, "):\n": 1, " +=": 1,
    }  # fmt: skip
    assert default_corpus.tokenizer.get_vocab_size() == 2048


def test_facts_tell_the_true_shares_and_add_up(default_corpus):
    facts = facts_of(default_corpus)
    assert facts["python"] == ".".join(map(str, sys.version_info[:3]))
    for split in SPLITS:
        parts = {name: source["splits"][split] for name, source in facts["sources"].items()}
        tokens = np.load(default_corpus.folder / f"{split}.tokens.npy", mmap_mode="r")
        assert tokens.dtype == np.uint16
        assert sum(part["tokens"] for part in parts.values()) == facts["tokens"][split] == len(tokens)
        assert sum(part["documents"] for part in parts.values()) == len(documents(default_corpus, split))
        assert facts["windows"][split] == len(default_corpus.windows(split))
        assert parts["idioms"]["share"] == pytest.approx(0.7, abs=0.03 if split == "train" else 0.15)
        assert len(tokens) >= default_corpus.config.wanted(split)


def test_sources_mix_within_a_split(default_corpus):
    first = [default_corpus.decode(document) for document in documents(default_corpus, "train")[:60]]
    again = [default_corpus.decode(document) for document in documents(default_corpus, "train")[-60:]]
    assert all(any("Error" in text or '"""' in text for text in part) for part in (first, again))


def test_a_source_that_ends_is_taken_whole_and_a_generator_makes_up_for_it(python_folder, tmp_path):
    name = f"path:{python_folder}"
    build(CorpusConfig(sources={name: 0.9, "idioms": 0.1}, tokens=60_000, context=64), tmp_path, silent)
    facts = facts_of(Corpus.load(tmp_path))
    assert facts["tokens"]["train"] >= 60_000
    assert facts["sources"][name]["splits"]["train"]["share"] < 0.8


def test_a_generator_that_repeats_itself_ends(tmp_path, monkeypatch):
    texts = itertools.cycle([f"value = {number}\n" for number in range(30)])
    monkeypatch.setattr("benchmark.corpus.idioms.document", lambda generator: next(texts))
    with pytest.raises(
        ValueError, match=r"idioms: \d+ tokens for train without [\d,]+ documents that repeat others, less"
    ):
        build(CorpusConfig(sources={"idioms": 1.0}), tmp_path, silent)


def test_skipped_files_are_named_in_the_facts(tmp_path):
    folder = write_python_folder(tmp_path / "code")
    (folder / "picture.png").write_bytes(b"\x89PNG\0")
    out = tmp_path / "out"
    out.mkdir()
    name = f"path:{folder}"
    build(CorpusConfig(sources={name: 1.0}, tokens=5_000, context=16, vocabulary=300), out, silent)
    assert facts_of(Corpus.load(out))["sources"][name]["skipped"] == {"picture.png": "binary"}


def test_progress_ends_at_its_total(small_config, tmp_path):
    calls = []
    build(small_config, tmp_path, lambda done, total, note="": calls.append((done, total, note)))
    assert [done for done, _, _ in calls] == sorted(done for done, _, _ in calls)
    assert calls[0][0] == 0
    assert calls[-1][0] == calls[-1][1]
    assert calls[0][2] == "training the tokenizer"
    assert len({total for _, total, _ in calls}) == 1


def test_the_digest_is_that_of_the_tokens_and_the_tokenizer(small_config, small_corpus, tmp_path):
    build(small_config, tmp_path, silent)
    assert Corpus.digest(tmp_path) == Corpus.digest(small_corpus.folder)
    other = tmp_path / "other"
    other.mkdir()
    build(small_config.model_copy(update={"seed": 1}), other, silent)
    assert Corpus.digest(other) != Corpus.digest(small_corpus.folder)


def test_preset_smoke_gives_the_corpus_that_it_states(tmp_path):
    pins = dict(line.split("==") for line in (Path(__file__).parents[3] / "constraints.txt").read_text().split())
    others = [name for name in ("tokenizers", "numpy", "rich", "click") if version(name) != pins[name]]
    if others:
        pytest.skip(f"other versions are installed than constraints.txt pins: {', '.join(others)}")
    preset = configure("smoke", ["dense"])
    build(preset.corpus, tmp_path, silent)
    assert Corpus.digest(tmp_path) == preset.corpus_digest
