"""Writes what is exported: each file whole or not at all, and never over what is there unless asked to."""

import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from uuid import uuid4

from benchmark.disk import flush, flush_tree, written_atomically
from benchmark.files import is_inner_name


def write_file(out: Path, content: bytes, *, force: bool = False) -> Path:
    """Write a file; folders above it are created if missing.

    Raises:
        ValueError: There is already something at `out`, and it is not to be replaced or is a folder.
    """
    if out.is_dir():
        raise ValueError(f"{out} is a folder; choose a file as --out")
    _refuse_existing(out, force)
    out.parent.mkdir(parents=True, exist_ok=True)
    with written_atomically(out) as partial:
        partial.write_bytes(content)
    return out


def write_folder(out: Path, files: Mapping[str, bytes], *, force: bool = False) -> list[Path]:
    """Write a folder of files.

    Args:
        out: The folder.
        files: The content of each file, by its path inside the folder.
        force: Whether to replace a folder that is there.

    Raises:
        ValueError: As for `filled_folder`.
    """

    def fill(folder: Path) -> None:
        for name, content in files.items():
            assert is_inner_name(name), name
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)

    return filled_folder(out, fill, force=force)


def filled_folder(out: Path, fill: Callable[[Path], None], *, force: bool = False) -> list[Path]:
    """Fill a folder, once a function has made all of its files and they are on the disk.

    A folder that is not there appears at once. In one that is, files of the same names are replaced one by one, and
    other files stay.

    Args:
        out: The folder.
        fill: Called with an empty folder on the same disk.
        force: Whether to write into a folder that is not empty.

    Returns:
        The files written, sorted.

    Raises:
        ValueError: There is already something at `out`, and it is not to be written to or is a file.
    """
    if out.exists() and not out.is_dir():
        raise ValueError(f"{out} is a file; choose a folder as --out")
    exists = out.is_dir()
    if exists and any(out.iterdir()):
        _refuse_existing(out, force)
    place = out if exists else out.parent
    place.mkdir(parents=True, exist_ok=True)
    made = place / f".{uuid4().hex}.partial"
    try:
        made.mkdir()
        fill(made)
        flush_tree(made)
        names = sorted(path.relative_to(made) for path in made.rglob("*") if path.is_file())
        if exists:
            for name in names:
                (out / name).parent.mkdir(parents=True, exist_ok=True)
                os.replace(made / name, out / name)
        else:
            os.replace(made, out)
        flush(place)
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return [out / name for name in names]


def _refuse_existing(out: Path, force: bool) -> None:
    if not force and out.exists():
        raise ValueError(f"{out} is already there; choose another --out, or replace it with --force")
