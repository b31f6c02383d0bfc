"""Looks through a whole store: which artifacts are sound, and what could be removed."""

import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmark.running.cells import label
from benchmark.running.store import CorruptArtifactError, Store, verify

SECONDS_OF_A_DAY = 86_400.0


@dataclass(frozen=True)
class Garbage:
    """A folder or file of a store that could be removed.

    Attributes:
        what: The kind of garbage, in the plural.
        name: What it is, for people.
        place: Where it lies.
        size: Bytes.
    """

    what: str
    name: str
    place: Path
    size: int


def artifacts(store: Store) -> list[Path]:
    """The folders of all artifacts, sound or not, by key."""
    return sorted(place for place in (store.root / "artifacts").glob("*") if place.is_dir())


def corrupt(store: Store) -> Iterator[CorruptArtifactError]:
    """What is wrong with each artifact that is not as it was written; changes nothing."""
    for folder in artifacts(store):
        try:
            verify(folder, folder.name)
        except CorruptArtifactError as error:
            yield error


def garbage(store: Store, referred: Collection[str], days: float) -> list[Garbage]:
    """What could be removed from a store without a loss to anybody.

    These are artifacts that no table refers to and no run has used for some days, what is left of interrupted
    computations after that time or once the artifact is finished, artifacts that were set aside as corrupt, what an
    interrupted removal left, and the logs of cells that are not in the store.

    Args:
        store: The store.
        referred: Beginnings of the keys that tables refer to; whatever they were computed from is kept as well.
        days: How long something must not have been used to be removed, although nothing refers to it.
    """
    unused_since = time.time() - days * SECONDS_OF_A_DAY
    kept = _with_needs(store, store.keys_of(referred))
    kept |= {folder.name for folder in artifacts(store) if folder.stat().st_mtime >= unused_since}
    kept = _with_needs(store, kept)
    found = [
        Garbage(f"{_kind(folder)} artifacts", _label(folder), folder, _size(folder))
        for folder in artifacts(store)
        if folder.name not in kept
    ]
    for folder in (store.root / "partial").glob("*"):
        key = folder.name.partition(".")[0]
        if key in kept or folder.stat().st_mtime < unused_since:
            found.append(Garbage("unfinished computations", folder.name[:12], folder, _size(folder)))
    for what, name in (("corrupt artifacts set aside", "corrupt"), ("interrupted removals", "removed")):
        found += [Garbage(what, each.name[:12], each, _size(each)) for each in (store.root / name).glob("*")]
    for log in (store.root / "logs").glob("*.txt"):
        if log.stat().st_mtime < unused_since and log.stem not in kept:
            found.append(Garbage("logs", log.stem[:12], log, log.stat().st_size))
    return found


def remove(found: Collection[Garbage], store: Store) -> None:
    """Remove garbage.

    Raises:
        ValueError: A run computes with the store.
    """
    with store.held():
        for each in found:
            store.remove(each.place)


def _with_needs(store: Store, keys: Collection[str]) -> set[str]:
    """Keys, and those of all that they were computed from, as far as it can be read."""
    found, left = set[str](), list(keys)
    while left:
        key = left.pop()
        if key not in found:
            found.add(key)
            try:
                left += store.manifest(key).needs.values()
            except CorruptArtifactError:
                continue
    return found


def _kind(folder: Path) -> str:
    return _label(folder).partition(" ")[0]


def _label(folder: Path) -> str:
    try:
        manifest = Store(folder.parent.parent).manifest(folder.name)
    except CorruptArtifactError:
        return "corrupt"
    return label(manifest.kind, manifest.params)


def _size(place: Path) -> int:
    files = [place] if place.is_file() else place.rglob("*")
    return sum(file.lstat().st_size for file in files if not file.is_dir())
