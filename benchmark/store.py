"""A folder of finished artifacts, each under the key of its cell, with a checksum of every file."""

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from benchmark.cells import Order
from benchmark.versions import code_version, library_versions

MANIFEST = "manifest.json"
"""The file of an artifact that tells what it is and what its other files hold."""


class CorruptArtifactError(ValueError):
    """An artifact whose files are not those that were written."""


@dataclass(frozen=True)
class Manifest:
    """What the store knows about an artifact.

    Attributes:
        key: The key of its cell.
        kind: The kind of its cell.
        params: The parameters of its cell.
        needs: The keys of the cells that it was computed from, by role.
        files: SHA-256 of each file, by its path inside the folder.
        seconds: Wall-clock time of the computation, its last stretch where it was interrupted.
        peak_memory: Largest resident memory of the process that computed it, bytes.
        code_version: Of the code that computed it.
        library_versions: Of Python and the libraries that computed it.
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


class Store:
    """The artifacts of all runs that share a folder.

    Args:
        root: The folder: `artifacts/KEY/` holds what is finished, `partial/KEY/` what is not, `logs/KEY.txt` what a
            computation printed.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._verified: set[str] = set()

    def artifact(self, key: str) -> Path:
        """The folder in which a finished artifact lies."""
        return self.root / "artifacts" / key

    def log(self, key: str) -> Path:
        """The file that takes what a computation prints."""
        return self.root / "logs" / f"{key}.txt"

    def partial(self, key: str) -> Path:
        """The folder in which an artifact is being computed; what an interrupted computation left is still there."""
        folder = self.root / "partial" / key
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def find(self, key: str) -> Path | None:
        """The folder of a finished artifact, its checksums verified once in a process; `None` where there is none.

        Raises:
            CorruptArtifactError: A file is missing, changed or unknown.
        """
        folder = self.artifact(key)
        if not folder.exists():
            return None
        if key not in self._verified:
            self._verify(key)
            self._verified.add(key)
        return folder

    def key_of(self, beginning: str) -> str:
        """The whole key of a finished artifact from the part of it that stands in the records.

        Raises:
            ValueError: There is none.
        """
        found = sorted((self.root / "artifacts").glob(f"{beginning}*"))
        if not found:
            raise ValueError(
                f"its artifact {beginning} is not in store {str(self.root)!r}: it was computed with another --store or "
                "on another machine, and `bench run` computes it here"
            )
        return found[0].name

    def state(self, key: str) -> Literal["done", "corrupt", "begun", "missing"]:
        """What there is of an artifact; changes nothing."""
        try:
            if self.find(key) is not None:
                return "done"
        except CorruptArtifactError:
            return "corrupt"
        return "begun" if (self.root / "partial" / key).exists() else "missing"

    def manifest(self, key: str) -> Manifest:
        """What the store knows about a finished artifact.

        Raises:
            CorruptArtifactError: The manifest is missing or cannot be read.
        """
        try:
            return Manifest(**json.loads((self.artifact(key) / MANIFEST).read_text()))
        except (OSError, ValueError, TypeError) as error:
            raise CorruptArtifactError(f"{MANIFEST} cannot be read ({type(error).__name__})") from error

    def commit(self, order: Order, seconds: float, peak_memory: int) -> Manifest:
        """Turn the partial folder of a cell into its finished artifact, at once or not at all."""
        folder = self.partial(order.key)
        (folder / MANIFEST).unlink(missing_ok=True)
        manifest = Manifest(
            key=order.key,
            kind=order.kind,
            params=order.params,
            needs=order.needs,
            files=checksums(folder),
            seconds=round(seconds, 3),
            peak_memory=peak_memory,
            code_version=code_version(),
            library_versions=library_versions(),
        )
        (folder / MANIFEST).write_text(json.dumps(asdict(manifest), indent=1, sort_keys=True) + "\n")
        self._remove(self.artifact(order.key))
        self.artifact(order.key).parent.mkdir(parents=True, exist_ok=True)
        os.replace(folder, self.artifact(order.key))
        return manifest

    def discard(self, key: str) -> None:
        """Forget an artifact, finished or not."""
        self._verified.discard(key)
        self._remove(self.artifact(key))
        self.discard_partial(key)

    def discard_partial(self, key: str) -> None:
        """Forget what an interrupted computation left."""
        self._remove(self.root / "partial" / key)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the store for one run; the lock goes with the process, however that ends.

        Raises:
            ValueError: Another run holds it.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        with (self.root / "lock").open("a+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                holder = file.read().strip() or "unknown"
                raise ValueError(
                    f"store {str(self.root)!r} is in use by process {holder}; wait for it or choose another --store"
                ) from None
            file.truncate(0)
            file.write(f"{os.getpid()}\n")
            file.flush()
            yield

    def _verify(self, key: str) -> None:
        expected, found = self.manifest(key).files, checksums(self.artifact(key), besides=MANIFEST)
        for name in sorted(expected.keys() | found.keys()):
            if name not in found:
                raise CorruptArtifactError(f"{name} is missing")
            if expected.get(name) != found[name]:
                raise CorruptArtifactError(f"{name} does not have the checksum that was written")

    def _remove(self, folder: Path) -> None:
        """Remove a folder; it leaves its place at once, so that half of it is never taken for the whole."""
        if folder.exists():
            grave = self.root / "removed" / f"{folder.name}.{os.getpid()}"
            grave.parent.mkdir(parents=True, exist_ok=True)
            os.replace(folder, grave)
            shutil.rmtree(grave)


def checksums(folder: Path, besides: str = "") -> dict[str, str]:
    """SHA-256 of every file under a folder, by its path inside it, `besides` left out."""
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    names = {file.relative_to(folder).as_posix(): file for file in files}
    return {name: _sha256(file) for name, file in names.items() if name != besides}


def _sha256(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
