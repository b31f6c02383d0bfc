"""Reads files that may come from anybody, within limits; whatever is wrong with one is one `CorruptFileError`.

Nothing that is read is executed. Sizes, counts, depth and shapes are checked before memory is allocated for them.
"""

import errno
import hashlib
import json
import math
import os
import stat
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache, lru_cache
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, TypeVar

if TYPE_CHECKING:
    from pydantic import TypeAdapter, ValidationError
    from torch import Tensor

Content = TypeVar("Content")

MIB = 2**20
"""Bytes in a MiB."""

LARGEST_JSON = 64 * MIB
"""Most bytes of a JSON file."""

MOST_VALUES = 2_000_000
"""Most values in a JSON file."""

DEEPEST = 50
"""Deepest nesting of a JSON file; our own have at most ten levels."""

LONGEST_INTEGER = 40
"""Most digits of an integer in a JSON file."""

LARGEST_YAML = MIB // 16
"""Most bytes of a YAML file, whose parser is slow."""

LARGEST_HEADER = 16 * MIB
"""Most bytes of the header of a safetensors file."""

MOST_TENSORS = 100_000
"""Most tensors in a file."""

MOST_AXES = 8
"""Most axes of a tensor."""

LARGEST_TABLE = 256 * MIB
"""Most bytes of a CSV table."""

BYTES_OF = {"BOOL": 1, "U8": 1, "I8": 1, "I16": 2, "I32": 4, "I64": 8, "F16": 2, "BF16": 2, "F32": 4, "F64": 8}
"""The types of numbers that a safetensors file may contain, with the size of one number."""

NOT_OF_THE_FILE = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
"""Errors on opening a file that say nothing about the file."""


class CorruptFileError(ValueError):
    """A file that cannot be used.

    Attributes:
        path: The file.
        flaw: What is wrong with it, as the rest of a sentence that starts with the path.
    """

    def __init__(self, path: Path, flaw: str) -> None:
        self.path, self.flaw = path, printable(" ".join(flaw.split()))
        super().__init__(path, self.flaw)  # both, so that it survives being pickled

    def __str__(self) -> str:
        return printable(f"{self.path} {self.flaw}")


def printable(text: str) -> str:
    r"""The text with control characters, which may drive a terminal, written as `\x1b`; line ends and tabs stay."""
    if text.isprintable():
        return text
    kept = (each if each.isprintable() or each in "\n\t" else each.encode("unicode_escape").decode() for each in text)
    return "".join(kept)


@contextmanager
def readable(path: Path, kind: str) -> Iterator[None]:
    """Turn any error inside into a `CorruptFileError` that says what is wrong with the file, and the remedy.

    Only a lack of memory or of file handles, which is not the file's fault, is left as it is.

    Args:
        path: The file that is read.
        kind: What it should be, such as `JSON file`.
    """
    try:
        yield
    except (CorruptFileError, MemoryError):
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno in NOT_OF_THE_FILE:
            raise
        detail = " ".join(str(error).split()) or type(error).__name__
        raise CorruptFileError(path, f"{_fault(path, kind)} ({detail[:120]})") from error


def digest_of(path: Path) -> str:
    """The SHA-256 of a file, computed once per process as long as its size and its time of change stay the same.

    Raises:
        CorruptFileError: It cannot be read.
    """
    with readable(path, "file"):
        state = path.stat()
    return _digest_of_state(path, state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=1000)
def _digest_of_state(path: Path, size: int, changed: int) -> str:
    with readable(path, "file"), open_regular(path) as file:
        content = hashlib.sha256()
        while part := file.read(MIB):
            content.update(part)
    return content.hexdigest()


def _fault(path: Path, kind: str) -> str:
    """What is wrong with a file that cannot be read, and the remedy."""
    try:
        if not path.exists():
            return "does not exist; check the folder, or get the file again"
        with open_regular(path) as file:
            beginning = file.read(100)
            is_zip = zipfile.is_zipfile(file)
    except (OSError, ValueError):
        return "is not a readable file; check it and its permissions"
    if not beginning:
        return "is empty; get it again"
    if beginning.startswith(b"version https://git-lfs"):
        return "is a Git LFS pointer, not the file itself; fetch it with `git lfs pull`"
    if is_zip:
        return "contains more than tensors; save only the model's state_dict()"
    return f"is not a complete {kind}; get it again"


# Bytes and text


def open_regular(path: Path) -> BinaryIO:
    """A regular file opened for reading; a pipe, a socket or a device is not waited for.

    Raises:
        OSError: It cannot be opened, or is something else.
    """
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    descriptor = os.open(path, flags)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def read_beyond(file: BinaryIO, largest: int) -> bytes:
    """The bytes of a file; of a larger one more than the largest number, but not all; none if it has none at hand."""
    parts, total = list[bytes](), 0
    while total <= largest and (part := file.read(MIB)):
        parts.append(part)
        total += len(part)
    return b"".join(parts)


def read_bytes(path: Path, largest: int, kind: str = "file") -> bytes:
    """The bytes of a regular file of at most a given size; `CorruptFileError` if it is not one."""
    with readable(path, kind), open_regular(path) as file:
        if (size := os.fstat(file.fileno()).st_size) > largest:
            raise CorruptFileError(path, f"has {size:,} bytes; a {kind} has at most {largest:,}")
        content = read_beyond(file, largest)
    if len(content) > largest:  # it has grown, or is no file on a disk
        raise CorruptFileError(path, f"has more than {largest:,} bytes, the most that a {kind} has")
    return content


def read_text(path: Path, largest: int = LARGEST_TABLE, kind: str = "file", encoding: str = "utf-8") -> str:
    """The UTF-8 text of a regular file of at most a given size; `CorruptFileError` if it is not one."""
    try:
        return read_bytes(path, largest, kind).decode(encoding)
    except UnicodeDecodeError as error:
        raise CorruptFileError(path, f"is not a {kind}: it is not UTF-8 text") from error


# JSON


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file; `CorruptFileError` if it is not one."""
    content = json_in(path)
    if not isinstance(content, dict):
        raise CorruptFileError(path, f"contains a {type(content).__name__}; it should contain an object, such as {{…}}")
    return content


def read_as(path: Path, kind: type[Content]) -> Content:
    """The object in a JSON file as a dataclass; `CorruptFileError` if its fields are not those of the dataclass."""
    found: Content = _validated(path, kind)
    return found


def read_rows(path: Path, kind: type[Content]) -> list[Content]:
    """The objects in the list of a JSON file as a dataclass; `CorruptFileError` as for `read_as`."""
    found: list[Content] = _validated(path, list[kind])  # type: ignore[valid-type]
    return found


def _validated(path: Path, kind: Any) -> Any:
    from pydantic import TypeAdapter, ValidationError

    content = read_bytes(path, LARGEST_JSON, "JSON file")
    with readable(path, "JSON file"):
        parsed_json(content, path)
    try:
        return TypeAdapter(kind).validate_json(content, strict=True)
    except ValidationError as error:
        raise CorruptFileError(path, f"does not fit: {first_flaw(error)}") from error


FLAWS = {
    "missing": "is missing",
    "extra_forbidden": "is not a known key",
    "string_type": "is not text",
    "int_type": "is not a whole number",
    "int_from_float": "is not a whole number",
    "float_type": "is not a number",
    "bool_type": "is neither true nor false",
    "list_type": "is not a list",
    "tuple_type": "is not a list",
    "dict_type": "is not an object",
}
"""What is wrong with a value, by pydantic's name for it."""


def first_flaw(error: "ValidationError") -> str:
    """The first of pydantic's errors: the place, and what is wrong there."""
    first = error.errors(include_url=False)[0]
    place = ".".join(map(str, first["loc"]))[:200] or "the whole"
    if (flaw := FLAWS.get(first["type"])) is not None:
        return f"{place} {flaw}"
    if first["type"] == "literal_error":
        return f"{place} is {first['input']!r:.80}; choose from {first['ctx']['expected'].replace(' or ', ', ')}"
    message = first["msg"].removeprefix("Value error, ")
    return f"{place}: {message[:200]}"


class JsonLine(NamedTuple):
    """One line of a file of JSON lines."""

    number: int
    """Counted from 1, with blank lines."""
    content: dict[str, Any]
    """The object that it is."""
    text: bytes
    """What is written there."""


def read_json_lines(path: Path, largest: int, most: int) -> list[JsonLine]:
    """The objects of a file of JSON lines, without blank lines.

    Args:
        path: The file; UTF-8, with or without a byte-order mark.
        largest: Most bytes that it may have.
        most: Most lines that it may have.

    Raises:
        CorruptFileError: The file exceeds a limit, or a line is no JSON object; the error names the line.
    """
    content = read_text(path, largest, "file of JSON lines", "utf-8-sig").encode()
    if sum(map(content.count, (b",", b"[", b"{"))) > MOST_VALUES:
        raise CorruptFileError(path, f"has more than {MOST_VALUES:,} values, the most that a file of JSON lines has")
    lines = [(number, line) for number, line in enumerate(content.splitlines(), 1) if line.strip()]
    if len(lines) > most:
        raise CorruptFileError(path, f"has {len(lines):,} lines; it may have at most {most:,}")
    return [JsonLine(number, _object_in(line, number, path), line) for number, line in lines]


def _object_in(line: bytes, number: int, path: Path) -> dict[str, Any]:
    try:
        found = parsed_json(line, path)
    except CorruptFileError as error:
        raise CorruptFileError(path, f"line {number} {error.flaw}") from error
    except ValueError as error:
        raise CorruptFileError(path, f"line {number} is not JSON ({str(error)[:120]})") from error
    if not isinstance(found, dict):
        raise CorruptFileError(path, f"line {number} is a {type(found).__name__}, not an object, such as {{…}}")
    return found


@cache
def _adapter(kind: Any) -> "TypeAdapter[Any]":
    from pydantic import TypeAdapter

    return TypeAdapter(kind)


def line_as(line: JsonLine, kind: type[Content], path: Path) -> Content:
    """A line as a pydantic model or a dataclass, nothing converted; `CorruptFileError` if it does not fit."""
    from pydantic import ValidationError

    try:
        found: Content = _adapter(kind).validate_json(line.text, strict=True)  # type: ignore[arg-type]
    except ValidationError as error:
        raise CorruptFileError(path, f"line {line.number} does not fit: {first_flaw(error)}") from error
    return found


def json_in(path: Path) -> Any:
    """The content of a JSON file; `CorruptFileError` if it is not JSON, or exceeds a limit."""
    with readable(path, "JSON file"):
        return parsed_json(read_bytes(path, LARGEST_JSON, "JSON file"), path)


def parsed_json(content: bytes, path: Path, most_values: int = MOST_VALUES) -> Any:
    """The content of JSON from a file, with unique keys and finite numbers.

    Raises:
        CorruptFileError: It has too many values or is nested too deeply.
        ValueError: It is not JSON.
    """
    if sum(map(content.count, (b",", b"[", b"{"))) > most_values:
        raise CorruptFileError(path, f"has more than {most_values:,} values, the most that a JSON file has")
    too_deep = CorruptFileError(path, f"is nested more than {DEEPEST} levels deep")
    try:
        found = json.loads(
            content.decode(),
            object_pairs_hook=_unique,
            parse_constant=_not_finite,
            parse_float=_finite,
            parse_int=_whole,
        )
    except RecursionError as error:
        raise too_deep from error
    level, depth = [found], 0
    while level := [each for each in level if isinstance(each, dict | list)]:
        if (depth := depth + 1) > DEEPEST:
            raise too_deep
        level = [inner for each in level for inner in (each.values() if isinstance(each, dict) else each)]
    if b"\\ud" in content.lower():  # half of a surrogate pair is no character and cannot be written
        json.dumps(found, ensure_ascii=False).encode()
    return found


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content: dict[str, Any] = {}
    for name, value in pairs:
        if name in content:
            raise ValueError(f"key {name[:80]!r} is there twice")
        content[name] = value
    return content


def _not_finite(text: str) -> float:
    raise ValueError(f"{text} is not a finite number")


def _finite(text: str) -> float:
    value = float(text)
    return value if math.isfinite(value) else _not_finite(text[:20])


def _whole(text: str) -> int:
    if len(text) > LONGEST_INTEGER:
        raise ValueError(f"an integer has {len(text):,} digits, more than {LONGEST_INTEGER}")
    return int(text)


# YAML


def read_yaml(path: Path) -> dict[str, Any]:
    """The table in a small YAML file, with plain values only; `CorruptFileError` if it is not one."""
    import yaml

    with readable(path, "YAML file"):
        content = read_bytes(path, LARGEST_YAML, "YAML file")
        depth = 0
        for event in yaml.parse(content, Loader=yaml.SafeLoader):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > DEEPEST:  # the parser takes minutes for thousands of levels
                raise ValueError(f"nested more than {DEEPEST} levels deep")
            if isinstance(event, yaml.AliasEvent):  # a few of them can stand for very much
                raise ValueError(f"a reference to {event.anchor!r}")
        found = yaml.safe_load(content)
    if not (isinstance(found, dict) and all(isinstance(key, str) for key in found)):
        raise CorruptFileError(path, "does not contain a table of names and values, such as `name: value`")
    return found


# Tensors


class TensorEntry(NamedTuple):
    """What the header of a safetensors file says about a tensor."""

    kind: str
    shape: tuple[int, ...]


def tensor_entries(path: Path) -> dict[str, TensorEntry]:
    """Type and shape of each tensor in a safetensors file, from its header alone.

    Raises:
        CorruptFileError: The header is too long or not valid, or types, shapes and positions do not agree with each
            other or with the size of the file.
    """
    with readable(path, "safetensors file"), open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        length = int.from_bytes(file.read(8), "little")
        if length > LARGEST_HEADER:
            raise ValueError(f"a header of {length:,} bytes, more than {LARGEST_HEADER:,}")
        if size < 8 + length:
            raise ValueError(f"{size:,} bytes, fewer than its header says")
        header = parsed_json(file.read(length), path)
        header.pop("__metadata__", None)
        if len(header) > MOST_TENSORS:
            raise ValueError(f"{len(header):,} tensors, more than {MOST_TENSORS:,}")
        entries, places = {}, []
        for name, entry in header.items():
            kind, shape, (start, end) = entry["dtype"], entry["shape"], entry["data_offsets"]
            _check_entry(name, kind, shape, end - start)
            entries[name] = TensorEntry(kind, tuple(shape))
            places.append((start, end))
        _check_places(sorted(places), size - 8 - length)
    return entries


def _check_entry(name: str, kind: Any, shape: Any, size: int) -> None:
    """`ValueError` if the type, shape and size of a tensor do not agree."""
    if kind not in BYTES_OF:
        raise ValueError(f"tensor {name[:80]!r} has the type {kind!r}; choose from {', '.join(BYTES_OF)}")
    if type(shape) is not list or len(shape) > MOST_AXES or any(type(axis) is not int or axis < 0 for axis in shape):
        raise ValueError(f"tensor {name[:80]!r} has no valid shape")
    if (needed := math.prod(shape) * BYTES_OF[kind]) != size:
        raise ValueError(f"tensor {name[:80]!r} has {size:,} bytes, and its shape needs {needed:,}")


def _check_places(places: Sequence[tuple[int, int]], size: int) -> None:
    """`ValueError` if tensors overlap, leave gaps, or do not fill the file."""
    at = 0
    for start, end in places:
        if start != at:
            raise ValueError("tensors overlap or leave gaps")
        at = end
    if at != size:
        raise ValueError(f"tensors of {at:,} bytes in {size:,} bytes of data")


def read_tensors(path: Path, shapes: Mapping[str, Sequence[int]] | None = None) -> "dict[str, Tensor]":
    """The tensors of a safetensors file.

    Args:
        path: The file.
        shapes: The shape of every tensor that it should have, compared with its header before it is read.

    Raises:
        CorruptFileError: It is not a safetensors file, or has other tensors.
    """
    entries = tensor_entries(path)
    if shapes is not None:
        check_shapes(path, {name: entry.shape for name, entry in entries.items()}, shapes)
    from safetensors.torch import load_file

    with readable(path, "safetensors file"):
        tensors: dict[str, Tensor] = load_file(path)
    return tensors


def check_shapes(path: Path, found: Mapping[str, Sequence[int]], wanted: Mapping[str, Sequence[int]]) -> None:
    """Compare the shapes of a file's tensors with those that a model needs, before the model is built.

    Raises:
        CorruptFileError: One line with the names of tensors that are missing, unknown or of another shape.
    """
    wrong = {
        "lacks": [name for name in wanted if name not in found],
        "contains unknown": [name for name in found if name not in wanted],
        "contains tensors whose shape does not match its config:": [
            f"{name} {list(found[name])} instead of {list(shape)}"
            for name, shape in wanted.items()
            if name in found and tuple(found[name]) != tuple(shape)
        ],
    }
    for fault, names in wrong.items():
        refuse_tensors(path, fault, names)


def check_finite(path: Path, tensors: "Mapping[str, Tensor]") -> None:
    """`CorruptFileError` with the names of tensors that have values that are not finite."""
    names = [name for name, each in tensors.items() if not each.isfinite().all()]
    refuse_tensors(path, "contains values that are not finite in", names)


def refuse_tensors(path: Path, fault: str, names: Sequence[str]) -> None:
    """`CorruptFileError` that names the first tensors with a fault, if there are any."""
    if names:
        more = f" and {len(names) - 5} more" if len(names) > 5 else ""
        raise CorruptFileError(path, f"{fault} {', '.join(name[:200] for name in names[:5])}{more}")


# Paths


def inside(folder: Path, name: str, source: Path) -> Path:
    """The file that another file names, which must be below a folder.

    Args:
        folder: The folder.
        name: The name, relative to it, with `/` between its parts.
        source: The file that contains the name; an error names it.

    Raises:
        CorruptFileError: The name is empty, absolute, or leads out of the folder, also through a link.
    """
    if not is_inner_name(name) or not (folder / name).resolve().is_relative_to(folder.resolve()):
        raise CorruptFileError(source, f"names the file {name[:200]!r}, which is not inside its folder")
    return folder / name


def is_inner_name(name: str) -> bool:
    """Whether a file name, taken relative to any folder on any system, stays inside that folder."""
    if not name or not name.isprintable() or "\\" in name:
        return False
    parts = PurePosixPath(name).parts
    return not PurePosixPath(name).is_absolute() and not PureWindowsPath(name).drive and ".." not in parts
