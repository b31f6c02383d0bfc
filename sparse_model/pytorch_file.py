"""Reads what `torch.save` wrote, after checking that it is tensors, or tensors in plain dictionaries and lists.

The file is a zip archive with a pickle and the bytes of the tensors. PyTorch's restricted unpickler
(`weights_only=True`) calls no foreign function; the checks before it bound the memory and the time that it can take.
"""

import os
import pickletools
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO, TypeGuard

import torch
from torch import Tensor, nn

from benchmark.files import MIB, CorruptFileError, is_inner_name, open_regular, readable

LARGEST_PICKLE = 4 * MIB
"""Most bytes of the pickle in a file of tensors by name, about 200 for each tensor."""

LARGEST_NESTED_PICKLE = 32 * MIB
"""Most bytes of the pickle in a file of nested data."""

MOST_IN_TUPLE = 10_000
"""Most values of a tuple, with those of the tuples inside it counted as often as they occur."""

MOST_ENTRIES = 100_000
"""Most entries of the zip archive."""

DTYPES = ("float32", "float64", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool")

STORAGES = ("Float", "Double", "Half", "BFloat16", "Long", "Int", "Short", "Char", "Byte", "Bool")

ALLOWED = frozenset(
    [
        "collections OrderedDict",
        "torch._utils _rebuild_tensor_v2",
        "torch._utils _rebuild_parameter",
        *(f"torch {kind}Storage" for kind in STORAGES),
    ]
)
"""What the pickle may name: all that a dictionary of tensors needs."""

ALLOWED_NESTED = ALLOWED | {"torch Size", "torch device", *(f"torch {kind}" for kind in DTYPES)}
"""What the pickle of nested data may name."""

OPCODES = frozenset(
    [
        *("PROTO", "STOP", "MARK", "GLOBAL", "REDUCE", "BUILD", "BINPERSID"),
        *("BINPUT", "LONG_BINPUT", "BINGET", "LONG_BINGET"),
        *("EMPTY_DICT", "SETITEM", "SETITEMS", "EMPTY_LIST", "APPEND", "APPENDS"),
        *("EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3"),
        *("BINUNICODE", "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "NEWFALSE", "NEWTRUE", "NONE"),
    ]
)
"""What the pickle may do."""

ADVICE = "contains more than tensors; save only the model's state_dict()"

ADVICE_NESTED = "contains more than tensors, numbers and text in dictionaries and lists"


def read_state_dict(path: Path, largest: int) -> dict[str, Tensor]:
    """The tensors of a file by name.

    Args:
        path: The file.
        largest: Most bytes that its tensors may take together.

    Raises:
        CorruptFileError: It is not such a file, contains something else than tensors, or needs more memory.
    """
    content, size = _read(path, largest, "a model of its config", LARGEST_PICKLE, ALLOWED, ADVICE)
    if not isinstance(content, dict):
        raise CorruptFileError(path, f"contains a {type(content).__name__}; save only the model's state_dict()")
    others = [str(name)[:200] for name, value in content.items() if not _is_plain(name, value)]
    if others:
        raise CorruptFileError(path, ADVICE.replace("tensors", f"tensors: {', '.join(others[:5])}"))
    if sum(value.numel() * value.element_size() for value in content.values()) > 2 * size:
        raise CorruptFileError(path, "contains tensors that share their numbers; save each of them by itself")
    return content


def read_nested(path: Path, largest: int) -> dict[Any, Any]:
    """The dictionary in a file, with tensors, numbers and text in dictionaries, lists and tuples.

    Whoever reads it takes what he knows by name: lists in it may contain themselves, and a tensor may repeat one number
    any number of times, so check its shape with `is_tensor` before it is copied.

    Args:
        path: The file.
        largest: Most bytes that its tensors may take together.

    Raises:
        CorruptFileError: It is not such a file, contains something else, or needs more memory.
    """
    content, _ = _read(path, largest, "such a file", LARGEST_NESTED_PICKLE, ALLOWED_NESTED, ADVICE_NESTED)
    if not isinstance(content, dict):
        raise CorruptFileError(path, f"contains a {type(content).__name__}; it should contain a dictionary")
    return content


def is_tensor(value: object) -> TypeGuard[Tensor]:
    """Whether a value is a tensor of numbers that are all in memory."""
    return (
        isinstance(value, Tensor)
        and type(value) in (Tensor, nn.Parameter)
        and value.layout == torch.strided
        and value.device.type == "cpu"
        and not (value.is_quantized or value.is_complex())
        and value.numel() * value.element_size() <= value.untyped_storage().nbytes()
    )


def _read(
    path: Path, largest: int, called: str, largest_pickle: int, allowed: frozenset[str], advice: str
) -> tuple[Any, int]:
    """What is in a file after all checks of its archive and its pickle, and the size of the file in bytes.

    Args:
        path: The file.
        largest: Most bytes of its entries.
        called: What has at most so many bytes.
        largest_pickle: Most bytes of its pickle.
        allowed: What its pickle may name.
        advice: What is wrong if it names something else.
    """
    with readable(path, "PyTorch checkpoint"), open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        if not zipfile.is_zipfile(file):
            raise ValueError("not a zip archive")
        with zipfile.ZipFile(file) as archive:
            entry = _checked_entry(path, archive, size, largest, called)
            if entry.file_size > largest_pickle:
                flaw = f"contains a pickle of {entry.file_size:,} bytes, more than {largest_pickle:,}"
                raise CorruptFileError(path, flaw)
            _check_pickle(path, archive.read(entry), allowed, advice)
        return _loaded(path, file), size


def _checked_entry(path: Path, archive: zipfile.ZipFile, size: int, largest: int, called: str) -> zipfile.ZipInfo:
    """The pickle in an archive, whose entries are as PyTorch writes them and fit into memory."""
    entries = archive.infolist()
    if len(entries) > MOST_ENTRIES:
        raise CorruptFileError(path, f"contains {len(entries):,} entries, more than {MOST_ENTRIES:,}")
    for entry in entries:
        if not is_inner_name(entry.filename):
            raise CorruptFileError(path, f"contains the entry {entry.filename[:200]!r}, which leads out of its folder")
        if entry.compress_type != zipfile.ZIP_STORED:
            told = f"contains the compressed entry {entry.filename[:200]!r} of {entry.file_size:,} bytes"
            raise CorruptFileError(path, f"{told}, and PyTorch compresses none; get it again")
    if (needed := sum(entry.file_size for entry in entries)) > size:
        raise CorruptFileError(path, f"contains entries of {needed:,} bytes in a file of {size:,}; get it again")
    if needed > largest:
        raise CorruptFileError(path, f"contains {needed:,} bytes, and {called} at most {largest:,}")
    if (
        len({entry.filename for entry in entries}) < len(entries)
        or len({each.filename.split("/")[0] for each in entries}) > 1
    ):
        raise ValueError("entries that PyTorch does not write")
    (pickle,) = [entry for entry in entries if entry.filename.count("/") == 1 and entry.filename.endswith("/data.pkl")]
    return pickle


def _check_pickle(path: Path, content: bytes, allowed: frozenset[str], advice: str) -> None:
    """`CorruptFileError` if a pickle names anything that is not allowed, or does what plain data does not need."""
    tuples = _TupleSizes()
    for opcode, argument, _ in pickletools.genops(content):
        if opcode.name == "GLOBAL" and argument not in allowed:
            raise CorruptFileError(path, f"{advice} (it names {str(argument)[:100].replace(' ', '.')})")
        if opcode.name not in OPCODES:
            raise CorruptFileError(path, f"{advice} (its pickle has the operation {opcode.name})")
        if tuples.after(opcode, argument) > MOST_IN_TUPLE:
            raise CorruptFileError(path, f"{advice} (a tuple of tuples has more than {MOST_IN_TUPLE:,} values)")


class _TupleSizes:
    """How many values the tuples have that a pickle builds, by following its stack without building anything.

    Tuples of the same tuples of the same tuples are short in a pickle, but their hash would take forever.
    """

    def __init__(self) -> None:
        self._stack: list[int] = []
        self._marks: list[int] = []
        self._memo: dict[int, int] = {}

    def after(self, opcode: pickletools.OpcodeInfo, argument: Any) -> int:
        """The number of values on top of the stack after an operation; 1 for what is not a tuple."""
        if opcode.name == "MARK":
            self._marks.append(len(self._stack))
            return 0
        if opcode.name.endswith("BINPUT"):
            self._memo[argument] = self._stack[-1]
        elif opcode.name.endswith("BINGET"):
            self._stack.append(self._memo[argument])
        else:
            inside = self._popped(opcode.stack_before)
            self._stack += [1 + sum(inside) * ("TUPLE" in opcode.name)] * len(opcode.stack_after)
        return self._stack[-1] if self._stack else 0

    def _popped(self, before: Sequence[pickletools.StackObject]) -> list[int]:
        """What an operation takes from the stack."""
        start = len(self._stack) - len(before)
        if pickletools.markobject in before:
            start = self._marks.pop() - before.index(pickletools.markobject)
        if start < 0:
            raise ValueError("a pickle that takes more than it has")
        taken, self._stack = self._stack[start:], self._stack[:start]
        return taken


def _loaded(path: Path, file: BinaryIO) -> object:
    file.seek(0)
    try:
        return torch.load(file, map_location="cpu", weights_only=True)
    except MemoryError as error:
        raise CorruptFileError(path, "needs more memory than there is") from error


def _is_plain(name: object, value: object) -> bool:
    """Whether an entry is a name with a tensor of numbers that are all in memory."""
    return isinstance(name, str) and is_tensor(value)
