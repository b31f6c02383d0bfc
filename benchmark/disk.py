"""Writes files so that whatever is at a path is whole and lasts: flushed to the disk first, renamed then."""

import errno
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4


def error_numbers(*names: str) -> frozenset[int]:
    """The numbers of errors by name, as far as this system has them."""
    return frozenset(getattr(errno, name) for name in names if hasattr(errno, name))


FULL_OR_BROKEN = error_numbers("ENOSPC", "EDQUOT", "EROFS", "EIO", "ESTALE", "EMFILE", "ENFILE")
"""The errors of a disk that fails whatever is written to it next."""


def replace_files(texts: Mapping[Path, str]) -> None:
    """Replace files in this order, once all texts are on the disk; each is replaced atomically or not at all.

    Folders are created if missing.

    Raises:
        OSError: A file cannot be written; no file that was not replaced yet is changed, and nothing is left over.
    """
    partial = {path: path.with_name(_partial(path.name, uuid4().hex)) for path in texts}
    try:
        for path, text in texts.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            with partial[path].open("xb") as file:
                file.write(text.encode("utf-8"))
                file.flush()
                os.fsync(file.fileno())
        for path, written in partial.items():
            os.replace(written, path)
        for folder in {path.parent for path in texts}:
            flush(folder)
    finally:
        for written in partial.values():
            with suppress(OSError):
                written.unlink(missing_ok=True)


def replace_file(path: Path, text: str) -> None:
    """Replace a file atomically or not at all; its folder is created if missing."""
    replace_files({path: text})


@contextmanager
def written_atomically(path: Path) -> Iterator[Path]:
    """A file of a unique name, which takes the place of `path` once it is complete and on the disk."""
    partial = path.with_name(_partial(path.name, uuid4().hex))
    try:
        yield partial
        flush(partial)
        os.replace(partial, path)
        flush(path.parent)
    finally:
        partial.unlink(missing_ok=True)


def remove_partial(folder: Path, *, below: bool = False) -> None:
    """Remove what interrupted writes have left in a folder, and in all folders below it if asked to."""
    for left in (folder.rglob if below else folder.glob)(_partial("*", "*")):
        left.unlink(missing_ok=True)


def _partial(name: str, unique: str) -> str:
    """The name under which a file is written."""
    return f".{name}.{unique}.partial"


def flush_tree(folder: Path) -> None:
    """Make sure that everything under a folder is on the disk."""
    for place in [*folder.rglob("*"), folder]:
        flush(place)


def flush(path: Path) -> None:
    """Make sure that a file, or the list of files in a folder, is on the disk.

    Raises:
        OSError: The disk failed to write what a process had written to the file before.
    """
    if path.is_dir() and os.name == "nt":  # Windows opens no folder, and needs no flush of one
        return
    descriptor = os.open(path, os.O_RDONLY if os.name != "nt" else os.O_RDWR)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # a file system that cannot flush a folder
            raise
    finally:
        os.close(descriptor)


def disk_failure(error: BaseException) -> str:
    """What is wrong with the disk, in the system's words; empty if an error has another cause.

    Libraries written in other languages report such errors as text that ends in `(os error 28)`.
    """
    for each in (error, error.__cause__, error.__context__):
        if isinstance(each, OSError) and each.errno in FULL_OR_BROKEN:
            return os.strerror(each.errno or 0)
        found = re.search(r"os error (\d+)", str(each)) if each is not None else None
        if found and int(found[1]) in FULL_OR_BROKEN:
            return os.strerror(int(found[1]))
    return ""
