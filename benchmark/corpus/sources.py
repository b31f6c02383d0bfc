"""The sources of documents: the idioms generator, a distribution, the standard library, a folder, a dataset."""

import hashlib
import os
import platform
import random
import stat
import sysconfig
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, distribution
from itertools import islice
from pathlib import Path, PurePath
from typing import Any, NamedTuple

from benchmark.corpus.config import HELD_OUT, SPLITS, CorpusConfig, Split, check_source
from benchmark.corpus.documents import TEXT_FIELDS, definitions, documents_of, texts_of_rows
from benchmark.files import MIB, open_regular, read_beyond
from benchmark.plugins.registry import resolve

CHARACTERS_PER_POSITION = 3
"""Approximate number of characters per position of the context: longer classes and texts are cut."""

NOT_LIBRARY = frozenset(
    ["dist-packages", "ensurepip", "idlelib", "lib2to3", "pydoc_data", "site-packages", "test", "tests", "turtledemo"]
)
"""Folders below the standard library that are not library code."""

TESTS = frozenset(["test", "tests", "testing"])
"""Folders of a distribution that are left out, like `test_*.py` and `conftest.py`: tests are mostly assertions."""

COMPILED = frozenset([".so", ".pyd", ".dylib", ".dll"])
"""Endings of compiled modules."""

READER, FOLDER_READER = "4", "6"
"""Raised by hand when the same files of a distribution, or of a folder, give other documents."""


class Limits(NamedTuple):
    """What is read of a folder, bytes; what exceeds it is skipped or refused."""

    file: int
    """The largest file."""
    line: int
    """The longest line."""
    folder: int
    """All files together."""
    entries: int
    """Number of files, not bytes."""
    links_out: bool = False
    """Whether links out of the folder are followed."""


LIMITS = Limits(file=256 * MIB, line=MIB, folder=2048 * MIB, entries=200_000)
"""For folders that may come from anybody."""

TRUSTED = Limits(file=2**62, line=2**62, folder=2**62, entries=2**62, links_out=True)
"""For the standard library, and for datasets, which other code reads: they are only hashed here."""

NAMED = 20
"""Most skipped files that a message names."""

LOOKED_AT = 1000
"""Rows of a dataset that are examined to determine its text column."""

LINE_ENDS = (b"\n", b"\r")

UTF_16 = (b"\xff\xfe", b"\xfe\xff")
"""How files in UTF-16 begin."""

LEAST_TRAIN, LEAST_HELD_OUT = 0.3, HELD_OUT / 2
"""Shares of the characters that each split gets at least if whole files are split; otherwise their documents are."""

JSON_LINES = ".jsonl"
"""How the name of a file ends whose lines are documents."""


@dataclass(frozen=True)
class Source:
    """A source of documents that is split before anything is drawn from it."""

    name: str
    """As in `CorpusConfig.sources`."""
    documents: Callable[[Split], Iterator[str]]
    """Draws the documents of a split in a seeded order, until the source is exhausted."""
    generated: bool = False
    """Whether documents are generated endlessly as they are drawn."""
    files: Mapping[str, int] = field(default_factory=dict)
    """Number of files read, by split; empty for a source without files."""
    characters: int = 0
    """Number of characters of its files; 0 for a source without files."""
    skipped: Mapping[str, str] = field(default_factory=dict)
    """Files and folders that could not be read as text, with the reason."""


def open_source(name: str, config: CorpusConfig) -> Source:
    """The source of that name.

    Raises:
        ValueError: No source has that name; the distribution is not installed or contains no Python; the folder does
            not exist, or contains no text or too little to be split; the dataset cannot be loaded or has no column of
            text.
    """
    check_source(name)
    kind, _, argument = name.partition(":")
    longest = CHARACTERS_PER_POSITION * config.context
    match kind:
        case "idioms":
            return Source(name, lambda split: _generated(config.seed, split), generated=True)
        case "stdlib":
            texts, skipped = _texts(_contents(Path(sysconfig.get_paths()["stdlib"]), TRUSTED, ".py", NOT_LIBRARY))
            return _of_files(name, texts, skipped, config, lambda file, text: definitions(text, longest))
        case "package":
            texts, skipped = _texts(_distribution_contents(argument))
            return _of_files(name, texts, skipped, config, lambda file, text: definitions(text, longest))
        case "path":
            texts, skipped = read_folder(Path(argument))
            return _of_files(name, texts, skipped, config, lambda file, text: _cut(file, text, longest))
        case _:
            return _of_dataset(name, argument, config.seed, longest)


def source_version(name: str, config: CorpusConfig | None = None) -> str:
    """What a source's documents depend on besides the config; part of the key of everything built from them.

    The Python version for `stdlib`, and a hash of names and bytes for `package:NAME` and `path:DIR` (and for `hf:` with
    a local path). The others have no version: that of the generator is raised by hand, and a dataset on the hub is used
    as it is.

    Args:
        name: As in `CorpusConfig.sources`.
        config: The settings of the corpus; if left out, the default ones, and a folder may have too little text.

    Raises:
        ValueError: No source has that name, or the distribution or folder cannot be used, so that a run fails before it
            starts.
    """
    check_source(name)
    kind, _, argument = name.partition(":")
    if kind == "stdlib":
        return platform.python_version()
    if kind == "idioms":
        return ""
    if kind == "path":
        source = open_source(name, config or CorpusConfig(sources={name: 1.0}))
        folders = [] if config is None else [each for each in config.sources if each.startswith("path:")]
        if config is not None and len(folders) == len(config.sources) and name == folders[-1]:
            _check_enough([*(open_source(each, config) for each in folders[:-1]), source], config)
    digest = hashlib.sha256((READER if kind == "package" else FOLDER_READER).encode())
    if kind == "package":
        contents = _distribution_contents(argument)
    else:
        contents = _contents(Path(argument), TRUSTED if kind == "hf" else LIMITS)
    for file, content, reason in contents:
        if not reason:
            digest.update(f"{file}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()[:16]


def _generated(seed: int, split: Split) -> Iterator[str]:
    """Endless documents of the idioms generator."""
    document = resolve("benchmark.corpus.idioms:document")
    generator = random.Random(f"idioms:{seed}:{split}")
    while True:
        yield document(generator)


def read_folder(folder: Path) -> tuple[dict[str, str], dict[str, str]]:
    """The text files below a folder (or the one file) by name, and all else with the reason why it is skipped.

    Hidden files and folders are ignored.

    Raises:
        ValueError: There is no such folder, or it contains no text or too much.
    """
    if not (folder.is_dir() or folder.is_file()):
        raise ValueError(f"corpus source path:{folder}: there is no such folder or file")
    contents = _contents(folder, LIMITS)
    texts, skipped = _texts((folder.name if at == "." else at, content, reason) for at, content, reason in contents)
    for name in [name for name in texts if name.endswith(JSON_LINES)]:
        try:
            texts_of_rows(texts[name])
        except ValueError as error:
            skipped[name] = str(error)
            del texts[name]
    if not texts:
        reasons = f" (skipped: {reasons_of(skipped)})" if skipped else ""
        raise ValueError(f"corpus source path:{folder}: the folder contains no text{reasons}; add files of UTF-8 text")
    return texts, skipped


def reasons_of(skipped: Mapping[str, str]) -> str:
    """The skipped entries of a source and why each was skipped, as text."""
    named = [f"{name} is {reason}" for name, reason in islice(skipped.items(), NAMED)]
    return ", ".join([*named, *[f"and {len(skipped) - NAMED} more"] * (len(skipped) > NAMED)])


def _texts(contents: Iterable[tuple[str, bytes, str]]) -> tuple[dict[str, str], dict[str, str]]:
    r"""Texts by file name, with `\n` line ends, and skipped entries with the reason; empty files are in neither."""
    texts: dict[str, str] = {}
    skipped: dict[str, str] = {}
    for name, content, reason in contents:
        try:
            text = content.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
        except UnicodeDecodeError:
            text, reason = "", "not UTF-8"
        if content.startswith(UTF_16):
            skipped[name] = "UTF-16, not UTF-8"
        elif reason or b"\0" in content:
            skipped[name] = reason if b"\0" not in content else "binary"
        elif text.strip():
            texts[name] = text
    return texts, skipped


def _contents(
    folder: Path, limits: Limits, suffix: str = "", left_out: frozenset[str] = frozenset()
) -> Iterator[tuple[str, bytes, str]]:
    """Name, bytes and the reason for a lack of bytes, for each entry below a folder (or the one file), ordered by name.

    The only reader of folders: it opens only regular files, and does not follow links to folders, nor links out of the
    folder unless the limits allow it. Hidden entries and the folders left out are ignored.

    Raises:
        ValueError: The folder contains more than the limit.
    """
    unreadable: list[OSError] = []
    total, entries, root = 0, 0, None if limits.links_out else folder.resolve()
    for parent, folders, files in os.walk(folder, onerror=unreadable.append):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name not in left_out)
        links = [name for name in folders if Path(parent, name).is_symlink()]
        for name in sorted([*links, *(name for name in files if not name.startswith(".") and name.endswith(suffix))]):
            content, reason = _content(Path(parent, name), limits, root)
            total, entries = total + len(content), entries + 1
            if total > limits.folder or entries > limits.entries:
                raise ValueError(
                    f"corpus source path:{folder}: the folder contains more than {limits.folder // MIB:,} MiB or "
                    f"{limits.entries:,} files; choose a smaller one"
                )
            yield _displayed(Path(parent, name), folder), content, reason
    for error in unreadable:
        if Path(error.filename) != folder or folder.is_dir():
            yield _displayed(Path(error.filename), folder), b"", f"unreadable ({error.strerror})"
    if folder.is_file():
        yield (".", *_content(folder, limits, root))


def _distribution_contents(name: str) -> Iterator[tuple[str, bytes, str]]:
    """Name, bytes and the reason for a lack of bytes, for each Python file of a distribution except its tests.

    In the order of the names in the distribution's own list of files, so that they are the same wherever it is
    installed, and with the line ends of Unix, whatever the installer wrote.

    Raises:
        ValueError: The distribution is not installed, or contains no Python files or only compiled ones.
    """
    try:
        listed = sorted(distribution(name).files or (), key=PurePath.as_posix)
    except PackageNotFoundError:
        raise ValueError(f"corpus source package:{name}: no distribution {name!r} is installed") from None
    files = [file for file in listed if file.suffix == ".py" and _is_library(file)]
    if not files:
        found = "only compiled files" if any(file.suffix in COMPILED for file in listed) else "no Python files"
        raise ValueError(f"corpus source package:{name}: the distribution contains {found}")
    for file in files:
        content, reason = _content(Path(str(file.locate())), TRUSTED)
        yield file.as_posix(), content.replace(b"\r\n", b"\n"), reason


def _is_library(file: PurePath) -> bool:
    """Whether a file of a distribution is neither a test nor a script outside its packages."""
    is_test = not TESTS.isdisjoint(file.parts) or file.name.startswith("test_") or file.name == "conftest.py"
    return not is_test and ".." not in file.parts


def _kind(name: str) -> str:
    """The part of a source's name on which its splits depend: all of a package's name, nothing of a folder's path."""
    return name if name.startswith("package:") else name.partition(":")[0]


def _displayed(path: Path, folder: Path) -> str:
    r"""Name of an entry below a folder, with bytes that are not UTF-8 as `\xff`."""
    return os.fsencode(path.relative_to(folder).as_posix()).decode(errors="backslashreplace")


def _content(path: Path, limits: Limits, root: Path | None = None) -> tuple[bytes, str]:
    """The bytes of a file, or the reason why there are none.

    Args:
        path: The file.
        limits: What is too large to be read.
        root: The resolved folder that a link may not leave; `None` if links may lead anywhere.
    """
    try:
        path.name.encode()
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            return b"", "a link to a folder, which is not followed"
        if not stat.S_ISREG(mode):
            return b"", "not a regular file"
        if root is not None and path.is_symlink() and not path.resolve().is_relative_to(root):
            return b"", "a link out of the folder, which is not followed"
        with open_regular(path) as file:
            content = read_beyond(file, limits.file)
        if len(content) > limits.file:
            return b"", f"larger than {limits.file // MIB} MiB"
        if len(content) > limits.line and _has_longer_line(content, limits.line):
            return b"", f"a file with a line of more than {limits.line:,} bytes"
        return content, ""
    except UnicodeEncodeError:
        return b"", "not named in UTF-8"
    except OSError as error:
        dangling = path.is_symlink() and isinstance(error, FileNotFoundError)
        return b"", "a dangling link" if dangling else f"unreadable ({error.strerror})"


def _has_longer_line(content: bytes, longest: int) -> bool:
    """Whether any line has more bytes than that; such a line fills one of the blocks of half as many."""
    half = longest // 2
    for at in range(0, len(content), half):
        if any(mark in content[at : at + half] for mark in LINE_ENDS):
            continue
        before = max(content.rfind(mark, max(at - longest - 1, 0), at) for mark in LINE_ENDS)
        start = max(before + 1, at - longest)
        ends = [content.find(mark, at, start + longest + 1) for mark in LINE_ENDS]
        end = min((end for end in ends if end >= 0), default=len(content))
        if end - start > longest:
            return True
    return False


def suffices(config: CorpusConfig) -> str:
    """How much text a corpus needs for a window in each split, and what else helps."""
    tokens = round(config.window / HELD_OUT)
    characters = CHARACTERS_PER_POSITION * tokens
    return (
        f"add text (about {tokens:,} tokens in all, or {characters:,} characters), or choose a smaller corpus.context"
    )


def _check_enough(sources: Sequence[Source], config: CorpusConfig) -> None:
    """`ValueError` if all sources of a corpus together certainly have no window of tokens in one of the splits.

    A token has at least one byte, so this is certain before there is a tokenizer.
    """
    characters = sum(source.characters for source in sources)
    if characters > 100 * config.window / HELD_OUT:
        return
    names = ", ".join(source.name for source in sources)
    for split in SPLITS:
        documents = {document for source in sources for document in source.documents(split)}
        most = sum(min(len(document.encode()) + 1, config.window) for document in documents)
        if most < config.window:
            raise ValueError(
                f"corpus source {names}: {characters:,} characters give at most {most:,} tokens for {split} without "
                f"repeated documents, less than one window of {config.window:,}; {suffices(config)}"
            )


def _cut(file: str, text: str, longest: int) -> list[str]:
    """The documents of a file of a folder."""
    texts = texts_of_rows(text) if file.endswith(JSON_LINES) else [text]
    return [document for each in texts for document in documents_of(each, longest)]


def _of_files(
    name: str,
    texts: Mapping[str, str],
    skipped: Mapping[str, str],
    config: CorpusConfig,
    cut: Callable[[str, str], list[str]],
) -> Source:
    """A source of files, each in one split; the documents are split if files are few, or those of a folder uneven."""
    seed, characters = config.seed, sum(map(len, texts.values()))
    whole = len(texts) >= len(SPLITS) and (_kind(name) != "path" or _even(name, texts, seed))
    if not whole:
        pieces = [document for file in sorted(texts) for document in cut(file, texts[file])]
        if len(pieces) < len(SPLITS):
            counted = f"{characters:,} characters are {len(pieces)} document{'s' * (len(pieces) != 1)}"
            raise ValueError(f"corpus source {name}: {counted}, too few for {len(SPLITS)} splits; {suffices(config)}")
        texts = {f"document {number:09}": document for number, document in enumerate(pieces)}
    parts = split_files(name, {file: len(text) for file, text in texts.items()}, seed)

    def documents(split: Split) -> Iterator[str]:
        found = [document for file in parts[split] for document in (cut(file, texts[file]) if whole else [texts[file]])]
        random.Random(f"{_kind(name)}:{seed}:{split}").shuffle(found)
        yield from found

    files: dict[str, int] = {split: len(parts[split]) for split in SPLITS} if whole else {}
    return Source(name, documents, files=files, characters=characters, skipped=skipped)


def _even(name: str, texts: Mapping[str, str], seed: int) -> bool:
    """Whether every split gets enough if whole files are split, which one large file among small ones prevents."""
    sizes = {file: len(text) for file, text in texts.items()}
    parts = split_files(name, sizes, seed)
    shares = {split: sum(sizes[file] for file in parts[split]) / sum(sizes.values()) for split in SPLITS}
    return shares["train"] >= LEAST_TRAIN and min(shares["validation"], shares["test"]) >= LEAST_HELD_OUT


def split_files(name: str, sizes: Mapping[str, int], seed: int) -> dict[Split, list[str]]:
    """Assign files to splits: validation and test get files until each has 5 % of the characters, train the rest.

    The same files are split the same way in every folder.

    Raises:
        ValueError: There are fewer than three files.
    """
    if len(sizes) < len(SPLITS):
        documents = f"{len(sizes)} document{'s' * (len(sizes) != 1)}"
        raise ValueError(f"corpus source {name}: {documents} cannot be split in {len(SPLITS)}; add text")
    files = sorted(sizes)
    random.Random(f"{_kind(name)}:{seed}:files").shuffle(files)
    parts: dict[Split, list[str]] = {split: [] for split in SPLITS}
    wanted = HELD_OUT * sum(sizes.values())
    for split, reserved in zip(SPLITS[1:], (2, 1), strict=True):
        while len(files) > reserved and sum(sizes[file] for file in parts[split]) < wanted:
            parts[split].append(files.pop())
    parts["train"] = files
    return parts


def _of_dataset(name: str, argument: str, seed: int, longest: int) -> Source:
    """A dataset on the hub, in a folder, or in one `.jsonl`, `.json`, `.parquet` or `.txt` file, read as a stream."""
    try:
        from datasets import load_dataset
    except ModuleNotFoundError:
        raise ValueError(f"corpus source {name} needs `pip install sparse-circuit-bench[hub]`") from None
    path = Path(argument)
    builder = {".jsonl": "json", ".json": "json", ".parquet": "parquet", ".txt": "text"}.get(path.suffix)
    where = (builder, None, None, str(path)) if path.is_file() and builder else (argument,)

    def rows() -> Iterator[dict[str, Any]]:
        try:
            yield from load_dataset(*where, split="train", streaming=True)
        except Exception as error:  # whatever the hub, the network or the file format raises
            raise ValueError(f"corpus source {name} cannot be loaded: {' '.join(str(error).split())}") from error

    column = _text_column(name, list(islice(rows(), LOOKED_AT)))

    def documents(split: Split) -> Iterator[str]:
        for index, row in enumerate(rows()):
            drawn = random.Random(f"hf:{seed}:{index}").random()
            own = "validation" if drawn < HELD_OUT else "test" if drawn < 2 * HELD_OUT else "train"
            if own == split and isinstance(text := row.get(column), str):
                yield from documents_of(text, longest)

    return Source(name, documents)


def _text_column(name: str, rows: list[dict[str, Any]]) -> str:
    """The preferred or first column of a dataset that has text."""
    if not rows:
        raise ValueError(f"corpus source {name}: the dataset is empty")
    columns = dict.fromkeys(column for row in rows for column in row)
    texts = {column for row in rows for column, text in row.items() if isinstance(text, str) and text.strip()}
    if not texts:
        where = f" in the first {len(rows)} rows" if len(rows) == LOOKED_AT else ""
        raise ValueError(f"corpus source {name}: no column of text among {', '.join(columns)}{where}")
    return next(column for column in (*TEXT_FIELDS, *columns) if column in texts)
