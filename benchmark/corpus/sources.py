"""Where documents come from: the idioms generator, the standard library, a folder, a Hugging Face dataset."""

import hashlib
import os
import platform
import random
import sysconfig
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.corpus.config import HELD_OUT, SPLITS, Split, check_source
from benchmark.corpus.documents import definitions, documents_of

if TYPE_CHECKING:
    from benchmark.corpus.config import CorpusConfig

CHARACTERS_PER_POSITION = 3
"""Characters that one position of the context holds, roughly: longer classes and texts are cut."""

NOT_LIBRARY = frozenset(
    ["dist-packages", "ensurepip", "idlelib", "lib2to3", "pydoc_data", "site-packages", "test", "tests", "turtledemo"]
)
"""Folders below the standard library that are no library code."""

TEXT_FIELDS = ("text", "content", "code")
"""Columns of a dataset that are taken for its text, in this order."""


@dataclass(frozen=True)
class Source:
    """A source of documents that is split before anything is drawn from it.

    Attributes:
        name: As in `CorpusConfig.sources`.
        documents: Draws the documents of a split, in a seeded order; ends where the source does.
        generated: Whether documents are made as they are drawn, without end.
        files: How many files it read, by split; empty where it has no files.
        skipped: Files that it could not read as text, with the reason.
    """

    name: str
    documents: Callable[[Split], Iterator[str]]
    generated: bool = False
    files: Mapping[str, int] = field(default_factory=dict)
    skipped: Mapping[str, str] = field(default_factory=dict)


def open_source(name: str, config: "CorpusConfig") -> Source:
    """The source of that name.

    Raises:
        ValueError: No source has that name; the folder does not exist or holds no text, or too few files to be split;
            the dataset cannot be loaded or has no column of text.
    """
    check_source(name)
    kind, _, argument = name.partition(":")
    longest = CHARACTERS_PER_POSITION * config.context
    match kind:
        case "idioms":
            return Source(name, lambda split: _generated(config.seed, split), generated=True)
        case "stdlib":
            return _of_files(name, _standard_library(), {}, config.seed, lambda text: definitions(text, longest))
        case "path":
            texts, skipped = read_folder(Path(argument))
            return _of_files(name, texts, skipped, config.seed, lambda text: documents_of(text, longest))
        case _:
            return _of_dataset(name, argument, config.seed, longest)


def source_version(name: str) -> str:
    """What a source's documents depend on beside the config; put it into the key of whatever is built from them.

    The Python version for `stdlib`, a hash of names and bytes for `path:DIR` (and for `hf:` with a local path), empty
    for the others: the generator's version is raised by hand, a dataset on the hub is taken as it is.

    Raises:
        ValueError: No source has that name, or the folder cannot be used; so that a run says it before it begins.
    """
    check_source(name)
    kind, _, argument = name.partition(":")
    if kind == "stdlib":
        return platform.python_version()
    if kind == "path":
        split_files(name, {file: len(text) for file, text in read_folder(Path(argument))[0].items()}, seed=0)
    if kind == "idioms" or not Path(argument).exists():
        return ""
    digest = hashlib.sha256(b"dealt out by file names")  # changed with how files are split
    for path in _files_below(Path(argument)):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(argument).as_posix()}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()[:16]


def _generated(seed: int, split: Split) -> Iterator[str]:
    """Documents of the idioms generator, without end."""
    document: Callable[[random.Random], str] = import_module("benchmark.corpus.idioms").document
    generator = random.Random(f"idioms:{seed}:{split}")
    while True:
        yield document(generator)


def _standard_library() -> dict[str, str]:
    """Text of every module of the running Python's standard library, tests apart, by file name."""
    root = Path(sysconfig.get_paths()["stdlib"])
    files = [path for path in _files_below(root, NOT_LIBRARY) if path.suffix == ".py"]
    texts = ((path.relative_to(root).as_posix(), _text_or_reason(path)[0]) for path in files)
    return {name: text for name, text in texts if text}


def read_folder(folder: Path) -> tuple[dict[str, str], dict[str, str]]:
    """The text files below a folder by name, and the skipped ones with the reason; hidden ones are left alone.

    Raises:
        ValueError: There is no such folder, or it holds no text.
    """
    if not folder.is_dir():
        raise ValueError(f"corpus source path:{folder}: there is no such folder")
    texts: dict[str, str] = {}
    skipped: dict[str, str] = {}
    for path in _files_below(folder):
        text, reason = _text_or_reason(path)
        name = path.relative_to(folder).as_posix()
        if reason:
            skipped[name] = reason
        elif text.strip():
            texts[name] = text
    if not texts:
        named = f" (skipped: {', '.join(f'{name} is {reason}' for name, reason in skipped.items())})" if skipped else ""
        raise ValueError(f"corpus source path:{folder}: the folder holds no text{named}")
    return texts, skipped


def _files_below(folder: Path, left_out: frozenset[str] = frozenset()) -> Iterator[Path]:
    """Files below a folder in a fixed order, without hidden ones and without folders of the names left out."""
    if folder.is_file():
        yield folder
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name not in left_out)
        yield from (Path(parent, name) for name in sorted(files) if not name.startswith("."))


def _text_or_reason(path: Path) -> tuple[str, str]:
    r"""A file's text with `\n` line ends, or why it has none."""
    try:
        content = path.read_bytes()
    except OSError as error:
        return "", f"unreadable ({error.strerror})"
    if b"\0" in content:
        return "", "binary"
    try:
        return content.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n"), ""
    except UnicodeDecodeError:
        return "", "not UTF-8"


def _of_files(
    name: str, texts: Mapping[str, str], skipped: Mapping[str, str], seed: int, cut: Callable[[str], list[str]]
) -> Source:
    parts = split_files(name, {file: len(text) for file, text in texts.items()}, seed)

    def documents(split: Split) -> Iterator[str]:
        found = [document for file in parts[split] for document in cut(texts[file])]
        random.Random(f"{_kind(name)}:{seed}:{split}").shuffle(found)
        yield from found

    return Source(name, documents, files={split: len(parts[split]) for split in SPLITS}, skipped=skipped)


def _kind(name: str) -> str:
    """A source's name without where its files lie, so that the same files are dealt out alike in every folder."""
    return name.partition(":")[0]


def split_files(name: str, sizes: Mapping[str, int], seed: int) -> dict[Split, list[str]]:
    """Deals files out: validation and test get files until each has 5 % of the characters, train gets the rest.

    Raises:
        ValueError: There are fewer than three files.
    """
    if len(sizes) < len(SPLITS):
        raise ValueError(f"corpus source {name}: {len(sizes)} text files cannot be split in {len(SPLITS)}; add some")
    files = sorted(sizes)
    random.Random(f"{_kind(name)}:{seed}:files").shuffle(files)
    parts: dict[Split, list[str]] = {split: [] for split in SPLITS}
    wanted = HELD_OUT * sum(sizes.values())
    for held_out, reserved in (("validation", 2), ("test", 1)):
        part = parts["validation" if held_out == "validation" else "test"]
        while len(files) > reserved and sum(sizes[file] for file in part) < wanted:
            part.append(files.pop())
    parts["train"] = files
    return parts


def _of_dataset(name: str, argument: str, seed: int, longest: int) -> Source:
    rows = _rows(name, argument)

    def documents(split: Split) -> Iterator[str]:
        for index, text in zip(count(), rows(), strict=False):
            if _split_of_row(seed, index) == split and isinstance(text, str):
                yield from documents_of(text, longest)

    return Source(name, documents)


def _split_of_row(seed: int, index: int) -> Split:
    drawn = random.Random(f"hf:{seed}:{index}").random()
    return "validation" if drawn < HELD_OUT else "test" if drawn < 2 * HELD_OUT else "train"


def _rows(name: str, argument: str) -> Callable[[], Iterable[Any]]:
    """Streams the texts of a dataset: of the hub, of a folder, or of one `.jsonl`, `.json`, `.parquet`, `.txt` file."""
    try:
        from datasets import load_dataset
    except ModuleNotFoundError:
        raise ValueError(f"corpus source {name} needs `pip install sparse-circuit-bench[hub]`") from None
    path = Path(argument)
    builder = {".jsonl": "json", ".json": "json", ".parquet": "parquet", ".txt": "text"}.get(path.suffix)
    where = (builder, None, None, str(path)) if path.is_file() and builder else (argument,)
    try:
        dataset = load_dataset(*where, split="train", streaming=True)
        first = next(iter(dataset))
    except StopIteration:
        raise ValueError(f"corpus source {name}: the dataset is empty") from None
    except Exception as error:  # whatever the hub, the network or the file format raises
        raise ValueError(f"corpus source {name} cannot be loaded: {' '.join(str(error).split())}") from error
    texts = [column for column in first if isinstance(first[column], str)]
    column = next((column for column in (*TEXT_FIELDS, *texts) if column in texts), None)
    if column is None:
        raise ValueError(f"corpus source {name}: no column of text among {', '.join(first)}")
    return lambda: (row[column] for row in dataset)
