"""A tokenizer in the two files released with Gao et al. 2025 splits and merges as tiktoken does, byte by byte."""

import json
import re
from itertools import pairwise

import pytest
from tokenizers import pre_tokenizers

from benchmark.corpus import Corpus, CorpusConfig, build, tokenizer_version, with_tokenizer
from benchmark.corpus.given_tokenizer import read_given, tokenizer_file
from benchmark.corpus.tinypython import released_tokenizer
from benchmark.files import CorruptFileError

BYTES = [*range(33, 127), *range(161, 173), *range(174, 256)]
BYTES += [byte for byte in range(256) if byte not in BYTES]
"""The bytes in the order of their ids in GPT-2's files."""

ALPHABET = dict(
    zip(BYTES, [chr(byte) for byte in BYTES[:188]] + [chr(256 + number) for number in range(68)], strict=True)
)
"""The letter of each byte in these files."""

PAIRS = ["e f", "d ef", "] ]", "Ġ =", "] Ċ", "]] Ċ", "Ġ Ġ", "ĠĠ ĠĠ", "Ã ©", "b c", "a b", "ab c"]

MERGES = [tuple(pair.split(" ")) for pair in PAIRS]


def write(folder, end=True, merges=MERGES):
    ids = {letter: number for number, letter in enumerate(ALPHABET[byte] for byte in BYTES)}
    for pair in merges:
        ids.setdefault("".join(pair), len(ids))
    if end:
        ids["<|endoftext|>"] = len(ids)
    (folder / "encoder.json").write_text(json.dumps(ids))
    (folder / "vocab.bpe").write_text("#version: 0.2\n" + "\n".join(" ".join(pair) for pair in merges) + "\n")
    return ids


def naive(text, ids, merges=MERGES):
    """What tiktoken does: the pattern, a piece that is a token, else the earliest merge of the leftmost pair."""
    pattern = r"[^\r\n\w]?[^\W\d_]+|\d{1,3}| ?[^\s\w]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"  # the same on this text
    found = []
    for piece in re.findall(pattern, text):
        letters = [ALPHABET[byte] for byte in piece.encode()]
        if "".join(letters) in ids:
            found.append(ids["".join(letters)])
            continue
        while found_pairs := [pair for pair in pairwise(letters) if pair in merges]:
            best = min(found_pairs, key=merges.index)
            at = list(pairwise(letters)).index(best)
            letters[at : at + 2] = ["".join(best)]
        found += [ids[letter] for letter in letters]
    return found


TEXT = "def é(x):\n    return [[1, 22], 3333 ]]\n  y = abcd abc  # def\n\n"


def test_tokens_are_those_of_the_files_naively_merged(tmp_path):
    ids = write(tmp_path)
    tokenizer = released_tokenizer(tmp_path)
    assert tokenizer.encode(TEXT).ids == naive(TEXT, ids)
    assert tokenizer.encode("abc").ids == [ids["abc"]]  # though the merges make "a" and "bc" of it
    assert tokenizer.decode(tokenizer.encode(TEXT).ids) == TEXT


@pytest.mark.parametrize("end", [True, False])
def test_the_end_of_text_is_the_last_token(tmp_path, end):
    write(tmp_path, end)
    config = with_tokenizer(CorpusConfig(tokenizer=str(tmp_path)))
    assert config.vocabulary == 257 + len(MERGES)
    assert config.end_of_text == "<|endoftext|>"
    tokenizer = read_given(tokenizer_file(str(tmp_path))).tokenizer
    assert tokenizer.token_to_id("<|endoftext|>") == 256 + len(MERGES)
    assert 256 + len(MERGES) not in tokenizer.encode("a<|endoftext|>b").ids


def test_the_digest_follows_the_files(tmp_path):
    write(tmp_path)
    before = tokenizer_version(CorpusConfig(tokenizer=str(tmp_path)))
    write(tmp_path, merges=MERGES[:-1])
    assert tokenizer_version(CorpusConfig(tokenizer=str(tmp_path))) != before


def test_a_corpus_is_built_with_it(tmp_path):
    write(tmp_path)
    (tmp_path / "corpus").mkdir()
    config = CorpusConfig(sources={"idioms": 1.0}, tokens=4_000, context=32, tokenizer=str(tmp_path))
    build(config, tmp_path / "corpus", lambda *args: None)
    corpus = Corpus.load(tmp_path / "corpus")
    assert corpus.end_of_text == 256 + len(MERGES)
    assert (corpus.windows("train") == corpus.end_of_text).any()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda ids, lines: (ids, [*lines, "q z"]),
            "vocab.bpe has the merge 'q z', which does not make a token",
        ),
        (lambda ids, lines: (ids, [*lines, "e"]), "vocab.bpe has the merge 'e', which does not make"),
        (lambda ids, lines: ({**ids, "extra": 9999}, lines), "encoder.json has 270 tokens whose ids are not 0 to 269"),
        (lambda ids, lines: ({**ids, "extra": "9"}, lines), "whose ids are not 0 to"),
        (lambda ids, lines: ({f"_{name}": id for name, id in ids.items()}, lines), "has no token for 256 bytes"),
    ],
)
def test_files_that_do_not_fit_each_other_are_refused_by_name(tmp_path, change, said):
    ids, lines = change(write(tmp_path), (tmp_path / "vocab.bpe").read_text().splitlines())
    (tmp_path / "encoder.json").write_text(json.dumps(ids))
    (tmp_path / "vocab.bpe").write_text("\n".join(lines))
    with pytest.raises(CorruptFileError) as refused:
        released_tokenizer(tmp_path)
    assert said in str(refused.value)


def test_the_alphabet_is_that_of_the_library():
    assert set(ALPHABET.values()) == set(pre_tokenizers.ByteLevel.alphabet())
