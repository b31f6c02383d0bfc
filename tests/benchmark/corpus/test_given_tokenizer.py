"""A tokenizer that comes with a model: what a corpus takes from it, and what is refused."""

import json
import shutil

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers
from toy_tokenizers import BEGINNING, END, byte_level, saved, sentence_piece

from benchmark.corpus import SPLITS, Corpus, CorpusConfig, build, tokenizer_version, with_tokenizer
from benchmark.corpus.given_tokenizer import tokenizer_file
from benchmark.files import CorruptFileError


def silent(done, total, note=""):
    """Progress that nobody watches."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return saved(byte_level(), tmp_path_factory.mktemp("model"))


def settings(folder, **others):
    return CorpusConfig(sources={"idioms": 1.0}, tokens=4_000, context=32, tokenizer=str(folder), **others)


def built(config, out):
    out.mkdir()
    build(config, out, silent)
    return Corpus.load(out)


def test_default_settings_are_written_as_before():
    assert CorpusConfig().model_dump().keys() == {"sources", "tokens", "vocabulary", "context", "seed"}


@pytest.mark.parametrize("place", ["", "tokenizer.json"])
def test_vocabulary_and_end_of_text_are_those_of_the_tokenizer(folder, place):
    config = with_tokenizer(settings(folder / place))
    assert (config.vocabulary, config.end_of_text, config.beginning) == (500, END, "none")


def test_documents_end_with_the_end_of_text_of_the_tokenizer_and_begin_with_text(folder, tmp_path):
    corpus = built(settings(folder), tmp_path / "corpus")
    end = corpus.tokenizer.token_to_id(END)
    assert corpus.end_of_text == end == 2
    tokens, offsets = (np.load(corpus.folder / f"train.{name}.npy") for name in ("tokens", "offsets"))
    documents = np.split(tokens, offsets[1:-1])
    ended = [document for document in documents if document[-1] == end]
    assert ended
    assert all(len(document) == 33 for document in documents if document[-1] != end)
    assert not any((document[:-1] == end).any() for document in documents)
    assert not (tokens == corpus.tokenizer.token_to_id(BEGINNING)).any()
    (facts,) = json.loads((corpus.folder / "corpus.json").read_text())["sources"].values()
    assert facts["splits"]["train"]["documents_cut"] == len(documents) - len(ended)


def test_a_corpus_stands_without_the_file_of_its_tokenizer(tmp_path):
    folder = saved(byte_level(), tmp_path / "model")
    out = built(settings(folder, beginning=BEGINNING), tmp_path / "corpus").folder
    shutil.rmtree(folder)
    corpus = Corpus.load(out)
    assert corpus.decode(corpus.tokenizer.encode("x = [1]", add_special_tokens=False).ids) == "x = [1]"
    assert corpus.config.vocabulary == corpus.tokenizer.get_vocab_size() == 500


def test_windows_begin_with_the_beginning_and_go_on_with_a_document(folder, tmp_path):
    plain = built(settings(folder), tmp_path / "plain")
    begun = built(settings(folder, beginning=BEGINNING), tmp_path / "begun")
    offsets = np.load(begun.folder / "train.offsets.npy")
    starts = {tuple(np.load(begun.folder / "train.tokens.npy")[start : start + 8]) for start in offsets[:-1]}
    for split in SPLITS:
        windows = begun.windows(split)
        assert windows.shape[1] == plain.windows(split).shape[1] == 33
        assert (windows[:, 0] == begun.beginning).all()
        assert (windows[:, 1:] != begun.beginning).all()
    assert all(tuple(window[1:9]) in starts for window in begun.windows("train"))
    assert plain.beginning is None


def test_vocabularies_beyond_65536_have_tokens_of_32_bits(tmp_path):
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {f"unused{number}": number for number in range(70_000)}
    vocabulary |= {letter: 70_000 + number for number, letter in enumerate(letters)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    like = byte_level()
    tokenizer.pre_tokenizer, tokenizer.decoder = like.pre_tokenizer, like.decoder
    tokenizer.add_special_tokens(["<|endoftext|>"])
    corpus = built(settings(saved(tokenizer, tmp_path / "model")), tmp_path / "corpus")
    windows = corpus.windows("train")
    assert windows.dtype == np.uint32
    assert (corpus.end_of_text, corpus.config.vocabulary) == (70_256, 70_257)
    assert windows.min() >= 70_000
    assert corpus.end_of_text in windows
    assert "def" in corpus.decode(windows.reshape(-1)[:500])


def test_the_file_is_part_of_the_key_and_a_trained_tokenizer_adds_nothing(tmp_path):
    config = settings(saved(byte_level(), tmp_path))
    before = tokenizer_version(config)
    saved(byte_level(vocabulary=400), tmp_path)
    assert before.keys() == tokenizer_version(config).keys() == {"tokenizer"}
    assert before != tokenizer_version(config)
    assert tokenizer_version(CorpusConfig()) == {}


def test_end_of_text_is_what_the_settings_name(tmp_path):
    folder = saved(byte_level(special=("<pad>", "<stop>")), tmp_path)
    assert with_tokenizer(settings(folder, end_of_text="<stop>")).end_of_text == "<stop>"
    with pytest.raises(ValueError, match=r"name it by corpus\.end_of_text: its special tokens are '<pad>', '<stop>'$"):
        with_tokenizer(settings(folder))
    with pytest.raises(
        ValueError, match=r"corpus\.end_of_text '<halt>': .* no such token; its special tokens are '<pa"
    ):
        with_tokenizer(settings(folder, end_of_text="<halt>"))


def test_a_beginning_that_the_tokenizer_lacks_is_refused(folder):
    with pytest.raises(ValueError, match=r"corpus\.beginning '<bos>': .* are '<pad>', '<s>', '</s>'$"):
        with_tokenizer(settings(folder, beginning="<bos>"))


def test_a_tokenizer_that_loses_white_space_is_refused(tmp_path):
    tokenizer = Tokenizer(models.WordLevel({"def": 0, "[UNK]": 1}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    with pytest.raises(ValueError, match=r"does not give back the text .def f.* but .def \[UNK\]"):
        with_tokenizer(settings(saved(tokenizer, tmp_path)))


def test_a_sentence_piece_tokenizer_gives_back_its_text(tmp_path):
    assert with_tokenizer(settings(saved(sentence_piece(), tmp_path))).end_of_text == END


def test_what_is_not_a_tokenizer_is_refused_in_one_line(tmp_path):
    with pytest.raises(ValueError, match=r"no_such_place': there is no such file; choose trained, a folder, a file or"):
        with_tokenizer(settings("no_such_place"))
    with pytest.raises(ValueError, match=r"the folder has no tokenizer\.json; `AutoTokenizer"):
        with_tokenizer(settings(tmp_path))
    (tmp_path / "tokenizer.json").write_text('{"model": {"type": "BPE"}}')
    with pytest.raises(CorruptFileError, match=r"is not a complete tokenizer"):
        with_tokenizer(settings(tmp_path))


@pytest.mark.parametrize(("setting", "said"), [("beginning", "'<s>'"), ("end_of_text", "'<s>'")])
def test_a_trained_tokenizer_has_no_tokens_of_other_models(setting, said):
    with pytest.raises(ValueError, match=rf"{setting} {said} is not a token of a tokenizer that is trained"):
        CorpusConfig(**{setting: BEGINNING})


def test_a_tokenizer_of_the_hub_is_fetched_by_its_client(tmp_path, monkeypatch):
    from huggingface_hub import constants

    at = tmp_path / "models--someone--tokens"
    saved(byte_level(), at / "snapshots" / ("0" * 40))
    (at / "refs").mkdir()
    (at / "refs" / "main").write_text("0" * 40)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    assert tokenizer_file("hf:someone/tokens").parent.name == "0" * 40
    said = (
        r"^corpus\.tokenizer hf:someone/other cannot be fetched: the Hub does not answer, and the file is not in the "
    )
    with pytest.raises(ValueError, match=said):
        tokenizer_file("hf:someone/other")
