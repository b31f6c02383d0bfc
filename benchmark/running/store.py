"""The store: a folder of finished artifacts, each under the key of its cell, with a checksum of every file."""

import hashlib
import json
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal
from uuid import uuid4

from benchmark.disk import flush, flush_tree
from benchmark.plugins.versions import code_version, library_versions
from benchmark.running.cells import Order, digest, key_of, label
from benchmark.running.leases import Leases
from benchmark.running.packing import unpack

if TYPE_CHECKING:
    from pydantic import TypeAdapter

MANIFEST = "manifest.json"
"""The file of an artifact that describes it and lists the checksums of its other files."""

LARGEST_MANIFEST = 16 * 2**20
"""Largest size of a manifest in bytes; a real one has a few kilobytes."""


class StoreFailedError(Exception):
    """The store cannot be written to any more; what was finished is in it."""


class StoreBusyError(ValueError):
    """Another process uses the store in a way that excludes this one."""


class ArtifactError(ValueError):
    """An artifact that cannot be used.

    Attributes:
        key: The name of its folder, which is the key of its cell.
        flaw: What is wrong with it.
    """

    def __init__(self, message: str, flaw: str, key: str) -> None:
        self.flaw = flaw
        self.key = key
        super().__init__(message)


class MissingArtifactError(ArtifactError):
    """There is no artifact with this key."""

    def __init__(self, store: Path, key: str) -> None:
        message = f"store {str(store)!r} has no artifact {key[:12]}…; run the same preset again"
        super().__init__(message, "it is missing", key)


class CorruptArtifactError(ArtifactError):
    """An artifact whose files are not those that were written; the flaw says which file, and what is wrong with it."""

    def __init__(self, artifact: str, flaw: str, key: str) -> None:
        message = f"{artifact} is corrupt: {flaw}; repeat the run that computed it, and it is computed again"
        super().__init__(message, flaw, key)


@dataclass(frozen=True)
class Manifest:
    """What the store knows about an artifact.

    Attributes:
        key: The key of its cell.
        kind: The kind of its cell.
        params: The parameters of its cell.
        needs: The keys of the cells that it was computed from, by role.
        files: SHA-256 of each file, by its path inside the folder.
        seconds: Wall-clock time of the computation, since its last interruption if there was one.
        peak_memory: Largest resident memory of the process that computed it, bytes.
        code_version: Version of the code that computed it.
        library_versions: Versions of Python and of the libraries that computed it.
        version: Version of the kind of cell; 0 in stores from before it was recorded.
        outside: Digests of what the cell read from outside the store.
        checksum: SHA-256 over all other fields.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid", "strict": True}

    key: str
    kind: str
    params: Mapping[str, Any]
    needs: Mapping[str, str]
    files: Mapping[str, str]
    seconds: float
    peak_memory: int
    code_version: str
    library_versions: Mapping[str, str]
    version: int = 0
    outside: Mapping[str, str] = field(default_factory=dict)
    checksum: str = ""

    def digest(self) -> str:
        """The correct `checksum`; stores from before the version was recorded have one without it."""
        later = () if self.version else ("version", "outside")
        return digest({name: value for name, value in asdict(self).items() if name not in ("checksum", *later)})

    def flaw(self, key: str | None) -> str:
        """Why it cannot be the manifest of an artifact, of any if no key is given; empty if it can be."""
        if self.checksum != self.digest():
            return f"{MANIFEST} does not have the checksum that was written"
        if key is not None and self.key != key:
            return f"{MANIFEST} belongs to the artifact {self.key[:12]}…"
        if self.version and self.key != key_of(self.kind, self.version, self.params, self.needs, self.outside):
            return f"{MANIFEST} does not describe the cell of this key"
        return ""


@cache
def _adapter() -> "TypeAdapter[Manifest]":
    from pydantic import TypeAdapter  # takes a tenth of a second, and commands that compute nothing need it not

    return TypeAdapter(Manifest)


class Store:
    """The artifacts of all runs that share a folder.

    Args:
        root: The folder: `artifacts/KEY/` contains what is finished, `partial/KEY.RUN/` what a run has not finished,
            `logs/KEY.txt` what a computation printed, `corrupt/` what was set aside, `removed/` what is being deleted,
            `leases/` who computes what.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._verified: dict[str, set[tuple[str, int, int]]] = {}
        self._told: set[str] = set()

    def artifact(self, key: str) -> Path:
        """The folder of a finished artifact, verified as in `find`.

        Raises:
            MissingArtifactError: There is no such artifact.
            CorruptArtifactError: A file is missing, changed or unexpected.
        """
        folder = self.find(key)
        if folder is None:
            raise MissingArtifactError(self.root, key)
        return folder

    def log(self, key: str) -> Path:
        """The file for what a computation prints."""
        return self.root / "logs" / f"{key}.txt"

    def leases(self) -> Leases:
        """The leases of one run on the cells that it computes."""
        return Leases(self.root / "leases")

    def partial(self, order: Order) -> Path:
        """The folder in which a run computes an artifact; what an interrupted computation left is moved there.

        Every run has a folder of its own, so that one that was taken for dead cannot write into another's.
        """
        folder = self._partial_of(order)
        folder.parent.mkdir(parents=True, exist_ok=True)
        left = [other for other in self._partials(order.key) if other != folder]
        if left and not folder.exists():
            with suppress(OSError):  # another process has just taken or finished it
                os.replace(left.pop(), folder)
        for other in left:
            self.remove(other)
        folder.mkdir(exist_ok=True)
        return folder

    def find(self, key: str) -> Path | None:
        """The folder of a finished artifact, with its files verified; `None` if there is none.

        Checksums are computed once per process, and again when the size or the modification time of a file changes.

        Raises:
            CorruptArtifactError: A file is missing, changed or unexpected.
        """
        folder = self._folder(key)
        if not folder.exists():
            return None
        states = ((name, file.lstat()) for name, file in _files(folder).items())
        signature = {(name, state.st_size, state.st_mtime_ns) for name, state in states}
        if self._verified.get(key) != signature:
            verify(folder, key)
            self._verified[key] = signature
        return folder

    def key_of_file(self, path: Path) -> str:
        """The key of the finished artifact that a file belongs to; empty if it belongs to none."""
        with suppress(ValueError):
            return path.resolve().relative_to((self.root / "artifacts").resolve()).parts[0]
        return ""

    def touch(self, key: str) -> None:
        """Note that a run has used an artifact."""
        with suppress(OSError):
            os.utime(self._folder(key))

    def key_of(self, beginning: str) -> str:
        """The whole key of a finished artifact, given the beginning that the records contain.

        Raises:
            ValueError: There is no such artifact, or more than one.
        """
        found = self.keys_of([beginning])
        if beginning and len(found) == 1:
            return found[0]
        if found:
            raise ValueError(f"store {str(self.root)!r} has {len(found)} artifacts {beginning}…")
        raise ValueError(
            f"its artifact {beginning} is not in store {str(self.root)!r}: it was computed with another --store or "
            "on another machine, and `bench run` computes it here"
        )

    def keys_of(self, beginnings: Iterable[str]) -> list[str]:
        """The keys of the finished artifacts that start with any of the given beginnings."""
        wanted = tuple(beginnings)
        return sorted(folder.name for folder in (self.root / "artifacts").glob("*") if folder.name.startswith(wanted))

    def state(self, key: str) -> Literal["done", "corrupt", "begun", "missing"]:
        """The state of an artifact; changes nothing."""
        try:
            if self.find(key) is not None:
                return "done"
        except CorruptArtifactError:
            return "corrupt"
        return "begun" if self._partials(key) else "missing"

    def manifest(self, key: str) -> Manifest:
        """What the store knows about a finished artifact.

        Raises:
            CorruptArtifactError: The manifest is missing, changed or cannot be read.
        """
        return read_manifest(self._folder(key), key)

    def other_code(self, keys: Collection[str]) -> str:
        """One line on the given artifacts that another version of our code computed; empty if there are none.

        Each artifact is counted once in the life of a store object.
        """
        sound = [key for key in keys if key not in self._told and self.state(key) == "done"]
        found = Counter(self.manifest(key).code_version for key in sound)
        self._told.update(keys)
        told = [
            f"{number} cell{'s' if number > 1 else ''} by {version}"
            for version, number in sorted(found.items())
            if version != code_version()
        ]
        if not told:
            return ""
        return (
            f"found in the store, but computed by another version of the code: {', '.join(told)}; this is "
            f"{code_version()}; `bench run --fresh` or another --store computes them again"
        )

    def commit(self, order: Order, seconds: float, peak_memory: int) -> Manifest:
        """Turn the partial folder of a cell into its finished artifact, atomically, once all of it is on the disk.

        Raises:
            FileNotFoundError: Another run has taken over what this one had done.
        """
        folder = self._partial_of(order)
        (folder / MANIFEST).unlink(missing_ok=True)
        manifest = Manifest(
            key=order.key,
            kind=order.kind,
            params=order.params,
            needs=order.needs,
            files=_checksums(folder),
            seconds=round(seconds, 3),
            peak_memory=peak_memory,
            code_version=code_version(),
            library_versions=library_versions(),
            version=order.version,
            outside=order.outside,
        )
        manifest = replace(manifest, checksum=manifest.digest())
        text = json.dumps(asdict(manifest), indent=1, sort_keys=True) + "\n"
        (folder / MANIFEST).write_text(text, encoding="utf-8")
        self._finish(folder, order.key)
        return manifest

    def adopt(self, key: str, files: Mapping[str, bytes]) -> None:
        """Take in a finished artifact that another store has sent, once it is verified.

        Args:
            key: The key of its cell.
            files: The content of each file, the manifest too, by its path inside the folder.

        Raises:
            CorruptArtifactError: A file is missing, changed or unexpected.
        """
        place = self.root / "partial"
        place.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=place, prefix=".", ignore_cleanup_errors=True) as arrived:
            folder = Path(arrived) / key
            unpack(files, folder)
            self._finish(verify(folder, key), key)

    def set_aside(self, key: str) -> Path:
        """Move a corrupt artifact out of the way and return its new place; nothing happens if it is gone."""
        self._verified.pop(key, None)
        aside = self.root / "corrupt" / f"{key}.{uuid4().hex[:8]}"
        aside.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):
            os.replace(self._folder(key), aside)
        return aside

    def was_set_aside(self, key: str) -> bool:
        """Whether an artifact with the same files has been set aside before, so that computing it again is no use."""
        files = self.manifest(key).files
        for folder in (self.root / "corrupt").glob(f"{key}.*"):
            with suppress(CorruptArtifactError):
                if read_manifest(folder, key).files == files:
                    return True
        return False

    def discard(self, key: str) -> None:
        """Remove an artifact, finished or not."""
        self._verified.pop(key, None)
        self.remove(self._folder(key))
        for folder in self._partials(key):
            self.remove(folder)

    def discard_all(self, keys: Iterable[str]) -> None:
        """Remove artifacts, finished or not.

        Raises:
            StoreBusyError: Another run is computing with this store.
        """
        with self.held():
            for key in keys:
                self.discard(key)

    @contextmanager
    def used(self) -> Iterator[Leases]:
        """The leases of a run, which keeps the store from being cleaned up meanwhile.

        Raises:
            StoreBusyError: It is being cleaned up.
        """
        with self._announced("run", "clean") as leases:
            yield leases

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep all runs from using this store while it is cleaned up.

        Raises:
            StoreBusyError: A run uses it.
        """
        with self._announced("clean", "run"):
            yield

    @contextmanager
    def _announced(self, what: str, excluded: str) -> Iterator[Leases]:
        """Announce a use of the store, then make sure that nobody else has announced the excluded one."""
        with self.leases() as leases:
            leases.acquire(f"{what}.{leases.holder.token}")
            for name, holder in leases.held_by_others(leases.names(f"{excluded}.")).items():
                raise StoreBusyError(
                    f"store {str(self.root)!r} is in use by {holder}; wait for it, or remove {leases.folder / name} if "
                    "that machine is gone"
                )
            yield leases

    def discard_partial(self, order: Order) -> None:
        """Remove what a run left of a computation."""
        self.remove(self._partial_of(order))

    def _partial_of(self, order: Order) -> Path:
        """The place of the folder in which a run computes an artifact."""
        return self.root / "partial" / f"{order.key}.{order.run}"

    def _partials(self, key: str) -> list[Path]:
        """What interrupted computations left of an artifact, the oldest first."""
        found = []
        for folder in (self.root / "partial").glob(f"{key}*"):
            with suppress(OSError):
                found.append((folder.stat().st_mtime, folder))
        return [folder for _, folder in sorted(found)]

    def _folder(self, key: str) -> Path:
        """The place of a finished artifact, which may be missing or corrupt."""
        return self.root / "artifacts" / key

    def _finish(self, folder: Path, key: str) -> None:
        """Move a complete folder to the place of a finished artifact, atomically, once all of it is on the disk."""
        flush_tree(folder)
        self.remove(self._folder(key))
        self._folder(key).parent.mkdir(parents=True, exist_ok=True)
        os.replace(folder, self._folder(key))
        flush(self._folder(key).parent)

    def remove(self, folder: Path) -> None:
        """Remove a folder or file of the store; it is moved away first, so half of it never looks whole."""
        try:
            (self.root / "removed").mkdir(parents=True, exist_ok=True)
            away = Path(tempfile.mkdtemp(dir=self.root / "removed"))
        except OSError:  # a full disk, on which removing must work all the same
            shutil.rmtree(folder, ignore_errors=True)
            return
        with suppress(FileNotFoundError):
            os.replace(folder, away / folder.name)
        shutil.rmtree(away, ignore_errors=True)


def read_manifest(folder: Path, key: str | None = None) -> Manifest:
    """The manifest of an artifact's folder.

    Raises:
        CorruptArtifactError: It is missing or changed, or it is not that of the artifact with the given key.
    """
    try:
        manifest = _adapter().validate_json(_bytes_of(folder / MANIFEST))
        flaw = manifest.flaw(key)
    except (FileNotFoundError, NotADirectoryError, ValueError, RecursionError) as error:
        flaw = f"{MANIFEST} cannot be read ({type(error).__name__})"
        raise CorruptArtifactError(f"artifact {folder}", flaw, folder.name) from error
    if flaw:
        raise CorruptArtifactError(f"artifact {folder}", flaw, folder.name)
    return manifest


def verify(folder: Path, key: str | None = None) -> Path:
    """The folder of an artifact, after checking that its files are those that were written.

    Raises:
        CorruptArtifactError: A file is missing, changed or unexpected, or it is not the artifact with the given key.
    """
    manifest, found = read_manifest(folder, key), _checksums(folder)
    for name in sorted(manifest.files.keys() | found.keys()):
        if manifest.files.get(name) != found.get(name):
            flaw = "does not have the checksum that was written" if name in found else "is missing"
            named = f"artifact {folder} ({label(manifest.kind, manifest.params)})"
            raise CorruptArtifactError(named, f"{name} {flaw}", folder.name)
    return folder


def _bytes_of(manifest: Path) -> bytes:
    """The content of a manifest; `ValueError` if it is no plain file of a sensible size."""
    if manifest.is_symlink() or not manifest.is_file() or manifest.stat().st_size > LARGEST_MANIFEST:
        raise ValueError(f"{manifest} is not a plain file of at most {LARGEST_MANIFEST} bytes")
    return manifest.read_bytes()


def _files(folder: Path) -> dict[str, Path]:
    """Everything under a folder except plain folders, by its path inside the folder."""
    found = {file.relative_to(folder).as_posix(): file for file in sorted(folder.rglob("*"))}
    return {name: file for name, file in found.items() if file.is_symlink() or not file.is_dir()}


def _checksums(folder: Path) -> dict[str, str]:
    """SHA-256 of every file under a folder except the manifest, by its path inside the folder.

    A link, a device or the like has none, so that it is never taken for a file that was written.
    """
    found = {}
    for name, file in _files(folder).items():
        if file.is_symlink() or not file.is_file():
            found[name] = "not a plain file"
        elif name != MANIFEST:
            with file.open("rb") as content:
                found[name] = hashlib.file_digest(content, "sha256").hexdigest()
    return found
