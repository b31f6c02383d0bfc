"""Reads the tensors of a file that `torch.save` wrote, after checking that it can contain nothing else.

The file is a zip archive with a pickle and the bytes of the tensors. PyTorch's restricted unpickler
(`weights_only=True`) calls no foreign function; the checks before it bound the memory and the time that it can take.
"""

import os
import pickletools
import zipfile
from pathlib import Path
from typing import BinaryIO

import torch
from torch import Tensor, nn

from benchmark.files import MIB, CorruptFileError, is_inner_name, open_regular, readable

LARGEST_PICKLE = 4 * MIB
"""Most bytes of the pickle in the file, about 200 for each tensor."""

MOST_ENTRIES = 100_000
"""Most entries of the zip archive."""

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


def read_state_dict(path: Path, largest: int) -> dict[str, Tensor]:
    """The tensors of a file by name.

    Args:
        path: The file.
        largest: Most bytes that its tensors may take together.

    Raises:
        CorruptFileError: It is not such a file, contains something else than tensors, or needs more memory.
    """
    with readable(path, "PyTorch checkpoint"), open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        if not zipfile.is_zipfile(file):
            raise ValueError("not a zip archive")
        with zipfile.ZipFile(file) as archive:
            _check_pickle(path, _checked_pickle(path, archive, size, largest))
        content = _loaded(path, file)
    if not isinstance(content, dict):
        raise CorruptFileError(path, f"contains a {type(content).__name__}; save only the model's state_dict()")
    others = [str(name)[:200] for name, value in content.items() if not _is_plain(name, value)]
    if others:
        raise CorruptFileError(path, ADVICE.replace("tensors", f"tensors: {', '.join(others[:5])}"))
    if sum(value.numel() * value.element_size() for value in content.values()) > 2 * size:
        raise CorruptFileError(path, "contains tensors that share their numbers; save each of them by itself")
    return content


def _checked_pickle(path: Path, archive: zipfile.ZipFile, size: int, largest: int) -> bytes:
    """The pickle of an archive, whose entries are as PyTorch writes them and fit into memory."""
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
        raise CorruptFileError(path, f"contains {needed:,} bytes, and a model of its config at most {largest:,}")
    if (
        len({entry.filename for entry in entries}) < len(entries)
        or len({each.filename.split("/")[0] for each in entries}) > 1
    ):
        raise ValueError("entries that PyTorch does not write")
    (pickle,) = [entry for entry in entries if entry.filename.count("/") == 1 and entry.filename.endswith("/data.pkl")]
    if pickle.file_size > LARGEST_PICKLE:
        raise CorruptFileError(path, f"contains a pickle of {pickle.file_size:,} bytes, more than {LARGEST_PICKLE:,}")
    return archive.read(pickle)


def _check_pickle(path: Path, content: bytes) -> None:
    """`CorruptFileError` if a pickle names anything but tensors or does what needs no dictionary of tensors.

    A tuple that is used again is refused too: hashing tuples of tuples of the same tuples never ends.
    """
    tuples, before, memo = set[int](), "", -1
    for opcode, argument, _ in pickletools.genops(content):
        if opcode.name == "GLOBAL" and argument not in ALLOWED:
            raise CorruptFileError(path, f"{ADVICE} (it names {str(argument)[:100].replace(' ', '.')})")
        if opcode.name not in OPCODES:
            raise CorruptFileError(path, f"{ADVICE} (its pickle has the operation {opcode.name})")
        if opcode.name.endswith("BINPUT"):
            memo = int(argument or 0)
            (tuples.add if "TUPLE" in before else tuples.discard)(memo)
        if opcode.name.endswith("BINGET") and argument in tuples:
            raise CorruptFileError(path, f"{ADVICE} (its pickle uses a tuple twice)")
        before = opcode.name


def _loaded(path: Path, file: BinaryIO) -> object:
    file.seek(0)
    try:
        return torch.load(file, map_location="cpu", weights_only=True)
    except MemoryError as error:
        raise CorruptFileError(path, "needs more memory than there is") from error


def _is_plain(name: object, value: object) -> bool:
    """Whether an entry is a name with a tensor of numbers that are all in memory."""
    if not isinstance(name, str) or not isinstance(value, Tensor) or type(value) not in (Tensor, nn.Parameter):
        return False
    return (
        value.layout == torch.strided
        and value.device.type == "cpu"
        and not (value.is_quantized or value.is_complex())
        and value.numel() * value.element_size() <= value.untyped_storage().nbytes()
    )
