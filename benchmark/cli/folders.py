"""The folders that commands read and write; those written to are claimed before anything is computed."""

import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from benchmark.files import MIB

LONGEST_PATH = 3500
"""Most bytes of a folder's absolute path: systems allow 4,096, and files inside it have paths of their own."""

LONGEST_PART = 255
"""Most bytes of one name in a path."""

LEAST_FREE = 16 * MIB
"""Bytes that must be free where tables and artifacts are written."""


class Folder(click.ParamType):  # type: ignore[type-arg,unused-ignore]
    """The path of a folder: not empty, printable, and short enough for the system."""

    name = "path"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """The path."""
        text = os.fspath(value)
        if not text.strip():
            self.fail("no folder is given; choose one, such as `results`", param, ctx)
        if any(ord(each) < 32 or ord(each) == 127 for each in text):
            self.fail(f"{text[:40]!r} has control characters; choose another folder", param, ctx)
        longest = max(len(os.fsencode(part)) for part in Path(text).parts or (text,))
        if longest > LONGEST_PART or len(os.fsencode(os.path.abspath(text))) > LONGEST_PATH:
            limits = f"{LONGEST_PATH:,} bytes, and {LONGEST_PART} in each of its names"
            self.fail(f"{text[:40]!r}… is too long; a path has at most {limits}", param, ctx)
        return Path(text)


FOLDER = Folder()
"""The type of every option that names a folder."""

results_option = click.option(
    "--results", default="results", show_default=True, type=FOLDER, help="Folder of a run, which is read."
)
"""Where a command that changes no table finds those of a run."""

run_option = click.option(
    "--results", "--out", "out", default="results", show_default=True, type=FOLDER, help="Folder of a run."
)
"""The same for a command that writes no file, where `--out` cannot be mistaken for one."""

former_option = click.option("--to", type=FOLDER, hidden=True)
"""What `--out` was called when `--out` was the folder of a run."""


def file_to_write(out: Path | None, former: Path | None, default: Path) -> Path:
    """The file that `--out` names, or `--to` as it was called before.

    Raises:
        ValueError: In one line, if `--out` is a folder, as when it named that of a run.
    """
    if out is not None and (former is not None or out.is_dir()):
        where = f"; {str(out)!r} is a folder" if out.is_dir() else ""
        raise ValueError(f"--out is the file that is written, and --results the folder of a run{where}")
    return out or former or default


def claim(*folders: Path) -> None:
    """Create folders that can be written to, either all of them or none.

    Raises:
        ValueError: A folder cannot be created or written to, has too little space, or contains something else where a
            table is written; the error names it.
    """
    made: list[Path] = []
    try:
        for folder in folders:
            _claim(folder, made)
    except ValueError:
        for place in reversed(made):
            with suppress(OSError):  # another run has begun to use it
                place.rmdir()
        raise


def _claim(folder: Path, made: list[Path]) -> None:
    try:
        for place in reversed([place for place in (folder, *folder.parents) if not place.exists()]):
            place.mkdir(exist_ok=True)
            made.append(place)
        with tempfile.TemporaryFile(dir=folder):
            pass
        tables = [entry for entry in folder.iterdir() if entry.suffix == ".csv" or entry.name == "run.json"]
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise ValueError(f"cannot write to folder {str(folder)!r}: {error.strerror or error}") from None
    for table in tables:
        if not table.is_file():
            raise ValueError(f"cannot write to folder {str(folder)!r}: {table.name} in it is not a file")
    if free < LEAST_FREE:
        raise ValueError(
            f"cannot write to folder {str(folder)!r}: {free / MIB:.1f} MiB are free, and at least "
            f"{LEAST_FREE // MIB} MiB are needed"
        )
