"""Where the files of a released model, its circuits and its tokenizer are, and their digests. Imports no torch."""

import re
from collections.abc import Mapping
from pathlib import Path

from benchmark.tasks import TASKS

CIRCUIT = "viz_data.pt"
"""The name of the file of a circuit."""

MOST_CIRCUITS = 10_000
"""Most circuits that are looked for below a folder."""

NAMED = 5
"""Most folders that a message names."""


def circuit_files(folder: Path, named: Mapping[str, str]) -> dict[str, Path]:
    """The files of the circuits below a folder, by task.

    A folder in it that is called like a task, or like a task with `_beeg` and perhaps a number behind it, has the
    circuits of that task; it may have several, of different sweeps and sizes, in folders of their own.

    Args:
        folder: The folder, with one folder per task.
        named: The folder of a circuit, relative to `folder`, for tasks whose folder is called otherwise or has several.

    Raises:
        ValueError: One line with the choices: a task is unknown, or has no circuit or several.
    """
    if not folder.is_dir():
        raise ValueError(f"released.circuits {str(folder)!r} is not a folder")
    found: dict[str, list[Path]] = {}
    for task, place in named.items():
        TASKS.named(task)
        found[task] = _below(folder / place)
        if not found[task]:
            raise ValueError(f"released.folders.{task} {place!r}: there is no {CIRCUIT} in it, or below it")
    for inside in sorted(each for each in folder.iterdir() if each.is_dir()):
        known = task_of(inside.name)
        if known is not None and known not in named:
            found.setdefault(known, []).extend(_below(inside))
    for task, files in found.items():
        if len(files) > 1:
            places = [file.parent.relative_to(folder).as_posix() for file in files]
            more = f" and {len(places) - NAMED} more" * (len(places) > NAMED)
            choices = f"{', '.join(places[:NAMED])}{more}"
            raise ValueError(f"task {task!r} has {len(files)} circuits; choose by released.folders.{task}: {choices}")
    if not (chosen := {task: files[0] for task, files in found.items() if files}):
        raise ValueError(f"released.circuits {str(folder)!r} has no circuits, such as {next(iter(TASKS))}/{CIRCUIT}")
    return chosen


def unread_folders(folder: Path, read: Mapping[str, Path]) -> list[str]:
    """The folders with circuits of which none was read, since their names are no names of tasks."""
    places = (each for each in folder.iterdir() if each.is_dir() and _below(each))
    return sorted(each.name for each in places if not any(file.is_relative_to(each) for file in read.values()))


def task_of(name: str) -> str | None:
    """The task whose circuits are in a folder of this name; `None` if there is no such task."""
    plain = re.sub(r"_beeg\d*$", "", name)
    return plain if plain in TASKS else None


def _below(place: Path) -> list[Path]:
    """The files of circuits in a folder and below it, in order."""
    found = []
    for file in place.rglob(CIRCUIT):
        found.append(file)
        if len(found) > MOST_CIRCUITS:
            raise ValueError(f"{place} has more than {MOST_CIRCUITS:,} circuits")
    return sorted(found)
