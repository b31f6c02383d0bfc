"""The store: a folder of finished artifacts, each under the key of its cell, with a checksum of every file."""

import hashlib
import json
import os
import tempfile
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock, Timeout

from benchmark.plugins.versions import code_version, library_versions
from benchmark.running.cells import Order, digest, label

MANIFEST = "manifest.json"
"""The file of an artifact that describes it and lists the checksums of its other files."""


class CorruptArtifactError(ValueError):
    """An artifact whose files are not those that were written; `flaw` says which file, and what is wrong with it."""

    def __init__(self, artifact: str, flaw: str) -> None:
        self.flaw = flaw
        super().__init__(f"{artifact} is corrupt: {flaw}; repeat the run that computed it, and it is computed again")


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
        checksum: SHA-256 over all other fields; empty in manifests of the first releases.
    """

    key: str
    kind: str
    params: Mapping[str, Any]
    needs: Mapping[str, str]
    files: Mapping[str, str]
    seconds: float
    peak_memory: int
    code_version: str
    library_versions: Mapping[str, str]
    checksum: str = ""

    def digest(self) -> str:
        """The correct `checksum`."""
        return digest({name: value for name, value in asdict(self).items() if name != "checksum"})


class Store:
    """The artifacts of all runs that share a folder.

    Args:
        root: The folder: `artifacts/KEY/` contains what is finished, `partial/KEY/` what is not, `logs/KEY.txt` what a
            computation printed, `removed/` what is being deleted; `holder` names the process that has the `lock`.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._verified: dict[str, set[tuple[str, int, int]]] = {}
        self._told: set[str] = set()

    def artifact(self, key: str) -> Path:
        """The folder of a finished artifact, verified as in `find`.

        Raises:
            ValueError: There is no such artifact.
            CorruptArtifactError: A file is missing, changed or unexpected.
        """
        folder = self.find(key)
        if folder is None:
            raise ValueError(f"store {str(self.root)!r} has no artifact {key[:12]}…; run the same preset again")
        return folder

    def log(self, key: str) -> Path:
        """The file for what a computation prints."""
        return self.root / "logs" / f"{key}.txt"

    def partial(self, key: str) -> Path:
        """The folder in which an artifact is being computed; what an interrupted computation left is still there."""
        folder = self.root / "partial" / key
        folder.mkdir(parents=True, exist_ok=True)
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
        states = ((name, file.stat()) for name, file in _files(folder).items())
        signature = {(name, state.st_size, state.st_mtime_ns) for name, state in states}
        if self._verified.get(key) != signature:
            verify(folder)
            self._verified[key] = signature
        return folder

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
        return "begun" if (self.root / "partial" / key).exists() else "missing"

    def manifest(self, key: str) -> Manifest:
        """What the store knows about a finished artifact.

        Raises:
            CorruptArtifactError: The manifest is missing, changed or cannot be read.
        """
        return read_manifest(self._folder(key))

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
        """Turn the partial folder of a cell into its finished artifact, atomically."""
        folder = self.partial(order.key)
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
        )
        manifest = replace(manifest, checksum=manifest.digest())
        text = json.dumps(asdict(manifest), indent=1, sort_keys=True) + "\n"
        (folder / MANIFEST).write_text(text, encoding="utf-8")
        self._remove(self._folder(order.key))
        self._folder(order.key).parent.mkdir(parents=True, exist_ok=True)
        os.replace(folder, self._folder(order.key))
        return manifest

    def discard(self, key: str) -> None:
        """Remove an artifact, finished or not."""
        self._verified.pop(key, None)
        self._remove(self._folder(key))
        self.discard_partial(key)

    def discard_partial(self, key: str) -> None:
        """Remove what an interrupted computation left."""
        self._remove(self.root / "partial" / key)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the store for one run; the lock is released with the process, however that ends.

        Raises:
            ValueError: Another run holds it.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        holder = self.root / "holder"  # a separate file, as Windows does not let a locked one be read
        try:
            lock = FileLock(self.root / "lock").acquire(timeout=0)
        except Timeout:
            process = holder.read_text(encoding="utf-8").strip() if holder.exists() else "unknown"
            raise ValueError(
                f"store {str(self.root)!r} is in use by process {process}; wait for it or choose another --store"
            ) from None
        with lock:
            holder.write_text(f"{os.getpid()}\n", encoding="utf-8")
            yield

    def _folder(self, key: str) -> Path:
        """The place of a finished artifact, which may be missing or corrupt."""
        return self.root / "artifacts" / key

    def _remove(self, folder: Path) -> None:
        """Remove a folder; it is first moved away at once, so that half of it is never taken for the whole."""
        if folder.exists():
            (self.root / "removed").mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=self.root / "removed", ignore_cleanup_errors=True) as away:
                os.replace(folder, Path(away) / folder.name)


def read_manifest(folder: Path) -> Manifest:
    """The manifest of an artifact's folder; `CorruptArtifactError` if it is missing or changed."""
    try:
        manifest = Manifest(**json.loads((folder / MANIFEST).read_text(encoding="utf-8")))
        sound = manifest.checksum in ("", manifest.digest())
    except (OSError, ValueError, TypeError) as error:
        raise CorruptArtifactError(
            f"artifact {folder}", f"{MANIFEST} cannot be read ({type(error).__name__})"
        ) from error
    if not sound:
        raise CorruptArtifactError(f"artifact {folder}", f"{MANIFEST} does not have the checksum that was written")
    return manifest


def verify(folder: Path) -> Path:
    """The folder of an artifact, after checking that its files are those that were written.

    Raises:
        CorruptArtifactError: A file is missing, changed or unexpected.
    """
    manifest, found = read_manifest(folder), _checksums(folder)
    for name in sorted(manifest.files.keys() | found.keys()):
        if manifest.files.get(name) != found.get(name):
            flaw = "does not have the checksum that was written" if name in found else "is missing"
            raise CorruptArtifactError(f"artifact {folder} ({label(manifest.kind, manifest.params)})", f"{name} {flaw}")
    return folder


def _files(folder: Path) -> dict[str, Path]:
    """All files under a folder, by their paths inside it."""
    return {file.relative_to(folder).as_posix(): file for file in sorted(folder.rglob("*")) if file.is_file()}


def _checksums(folder: Path) -> dict[str, str]:
    """SHA-256 of every file under a folder except the manifest, by its path inside the folder."""
    found = {}
    for name, file in _files(folder).items():
        if name != MANIFEST:
            with file.open("rb") as content:
                found[name] = hashlib.file_digest(content, "sha256").hexdigest()
    return found
