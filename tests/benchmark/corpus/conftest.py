"""Small corpora that the tests of the corpus share."""

import random
from pathlib import Path

import numpy as np
import pytest

from benchmark.corpus import Corpus, CorpusConfig, build

WORDS = ["alpha", "beta", "gamma", "delta", "count", "total", "items", "name", "value", "path", "line", "data", "key"]


def silent(done: int, total: int, note: str = "") -> None:
    """Progress that nobody watches."""


def documents(corpus, split):
    """The documents of a split, each an array of token ids without the end of text."""
    tokens, offsets = (np.load(corpus.folder / f"{split}.{name}.npy") for name in ("tokens", "offsets"))
    return [document[: len(document) - (document[-1] == 0)] for document in np.split(tokens, offsets[1:-1])]


def some_function(generator: random.Random) -> str:
    """A function of a few lines that hardly occurs twice."""
    pick = generator.choice
    lines = [f"def {pick(WORDS)}_{pick(WORDS)}({pick(WORDS)}, {pick(WORDS)}=None):"]
    for _ in range(generator.randint(2, 9)):
        lines.append(f"    {pick(WORDS)}.{pick(WORDS)}({pick(WORDS)}, {generator.randint(0, 999)})")
    return "\n".join(lines) + "\n"


def write_python_folder(folder: Path, files: int = 40, seed: int = 0) -> Path:
    """A folder of Python files with ten functions each."""
    generator = random.Random(seed)
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(files):
        (folder / f"module_{number}.py").write_text("\n\n".join(some_function(generator) for _ in range(10)))
    return folder


@pytest.fixture(scope="session")
def python_folder(tmp_path_factory):
    return write_python_folder(tmp_path_factory.mktemp("python"))


@pytest.fixture(scope="session")
def small_config(python_folder):
    """A corpus of one folder, quick to build."""
    return CorpusConfig(sources={f"path:{python_folder}": 1.0}, tokens=15_000, vocabulary=400, context=32)


@pytest.fixture(scope="session")
def small_corpus(small_config, tmp_path_factory):
    folder = tmp_path_factory.mktemp("small")
    build(small_config, folder, silent)
    return Corpus.load(folder)


@pytest.fixture(scope="session")
def default_corpus(tmp_path_factory):
    """The default mix, small."""
    folder = tmp_path_factory.mktemp("default")
    build(CorpusConfig(tokens=60_000), folder, silent)
    return Corpus.load(folder)
